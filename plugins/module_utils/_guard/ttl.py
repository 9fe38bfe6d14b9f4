# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The ttl of a guard: when a guard that nobody took down has to end, and what keeps it up nevertheless.

It is counted on the clock that nobody sets. Processes inside would go on unguarded, so the guard stays until the last has gone.
"""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, clock


def deadline(seconds):
    """As the guard's memory has it, in seconds since boot; None: never."""
    return clock.now() + seconds if seconds else None


def is_over(state):
    return bool(state and state['expires_at']) and state['expires_at'] <= clock.now()


def inside(place):
    """The processes that keep the guard up. What is in an existing cgroup was there before, and is after."""
    return cgroup.pids(place.own) if place.cgroup == place.own else []


def told(state):
    """{expires_at, overdue} as users read them."""
    return {'expires_at': _end(state) if state['expires_at'] else None, 'overdue': is_over(state)}


def damages(state):
    return ['The ttl of the guard was over at %s. A guard stays as long as processes run inside.'
            % _end(state)] if is_over(state) else []


def _end(state):
    return clock.stamp(round(clock.zero() + state['expires_at']))
