# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. UDP datagrams as whole IP packets. Pure.

Addresses are bytes in network order, four or sixteen; endpoints are (address, port).
"""

from __future__ import annotations

import struct

UDP, HOPS = 17, 64


def datagram(source, destination, payload):
    """The IP packet that brings the payload from one endpoint to another, both of one family."""
    udp = _udp(source, destination, payload)
    if len(source[0]) == 4:
        # the kernel fills in the header's checksum
        return struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 0, 0, HOPS, UDP, 0, source[0], destination[0]) + udp
    return struct.pack('!IHBB16s16s', 6 << 28, len(udp), UDP, HOPS, source[0], destination[0]) + udp


def _udp(source, destination, payload):
    size = 8 + len(payload)
    ports = struct.pack('!HHH', source[1], destination[1], size)
    # a sum of 0 is written in its other form, because 0 in the header says that there is none
    total = _sum(source[0] + destination[0] + struct.pack('!HH', UDP, size) + ports + payload) or 0xffff
    return ports + struct.pack('!H', total) + payload


def _sum(data):
    """RFC 1071, over what counts for UDP: the addresses, the protocol, the size, and the datagram."""
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
