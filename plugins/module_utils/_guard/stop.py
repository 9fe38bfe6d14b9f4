# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The end of a guard: on request, by its ttl, of one whose state is gone, or of a start that died half-way."""

from __future__ import annotations

import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent, health, holders, look, tombstone
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import lock
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.report import report
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, limits
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import attach, bpf, emptying, pinned, programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log, outcome


def so_far(place, state):
    """The report as it would be if the guard ended now: with what was broken (`faults`, `damages`), and who was `refused`."""
    return dict(_judged(place, state, health.faults(place, state)), left_running=[])


def _judged(place, state, faults):
    """`faults`: as health found them, before anything was taken away."""
    (breaches, damages), found = faults, report(place, state)
    told = look.left(state, found)
    past = state['breaches'] if state else []
    return dict(found, faults=past + breaches + outcome.forgotten(found['counters']) + told.breaches, damages=damages + told.damages,
                refused=log.refusals(place.log, state['started_at']) if state else [])


def take_down(place, state, ended=None):
    """Detach, so that nothing more is recorded; read the records; let go of the processes; remove the rest.

    Returns the last report. `ended`: by whom and when, where a run may not know of it: then a tombstone stays.
    """
    faults = health.faults(place, state)
    if ended:
        tombstone.stop_entry(place, state, ended)
    kernel = bpf.kernel()
    attach.detach(kernel, place.pins)
    last = dict(_judged(place, state, faults), left_running=cgroup.empty(place.own))
    try:
        log.append(place.log, place.name, last)
    except OSError as error:  # a full disk must not keep a guard up; the report has it all
        last['damages'].append('The event log %s could not be written: %s.' % (place.log, error.strerror))
    agent.stop(state['agent'])
    with emptying.table(kernel, place.pins) as networks:
        if networks:
            emptying.empty(kernel, networks)
    if ended:
        place.write_last(dict(last, faults=last['faults'] + [tombstone.fault(ended)], ended=ended,
                              holders=state.get('holders', [])))
    try:
        sweep(place, buries=bool(ended))
    except GuardError as error:
        raise GuardError(str(error), **last) from error  # what was recorded must reach the user all the same
    return last


def sweep(place, buries=False):
    """Remove whatever there is of a guard. `buries`: but for its tombstone."""
    place.remove_pins()
    cgroup.empty(place.own)
    place.remove_cgroups()
    limits.restore(place.run)
    place.remove_run(buries)
    if place.remains():
        raise GuardError("Guard '%s' could not be removed completely: %s is still there."
                         % (place.name, ', '.join(place.remains())))


def expire(place):
    """The end of a guard that nobody took down. For the agent."""
    with lock():
        state = place.read()
        if state and state['expires_at'] and state['expires_at'] <= time.time():
            _end_by_agent(place, state, tombstone.TTL)


def bury(place, state):
    """The end of a guard whose state somebody removed. For the agent. `state`: as it was."""
    with lock():
        if place.read() is None and not place.is_buried:
            _end_by_agent(place, state, tombstone.REMOVED)


def _end_by_agent(place, state, by):
    is_awaited = not all(holders.is_over(one, None) for one in holders.of(state))
    cgroup.enter(cgroup.mount_point())  # the agent, out of the cgroup that it is about to remove
    take_down(place, state, tombstone.end(by) if is_awaited else None)


def abandon(place):
    """Clear up after a start that died half-way. For the agent.

    Where a guard was up before, its rules and those of the start may both be attached: then both judge.
    """
    with lock():
        state = place.read()
        if state is None:
            sweep(place)
            return
        kernel = bpf.kernel()
        attach.let_both_judge(kernel, kernel.open(pinned.path(place.pins, programs.CURRENT)), state['generation'])
