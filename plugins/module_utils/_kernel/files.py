# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The rules for files: what they mean on this host, and the programs that hold to them.

A rule's path is known in two ways: by how it is spelled, and, if it is there, by its inode. So a directory that is made
or mounted later is met, and so is a file that is reached by another way.
"""

from __future__ import annotations

import ctypes
import os
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import canaries, optional, paths, programs, security_hooks
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.optional import BCC_LACKS, Candidate, Loaded

# Their files come over a network: what is opened there is observed.
REMOTE = ('9p', 'afs', 'ceph', 'cifs', 'coda', 'fuse.*', 'gfs2', 'lustre', 'nfs', 'nfs4', 'ocfs2', 'smb3', 'virtiofs')
NOT_NEEDED = 'nothing needs it: no rule has paths or filesystems, and nothing is observed'
TRACED = 'what is executed is observed by a tracepoint, of a script its interpreter; nothing can be denied, because %s'
ALL = Candidate(programs.FILES, programs.of_object(programs.FILES))
# what a tracepoint sees of executions, where nothing can be denied
TRACE = Candidate(programs.FILES, tuple(name for name in ALL.programs if programs.tracepoint(name)))


def load(kernel, objects, shared, compiled, run, cgroup):
    """Loaded, for the rules on files and the observation of executions.

    `objects`: {object: bytes}; empty: BCC has none. `shared`: {map: file descriptor} of the maps that all of a guard's
    programs have. `compiled`: by compile_rules(). `run`: the guard's run directory. `cgroup`: a file descriptor of the
    deploy cgroup.
    """
    observe = bool(compiled.config.observe)
    if not (compiled.paths or compiled.filesystems or observe):
        return Loaded(None, {}, {}, {'file': NOT_NEEDED, 'exec': NOT_NEEDED}, [])
    canaries.make_files(run)
    wanted = list(canaries.file_rules(run).items()) + compiled.paths
    types = _types(compiled.filesystems, observe)
    found, late = paths.look_up(dict(wanted))
    spelled = paths.by_form(wanted, found)
    loaded, candidate, links, enforced = start(kernel, objects, shared, {
        'ebg_paths': len(spelled), 'ebg_inodes': len(found), 'ebg_types': len(types)})
    if not loaded:
        paths.close(found)
        return Loaded(None, {}, {}, enforced, [])
    inodes = paths.by_inode(wanted, paths.identify(kernel, loaded, found))
    paths.close(found)
    _fill(kernel, loaded, spelled, inodes, types, traced=enforced['file'] is not True)
    kernel.update(loaded.map_fd('ebg_scope'), ctypes.c_uint32(0), ctypes.c_uint32(cgroup))
    return Loaded(loaded, {name: loaded.program_fd(name) for name in candidate.programs}, links, enforced, paths.warnings(late))


def start(kernel, objects, shared, sizes):
    """(the object in the kernel, its candidate, links, what is then enforced); (None, None, {}, …) where it takes none."""
    if not objects:
        return None, None, {}, {'file': BCC_LACKS, 'exec': BCC_LACKS}
    kind = security_hooks.kind()
    loaded, candidate, links, errors = optional.load_first(kernel, objects, [ALL, TRACE] if kind else [TRACE], shared, sizes)
    if candidate is ALL:
        return loaded, ALL, links, {'file': True, 'exec': True}
    reason = optional.why_not(errors[0]) if kind else security_hooks.PREEMPTED
    return loaded, candidate, links, {'file': reason, 'exec': TRACED % reason if loaded else reason}


def _types(filesystems, observe):
    """{(type, subtype): FileRule} of file systems, with what is to be observed of them."""
    rules = {}
    for kind, rule in filesystems:
        rules[_parted(kind)] = paths.stricter(rules.get(_parted(kind)), rule)
    remote = {_parted(kind) for kind in REMOTE} if observe else set()
    types = {}
    for key in {*rules, *remote}:
        rule = rules.get(key) or rules.get((key[0], '*')) or _abi.FileRule()
        types[key] = _abi.FileRule(rule.rule, rule.deny, key in remote or (key[0], '*') in remote)
    return types


def _parted(kind):
    """fuse.sshfs is what the file system calls itself behind the dot: the kernel keeps the two apart."""
    name, _dot, subtype = kind.partition('.')
    return name, subtype


def _fill(kernel, loaded, spelled, inodes, types, traced):
    table = _abi.Filter(filesystems=bool(types), traced=traced, **_symbols('rename_lock', 'mount_lock'))
    for path in spelled:
        last = os.fsencode(os.path.basename(path))
        table.lengths[len(last) >> 6] |= 1 << (len(last) & 63)
        _set(table.names, int.from_bytes(last[:8], 'little'))
    for inode in inodes:
        _set(table.inodes, _abi.Inode.from_buffer_copy(inode).number)
    kernel.update(loaded.map_fd('ebg_filter'), ctypes.c_uint32(0), table)
    paths.fill(kernel, loaded, spelled, inodes)
    for (kind, subtype), rule in types.items():
        key = _abi.Filesystem()
        key.type[:len(kind)] = kind.encode()
        key.subtype[:len(subtype)] = subtype.encode()
        kernel.update(loaded.map_fd('ebg_types'), key, rule)
    for name in ('ebg_filter', 'ebg_types'):
        kernel.freeze(loaded.map_fd(name))


def _symbols(*names, listed='/proc/kallsyms'):
    """{name: where the kernel has it}, 0 where it does not tell: then judge_mount() remembers nothing."""
    with open(listed, 'rb') as lines:
        found = re.findall(rb'^([0-9a-f]+) \w (%s)$' % '|'.join(names).encode(), lines.read(), re.M)
    return dict(dict.fromkeys(names, 0), **{name.decode(): int(address, 16) for address, name in found})


def _set(words, word):
    bit = _names.mixed(_names.SEED, word) >> 32
    words[(bit >> 6) % _abi.FILTER] |= 1 << (bit & 63)
