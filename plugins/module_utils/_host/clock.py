# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The clocks: moments are compared on the one that nobody sets, and told by the one on the wall.

The time since boot goes on while the host sleeps. Whoever sets the clock on the wall ends no guard by that. What
happened before is told by that clock as it is set now.
"""

from __future__ import annotations

import datetime
import time

STEP = 60  # seconds by which the clock must have been set for a moment to be told anew


def now():
    """In seconds since boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def moment():
    """Now, to be remembered: [seconds since boot, seconds since the epoch as they are read now]."""
    return [now(), time.time()]


def zero(clock=time.CLOCK_BOOTTIME):
    """When a clock of the kernel stood at zero, in seconds since the epoch, by the clock on the wall as it is set now."""
    return time.time() - time.clock_gettime(clock)


def wall(remembered):
    """A moment in seconds since the epoch, to be compared with what the kernel has recorded."""
    return zero() + remembered[0]


def told(remembered):
    """A moment as users read it: always the same, unless somebody has set the clock."""
    by_now = wall(remembered)
    return stamp(by_now if abs(by_now - remembered[1]) > STEP else remembered[1])


def stamp(seconds):
    """Seconds since the epoch as users read them."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec='microseconds').replace(
        '+00:00', 'Z')
