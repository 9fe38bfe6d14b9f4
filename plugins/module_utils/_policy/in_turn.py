# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Keys of the rules in an order in which each comes behind all that it lies in, and their way into a table. Pure.

Networks and names have this in common. A key is bytes, and so short that 100,000 of them take little memory. What they
become goes to the kernel block by block, and is never there as a whole.
"""

from __future__ import annotations

import itertools

MARK = 4  # bytes behind a key: which part of a rule it is of
BLOCK = 2048  # entries


class Offers:
    """Keys, and what each part of a rule has for its own."""

    def __init__(self):
        self._parts, self._marked = [], []

    def __len__(self):
        return len(self._marked)

    def mark(self, part):
        """What stands behind the keys of this part. It begins with 0: a key comes before longer ones that begin with it."""
        self._parts.append(part)
        return (len(self._parts) - 1).to_bytes(MARK, 'big')

    def add(self, marked):
        """Keys, each with the mark of its part."""
        self._marked.extend(marked)

    def in_turn(self):
        """(key, marks) of each key, once. After that they are gone."""
        key = marks = b''
        for another, mark in self._sorted():
            if another == key:
                marks += mark
                continue
            if marks:
                yield key, marks
            key, marks = another, mark
        if marks:
            yield key, marks

    def _sorted(self):
        """(key, mark) of all that were added."""
        joined, begin = bytes(self._joined()), 0
        while begin < len(joined):
            end = begin + 1 + joined[begin]
            yield joined[begin + 1:end], joined[end:end + MARK]
            begin = end + MARK

    def _joined(self):
        """The same as one, each behind the length of its key. So many small ones would leave their memory in pieces."""
        self._marked.sort()
        joined = bytearray()
        for one in self._marked:
            joined.append(len(one) - MARK)
            joined += one
        del self._marked[:]
        return joined

    def parts(self, marks):
        """What the parts with these marks have, in the order in which they came."""
        return [self._parts[int.from_bytes(marks[at:at + MARK], 'big')] for at in range(0, len(marks), MARK)]


class Around:
    """What the keys lie in that are gone through in turn."""

    def __init__(self):
        self._open = [(b'\xff' * 17, 0)]  # what lies in nothing else has 0 around it

    def of(self, key):
        """The number of the nearest that this key lies in."""
        while key > self._open[-1][0]:
            self._open.pop()
        return self._open[-1][1]

    def add(self, end, number):
        """From now on keys lie in the one with this number, up to `end`."""
        self._open.append((end, number))


def in_blocks(entries, key_type, value_type):
    """The (key, value), each as bytes, as pairs of ctypes arrays."""
    entries = iter(entries)
    while True:
        keys, values, count = bytearray(), bytearray(), 0
        for key, value in itertools.islice(entries, BLOCK):
            keys += key
            values += value
            count += 1
        if not count:
            return
        yield (key_type * count).from_buffer(keys), (value_type * count).from_buffer(values)
