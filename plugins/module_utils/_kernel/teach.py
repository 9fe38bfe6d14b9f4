# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Teaches the kernel which names lead to an address, where no DNS answer showed it.

The program that reads DNS answers is the only one that writes this down, so that nothing that two write at once is
lost. So what the host's own resolver knows is given to it as an answer: run by the kernel's test facility, it reaches nobody.
A sign comes with it that no packet can have, because the program believes others only what somebody asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import dns, pinned

AT_ONCE = 24  # records of an answer; the program reads 32
ETHERNET = bytes(12) + b'\x08\x00'  # the test facility wants a whole frame
PROGRAM = 'ebg_ingress'
FULL = 0.5  # of a table's entries; from then on what is over is taken out


def teach(kernel, program, names):
    """{name: [addresses]}, as the host's resolver has them. `program`: the file descriptor of PROGRAM."""
    for name, addresses in names.items():
        tell(kernel, program, name, addresses)


def teach_attached(kernel, pins, names):
    """The same for a guard that is up. `pins`: its directory in bpffs."""
    with contextlib.ExitStack() as opened:
        link = kernel.open(pinned.path(pins, PROGRAM))
        opened.callback(os.close, link)
        program = kernel.program(kernel.link_info(link).prog_id)
        opened.callback(os.close, program)
        teach(kernel, program, names)


def teach_again(kernel, program, heard):
    """What a guard has heard so far, under the rules of this program. `heard`: the file descriptor of ebg_heard.

    What is over is told with 0 seconds: the address was that of a name, and may still be in use.
    """
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    # a list first: an entry that is told moves to the front of the table, where the walk would meet it again
    for key, known in list(kernel.items(heard, _abi.HeardKey, _abi.Heard)):
        left = min(max(0, int(known.until / 1e9 - now)), dns.FOR_EVER)
        target = bytes(known.target)
        tell(kernel, program, _names.from_wire(bytes(known.name)), [bytes(key.address)], left,
             _names.from_wire(target) if target[0] else None,
             _abi.SOURCE_TAUGHT_DOUBTED if known.doubted else _abi.SOURCE_TAUGHT)


def make_room(kernel, pins):
    """Where a table of names has filled up, take out what holds no more. `pins`: as above."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    with contextlib.ExitStack() as opened:
        maps = _maps(kernel, pins, opened)
        _sweep(kernel, maps['ebg_heard'], _abi.HeardKey, _abi.Heard, lambda known: known.until < now)
        _sweep(kernel, maps['ebg_aliases'], ctypes.c_uint64, _abi.Alias,
               lambda known: known.lead >> 32 < now >> _abi.TICK_BITS)


def _maps(kernel, pins, opened):
    """{name: file descriptor} of all maps behind PROGRAM; some are not pinned."""
    link = kernel.open(pinned.path(pins, PROGRAM))
    opened.callback(os.close, link)
    maps = kernel.maps_of_program(kernel.link_info(link).prog_id)
    for descriptor in maps.values():
        opened.callback(os.close, descriptor)
    return maps


def _sweep(kernel, table, key_type, value_type, is_over):
    entries = list(kernel.items(table, key_type, value_type))
    if len(entries) > _abi.MAX_HEARD * FULL:
        for key, known in entries:
            if is_over(known):
                kernel.delete(table, key)


def tell(kernel, program, name, addresses, seconds=dns.FOR_EVER, alias_of=None, source=_abi.SOURCE_TAUGHT):
    """`name`, which may be an alias of another, leads to these addresses for so many seconds."""
    for start in range(0, len(addresses), AT_ONCE):
        records = [dns.alias_record(alias_of, seconds)] if alias_of else []
        records += [dns.address_record(address, seconds) for address in addresses[start:start + AT_ONCE]]
        kernel.run(program, ETHERNET + _packet(dns.answer(name, records)), source)


def _packet(message):
    size = 8 + len(message)
    return (struct.pack('!BBHHHBBH8x', 0x45, 0, 20 + size, 0, 0, 64, 17, 0)
            + struct.pack('!HHHH', dns.PORT, 0, size, 0) + message)
