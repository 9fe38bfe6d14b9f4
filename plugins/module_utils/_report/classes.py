# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Which kind of dependency an access shows: does a command line of the deployment name what it went to? Pure.

A host is named by its whole name, as one of the words of a command line or a part of one: `github.com` by
`git@github.com:a/b` and `--from=https://github.com/x`, and neither by `www.github.com` nor by `/src/github.com/x`, which
is a directory. A path is named by itself, or by a directory on the way to it from where the rule begins.
"""

from __future__ import annotations

import ipaddress
import re

DIRECT, HIDDEN = 'direct', 'hidden'
PRESENTED = ('dns', 'tls', 'http')  # kinds that say a name: the address is but the way to it, a resolver or a proxy
HOST = re.compile(r'[\w.-]+')
ADDRESS6 = re.compile(r'[0-9A-Fa-f]*:[0-9A-Fa-f:.]+')
GLUED = re.compile(r'-[A-Za-z]')  # an option of one letter with its value in the same word
WORD = re.compile(r'[^\s\'"=:;,|&()<>]+')
# Before a path, and behind one: not in the middle of another, but `-C/mnt/x`, `file:///mnt/x`, `/mnt/x/`, `/mnt/x/*.tar`.
BEFORE, BEHIND = r'(?:(?<![\w./~-])|(?<=://)|^-[A-Za-z])', r'(?:/+\.?|/+[*?$[{]\S*)?(?![\w./-])'


def naming(record, rule_paths, commands, presented=True):
    """The index of the first of the commands, each a tuple of arguments, that names what the record is about, or None.

    The first is the process's own. `rule_paths`: those of the rule, where it has any. `presented`: whether the record has
    the name that was asked for or presented, and not the names of its address.
    """
    if record['path']:
        return _first(commands, _path_namer(record, rule_paths))
    names = set((record['name'] or '').split(', ')) - {''}
    address = None if names and presented and record['kind'] in PRESENTED else record['address']
    return _first(commands, lambda arguments, _own: any(_names_host(argument, names, address) for argument in arguments))


def _first(commands, names_it):
    return next((index for index, arguments in enumerate(commands) if names_it(arguments, index == 0)), None)


def _names_host(argument, names, address):
    if address and ':' in address:
        return any(_same_address(found.group(), address) for found in ADDRESS6.finditer(argument)) or _in(argument, names)
    return _in(argument, names | {address})


def _in(argument, names):
    for found in HOST.finditer(argument):
        word, before = found.group(), argument[:found.start()]
        if before.endswith('/') and not before.endswith('//'):
            continue  # a directory
        if _host(word) in names or not before and GLUED.match(word) and _host(word[2:]) in names:
            return True
    return False


def _host(word):
    """A word in the form that names have in records."""
    word = word.strip('.-').lower()
    try:
        return word if word.isascii() else word.encode('idna').decode('ascii')
    except UnicodeError:
        return word


def _same_address(text, address):
    try:
        return ipaddress.ip_address(text) == ipaddress.ip_address(address)
    except ValueError:
        return False


def _path_namer(record, rule_paths):
    path, program = record['path'], record['kind'] == 'exec' and record['path'].rpartition('/')[2]
    meant = [path] + [parent for parent in _parents(path) if _counts(parent, path, rule_paths)]
    absolute = re.compile('|'.join(BEFORE + re.escape(one) + BEHIND for one in meant))

    def names_it(arguments, own):
        return (own and arguments[0] == program or any(absolute.search(argument) for argument in arguments)
                or any(_ends(word, meant) for argument in arguments for word in WORD.findall(argument)))
    return names_it


def _parents(path):
    while path.rpartition('/')[0]:
        path = path.rpartition('/')[0]
        yield path


def _counts(parent, path, rule_paths):
    """Does who names this directory mean the file in it? Of a rule by type of file system, two steps below the root do."""
    roots = [root for root in rule_paths if (path + '/').startswith(root + '/')]
    return any((parent + '/').startswith(root + '/') for root in roots) if roots else parent.count('/') > 1


def _ends(word, meant):
    """Is a relative path, of which nobody knows where it begins, the end of one of these? A bare name is none."""
    if word.startswith('/') or '/' not in word:
        return False
    parts = [part for part in word.split('/') if part not in ('', '.')]
    while parts[:1] == ['..']:
        parts = parts[1:]
    return bool(parts) and any(path.split('/')[-len(parts):] == parts for path in meant)
