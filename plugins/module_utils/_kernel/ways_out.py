# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Ways out: whom a process in the guard can ask to act outside, and how it could leave.

The rules for unix sockets, and what leads out of every host: the sockets and files of outward.py, those that the policy
names besides, another cgroup. Where names are denied, name service daemons are
refused as well: who asks one of them for a name asks nothing that the guard can see. The C library then asks a DNS
server by itself.
"""

from __future__ import annotations

import ctypes
import errno
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import (
    canaries, libbpf, optional, outward, paths, programs, refusal, security_hooks)
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.optional import BCC_LACKS, Candidate, Loaded

RESOLVED = '/run/systemd/resolve'
VARLINK = RESOLVED + '/io.systemd.Resolve'  # what nss-resolve asks
NAME_SERVICES = (VARLINK, '/run/nscd/socket')
OUTWARD = _abi.FileRule(_abi.RULE_OUTWARD, 0)
LACKING = (errno.EINVAL, errno.ESRCH, errno.ENOENT)  # no such attach type, no such kernel function
ASKED = ('a name service daemon (nss-resolve, nscd) can look denied names up, and then their addresses and the names that '
         'connections present are denied')
UNSUPPORTED = ("this kernel can't deny unix sockets (%s), which needs BPF programs on its security hooks, or Linux 6.7; " + ASKED)
CAN_NOT_LOCK = 'nothing can keep a process from leaving the guard: %s'
NOT_NEEDED = 'nothing needs it: the policy does not say lock: true'
HOOKS = Candidate(programs.UNIX, programs.of_object(programs.UNIX))
# what the kernel tells of a socket's address by itself: it needs less of a kernel that is new enough
ADDRESSES = Candidate(programs.UNIX_CGROUP, programs.of_object(programs.UNIX_CGROUP))


def load(kernel, objects, shared, compiled, run, cgroup_path, cgroup):
    """Loaded, for unix sockets and the lock.

    `objects`: {object: bytes}; empty: BCC has none. `shared`: {map: file descriptor} of the maps that all of a guard's
    programs have. `compiled`: by compile_rules(). `run`: the guard's run directory. `cgroup`: a file descriptor of the
    deploy cgroup.
    """
    canaries.make_way_out(run)
    built_in = list({**_built_in(compiled), **canaries.way_out_rules(run),
                     cgroup_path: _abi.FileRule(_abi.RULE_INSIDE, 0)}.items())
    found, late = paths.look_up([path for path in dict(built_in + compiled.sockets) if path.startswith('/')])
    # what a rule of the policy says of a socket has the last word
    spelled = {**paths.by_form(built_in, found), **paths.by_form(compiled.sockets, found)}
    spelled.update(_old_spellings(spelled))
    loaded, candidate, links, enforced = start(kernel, objects, shared, {
        'ebg_paths': len(spelled) + len(outward.PROGRAMS), 'ebg_inodes': len(found)})
    if not compiled.config.lock:
        enforced['lock'] = NOT_NEEDED
    identified = {}
    if candidate is HOOKS:
        identified = paths.identify(kernel, loaded, found)
        kernel.update(loaded.map_fd('ebg_scope'), ctypes.c_uint32(0), ctypes.c_uint32(cgroup))
    paths.close(found)
    if not loaded:
        return Loaded(None, {}, {}, enforced, [])
    inodes = {**paths.by_inode(built_in, identified), **paths.by_inode(compiled.sockets, identified)}
    paths.fill(kernel, loaded, spelled, inodes, dict.fromkeys(outward.PROGRAMS, OUTWARD))
    return Loaded(loaded, {name: loaded.program_fd(name) for name in candidate.programs}, links, enforced, paths.warnings(late))


def _built_in(compiled):
    """{path, or what it ends with: FileRule} of what leads out, and, where names are denied, of name service daemons."""
    config = compiled.config
    known = [path for path, _who in outward.SOCKETS + outward.ENDINGS]
    wanted = dict.fromkeys([*known, *outward.SPOOLS, *compiled.ways_out], OUTWARD)
    if config.judges_names and config.mode != _abi.MODE_MONITOR:
        asked_by_bus = os.path.exists(RESOLVED) and not os.path.exists(VARLINK)  # before version 246 of systemd
        for path in NAME_SERVICES + ((outward.BUS,) if asked_by_bus else ()):
            wanted[path] = _abi.FileRule(_abi.RULE_SERVICE, 1)
    return wanted


def _old_spellings(spelled):
    """The same by the path that /run once had, for programs that are told what a process says alone."""
    if os.path.realpath('/var/run') != '/run':
        return {}
    return {'/var' + path: rule for path, rule in spelled.items()
            if path.startswith('/run/') and '/var' + path not in spelled}


def start(kernel, objects, shared, sizes):
    """(the object in the kernel, its candidate, links, what is then enforced); (None, None, {}, …) where it takes none."""
    if not objects:
        return None, None, {}, {'unix': '%s; %s' % (BCC_LACKS, ASKED), 'lock': CAN_NOT_LOCK % BCC_LACKS}
    kind = security_hooks.kind()
    candidates = [HOOKS, ADDRESSES] if kind else [ADDRESSES]
    loaded, candidate, links, errors = optional.load_first(kernel, objects, candidates, shared, sizes)
    if candidate is HOOKS:
        return loaded, HOOKS, links, {'unix': True, 'lock': True}
    if not loaded and errors[-1].errno not in LACKING:
        raise refusal.explained(errors[-1])
    lock = CAN_NOT_LOCK % (optional.why_not(errors[0]) if kind else security_hooks.PREEMPTED)
    return loaded, candidate, links, {'unix': True if loaded else UNSUPPORTED % libbpf.words(errors[-1].errno), 'lock': lock}
