# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The end of a guard: on request, by its ttl, of one whose state is gone, or of a start that died half-way."""

from __future__ import annotations

import contextlib
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import (
    agent, answers, health, holders, look, notes, stats, tombstone, ttl)
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.report import GUARD, answered, bounded, whole
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, clock, limits
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import attach, bpf, emptying, pinned, programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import KernelError
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log, outcome, records

SHOWN = 10  # processes in a sentence


def so_far(place, state):
    """The report as it would be if the guard ended now: with what was broken (`faults`, `damages`), and who was `refused`."""
    return bounded(dict(_judged(place, state, health.faults(place, state)), left_running=[]), state)


def _judged(place, state, faults):
    """`faults`: as health found them, before anything was taken away."""
    (breaches, damages), found = faults, whole(place, state)
    told = look.left(state, found)
    past = state['breaches'] if state else []
    watched = notes.damages(place) if state else ()
    return dict(found, faults=past + breaches + outcome.forgotten(found['counters']) + told.breaches,
                damages=[*damages, *told.damages, *ttl.damages(state), *watched],
                refused=notes.read(place)['refused'] if state else [])


def take_down(place, state, by, is_awaited=False, damages=()):
    """The whole end of a guard. Returns its last report.

    `by`: who ends it, as words that follow 'by'. `is_awaited`: a run may not know of it: then a tombstone stays. `damages`:
    what else is to be told.
    """
    breaches, found = health.faults(place, state)
    state = dict(state, end={'by': by, 'at': records.now(), 'is_awaited': is_awaited, 'breaches': breaches,
                             'damages': found + list(damages), 'limits': None, 'running': [], 'agent': notes.watched(place),
                             'answered': answered(place), 'stats': stats.wanted(place, state)})
    _note(place, state)
    last = finish(place, state)
    if not is_awaited:
        _sweep(place, last)
    return {key: last[key] for key in last if key not in ('ended', 'is_logged', 'holders')}


def finish(place, state):
    """The end of a guard, once its memory says that it ends (`end`): all of it, or what is left of it to be done.

    Whoever is killed on the way, the next one begins here again. At no time is the cgroup there and judged by nobody: it goes
    before the programs do, and nobody comes in any more. Returns the last report; a tombstone is left.
    """
    last = place.read_last()
    if not last or last['ended']['at'] != state['end']['at']:
        tombstone.stop_entry(place, state)
        with answers.none_left(state):
            agent.stop(place)
        if place.cgroup == place.own:
            _let_go(place, state)
        attach.detach(bpf.kernel(), place.pins)
        found = _last(place, state)
        last = bounded(found, state)
        _keep_last(place, last)
    else:
        found = last
    if not last['is_logged']:
        last['damages'] += log.append(place.log, place.name, found)
        last = dict(last, is_logged=True)
        _keep_last(place, last)
    _empty_table(place)
    _sweep(place, last, buries=True)
    return last


def _empty_table(place):
    kernel = bpf.kernel()
    with emptying.table(kernel, place.pins) as networks:
        if networks:
            emptying.empty(kernel, networks)


def _let_go(place, state):
    """Move everybody out of the guard's own cgroup, and remove it. Until then, who is inside is judged."""
    kernel, end = bpf.kernel(), state['end']
    if state['policy'].get('lock') and os.getpid() in cgroup.pids(place.own):
        attach.rest_everywhere(kernel, place.pins)  # else this call could not lead out of the guard that it is in
    attach.let_go_to(kernel, place.pins, cgroup.identity(cgroup.mount_point()))
    running = {one['pid']: one for one in end['running'] + cgroup.running(place.own)}
    frozen = cgroup.frozen(place.own)
    if end['limits'] is None:  # the first time. The kernel's counts go with the cgroup
        if frozen and running:
            end['damages'].append('Outside of that cgroup its processes run again, unguarded: %s.' % ', '.join(
                '%d (%s)' % (one['pid'], one['command']) for one in list(running.values())[:SHOWN]))
        end['limits'] = limits.reached(place.own, state['policy'].get('limits', {}))
    end['running'] = list(running.values())
    _note(place, state)
    for one in cgroup.evict(place.own):
        running.setdefault(one['pid'], one)
    end['running'] = sorted(running.values(), key=lambda one: one['pid'])


def _last(place, state):
    end = state['end']
    last = _judged(place, state, (end['breaches'], end['damages']))
    ended = {key: end[key] for key in ('by', 'at')}
    return dict(last, guard=dict(last['guard'], answered=end['answered']), limits=end['limits'] or last['limits'],
                left_running=end['running'], agent=end['agent'], stats=end['stats'], ended=ended, is_logged=False,
                holders=[holders.as_told(one) for one in holders.of(state)],
                faults=last['faults'] + [tombstone.fault(ended)] * end['is_awaited'])


def _note(place, state):
    with contextlib.suppress(OSError):  # no room: then nobody can go on with it, and it has to be done now
        place.write(state)


def _keep_last(place, last):
    with contextlib.suppress(OSError):  # the same: who called gets the report all the same
        place.write_last(last)


def _sweep(place, last, buries=False):
    try:
        sweep(place, buries)
    except GuardError as error:
        raise GuardError(str(error), **last) from error  # what was recorded must reach the user all the same


def take_down_lost(place):
    """The end of a guard whose memory is lost, and of whatever else there is. Returns what the kernel still tells of it, with the
    rules by their numbers.
    """
    place.close()
    agent.stop(place)
    state = dict.fromkeys(GUARD, None)
    state.update(name=place.name, mode='enforce', cgroup=place.own, launcher=place.launcher, policy={}, packed=None, rules=[],
                 entered=[], breaches=[], started_at=clock.moment(), expires_at=None, loader='unknown')
    attach.let_go_to(bpf.kernel(), place.pins, cgroup.identity(cgroup.mount_point()))
    running = cgroup.evict(place.own)
    attach.detach(bpf.kernel(), place.pins)
    try:
        last = dict(_judged(place, state, ([], [])), left_running=running)
    except KernelError:  # it is of another form
        last = dict(so_far(place, None), left_running=running)
    if last['denied'] or last['observed']:  # else it was no guard yet
        last['damages'] += log.append(place.log, place.name, dict(last, ended={'by': 'state=absent', 'at': records.now()}))
    last = bounded(last, state)
    _sweep(place, last)
    return last


def turn_away(place):
    """Of a new guard that will not be: nobody comes in, and whoever did is ended. Outside they would run unguarded."""
    place.close()
    cgroup.evict(place.own, kills=True)


def sweep(place, buries=False):
    """Remove whatever there is of a guard. `buries`: but for its tombstone."""
    if not buries:
        place.close()
    cgroup.evict(place.own)
    place.remove_pins()
    agent.stop(place)  # who came in while nobody had the lock may have brought one back
    place.remove_cgroups()
    limits.restore(place.run)
    place.remove_run(buries)
    if place.remains():
        raise GuardError("Guard '%s' could not be removed completely: %s is still there."
                         % (place.name, ', '.join(place.remains())))


def expire(place):
    """The end of a guard that nobody took down. For the agent, which has other work than to wait: raises locks.NotTaken.

    Returns whether it has ended.
    """
    with place.lock('its end by the ttl', patience=0):
        state = place.read()
        if not ttl.is_over(state) or ttl.inside(place):
            return False
        _end_by_agent(place, state, tombstone.TTL)
        return True


def bury(place, state):
    """The end of a guard whose state somebody removed. For the agent. `state`: as it was."""
    with place.lock('its end, as its state was removed', patience=0):
        if not os.path.exists(place.state) and not place.is_buried:
            _end_by_agent(place, state, tombstone.REMOVED)


def _end_by_agent(place, state, by):
    is_awaited = not all(holders.is_over(one, None) for one in holders.of(state))
    cgroup.enter(cgroup.mount_point())  # the agent, out of the cgroup that it is about to remove
    take_down(place, state, by, is_awaited)


def complete(place):
    """The end of a guard whose call was killed on the way. For the agent."""
    with place.lock('its end, which was begun', patience=0):
        state = place.read()
        if state and 'end' in state:
            cgroup.enter(cgroup.mount_point())
            finish(place, state)


def abandon(place):
    """After a start that died half-way: clear up, or go on with a guard that is up. For the agent.

    Where a guard was up before, its rules and those of the start may both be attached: then both judge. Returns whether the
    start came so far that this is the guard's agent.
    """
    with place.lock('clearing up after a start that died'):
        state = place.read()
        if state is None:
            turn_away(place)
            sweep(place)
        elif agent.is_own(state['agent']):
            return True
        else:
            with contextlib.suppress(KernelError):  # the pins are gone: health tells
                kernel = bpf.kernel()
                attach.let_both_judge(kernel, kernel.open(pinned.path(place.pins, programs.CURRENT)), state['generation'])
    return False
