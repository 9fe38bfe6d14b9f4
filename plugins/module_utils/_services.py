# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Name service daemons: who asks one of them for a name asks nothing that the guard can see.

So where names are denied, their sockets are, and the C library asks a DNS server by itself.
"""

from __future__ import annotations

import ctypes
import errno
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _libbpf

RESOLVED = '/run/systemd/resolve'
VARLINK = RESOLVED + '/io.systemd.Resolve'  # what nss-resolve asks
SOCKETS = (VARLINK, '/run/nscd/socket', '/var/run/nscd/socket')
# before version 246 nss-resolve asks by the system bus
BUS = ('/run/dbus/system_bus_socket', '/var/run/dbus/system_bus_socket')
CANARY = '/run/ebpf_guard/canary'
LACKING = (errno.EINVAL, errno.ESRCH, errno.ENOENT)  # no such attach type, no such kernel function
UNSUPPORTED = ("this kernel can't deny unix sockets, Linux 6.7 or later can (%s); a name service daemon (nss-resolve, "
               'nscd) can look denied names up, and then their addresses and the names that connections present are '
               'denied')
NOT_NEEDED = 'nothing needs it: no name is denied, or the mode is monitor, so name service daemons may be asked'


def load(library, kernel, content, config, counters):
    """({program: file descriptor}, True), or ({}, the reason why these sockets are not denied)."""
    if not config.judges_names or config.mode == _abi.MODE_MONITOR:
        return {}, NOT_NEEDED
    try:
        loaded = _libbpf.Object(library, content)
        loaded.reuse('ebg_counters', counters)
        for name in _libbpf.UNIX:
            loaded.set_attach_type(name)
        loaded.load()
    except _libbpf.KernelError as error:
        if error.errno not in LACKING:
            raise
        return {}, UNSUPPORTED % os.strerror(error.errno)
    services = loaded.map_fd('ebg_services')
    for path in SOCKETS + (BUS if os.path.exists(RESOLVED) and not os.path.exists(VARLINK) else ()):
        kernel.update(services, _path(path), ctypes.c_uint32(_abi.COUNTER_SERVICE))
    kernel.update(services, _path(CANARY), ctypes.c_uint32(_abi.COUNTER_CANARY + _abi.HOOK_UNIX))
    return {name: loaded.program_fd(name) for name in _libbpf.UNIX}, True


def _path(path):
    return _abi.Path.from_buffer_copy(path.encode().ljust(ctypes.sizeof(_abi.Path), b'\0'))
