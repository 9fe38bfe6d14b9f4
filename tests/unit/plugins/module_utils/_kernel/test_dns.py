# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer to a denied question, and packets in somebody else's name, as bytes. What clients make of them: tests/integration."""

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


@pytest.mark.parametrize('outage, rcode', [(_abi.OUTAGE_DENIED, 3), (_abi.OUTAGE_NXDOMAIN, 3), (_abi.OUTAGE_SERVFAIL, 2)])
def test_a_drill_says_what_the_answer_says(outage, rcode):
    assert dns.no_such_name(asked(outage=outage), 'why')[3] & 15 == rcode


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


@pytest.mark.parametrize('source, destination', [FOUR, SIX], ids=['ipv4', 'ipv6'])
@pytest.mark.parametrize('payload, flags', [(None, 0x14), (b'an answer', 0x18), (b'odd', 0x18)])
def test_segments_in_the_name_of_a_server(source, destination, payload, flags):
    packet = (packets.reset(source, destination, 7, 8) if payload is None else packets.data(source, destination, 7, 8, payload))
    segment = packet[20 if len(source[0]) == 4 else 40:]
    assert struct.unpack_from('!HHIIBB', segment) == (53, 40000, 7, 8, 0x50, flags) and segment[20:] == (payload or b'')
    assert struct.unpack_from('!H', segment, 18) == (_abi.SIGN,)  # by which the programs know it
    assert folded(source[0] + destination[0] + struct.pack('!HH', 6, len(segment)) + segment) == 0xffff


@pytest.mark.parametrize('source, destination, protocol, before', [
    (*FOUR, 1, b''), (*SIX, 58, SIX[0][0] + SIX[1][0] + struct.pack('!HH', 58, 56))], ids=['ipv4', 'ipv6'])
def test_nobody_listens(source, destination, protocol, before):
    """What was sent stands in it, by which the kernel finds its socket."""
    packet = packets.unreachable(source, destination)
    header = 20 if protocol == 1 else 40
    assert packet[9 if protocol == 1 else 6] == protocol
    message = packet[header:]
    assert tuple(message[:2]) == ((3, 3) if protocol == 1 else (1, 4)) and folded(before + message) == 0xffff
    sent = message[8:]
    assert destination[0] + source[0] == sent[header - 2 * len(source[0]):header]
    assert struct.unpack_from('!HH', sent, header) == (40000, 53)


def question(name=NAME, kind=1, identity=7, flags=0x0100, more=b'', counts=(1, 0, 0)):
    return struct.pack('!6H', identity, flags, *counts, bool(more)) + name + struct.pack('!HH', kind, 1) + more


OPT = b'\0' + struct.pack('!HHBBHH', 41, 1400, 0, 0, 0x8000, 0)


def test_questions_over_tcp_as_they_were_asked():
    other = NAME.upper().replace(b'COM', b'com')
    data = b''.join(map(dns.over_tcp, (question(), question(other, 28, 8, more=OPT))))
    one, two = dns.asked_over_tcp(data, 4)
    assert one == (7, 0x0100, NAME, 1, 1, 0, 0, 0, 4)
    assert two == (8, 0x0100, other, 28, 1, 1, 0x8000, 1400, 4)
    assert dns.no_such_name(two, 'why').startswith(struct.pack('!HHHHHH', 8, 0x8182, 1, 0, 0, 1) + other)


@pytest.mark.parametrize('messages', [
    [], [question(), question(b'\4else\3com\0')], [question(flags=0x8100)], [question(flags=0x2800)], [question(counts=(2, 0, 0))],
    [question(counts=(1, 1, 0))], [question(more=b'\1x' + OPT[1:])], [question(more=b'\0\0\xfa' + bytes(8))], [question()[:-1]],
    [b''], [question()[:5]], [b'\xff' * 40]], ids=str)
def test_other_questions_over_tcp_have_no_plain_answer(messages):
    assert dns.asked_over_tcp(b''.join(map(dns.over_tcp, messages)), 3) is None
