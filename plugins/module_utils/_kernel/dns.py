# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. DNS answers as bytes: what a guard proves itself with, and what the kernel is taught with. Pure."""

from __future__ import annotations

import ipaddress
import struct

from ansible_collections.loopbreak.deploy.plugins.module_utils import _names

FOR_EVER = 2 ** 31 - 1  # the longest time to live that DNS has, 68 years
PORT = 53
CNAME, IN = 5, 1
RECORD_TYPES = {4: 1, 6: 28}  # A, AAAA
QUESTION = b'\xc0\x0c'  # "the name of the question", in a record


def answer(name, records):
    """A DNS message that answers the question for `name` with these records."""
    header = struct.pack('!HHHHHH', 0, 0x8180, 1, len(records), 0, 0)  # a response, without error
    return header + _names.to_wire(name) + struct.pack('!HH', RECORD_TYPES[4], IN) + b''.join(records)


def address_record(address, seconds=FOR_EVER):
    address = ipaddress.ip_address(address)
    address = getattr(address, 'ipv4_mapped', None) or address
    return _record(RECORD_TYPES[address.version], address.packed, seconds)


def alias_record(target, seconds):
    return _record(CNAME, _names.to_wire(target), seconds)


def _record(kind, data, seconds):
    return QUESTION + struct.pack('!HHIH', kind, IN, seconds, len(data)) + data
