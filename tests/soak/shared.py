# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients and the campaign share, in files that both have mapped: what may be in force, and what was tried.

A client can be killed at any moment. What it has counted by then is in its file.
"""

from __future__ import annotations

import mmap
import os
import struct

from targets import POLICIES, TARGETS

# A moment's mask has a bit for each policy that may be in force, and these
GREY = 1 << len(POLICIES)  # rules may be missing: the guard goes down, comes up, or has lost a program
STOP = GREY << 1           # clients are to end

BEGUN, ENDED, DENIED, THROUGH, SILENT = range(5)
LOW, HIGH = 5, 6    # between these is the number of denials, would-be ones included, that the guard has to report
AGAIN = 7           # connections that an exchange of rules met between the socket and its first packet
FIELDS = 8


class Board:
    """What may be in force, moment by moment. One writer, many readers."""

    MOMENTS = 1 << 20

    def __init__(self, path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(descriptor, 4 + self.MOMENTS)
        self.memory = mmap.mmap(descriptor, 4 + self.MOMENTS)
        os.close(descriptor)

    def publish(self, mask):
        moment = self.moment() + 1
        self.memory[4 + moment % self.MOMENTS] = mask
        struct.pack_into("I", self.memory, 0, moment)

    def moment(self):
        return struct.unpack_from("I", self.memory, 0)[0]

    def between(self, first, last):
        """Whatever may have been in force from one moment to another."""
        mask = 0
        for moment in range(first, last + 1):
            mask |= self.memory[4 + moment % self.MOMENTS]
        return mask


class Tally:
    """What one client has counted: FIELDS numbers for each target, when its latest attempt began, how many programs it ran."""

    SIZE = 8 * (FIELDS * len(TARGETS) + 2)

    def __init__(self, path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(descriptor, self.SIZE)
        self.memory = mmap.mmap(descriptor, self.SIZE)
        os.close(descriptor)
        self.numbers = memoryview(self.memory).cast("Q")

    def add(self, target, field, count=1):
        self.numbers[target * FIELDS + field] += count

    def begin(self, target, moment):
        self.numbers[-2] = moment
        self.add(target, BEGUN)

    def of(self, target, last):
        """The numbers of a target. `high` includes a call in which the client was killed; `last`: the moment of that."""
        begun, ended, denied, through, silent, low, high, again = self.numbers[target * FIELDS:target * FIELDS + FIELDS]
        unfinished = 1 + last - self.numbers[-2] if begun > ended and TARGETS[target].rule else 0
        return {"begun": begun, "denied": denied, "through": through, "silent": silent, "low": low, "high": high + unfinished,
                "again": again}

    def ran(self):
        self.numbers[-1] += 1

    @property
    def programs(self):
        return self.numbers[-1]

    def close(self):
        self.numbers.release()
        self.memory.close()
