# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The matchers of a rule that speak of files: paths, types of file systems, unix sockets. Each in its normal form."""

from __future__ import annotations

import posixpath
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import shapes
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import show

# What would make it another path than the one that is meant: wildcards, and what a shell or a template fills in.
WILDCARD = re.compile(r'[*?]|\[[^/]+\]|\{[^/]*,[^/]*\}')
FILLED_IN = re.compile(r'^~|\$[A-Za-z0-9_{(]|\{\{')
PATH_SIZE, PART_SIZE = 4095, 255  # bytes that the kernel takes, of a path and between two slashes
SOCKET_SIZE = 108  # of the address of a unix socket, with the 0 that @ stands for
# A type as /proc/mounts shows it. FUSE alone has subtypes: the program behind the file system, in its own words.
FILESYSTEM = re.compile(r'[a-z0-9][a-z0-9_+-]*|fuse(?:blk)?\.(?:[a-z0-9_.+-]+|\*)')
TYPE_SIZE = 31  # bytes that the programs compare, of a type and of a subtype


def path(value, where):
    """The path with single slashes, and none at its end. Spaces inside stay: names of files may have them."""
    text = shapes.printable(shapes.string(value, '/mnt/artifacts', where), where)
    if len(text.encode()) > PATH_SIZE:
        raise where.error('%s is too long. A path has at most %d bytes.' % (show(text), PATH_SIZE))
    if text != text.strip():
        raise where.error('%s begins or ends with a space. Take it out.' % show(text))
    if FILLED_IN.search(text):
        raise where.error('%s is not filled in: ~, variables and templates mean nothing here. Write the whole path, '
                          'such as /home/deploy/bin.' % show(text))
    if not text.startswith('/'):
        more = ('Types of file systems go under filesystems.' if '/' not in text else
                'The server of a mount goes under hosts or networks.' if ':/' in text else '')
        raise where.error(('%s is not an absolute path. Write it from the root on, such as /mnt/artifacts. %s'
                           % (show(text), more)).rstrip())
    parts = [part for part in text.split('/') if part]
    if not parts:
        raise where.error("%s means every file, also the shell that each task runs in. Name a directory, or types of "
                          'file systems under filesystems.' % show(text))
    whole = '/' + '/'.join(parts)
    if '.' in parts or '..' in parts:
        normal = posixpath.normpath(whole)
        raise where.error('%s has a "." or ".." between slashes. Write the path without it%s.' % (
            show(text), ': %s' % show(normal) if normal != '/' else ''))
    wildcard = WILDCARD.search(whole)
    if wildcard:
        above = whole[:wildcard.start()].rpartition('/')[0]
        raise where.error('%s has a wildcard in it, and paths have none. A directory means all that is below it: '
                          'write %seach path by itself.' % (show(text), '%s, or ' % show(above) if above else ''))
    if max(len(part.encode()) for part in parts) > PART_SIZE:
        raise where.error('%s is too long. There are at most %d bytes between two slashes.' % (show(text), PART_SIZE))
    return whole


def filesystem(value, where):
    text = shapes.text(value, 'nfs4', where)
    if '*' in text and not re.fullmatch(r'fuse(blk)?\.\*', text):
        raise where.error('%s has a wildcard in a wrong place. A wildcard stands for every subtype of FUSE alone: '
                          '"fuse.*". Write each other type by itself.' % show(text))
    if not FILESYSTEM.fullmatch(text):
        bare = text.lower().partition('.')[0]
        more = ('Paths go under paths.' if '/' in text else
                'Did you mean %s?' % text.lower() if FILESYSTEM.fullmatch(text.lower()) else
                'Only fuse has something behind a dot. Did you mean %s?' % bare if FILESYSTEM.fullmatch(bare) else '')
        raise where.error(('%s is not a type of file systems. Write it as /proc/mounts shows it, such as nfs4 or '
                           'fuse.sshfs. %s' % (show(text), more)).rstrip())
    if max(map(len, text.split('.', 1))) > TYPE_SIZE:
        raise where.error('%s is too long. A type has at most %d bytes, and as many behind the dot.'
                          % (show(text), TYPE_SIZE))
    return text


def socket(value, where):
    """The path of a socket, or '@name' of one without a file, as ss(8) shows it."""
    text = shapes.string(value, '/run/docker.sock', where)
    if text.startswith('@') and len(text) > 1:
        shapes.printable(text, where)
    elif text.startswith('/') and text.endswith('/'):
        raise where.error('%s is a directory. Write each socket by itself, such as /run/docker.sock.' % show(text))
    elif not re.match('[/~$]', text):
        raise where.error('%s is no unix socket. Write its path from the root on, such as /run/docker.sock, or @name for one '
                          'without a file.' % show(text))
    else:
        text = path(value, where)
    if len(text.encode()) > SOCKET_SIZE:
        raise where.error('%s is too long. The address of a unix socket has at most %d bytes.' % (show(text), SOCKET_SIZE))
    return text
