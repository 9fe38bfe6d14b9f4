# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The guards of this host, looked at. Changes nothing, but that an agent that has ended is started again."""

from __future__ import annotations

import contextlib
import os
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import company, health, stats
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import place as places
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import RUN, Place
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.report import report
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, locks
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import moves, outcome

PATIENCE = 5  # seconds to wait for a call that changes the guard

Told = namedtuple('Told', 'breaches damages')


def names():
    """The guards of this host, whole or not."""
    return sorted(name for name in places.names() if not Place(name).is_buried or Place(name).remains())


def ended():
    """Those that are no more, and whose last report waits for state=absent: {name, by, at} each."""
    found = []
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(RUN)):
            place = Place(name)
            if place.is_buried:
                last = place.read_last() or {  # state=absent tells more
                    'ended': {'by': 'nobody knows what, because its last report is damaged', 'at': None}}
                found.append(dict(last['ended'], name=name))
    return found


def inspect(name, measures=False):
    """The guard as it is: its report so far, and its faults as sentences. `measures`: with its figures in any case.

    Nobody has to wait for long to look. While another call changes the guard, what is told of it may be half of that.
    """
    place = Place(name)
    try:
        with place.lock('info', PATIENCE):
            return _looked(place, measures)
    except locks.NotTaken as busy:
        try:
            return dict(_looked(place, measures), faults=[str(busy)])
        except (GuardError, OSError):  # half of it
            raise busy


def _looked(place, measures):
    state = place.read()
    found = report(place, state)
    if measures and state:
        found['stats'] = stats.told(place, state)
    told = left(state, found)
    return dict(found, faults=sum(health.faults(place, state), []) + outcome.forgotten(found['counters']) + told.breaches)


def revive(name):
    """Start the agent of a guard again where it has ended. Returns whether it had. Not from inside a guard with lock: it could
    not get out.
    """
    return not cgroup.is_guarded(os.getpid()) and company.revive(Place(name))


def left(state, found):
    """What the leavings of a report are to the guard: breaches. From an existing cgroup, whoever has it may move processes."""
    told = moves.faults(found['left'], found['counters']['left'])
    return Told(told, []) if state and state['launcher'] else Told([], told)
