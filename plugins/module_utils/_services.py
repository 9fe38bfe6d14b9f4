# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Name service daemons: who asks one of them for a name asks nothing that the guard can see.

So where names are denied, their sockets are, and the C library asks a DNS server by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _hooks, _libbpf

RESOLVED = '/run/systemd/resolve'
VARLINK = RESOLVED + '/io.systemd.Resolve'  # what nss-resolve asks
SOCKETS = (VARLINK, '/run/nscd/socket', '/var/run/nscd/socket')
# before version 246 nss-resolve asks by the system bus
BUS = ('/run/dbus/system_bus_socket', '/var/run/dbus/system_bus_socket')
CANARY = '/run/ebpf_guard/canary.sock'
LACKING = (errno.EINVAL, errno.ESRCH, errno.ENOENT)  # no such attach type, no such kernel function
UNSUPPORTED = ("this kernel can't deny unix sockets (%s), which needs BPF programs on its security hooks, or Linux 6.7; a "
               'name service daemon (nss-resolve, nscd) can look denied names up, and then their addresses and the names '
               'that connections present are denied')
NOT_NEEDED = 'nothing needs it: no name is denied, or the mode is monitor, so name service daemons may be asked'

Loaded = namedtuple('Loaded', 'programs enforced')


def load(library, kernel, objects, config, counters, cgroup):
    """Loaded: `programs` {name: file descriptor}, and `enforced`: True, or why these sockets are not denied.

    `objects`: {object: bytes}. `counters`: a file descriptor of the map. `cgroup`: one of the deploy cgroup.
    """
    if not config.judges_names or config.mode == _abi.MODE_MONITOR:
        return Loaded({}, NOT_NEEDED)
    loaded, told = _start(library, objects, {'ebg_counters': counters})
    if not loaded:
        return Loaded({}, told)
    if told is _libbpf.UNIX:
        kernel.update(loaded.map_fd('ebg_scope'), ctypes.c_uint32(0), ctypes.c_uint32(cgroup))
    services = loaded.map_fd('ebg_services')
    for path in SOCKETS + (BUS if os.path.exists(RESOLVED) and not os.path.exists(VARLINK) else ()):
        kernel.update(services, _path(path), ctypes.c_uint32(_abi.COUNTER_SERVICE))
    kernel.update(services, _path(CANARY), ctypes.c_uint32(_abi.COUNTER_CANARY + _abi.HOOK_UNIX))
    return Loaded({name: loaded.program_fd(name) for name in told}, True)


def probe(library, objects):
    """True, or the reason why this host can't deny such sockets. Nothing is left of the try."""
    loaded, told = _start(library, objects, {})
    if not loaded:
        return told
    loaded.close()
    return True


def _start(library, objects, shared):
    """(the object in the kernel, the names of its programs), or (None, why there is none)."""
    def start(name, set_up):
        loaded = _libbpf.Object(library, objects[name])
        set_up(loaded)
        loaded.load(shared)
        return loaded

    kind = _hooks.kind()

    def know_hooks(loaded):
        for name in _libbpf.UNIX if kind == _hooks.LSM else ():
            loaded.set_lsm_hook(name)

    def know_types(loaded):
        for name in _libbpf.UNIX_CGROUP:
            loaded.set_attach_type(name)

    with contextlib.suppress(_libbpf.KernelError):  # the other object needs less of a kernel that is new enough
        if kind:
            return start('unix', know_hooks), _libbpf.UNIX
    try:
        return start('unix_cgroup', know_types), _libbpf.UNIX_CGROUP
    except _libbpf.KernelError as error:
        if error.errno not in LACKING:
            raise
        return None, UNSUPPORTED % os.strerror(error.errno)


def attempts():
    """{program: what only this program sees first}."""
    return dict.fromkeys(('ebg_unix_stream', 'ebg_connect_unix'), _connect)


def _connect():
    """To a canary that listens: the kernel asks nobody about a socket that is not there."""
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(CANARY)
        server.bind(CANARY)
        try:
            server.listen(1)
            client.connect(CANARY)
        finally:
            os.unlink(CANARY)


def _path(path):
    return _abi.Path.from_buffer_copy(path.encode().ljust(ctypes.sizeof(_abi.Path), b'\0'))
