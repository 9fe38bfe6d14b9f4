# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. UDP datagrams, and what says that nobody listens, as whole IP packets. Pure.

Addresses are bytes in network order, four or sixteen; endpoints are (address, port).
"""

from __future__ import annotations

import struct

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi

UDP, HOPS, WINDOW = 17, 64, 65535
TCP, RST_ACK, PSH_ACK = 6, 0x14, 0x18
ICMP, PORT_UNREACHABLE = 1, (3, 3)  # type and code
ICMPV6, PORT_UNREACHABLE6 = 58, (1, 4)


def datagram(source, destination, payload):
    """The IP packet that brings the payload from one endpoint to another, both of one family."""
    return _packet(source, destination, UDP, _udp(source, destination, payload))


def reset(source, destination, sequence, acknowledged):
    """The IP packet that ends a TCP connection in the name of `source`."""
    return _segment(source, destination, sequence, acknowledged, RST_ACK, b'')


def data(source, destination, sequence, acknowledged, payload):
    """The IP packet that brings data on a TCP connection in the name of `source`."""
    return _segment(source, destination, sequence, acknowledged, PSH_ACK, payload)


def _segment(source, destination, sequence, acknowledged, flags, payload):
    segment = struct.pack('!HHIIBBHHH', source[1], destination[1], sequence, acknowledged, 5 << 4, flags, WINDOW, 0,
                          _abi.SIGN) + payload
    return _packet(source, destination, TCP, _summed(segment, 16, _addresses(source, destination, TCP, len(segment))))


def unreachable(source, destination):
    """The IP packet that says in the name of `source` that nobody listens on its port: `destination` has sent a datagram there."""
    sent = _packet(destination, source, UDP, struct.pack('!HHHH', destination[1], source[1], 8, 0))
    if len(source[0]) == 4:
        return _packet(source, destination, ICMP, _summed(struct.pack('!BBHI', *PORT_UNREACHABLE, 0, 0) + sent, 2))
    message = struct.pack('!BBHI', *PORT_UNREACHABLE6, 0, 0) + sent
    return _packet(source, destination, ICMPV6, _summed(message, 2, _addresses(source, destination, ICMPV6, len(message))))


def _packet(source, destination, protocol, content):
    if len(source[0]) == 4:
        # the kernel fills in the header's checksum
        return struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(content), 0, 0, HOPS, protocol, 0, source[0], destination[0]) + content
    return struct.pack('!IHBB16s16s', 6 << 28, len(content), protocol, HOPS, source[0], destination[0]) + content


def _udp(source, destination, payload):
    size = 8 + len(payload)
    ports = struct.pack('!HHH', source[1], destination[1], size)
    # a sum of 0 is written in its other form, because 0 in the header says that there is none
    total = _sum(_addresses(source, destination, UDP, size) + ports + payload) or 0xffff
    return ports + struct.pack('!H', total) + payload


def _addresses(source, destination, protocol, size):
    """What of the IP header counts for a checksum."""
    return source[0] + destination[0] + struct.pack('!HH', protocol, size)


def _summed(content, at, before=b''):
    """The content with its checksum, for which there is room."""
    return content[:at] + struct.pack('!H', _sum(before + content)) + content[at + 2:]


def _sum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
