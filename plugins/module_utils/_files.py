# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The rules for files: what they mean on this host, and the programs that hold to them.

A rule's path is known in two ways: by how it is spelled, and, if it is there, by its inode. So a directory that is made
or mounted later is met, and so is a file that is reached by another way.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _hooks, _libbpf, _names, _paths
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

# Their files come over a network: what is opened there is observed.
REMOTE = ('9p', 'afs', 'ceph', 'cifs', 'coda', 'fuse.*', 'gfs2', 'lustre', 'nfs', 'nfs4', 'ocfs2', 'smb3', 'virtiofs')
NOT_NEEDED = 'nothing needs it: no rule has paths or filesystems, and nothing is observed'
TRACED = 'what is executed is observed by a tracepoint, of a script its interpreter; nothing can be denied, because %s'
UNSUPPORTED = ("this kernel can't have BPF programs answer for its security hooks (%s); that needs Linux 5.10 or later on "
               'x86_64, or 6.4 or later on arm64, with CONFIG_DEBUG_INFO_BTF=y, CONFIG_BPF_JIT=y, '
               'CONFIG_FUNCTION_TRACER=y and CONFIG_SECURITY_PATH=y')
FORBIDDEN = ("something keeps root from loading programs for the kernel's security hooks (%s): look for a container, a seccomp "
             'filter, a security module, and lockdown=confidentiality')
SHARED = ('ebg_config', 'ebg_current', 'ebg_counters', 'ebg_denied', 'ebg_observed', 'ebg_images', 'ebg_ancestors',
          'ebg_scratch', 'ebg_claims')
CANARY, ALLOWED = 'canary', 'true'  # a directory below the guard's own, and a program in it
THERE = ('directory', 'opened', 'removed', 'linked', 'renamed', ALLOWED)  # there, before attempts() are made
MADE = ('made', 'new', 'symlink', 'link', 'other')  # what they leave where nothing is denied

BCC = 'BCC compiles the programs of the network and of names alone; these need loader: libbpf'

Loaded = namedtuple('Loaded', 'programs enforced warnings')


def load(library, kernel, content, shared, policy, numbers, observe, place, cgroup):
    """Loaded: `programs` {name: file descriptor}, attached to nothing; `enforced` of files and executions; `warnings`.

    `content`: of the object; None: BCC has none. `shared`: {name: file descriptor} of the maps that all of a guard's
    programs have. `numbers`: {rule id: the rule's number in the kernel}. `cgroup`: a file descriptor of the deploy cgroup.
    """
    if not policy.has_files and not observe:
        return Loaded({}, {'file': NOT_NEEDED, 'exec': NOT_NEEDED}, [])
    make_canary(place)
    wanted = _rules_by_path(policy, numbers)
    wanted[os.path.join(place.run, CANARY)] = _abi.FileRule(_abi.RULE_CANARY, 1, 0)
    wanted[os.path.join(place.run, CANARY, ALLOWED)] = _abi.FileRule(_abi.RULE_CANARY, 0, 0)
    types = _types(policy, numbers, observe)
    found, late = _paths.look_up(list(wanted))
    spelled = _paths.by_form(wanted, found)
    loaded, enforced = _start(library, content, shared, {
        'ebg_paths': len(spelled), 'ebg_inodes': len(found), 'ebg_types': len(types)})
    if enforced['file'] is not True and policy.has_files and policy.mode != 'monitor':
        rules = ', '.join("'%s'" % rule.id for rule in policy.rules if rule.paths or rule.filesystems)
        raise GuardError('The rules on files (%s) can not be enforced on this host: %s. For this host, take paths and '
                         'filesystems out of the policy, and deny the servers behind its mounts under hosts or '
                         'networks.' % (rules, enforced['file']))
    if not loaded:
        return Loaded({}, enforced, [])
    inodes = _paths.by_inode(wanted, _paths.identify(kernel, loaded, found))
    _paths.close(found)
    _fill(kernel, loaded, spelled, inodes, types, traced=enforced['file'] is not True)
    kernel.update(loaded.map_fd('ebg_scope'), ctypes.c_uint32(0), ctypes.c_uint32(cgroup))
    programs = (_libbpf.FILES if enforced['file'] is True else ()) + (_libbpf.EXEC,)
    return Loaded({name: loaded.program_fd(name) for name in programs}, enforced, _paths.warnings(late))


def probe(library, content):
    """{'file': ..., 'exec': ...}: True, or the reason why this host can't. Nothing is left of the try."""
    loaded, enforced = _start(library, content, {}, {})
    if loaded:
        loaded.close()
    return enforced


def _start(library, content, shared, sizes):
    """(the object in the kernel, None where not even a part of it can be; what is then enforced)."""
    if content is None:
        return None, {'file': BCC, 'exec': BCC}
    kind = _hooks.kind()

    def start(hooks):
        loaded = _libbpf.Object(library, content)
        for name in _libbpf.FILES:
            loaded.set_autoload(name, hooks)
            if hooks and kind == _hooks.LSM:
                loaded.set_lsm_hook(name)
        for name, entries in sizes.items():
            loaded.set_size(name, max(1, entries))
        loaded.load(shared)
        return loaded

    reason = _hooks.PREEMPTED
    if kind:
        try:
            return start(hooks=True), {'file': True, 'exec': True}
        except _libbpf.KernelError as error:
            reason = why_not(error)
    try:
        return start(hooks=False), {'file': reason, 'exec': TRACED % reason}
    except _libbpf.KernelError:
        return None, {'file': reason, 'exec': reason}


def why_not(error):
    """What keeps programs off the kernel's security hooks."""
    return (FORBIDDEN if error.errno == errno.EPERM else UNSUPPORTED) % os.strerror(error.errno)


def _rules_by_path(policy, numbers):
    """{path: FileRule}; deny before allow, and the first rule before later ones."""
    wanted = {}
    for rule in policy.rules:
        for path in rule.paths:
            wanted[path] = _paths.stricter(wanted.get(path), _abi.FileRule(numbers[rule.id], rule.action == 'deny', 0))
    return wanted


def _types(policy, numbers, observe):
    """{(type, subtype): FileRule} of file systems, with what is to be observed of them."""
    rules = {}
    for rule in policy.rules:
        for kind in rule.filesystems:
            key = _parted(kind)
            rules[key] = _paths.stricter(rules.get(key), _abi.FileRule(numbers[rule.id], rule.action == 'deny', 0))
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
    _paths.fill(kernel, loaded, spelled, inodes)
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
    place = _names.mixed(_names.SEED, word) >> 32
    words[(place >> 6) % _abi.FILTER] |= 1 << (place & 63)


# What a guard proves itself with


def make_canary(place):
    """A directory that a rule of the guard's own denies, but for one program in it; with all that attempts() needs.

    One that is whole is left alone: rules that are in force already may keep this process from making it anew.
    """
    at = os.path.join(place.run, CANARY, '%s').__mod__
    if all(os.path.exists(at(name)) for name in THERE) and not any(os.path.lexists(at(name)) for name in MADE):
        return
    shutil.rmtree(at(''), ignore_errors=True)
    os.makedirs(at('directory'))
    for name in ('opened', 'removed', 'linked', 'renamed'):
        with open(at(name), 'w'):
            pass
    shutil.copy('/bin/true', at(ALLOWED))


def attempts(place):
    """{program: what only this program sees first, or nobody denies}."""
    at = os.path.join(place.run, CANARY, '%s').__mod__
    return {
        'ebg_file_open': lambda: os.close(os.open(at('opened'), os.O_RDONLY)),
        'ebg_truncate': lambda: os.truncate(at('opened'), 0),
        'ebg_mknod': lambda: os.close(os.open(at('made'), os.O_WRONLY | os.O_CREAT)),
        'ebg_mkdir': lambda: os.mkdir(at('new')),
        'ebg_rmdir': lambda: os.rmdir(at('directory')),
        'ebg_unlink': lambda: os.unlink(at('removed')),
        'ebg_symlink': lambda: os.symlink('opened', at('symlink')),
        'ebg_link': lambda: os.link(at('linked'), at('link')),
        'ebg_rename': lambda: os.rename(at('renamed'), at('other')),
        **dict.fromkeys((_libbpf.EXEC,) + _libbpf.LINEAGE, lambda: _execute(at(ALLOWED))),
    }


def _execute(program):
    child = os.fork()
    if not child:
        with contextlib.suppress(OSError):
            os.execv(program, [program])
        os._exit(1)
    os.waitpid(child, 0)
