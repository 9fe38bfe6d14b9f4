# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Has the kernel learn which names lead to an address, where no DNS answer showed it.

The program that reads DNS answers is the only one that writes this down, so that nothing that two write at once is
lost. So what the host's own resolver knows is given to it as an answer: run by the kernel's test facility, it reaches nobody.
"""

from __future__ import annotations

import ipaddress
import struct

from ansible_collections.loopbreak.deploy.plugins.module_utils import _names

FOR_EVER = 2 ** 31 - 1  # the longest time to live that DNS has, 68 years
AT_ONCE = 24  # records of an answer; the program reads 32
ETHERNET = bytes(12) + b'\x08\x00'  # the test facility wants a whole frame
DNS_PORT = 53
CNAME, IN = 5, 1
RECORD_TYPES = {4: 1, 6: 28}  # A, AAAA
QUESTION = b'\xc0\x0c'  # "the name of the question", in a record


def tell(kernel, program, name, addresses, seconds=FOR_EVER, alias_of=None):
    """`name`, which may be an alias of another, leads to these addresses for so many seconds."""
    for start in range(0, len(addresses), AT_ONCE):
        records = [_record(CNAME, _names.to_wire(alias_of), seconds)] if alias_of else []
        records += [record(address, seconds) for address in addresses[start:start + AT_ONCE]]
        kernel.run(program, ETHERNET + _packet(answer(name, records)))


def answer(name, records):
    """A DNS message that answers the question for `name` with these records."""
    header = struct.pack('!HHHHHH', 0, 0x8180, 1, len(records), 0, 0)  # a response, without error
    return header + _names.to_wire(name) + struct.pack('!HH', RECORD_TYPES[4], IN) + b''.join(records)


def record(address, seconds=FOR_EVER):
    address = ipaddress.ip_address(address)
    address = getattr(address, 'ipv4_mapped', None) or address
    return _record(RECORD_TYPES[address.version], address.packed, seconds)


def _record(kind, data, seconds):
    return QUESTION + struct.pack('!HHIH', kind, IN, seconds, len(data)) + data


def _packet(message):
    size = 8 + len(message)
    return (struct.pack('!BBHHHBBH8x', 0x45, 0, 20 + size, 0, 0, 64, 17, 0)
            + struct.pack('!HHHH', DNS_PORT, 0, size, 0) + message)
