# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The end of a guard: on request, by its ttl, or of a start that died half-way."""

from __future__ import annotations

import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import lock
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.report import report
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, limits
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import attach, bpf, pinned, programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log


def take_down(place, state):
    """Detach, so that nothing more is recorded; read the records; let go of the processes; remove the rest.

    Returns the last report, with `left_running`; and `damages` where the event log could not be written.
    """
    attach.detach(bpf.kernel(), place.pins)
    last = dict(report(place, state), left_running=cgroup.empty(place.own))
    try:
        log.append(place.log, place.name, last)
    except OSError as error:  # a full disk must not keep a guard up; the report has it all
        last['damages'] = ['The event log %s could not be written: %s.' % (place.log, error.strerror)]
    agent.stop(state['agent'])
    try:
        sweep(place)
    except GuardError as error:
        raise GuardError(str(error), **last) from error  # what was recorded must reach the user all the same
    return last


def sweep(place):
    """Remove whatever there is of a guard."""
    place.remove_pins()
    cgroup.empty(place.own)
    place.remove_cgroups()
    limits.restore(place.run)
    place.remove_run()
    if place.remains():
        raise GuardError("Guard '%s' could not be removed completely: %s is still there."
                         % (place.name, ', '.join(place.remains())))


def expire(place):
    """The end of a guard that nobody took down: its report goes to the log alone. For the agent."""
    with lock():
        state = place.read()
        if state and state['expires_at'] and state['expires_at'] <= time.time():
            cgroup.enter(cgroup.mount_point())  # the agent, out of the cgroup that it is about to remove
            take_down(place, state)


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
