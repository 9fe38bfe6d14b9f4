# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The calls that change a guard: up with exactly this policy, and down."""

from __future__ import annotations

import contextlib
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent, answers, health, look, proof, stop
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import start as starts
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import place as places
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import Place, lock
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.report import report
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup as cgroups
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import resolver
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, loader, pinned, teach
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log, outcome

# agent: the main() of the module that runs as the agent. cgroup: the path of an existing one; None for one of the guard's
# own, which tasks enter
Request = namedtuple('Request', 'name policy observe ttl uids shell loader objects agent cgroup', defaults=(None,))


def present(request, check_mode=False):
    """Bring the guard up with exactly this policy.

    Returns the report, `before` (the policy until now), `changed`, `repaired` (what was broken, as sentences) and
    `warnings`.
    """
    place = Place(request.name)
    loader.check(request.loader)
    places.check()
    with lock():
        state = place.read()
        _check_cgroup(place, state, request.cgroup or place.own)
        if state and request.cgroup:
            _leave(place)
        breaches, damages = health.faults(place, state)
        faults = breaches + damages
        same = state is not None and _is_as_wished(state, request)
        found, warnings = resolver.resolve(request.policy)
        addresses = {**resolver.known_here(request.policy), **{name: some for name, some in found.items() if some}}
        if check_mode:
            return dict(report(place, state), changed=not same or bool(faults), repaired=[], warnings=warnings)
        if same and not faults:
            _prove_again(place, state)
            teach.teach_attached(bpf.kernel(), place.pins, addresses)
            place.write(dict(state, expires_at=starts.deadline(request)))
            return dict(report(place, state), changed=False, repaired=[], warnings=warnings)
        if state is None:
            stop.sweep(place)
        before, past = (state['policy'], state['breaches']) if state else (None, [])
        state, more = starts.Start(place, request, addresses, past + breaches, state).run()
        return dict(report(place, state), before=before, changed=True, repaired=faults, warnings=warnings + more)


def absent(name, check_mode=False):
    """Take the guard down.

    Returns the report, `left_running`, who was `refused` at the doors, and what was broken: `faults`, `damages`.
    """
    place = Place(name)
    with lock():
        try:
            state = place.read()
        except GuardError as error:
            if check_mode:
                raise
            agent.stop_lost(place)
            stop.sweep(place)
            raise GuardError('%s It has been taken down, and its report is lost.' % error)
        if place.remains() and not check_mode:
            places.check()  # before the programs go: what stays then would be half a guard
        breaches, damages = health.faults(place, state)
        past = state['breaches'] if state else []
        last = report(place, state)
        last.update(left_running=[], faults=past + breaches + outcome.forgotten(last['counters']), damages=damages,
                    refused=log.refusals(place.log, state['started_at']) if state else [],
                    changed=bool(place.remains()))
        if not check_mode and state is None:
            stop.sweep(place)
        elif not check_mode:
            down = stop.take_down(place, state)
            last.update(down, damages=damages + down.get('damages', []))
        return last


def _check_cgroup(place, state, wanted):
    """A guard stays where it is, and no process is in two: the programs of both would want its sockets."""
    if state:
        if state['cgroup'] != wanted:
            raise GuardError("Guard '%s' is up, at the cgroup %s. Take it down (state=absent) before it guards %s, or "
                             'give this one another name.' % (place.name, state['cgroup'], wanted))
        return
    for name in {*look.names(), place.name}:
        other = Place(name)
        for taken in {other.own, other.cgroup} - ({wanted} if name == place.name else set()):
            if cgroups.overlap(taken, wanted):
                raise GuardError("The cgroup %s can't be guarded, because %s is that of guard '%s' or of its agent, and "
                                 'no process can be in two guards.' % (wanted, taken, name))


def _leave(place):
    """What this call looks up and opens is no deed of those who are guarded; it may run in their session."""
    with contextlib.suppress(FileNotFoundError):
        cgroups.enter(place.desk)


def _is_as_wished(state, request):
    """Is it what the user asks for? A guard that is gets left alone."""
    wish = starts.wish(request)
    return (all(state[key] == wish[key] for key in ('policy_sha256', 'mode', 'observe', 'uids'))
            and request.loader in (loader.AUTO, state['loader']))


def _prove_again(place, state):
    kernel = bpf.kernel()
    counters, board = (kernel.open(pinned.path(place.pins, name)) for name in ('ebg_counters', answers.BOARD))
    try:
        answered = proof.prove(place, lambda: starts.canaries(kernel, counters), state['programs'],
                               state['mode'] != 'monitor', state['servers'], state['uids'])
        answers.turn_on(kernel, board, answered)
    finally:
        bpf.close([counters, board])
