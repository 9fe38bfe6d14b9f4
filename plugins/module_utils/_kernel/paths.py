# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What a path of a rule is on this host: how the kernel spells it, and which inode is there.

The one meets what is made or mounted later, the other what is reached by another way.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import time
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import processes
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, programs

PARALLEL = 8
SHOWN = 5  # paths in one warning
PATIENCE = 2  # seconds for a file server to say what a path is

Found = namedtuple('Found', 'forms fd')  # how the kernel spells a path, and an open file, None where nothing is there


def look_up(paths):
    """({path: Found}, [paths that a file server does not answer for])."""
    found, answered, waiting = {}, set(), queue.SimpleQueue()
    deadline = time.monotonic() + PATIENCE
    for path in paths:
        waiting.put(path)

    def work():
        with contextlib.suppress(queue.Empty):
            while time.monotonic() < deadline:
                path = waiting.get_nowait()
                # without symlinks on the way; where the last part is one, the rule means it, and what it leads to
                forms = {os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))}
                fd = None
                with contextlib.suppress(OSError):  # not there yet
                    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
                    forms.add(os.readlink('/proc/self/fd/%d' % fd))
                found[path] = Found(forms, fd)
                answered.add(path)

    # Nothing ends a call that waits for a file server. So threads make it, that nobody has to wait for.
    for thread in processes.start_threads(work, min(PARALLEL, len(paths))):
        thread.join(max(0, deadline - time.monotonic()))
    return dict(found), [path for path in paths if path not in answered]


def warnings(late):
    """What to say of paths that are known by their spelling alone."""
    return ['Within %d seconds there was no answer to what is at %s%s. The rules know that by its path alone.' % (
        PATIENCE, ', '.join(late[:SHOWN]), ' and %d more' % (len(late) - SHOWN) if late[SHOWN:] else '')] if late else []


def identify(kernel, loaded, found):
    """{path: its inode as bytes of _abi.Inode}: what the kernel says, because stat(2) has other words for some."""
    size = ctypes.sizeof(_abi.OpenFile)
    written = kernel.iterate(loaded.program_fd(programs.IDENTIFY))
    entries = [_abi.OpenFile.from_buffer_copy(written, start) for start in range(0, len(written), size)]
    inodes = {entry.fd: bytes(entry.inode) for entry in entries}
    return {path: inodes[known.fd] for path, known in found.items() if known.fd in inodes}


def close(found):
    bpf.close(known.fd for known in found.values() if known.fd is not None)


def stricter(known, other):
    """Deny before allow, and the first rule before later ones."""
    return other if known is None or (other.deny and not known.deny) else known


def by_form(wanted, found):
    """{how the kernel spells it: FileRule}; `wanted`: [(path, FileRule)]."""
    spelled = {}
    for path, rule in wanted:
        for form in found[path].forms if path in found else (path,):
            spelled[form] = stricter(spelled.get(form), rule)
    return spelled


def by_inode(wanted, identified):
    """{inode, as bytes: FileRule}; `identified`: {path: inode}."""
    inodes = {}
    for path, rule in wanted:
        if path in identified:
            inodes[identified[path]] = stricter(inodes.get(identified[path]), rule)
    return inodes


def fill(kernel, loaded, spelled, inodes, asking=None):
    """The maps of paths and inodes, which nobody changes from then on. `asking`: {program: FileRule}, of what asks."""
    for program, rule in (asking or {}).items():
        kernel.update(loaded.map_fd('ebg_paths'), ctypes.c_uint64(program_hash(program)), rule)
    for path, rule in spelled.items():
        kernel.update(loaded.map_fd('ebg_paths'), ctypes.c_uint64(path_hash(os.fsencode(path))), rule)
    for inode, rule in inodes.items():
        kernel.update(loaded.map_fd('ebg_inodes'), _abi.Inode.from_buffer_copy(inode), rule)
    for name in ('ebg_paths', 'ebg_inodes'):
        kernel.freeze(loaded.map_fd(name))


def path_hash(path):
    """Whole words up to the path's end, zeros before its start: so the kernel, which spells backwards, has it."""
    state = _names.SEED
    padded = bytes(-len(path) % 8) + path
    for start in range(0, len(padded), 8):
        state = _names.mixed(state, int.from_bytes(padded[start:start + 8], 'little'))
    return _names.mixed(state, len(path))


def program_hash(program):
    """By the short name that the kernel has of a program."""
    name = program.encode().ljust(16, b'\0')
    return _names.mixed(_names.mixed(_names.SEED, int.from_bytes(name[:8], 'little')), int.from_bytes(name[8:], 'little'))
