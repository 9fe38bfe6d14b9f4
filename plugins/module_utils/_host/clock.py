# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The two clocks: a moment is kept in seconds since boot, and told as wall time.

Nobody can set the time since boot, which goes on while the host sleeps. So whoever sets the clock ends no guard, and all that one
report tells is on one clock: that of the moment when it is told.
"""

from __future__ import annotations

import datetime
import time


def now():
    """In seconds since boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def zero(clock):
    """When a clock of the kernel stood at zero, in seconds since the epoch, by the wall clock as it is set now."""
    return time.time() - time.clock_gettime(clock)


def wall(moment):
    """A moment in seconds since the epoch."""
    return zero(time.CLOCK_BOOTTIME) + moment


def told(moment):
    """A moment as users read it."""
    return stamp(wall(moment))


def stamp(seconds):
    """Seconds since the epoch as users read them."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec='microseconds').replace(
        '+00:00', 'Z')
