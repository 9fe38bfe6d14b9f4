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
import queue
import re
import shutil
import threading
import time
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _hooks, _libbpf, _names
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
PARALLEL = 8
SHOWN = 5  # paths in one warning
PATIENCE = 2  # seconds for a file server to say what a path is
SHARED = ('ebg_config', 'ebg_current', 'ebg_counters', 'ebg_denied', 'ebg_observed', 'ebg_scratch', 'ebg_claims')
CANARY, ALLOWED = 'canary', 'true'  # a directory below the guard's own, and a program in it

Found = namedtuple('Found', 'forms fd')  # how the kernel spells a path, and an open file, None where nothing is there
Loaded = namedtuple('Loaded', 'programs enforced warnings')


def load(library, kernel, content, shared, policy, numbers, observe, place, cgroup):
    """Loaded: `programs` {name: file descriptor}, attached to nothing; `enforced` of files and executions; `warnings`.

    `shared`: {name: file descriptor} of the maps that all of a guard's programs have. `numbers`: {rule id: the rule's
    number in the kernel}. `cgroup`: a file descriptor of the deploy cgroup.
    """
    if not policy.has_files and not observe:
        return Loaded({}, {'file': NOT_NEEDED, 'exec': NOT_NEEDED}, [])
    make_canary(place)
    wanted = _rules_by_path(policy, numbers)
    wanted[os.path.join(place.run, CANARY)] = _abi.FileRule(_abi.RULE_CANARY, 1, 0)
    wanted[os.path.join(place.run, CANARY, ALLOWED)] = _abi.FileRule(_abi.RULE_CANARY, 0, 0)
    types = _types(policy, numbers, observe)
    found, late = _look_up(list(wanted))
    spelled = {}
    for path, rule in wanted.items():
        for form in found[path].forms if path in found else (path,):
            spelled[form] = _stricter(spelled.get(form), rule)
    loaded, enforced = _start(library, content, shared, {
        'ebg_paths': len(spelled), 'ebg_inodes': len(found), 'ebg_types': len(types)})
    if enforced['file'] is not True and policy.has_files and policy.mode != 'monitor':
        rules = ', '.join("'%s'" % rule.id for rule in policy.rules if rule.paths or rule.filesystems)
        raise GuardError('The rules on files (%s) can not be enforced on this host: %s. For this host, take paths and '
                         'filesystems out of the policy, and deny the servers behind its mounts under hosts or '
                         'networks.' % (rules, enforced['file']))
    if not loaded:
        return Loaded({}, enforced, [])
    inodes = {}
    for path, inode in _identify(kernel, loaded, found).items():
        inodes[inode] = _stricter(inodes.get(inode), wanted[path])
    _libbpf.close(known.fd for known in found.values() if known.fd is not None)
    _fill(kernel, loaded, spelled, inodes, types, traced=enforced['file'] is not True)
    kernel.update(loaded.map_fd('ebg_scope'), ctypes.c_uint32(0), ctypes.c_uint32(cgroup))
    programs = (_libbpf.FILES if enforced['file'] is True else ()) + (_libbpf.EXEC,)
    warnings = ['Within %d seconds there was no answer to what is at %s%s. The rules know that by its path alone.' % (
        PATIENCE, ', '.join(late[:SHOWN]), ' and %d more' % (len(late) - SHOWN) if late[SHOWN:] else '')] if late else []
    return Loaded({name: loaded.program_fd(name) for name in programs}, enforced, warnings)


def probe(library, content):
    """{'file': ..., 'exec': ...}: True, or the reason why this host can't. Nothing is left of the try."""
    loaded, enforced = _start(library, content, {}, {})
    if loaded:
        loaded.close()
    return enforced


def _start(library, content, shared, sizes):
    """(the object in the kernel, None where not even a part of it can be; what is then enforced)."""
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
            reason = (FORBIDDEN if error.errno == errno.EPERM else UNSUPPORTED) % os.strerror(error.errno)
    try:
        return start(hooks=False), {'file': reason, 'exec': TRACED % reason}
    except _libbpf.KernelError:
        return None, {'file': reason, 'exec': reason}


def _rules_by_path(policy, numbers):
    """{path: FileRule}; deny before allow, and the first rule before later ones."""
    wanted = {}
    for rule in policy.rules:
        for path in rule.paths:
            wanted[path] = _stricter(wanted.get(path), _abi.FileRule(numbers[rule.id], rule.action == 'deny', 0))
    return wanted


def _stricter(known, other):
    return other if known is None or (other.deny and not known.deny) else known


def _types(policy, numbers, observe):
    """{(type, subtype): FileRule} of file systems, with what is to be observed of them."""
    rules = {}
    for rule in policy.rules:
        for kind in rule.filesystems:
            key = _parted(kind)
            rules[key] = _stricter(rules.get(key), _abi.FileRule(numbers[rule.id], rule.action == 'deny', 0))
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


def _look_up(paths):
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
    threads = [threading.Thread(target=work, daemon=True) for _number in range(min(PARALLEL, len(paths)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return dict(found), [path for path in paths if path not in answered]


def _identify(kernel, loaded, found):
    """{path: its inode as bytes of _abi.Inode}: what the kernel says, because stat(2) has other words for some."""
    size = ctypes.sizeof(_abi.OpenFile)
    told = kernel.iterate(loaded.program_fd(_libbpf.IDENTIFY))
    entries = [_abi.OpenFile.from_buffer_copy(told, start) for start in range(0, len(told), size)]
    inodes = {entry.fd: bytes(entry.inode) for entry in entries}
    return {path: inodes[known.fd] for path, known in found.items() if known.fd in inodes}


def _fill(kernel, loaded, spelled, inodes, types, traced):
    table = _abi.Filter(filesystems=bool(types), traced=traced, **_symbols('rename_lock', 'mount_lock'))
    for path in spelled:
        last = os.fsencode(os.path.basename(path))
        table.lengths[len(last) >> 6] |= 1 << (len(last) & 63)
        _set(table.names, int.from_bytes(last[:8], 'little'))
    for inode in inodes:
        _set(table.inodes, _abi.Inode.from_buffer_copy(inode).number)
    for kind, _subtype in types:
        _set(table.types, int.from_bytes(kind.encode()[:8], 'little'))
    kernel.update(loaded.map_fd('ebg_filter'), ctypes.c_uint32(0), table)
    for path, rule in spelled.items():
        kernel.update(loaded.map_fd('ebg_paths'), ctypes.c_uint64(path_hash(os.fsencode(path))), rule)
    for inode, rule in inodes.items():
        kernel.update(loaded.map_fd('ebg_inodes'), _abi.Inode.from_buffer_copy(inode), rule)
    for (kind, subtype), rule in types.items():
        key = _abi.Filesystem()
        key.type[:len(kind)] = kind.encode()
        key.subtype[:len(subtype)] = subtype.encode()
        kernel.update(loaded.map_fd('ebg_types'), key, rule)
    for name in ('ebg_filter', 'ebg_paths', 'ebg_inodes', 'ebg_types'):
        kernel.freeze(loaded.map_fd(name))


def _symbols(*names, listed='/proc/kallsyms'):
    """{name: where the kernel has it}, 0 where it does not tell: then judge_above() remembers nothing."""
    with open(listed, 'rb') as lines:
        found = re.findall(rb'^([0-9a-f]+) \w (%s)$' % '|'.join(names).encode(), lines.read(), re.M)
    return dict(dict.fromkeys(names, 0), **{name.decode(): int(address, 16) for address, name in found})


def _set(words, word):
    place = _names.mixed(_names.SEED, word) >> 32
    words[(place >> 6) % _abi.FILTER] |= 1 << (place & 63)


def path_hash(path):
    """Whole words up to the path's end, zeros before its start: so the kernel, which spells backwards, has it."""
    state = _names.SEED
    padded = bytes(-len(path) % 8) + path
    for start in range(0, len(padded), 8):
        state = _names.mixed(state, int.from_bytes(padded[start:start + 8], 'little'))
    return _names.mixed(state, len(path))


# What a guard proves itself with


def make_canary(place):
    """A directory that a rule of the guard's own denies, but for one program in it; with all that attempts() needs."""
    directory = os.path.join(place.run, CANARY)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(os.path.join(directory, 'directory'))
    for name in ('opened', 'removed', 'linked', 'renamed'):
        with open(os.path.join(directory, name), 'w'):
            pass
    shutil.copy('/bin/true', os.path.join(directory, ALLOWED))


def attempts(place):
    """{program: what only this program sees first}."""
    at = os.path.join(place.run, CANARY, '%s').__mod__
    return {
        'ebg_file_open': lambda: os.close(os.open(at('opened'), os.O_RDONLY)),
        'ebg_path_truncate': lambda: os.truncate(at('opened'), 0),
        'ebg_path_mknod': lambda: os.close(os.open(at('made'), os.O_WRONLY | os.O_CREAT)),
        'ebg_path_mkdir': lambda: os.mkdir(at('new')),
        'ebg_path_rmdir': lambda: os.rmdir(at('directory')),
        'ebg_path_unlink': lambda: os.unlink(at('removed')),
        'ebg_path_symlink': lambda: os.symlink('opened', at('symlink')),
        'ebg_path_link': lambda: os.link(at('linked'), at('link')),
        'ebg_path_rename': lambda: os.rename(at('renamed'), at('other')),
        'ebg_exec': lambda: _execute(at(ALLOWED)),
    }


def _execute(program):
    child = os.fork()
    if not child:
        with contextlib.suppress(OSError):
            os.execv(program, [program])
        os._exit(1)
    os.waitpid(child, 0)
