# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Sends whole IP packets to this host's own addresses; and a socket that only shows that a process lives."""

from __future__ import annotations

import socket

IPV6_HDRINCL = 36  # <linux/in6.h>


class Sender:
    """Raw sockets, IPv4 and IPv6. A host without IPv6 has no use for the other."""

    def __init__(self):
        self._ipv4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        try:
            self._ipv6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._ipv6.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
        except OSError:
            self._ipv6 = None

    def send(self, packet, address):
        """`address`: of the destination, as bytes. Raises OSError where the packet is not sent."""
        if len(address) == 4:
            self._ipv4.sendto(packet, (socket.inet_ntop(socket.AF_INET, address), 0))
        elif self._ipv6:
            self._ipv6.sendto(packet, (socket.inet_ntop(socket.AF_INET6, address), 0))


def sign_of_life():
    """A UDP socket on the loopback device that hears itself alone. The kernel closes it with the process."""
    sign = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sign.bind(('127.0.0.1', 0))
    sign.connect(sign.getsockname())
    return sign
