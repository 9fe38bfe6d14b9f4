# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Ends sockets of other processes, as `ss --kill` does: what they wait for on it fails at once.

See sock_diag(7). The kernel needs CONFIG_INET_DIAG_DESTROY, and the modules tcp_diag and udp_diag, which it loads by
itself; without them a process that ignored its error waits for its own timeout.
"""

from __future__ import annotations

import ipaddress
import socket
import struct

NETLINK_SOCK_DIAG = 4
SOCK_DESTROY = 21
NLM_F_REQUEST = 1
HEADER = struct.Struct('=IHHII')  # struct nlmsghdr
REQUEST = struct.Struct('=BBBxI2s2s16s16sIQ')  # struct inet_diag_req_v2
ALL_STATES = 0xffffffff


class Ender:
    def __init__(self):
        self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)

    def end(self, refusal):
        """End the socket that an ebg_refusal tells of. It may be gone already: nobody waits for an answer."""
        source, destination = (plain(bytes(address)) for address in (refusal.source, refusal.destination))
        family = socket.AF_INET if len(source) == 4 else socket.AF_INET6
        request = REQUEST.pack(family, refusal.protocol, 0, ALL_STATES,
                               refusal.source_port.to_bytes(2, 'big'), refusal.destination_port.to_bytes(2, 'big'),
                               source, destination, 0, refusal.cookie)
        self.netlink.send(HEADER.pack(HEADER.size + len(request), SOCK_DESTROY, NLM_F_REQUEST, 0, 0) + request)


def plain(address):
    """The bytes of an address in its own family, from the kernel's sixteen."""
    mapped = ipaddress.IPv6Address(address).ipv4_mapped
    return mapped.packed if mapped else address
