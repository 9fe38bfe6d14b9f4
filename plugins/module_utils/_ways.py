# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Ways out: whom a process in the guard can ask to act outside, and how it could leave.

The rules for unix sockets, and what leads out of every host: the sockets of container engines, of systemd and of
the system bus, the files that cron and at read, another cgroup. Where names are denied, name service daemons are
refused as well: who asks one of them for a name asks nothing that the guard can see. The C library then asks a DNS
server by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _files, _hooks, _libbpf, _paths
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

RESOLVED = '/run/systemd/resolve'
VARLINK = RESOLVED + '/io.systemd.Resolve'  # what nss-resolve asks
BUS = '/run/dbus/system_bus_socket'  # before version 246 nss-resolve asks here
NAME_SERVICES = (VARLINK, '/run/nscd/socket')
# Who listens there starts processes for others, or has them started.
OUTWARD = ('/run/docker.sock', '/run/containerd/containerd.sock', '/run/podman/podman.sock',
           '/run/crio/crio.sock', '/run/systemd/private', BUS)
# Files in these directories say what cron and at are to run.
SPOOLS = ('/var/spool/cron', '/var/spool/cron/crontabs', '/var/spool/cron/atjobs', '/var/spool/at',
          '/var/spool/atjobs', '/var/spool/anacron', '/etc/crontab', '/etc/anacrontab', '/etc/cron.d',
          '/etc/cron.hourly', '/etc/cron.daily', '/etc/cron.weekly', '/etc/cron.monthly')
CANARY = '/run/ebpf_guard/canary.sock'
WRITTEN = 'canary.file'  # in the guard's own directory
LACKING = (errno.EINVAL, errno.ESRCH, errno.ENOENT)  # no such attach type, no such kernel function
ASKED = ('a name service daemon (nss-resolve, nscd) can look denied names up, and then their addresses and the names that '
         'connections present are denied')
UNSUPPORTED = ("this kernel can't deny unix sockets (%s), which needs BPF programs on its security hooks, or Linux 6.7; " + ASKED)
CAN_NOT_LOCK = 'nothing tells when a process leaves the guard: %s'
NOT_NEEDED = 'nothing needs it: the policy does not say lock: true'
# clone3(2), which has the same number everywhere
CLONE3, CLONE_INTO_CGROUP = 435, 0x200000000

Loaded = namedtuple('Loaded', 'programs enforced warnings')


def load(library, kernel, objects, shared, policy, config, numbers, place, cgroup):
    """Loaded: `programs` {name: file descriptor}, attached to nothing; `enforced` of sockets and lock; `warnings`.

    `objects`: {object: bytes}; empty: BCC has none. `shared`: {name: file descriptor} of the maps that all of a guard's programs have.
    `numbers`: {rule id: the rule's number in the kernel}. `cgroup`: a file descriptor of the deploy cgroup.
    """
    built_in, rules = _built_in(config), _rules(policy, numbers)
    canary = _make_canary(place)
    built_in.update({CANARY: _abi.FileRule(_abi.RULE_CANARY, 1), canary: _abi.FileRule(_abi.RULE_CANARY, 1),
                     place.cgroup: _abi.FileRule(_abi.RULE_INSIDE, 0)})
    names = [name for name in rules if not name.startswith('/')]
    found, late = _paths.look_up([path for path in {**built_in, **rules} if path not in names])
    # what a rule of the policy says of a socket has the last word
    spelled = {**_paths.by_form(built_in, found), **_paths.by_form(rules, found)}
    spelled.update(_old_spellings(spelled))
    sizes = {'ebg_paths': len(spelled), 'ebg_inodes': len(found)}
    loaded, programs, enforced = _start(library, objects, shared, sizes)
    _refuse_what_can_not_be(policy, enforced)
    if not policy.lock:
        enforced['lock'] = NOT_NEEDED
    if not loaded:
        return Loaded({}, enforced, [])
    identified = {}
    if programs is _libbpf.WAYS:
        identified = _paths.identify(kernel, loaded, found)
        kernel.update(loaded.map_fd('ebg_scope'), ctypes.c_uint32(0), ctypes.c_uint32(cgroup))
    _paths.close(found)
    inodes = {**_paths.by_inode(built_in, identified), **_paths.by_inode(rules, identified)}
    _paths.fill(kernel, loaded, spelled, inodes)
    return Loaded({name: loaded.program_fd(name) for name in programs}, enforced, _paths.warnings(late))


def probe(library, objects):
    """{'unix': ..., 'lock': ...}: True, or the reason why this host can't. Nothing is left of the try."""
    loaded, _programs, enforced = _start(library, objects, {}, {})
    if loaded:
        loaded.close()
    return enforced


def _built_in(config):
    """{path: FileRule} of what leads out of every host, and, where names are denied, of name service daemons."""
    wanted = dict.fromkeys(OUTWARD + SPOOLS, _abi.FileRule(_abi.RULE_OUTWARD, 0))
    if config.judges_names and config.mode != _abi.MODE_MONITOR:
        asked_by_bus = os.path.exists(RESOLVED) and not os.path.exists(VARLINK)
        for path in NAME_SERVICES + ((BUS,) if asked_by_bus else ()):
            wanted[path] = _abi.FileRule(_abi.RULE_SERVICE, 1)
    return wanted


def _rules(policy, numbers):
    """{path or @name: FileRule}; deny before allow, and the first rule before later ones."""
    wanted = {}
    for rule in policy.rules:
        for name in rule.sockets:
            its = _abi.FileRule(numbers[rule.id], rule.action == 'deny')
            wanted[name] = _paths.stricter(wanted.get(name), its)
    return wanted


def _old_spellings(spelled):
    """The same by the path that /run once had, for programs that are told what a process says alone."""
    if os.path.realpath('/var/run') != '/run':
        return {}
    return {'/var' + path: rule for path, rule in spelled.items()
            if path.startswith('/run/') and '/var' + path not in spelled}


def _refuse_what_can_not_be(policy, enforced):
    if policy.mode == 'monitor':
        return
    if policy.has_sockets and enforced['unix'] is not True:
        rules = ', '.join("'%s'" % rule.id for rule in policy.rules if rule.sockets)
        raise GuardError('The rules on unix sockets (%s) can not be enforced on this host: %s. For this host, take '
                         'sockets out of the policy, and keep tools that use them out of the deployment.'
                         % (rules, enforced['unix']))
    if policy.lock and enforced['lock'] is not True:
        raise GuardError('The policy says lock: true, and that can not be enforced on this host: %s. For this host, '
                         'write lock: false, and look through the tasks for what moves processes.' % enforced['lock'])


def _start(library, objects, shared, sizes):
    """(the object in the kernel, its programs' names, what is then enforced); (None, (), ...) where there is none."""
    if not objects:
        return None, (), {'unix': '%s; %s' % (_files.BCC, ASKED), 'lock': CAN_NOT_LOCK % _files.BCC}

    def start(name, set_up):
        loaded = _libbpf.Object(library, objects[name])
        set_up(loaded)
        for map_name, entries in sizes.items():
            loaded.set_size(map_name, max(1, entries))
        loaded.load(shared)
        return loaded

    kind, reason = _hooks.kind(), _hooks.PREEMPTED

    def know_hooks(loaded):
        for name in _libbpf.WAYS if kind == _hooks.LSM else ():
            loaded.set_lsm_hook(name)

    def know_types(loaded):
        for name in _libbpf.UNIX_CGROUP:
            loaded.set_attach_type(name)

    if kind:
        try:
            return start('unix', know_hooks), _libbpf.WAYS, {'unix': True, 'lock': True}
        except _libbpf.KernelError as error:  # the other object needs less of a kernel that is new enough
            reason = _files.why_not(error)
    lock = CAN_NOT_LOCK % reason
    try:
        return start('unix_cgroup', know_types), _libbpf.UNIX_CGROUP, {'unix': True, 'lock': lock}
    except _libbpf.KernelError as error:
        if error.errno not in LACKING:
            raise
        return None, (), {'unix': UNSUPPORTED % os.strerror(error.errno), 'lock': lock}


# What a guard proves itself with


def _make_canary(place):
    path = os.path.join(place.run, WRITTEN)
    with contextlib.suppress(FileExistsError):  # earlier rules know it, too, and may have to be put back
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path


def attempts(place):
    """{program: what only this program sees first}."""
    stream, send = _by_socket(socket.SOCK_STREAM), _by_socket(socket.SOCK_DGRAM)
    return {'ebg_unix_stream': stream, 'ebg_connect_un': stream, 'ebg_unix_send': send, 'ebg_sendmsg_un': send,
            'ebg_way_open': lambda: os.close(os.open(os.path.join(place.run, WRITTEN), os.O_WRONLY)),
            'ebg_way_clone': _clone}


def _by_socket(kind):
    """To a canary that listens: the kernel asks nobody about a socket that is not there."""
    def attempt():
        with socket.socket(socket.AF_UNIX, kind) as server, socket.socket(socket.AF_UNIX, kind) as client:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(CANARY)
            server.bind(CANARY)
            try:
                if kind == socket.SOCK_DGRAM:
                    client.sendto(b'', CANARY)
                else:
                    server.listen(1)
                    client.connect(CANARY)
            finally:
                os.unlink(CANARY)
    return attempt


def _clone():
    """A child in a cgroup that is not there, by flags that nobody else asks for: there never is one."""
    arguments = (ctypes.c_uint64 * 11)()  # struct clone_args: flags first, the cgroup's file descriptor last
    arguments[0], arguments[10] = CLONE_INTO_CGROUP | _abi.CLONE_CANARY, 2 ** 31 - 1
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(CLONE3, arguments, ctypes.c_size_t(ctypes.sizeof(arguments))) < 0:
        raise OSError(ctypes.get_errno(), 'clone3')
