# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer to a denied question, and the packet around it, as bytes. What clients make of them: tests/integration."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import dns, packets

NAME = b'\x06GitHub\x03com\0'
FOUR = (bytes([192, 0, 2, 53]), 53), (bytes([192, 0, 2, 1]), 40000)
SIX = (bytes(15) + b'\x35', 53), (bytes(15) + b'\1', 40000)


def asked(**fields):
    question = _abi.Question(id=0xbeef, flags=0x0100, type=28, of_class=1, **fields)
    question.name[:len(NAME)] = NAME
    question.name[len(NAME):len(NAME) + 4] = b'\x03old'  # of an earlier question: it means nothing
    return question


@pytest.mark.parametrize('flags, said', [(0x0100, 0x8183), (0, 0x8083), (0x0110, 0x8193), (0x0120, 0x8183), (0x0140, 0x8183)])
def test_which_flags_an_answer_has(flags, said):
    question = asked()
    question.flags = flags
    assert struct.unpack_from('!HH', dns.no_such_name(question, 'why')) == (0xbeef, said)


def test_an_answer_without_and_with_an_opt_record():
    header, body = struct.pack('!HHHHH', 0xbeef, 0x8183, 1, 0, 0), NAME + b'\0\x1c\0\1'
    assert dns.no_such_name(asked(), 'why') == header + b'\0\0' + body
    assert dns.no_such_name(asked(opt=1, size=4096, opt_flags=0x8001), 'why') == (
        header + b'\0\1' + body + b'\0' + struct.pack('!HHHHHHHH', 41, 1232, 0, 0x8000, 9, 15, 5, 15) + b'why')


@pytest.mark.parametrize('size, room', [(0, 512), (511, 512), (513, 513), (1232, 1232), (65535, 1232)])
@pytest.mark.parametrize('text', ['x' * 2000, '\u00e4' * 2000, 'x' + '\u20ac' * 2000])
def test_a_long_text_is_cut_to_what_the_client_takes(size, room, text):
    message = dns.no_such_name(asked(opt=1, size=size), text)
    said = message.split(b'\0\x0f', 2)[2].decode()  # whole letters, or this fails
    assert text.startswith(said) and room - 3 < len(message) <= room


def folded(data):
    """RFC 1071, as whoever gets a packet looks at it: all ones where it is right."""
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


@pytest.mark.parametrize('source, destination', [FOUR, SIX], ids=['ipv4', 'ipv6'])
@pytest.mark.parametrize('payload', [b'', b'x', b'xy', b'\xff' * 1001, bytes(1000)])
def test_packets_have_right_checksums(source, destination, payload):
    packet = packets.datagram(source, destination, payload)
    udp = packet[20 if len(source[0]) == 4 else 40:]
    assert udp[8:] == payload and struct.unpack_from('!HHH', udp) == (53, 40000, 8 + len(payload)) and udp[6:8] != b'\0\0'
    assert folded(source[0] + destination[0] + struct.pack('!HH', 17, len(udp)) + udp) == 0xffff


def test_a_checksum_of_0_is_written_in_its_other_form():
    """0 says that there is none, and IPv6 does not take that."""
    for number in range(65536):
        packet = packets.datagram(*SIX, number.to_bytes(2, 'big'))
        assert packet[46:48] != b'\0\0'


def test_the_header_of_a_packet():
    packet = packets.datagram(*FOUR, b'hello')
    assert packet[:20] == b'\x45\0' + struct.pack('!H', 33) + b'\0\0\0\0\x40\x11\0\0' + FOUR[0][0] + FOUR[1][0]
    packet = packets.datagram(*SIX, b'hello')
    assert packet[:40] == b'\x60\0\0\0\0\x0d\x11\x40' + SIX[0][0] + SIX[1][0]
