# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. DNS messages as bytes. Pure.

Answers with which a guard proves itself and teaches the kernel; and the answer to a question that was denied.
"""

from __future__ import annotations

import ipaddress
import struct
import typing

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names

FOR_EVER = 2 ** 31 - 1  # the longest time to live that DNS has, 68 years
PORT = 53
CNAME, IN = 5, 1
RECORD_TYPES = {4: 1, 6: 28}  # A, AAAA
QUESTION = b'\xc0\x0c'  # "the name of the question", in a record
# The flags of a header: an answer, recursion is there; what is taken over from the question: recursion desired, checking
# disabled; the server failed; there is no such name
ANSWERED, TAKEN_OVER, SERVFAIL, NXDOMAIN = 0x8080, 0x0110, 2, 3
OPT, TAKES, DNSSEC_OK = 41, 1232, 0x8000  # the record of EDNS, the bytes that a datagram brings anywhere, one of its flags
EXTENDED_ERROR, BLOCKED = 15, 15  # RFC 8914
LEAST = 512  # bytes that every client takes
NO_QUERY = 0xf800  # of a message's flags: it is an answer, or asks for something else than records
LENGTH = struct.Struct('!H')  # of a message over TCP, in front of it


def answer(name, records):
    """A DNS message that answers the question for `name` with these records."""
    header = struct.pack('!HHHHHH', 0, 0x8180, 1, len(records), 0, 0)  # a response, without error
    return header + _names.to_wire(name) + struct.pack('!HH', RECORD_TYPES[4], IN) + b''.join(records)


def question(name, identity):
    """A DNS message that asks for the IPv4 addresses of a name."""
    return struct.pack('!HHHHHH', identity, 0x0100, 1, 0, 0, 0) + _names.to_wire(name) + struct.pack('!HH', RECORD_TYPES[4], IN)


def no_such_name(asked, text):
    """The answer to a denied question, an ebg_question. A client that sent an OPT record gets the text as well.

    NXDOMAIN is an end for every resolver library. Some ignore REFUSED, and wait for more. A drill may ask for SERVFAIL. The
    answer has no record that says how long it holds, so nobody keeps it.
    """
    flags = ANSWERED | asked.flags & TAKEN_OVER | (SERVFAIL if asked.outage == _abi.OUTAGE_SERVFAIL else NXDOMAIN)
    message = (struct.pack('!HHHHHH', asked.id, flags, 1, 0, 0, asked.opt) + _whole_name(bytes(asked.name))
               + struct.pack('!HH', asked.type, asked.of_class))
    return message + _opt(asked, text, max(LEAST, min(asked.size, TAKES)) - len(message)) if asked.opt else message


class Asked(typing.NamedTuple):
    """A question as no_such_name() takes it."""

    id: int
    flags: int
    name: bytes
    type: int
    of_class: int
    opt: int
    opt_flags: int
    size: int
    outage: int


def asked_over_tcp(data, outage):
    """The questions in what TCP brings, each behind its length, as Asked. None where not all have a plain answer, or where they
    are for several names: not all of these may be denied.
    """
    found = []
    while data:
        length, = LENGTH.unpack_from(data.ljust(2, b'\0'))
        try:
            found.append(_asked(data[2:2 + length], outage))
        except (IndexError, struct.error):
            return None
        data = data[2 + length:]
    return found if len({one and one.name.lower() for one in found}) == 1 and None not in found else None


def over_tcp(message):
    return LENGTH.pack(len(message)) + message


def _asked(message, outage):
    identity, flags, questions, *others, more = struct.unpack_from('!6H', message)
    if flags & NO_QUERY or questions != 1 or any(others) or more > 1:
        return None
    name = _whole_name(message[12:])
    end = 12 + len(name)
    kind, of_class = struct.unpack_from('!HH', message, end)
    root, record, size, opt_flags = struct.unpack_from('!BHHxxH', message, end + 4) if more else (0, OPT, 0, 0)
    if root or record != OPT:
        return None  # it is signed, say
    return Asked(identity, flags, name, kind, of_class, more, opt_flags, size, outage)


def _whole_name(wire):
    """As it was written, upper case kept: some clients make sure of that. What stands behind its end is left out."""
    end = 0
    while wire[end]:
        end += 1 + wire[end]
    return wire[:end + 1]


def _opt(asked, text, room):
    head = struct.Struct('!xHHHHHHHH')
    said = text.encode()[:max(0, room - head.size)].decode('utf-8', 'ignore').encode()  # no half of a letter
    return head.pack(OPT, TAKES, 0, asked.opt_flags & DNSSEC_OK, 6 + len(said), EXTENDED_ERROR, 2 + len(said), BLOCKED) + said


def address_record(address, seconds=FOR_EVER):
    address = ipaddress.ip_address(address)
    address = getattr(address, 'ipv4_mapped', None) or address
    return _record(RECORD_TYPES[address.version], address.packed, seconds)


def alias_record(target, seconds):
    return _record(CNAME, _names.to_wire(target), seconds)


def _record(kind, data, seconds):
    return QUESTION + struct.pack('!HHIH', kind, IN, seconds, len(data)) + data
