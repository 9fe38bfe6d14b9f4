# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The guards of this host, looked at. Changes nothing."""

from __future__ import annotations

import contextlib
import os
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import health
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import BPFFS, RUN, TRIAL, Place, lock
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.report import report
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import moves, outcome

Told = namedtuple('Told', 'breaches damages')


def names():
    """The guards of this host, whole or not."""
    found = cgroup.names()
    for directory in (RUN, os.path.join(BPFFS, 'ebpf_guard')):
        with contextlib.suppress(OSError):
            found.update(entry for entry in os.listdir(directory) if os.path.isdir(os.path.join(directory, entry)))
    return sorted(name for name in found - {TRIAL} if not Place(name).is_buried or Place(name).remains())


def ended():
    """Those that are no more, and whose last report waits for state=absent: {name, by, at} each."""
    found = []
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(RUN)):
            try:
                last = Place(name).read_last()
            except GuardError:  # state=absent tells more
                last = {'ended': {'by': 'nobody knows what, because its last report is damaged', 'at': None}}
            if last:
                found.append(dict(last['ended'], name=name))
    return found


def inspect(name):
    """The guard as it is: its report so far, and its faults as sentences."""
    place = Place(name)
    with lock():
        state = place.read()
        found = report(place, state)
        told = left(state, found)
        return dict(found, faults=sum(health.faults(place, state), []) + outcome.forgotten(found['counters']) + told.breaches)


def left(state, found):
    """What the leavings of a report are to the guard: breaches. From an existing cgroup, whoever has it may move processes."""
    told = moves.faults(found['left'], found['counters']['left'])
    return Told(told, []) if state and state['launcher'] else Told([], told)
