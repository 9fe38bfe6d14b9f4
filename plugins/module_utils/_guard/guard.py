# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The calls that change a guard: up with exactly this policy, and down."""

from __future__ import annotations

import contextlib
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, NotTried, reason
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import (
    agent, answers, health, holders, proof, standby, stop, stopping, ttl)
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import start as starts
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import place as places
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import Place
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.report import report, shown
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup as cgroups
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import clock, limits, resolver
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, loader, pinned, teach
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import KernelError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.policy import UNRESOLVABLE
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import earlier

# agent: the main() of the module that runs as the agent. cgroup: the path of an existing one; None for one of the guard's
# own, which tasks enter. secret: nobody is shown the policy. run: who asks, as holders.py has it. share, fresh: as the
# module's options. baseline: where it is on the controller, for whoever takes the guard down
Request = namedtuple(
    'Request', 'name policy observe ttl uids shell loader objects agent cgroup secret run share fresh baseline stats',
    defaults=(None, False, None, False, False, None, False))


def present(request, check_mode=False):
    """Bring the guard up with exactly this policy.

    Returns the report, `before` (the policy until now, as it may be shown), `changed`, `repaired` (what was broken, as
    sentences) and `warnings`. Of a guard that stood from an earlier run `earlier`, or where it was taken down first
    `collected`.
    """
    place = Place(request.name)
    loader.check(request.loader)
    places.check()
    with place.lock('present'):
        state = place.read()
        if state and 'end' in state:  # the call that took it down was killed
            if not check_mode:
                stop.finish(place, state)
            state = None
        state, more = _settle(place, state, request, check_mode)
        warnings, takes_over = more.pop('warnings'), more.pop('takes_over', False)
        _check_cgroup(place, state, request.cgroup or place.own)
        if state and request.cgroup:
            _leave(place)
        if state and request.share:
            request = request._replace(uids=request.uids | set(state['uids']))
        breaches, damages = health.faults(place, state)
        faults = breaches + damages
        same = state is not None and _is_as_wished(state, request)
        unmeasured = state is not None and state['stats'] != request.stats
        found, unknown = resolver.resolve(request.policy)
        warnings += unknown
        addresses = {**resolver.known_here(request.policy), **{name: some for name, some in found.items() if some}}
        if check_mode:
            return dict(_report(place, state, request.run), changed=not same or unmeasured or bool(faults), repaired=[], warnings=warnings,
                        **more)
        if same and not faults:
            state = _prove_again(place, state, state['uids'])
            teach.teach_attached(bpf.kernel(), place.pins, addresses)
            place.write(dict(state, expires_at=ttl.deadline(request.ttl), secret=request.secret or state.get('secret'),
                             baseline=request.baseline, stats=request.stats))
            if takes_over:
                place.lower_flag()
            return dict(_report(place, state, request.run), changed=unmeasured, repaired=[], warnings=warnings, **more)
        if state is None:
            stop.take_down_lost(place)
        before, past = (shown(state), state['breaches']) if state else (None, [])
        state, others = starts.Start(place, request, addresses, past + breaches, state).run()
        if takes_over:
            place.lower_flag()
        return dict(_report(place, state, request.run), before=before, changed=True, repaired=faults,
                    warnings=warnings + others, **more)


def absent(name, check_mode=False, run=None):
    """Take the guard down; `run`: who asks, as holders.py has it. One that others share stays up for them.

    Returns the report, `left_running`, who was `refused` at the doors, and what was broken: `faults`, `damages`. Where the
    guard had ended before, `ended`; where it stays up, `shared_with`.
    """
    place = Place(name)
    with place.lock('absent'):
        if place.remains() and not check_mode:
            _check_room(place)  # before the programs go: what stays then would be half a guard
        try:
            state = place.read()
        except GuardError as error:
            if check_mode:
                raise
            raise _without_memory(place, error)
        if state and 'end' in state:
            if check_mode:
                return dict(stop.so_far(place, state), changed=True)
            return _dig_up(place, stop.finish(place, state), check_mode, run)
        if place.is_buried:
            return _dig_up(place, place.read_last(), check_mode, run)
        if state is None:
            last = dict(stop.so_far(place, None), changed=bool(place.remains()))
            if not check_mode:
                last.update(stop.take_down_lost(place), damages=last['damages'], guard=None, policy=None)
            return last
        holders.ask(state, run)
        staying = [one for one in holders.others(state, run) if not holders.is_over(one, run)]
        mine = holders.mine(state, run)
        if staying and not mine and run and run['tried']:  # as from an `always`: its own start was refused, or failed
            return dict(stop.so_far(place, None), damages=[], changed=False)
        if mine and staying:
            last = stop.so_far(place, state)
            if not check_mode:
                place.write(dict(state, holders=staying))
            return _told_to(mine, dict(last, changed=True, shared_with=list(map(_who, staying))))
        if check_mode:
            return _told_to(mine, dict(stop.so_far(place, state), changed=True))
        is_awaited = not mine and any(not run or one['id'] != run['id'] for one in staying)
        by = 'state=absent' + (' of ' + holders.told(run) if run else '')
        state, untried = _prove_at_the_end(place, state)
        return _told_to(mine, dict(stop.take_down(place, state, by, is_awaited, untried), changed=True))


def _check_room(place):
    try:
        places.check()
    except GuardError as error:
        raise GuardError(str(error), **_shown_last(place.read_last() or {})) from error


def _without_memory(place, error):
    """Take a guard down of which nobody knows what it was. Returns the error for who asked."""
    if isinstance(error, places.LostMemory):
        return GuardError('%s It has been taken down. Its report has what the kernel kept, with the numbers of the rules in '
                          'place of their names.' % error, **stop.take_down_lost(place))
    agent.stop(place)
    stop.sweep(place)
    return GuardError('%s It has been taken down, and its report is lost.' % error)


def _shown_last(last):
    return {key: last[key] for key in last if key not in ('holders', 'is_logged')}


def _dig_up(place, last, check_mode, run):
    """The report of a guard that had ended. It waits for each run that held the guard."""
    if last is None:
        if not check_mode:
            stop.sweep(place)
        raise GuardError("The last report of guard '%s', %s, is damaged. What the guard recorded is in the event log, %s.%s" % (
            place.name, place.last, place.log, '' if check_mode else ' What was left of it has been removed.'))
    mine = holders.mine(last, run)
    waiting = [one for one in holders.others(last, run) if mine and not holders.is_over(one, run)]
    if waiting and not check_mode:
        place.write_last(dict(last, holders=waiting))
    elif not check_mode:
        stop.sweep(place)
    return _told_apart(dict(_shown_last(last), changed=True), mine)


def _report(place, state, run):
    return _told_to(holders.mine(state, run), report(place, state))


def _told_to(mine, found):
    return _told_apart(found, mine and holders.as_told(mine))


def _told_apart(found, mine):
    """The report as the run has to see it that took the guard over, or joined. `mine`: as told."""
    if not mine or mine['before'] is None:
        return found
    return dict(earlier.told_apart(found, mine['since'], mine['before']), earlier=mine['earlier'])


def _who(one):
    return dict({key: one[key] for key in ('host', 'user', 'controller', 'playbook')}, since=clock.told(one['since']))


def _settle(place, state, request, check_mode):
    """Who holds the guard from now on: (its memory, what to tell). Raises GuardError where another run holds it."""
    run, tell = request.run, {'warnings': []}
    if state is None:
        last = place.read_last()
        if last:
            tell['warnings'].append("Guard '%s' had been ended by %s at %s. Its report is in %s on the host."
                                    % (place.name, last['ended']['by'], last['ended']['at'], place.log))
        return None, tell
    if run is None or holders.mine(state, run):
        return state, tell
    holders.ask(state, run)
    so_far = report(place, state)
    in_use = holders.is_in_use(place, so_far['entries']['last'])
    living = [one for one in holders.of(state) if holders.is_needed(one, run, in_use)]
    if living and (not request.share or request.fresh):
        raise holders.refuse(place, living[0], run)
    before, denied = _story(state), sum(record['count'] for record in so_far['denied'])
    stood = ("Guard '%s' stands from an earlier run: up since %s, by %s, with %d %s denied."
             % (place.name, clock.told(before['since']), before['by'], denied, 'access' if denied == 1 else 'accesses'))
    if living:
        if not _has_policy(state, request):
            raise GuardError("Guard '%s' can't be shared: its policy, or its mode, is another than this run asks for. It is "
                             'held by %s, for %s. Nothing was changed.'
                             % (place.name, holders.told(living[0]), living[0]['host']))
        tell['shared_with'] = list(map(_who, living))
    elif request.fresh:
        tell['warnings'].append(stood + ' It was taken down. Its report is in collected and in the event log.')
        if not check_mode:
            last = stop.take_down(place, state, 'state=present with fresh')
            tell['collected'] = {key: last[key] for key in last if key not in ('policy', 'damages')}
        return None, tell
    elif not run['playbook']:  # one call of somebody at work: no tasks follow it whose report could be told apart
        return dict(state, holders=[holders.holder(run, before['until'])]), tell
    else:
        tell['warnings'].append(stood + ' This run takes it over, and its report tells apart what was before.')
    joined = holders.holder(run, before['until'], earlier.base(so_far), before)
    if not living:
        state, tell['takes_over'] = dict(state, tolerated=stopping.tolerated(place, state)), True
    return dict(state, holders=living + [joined]), tell


def _story(state):
    """What a run that takes a guard over, or joins, has to know: since when and by whom it is up, until now."""
    last = (holders.of(state) or [None])[-1]
    return {'since': state['started_at'], 'by': holders.told(last) if last else 'an unknown run', 'until': clock.moment()}


def _check_cgroup(place, state, wanted):
    """A guard stays where it is. In a cgroup that is frozen nothing could be tried out, and no task would get in."""
    frozen = cgroups.frozen(wanted)
    if frozen:
        raise GuardError("Guard '%s' can't be brought up or changed. %s Let it go on: echo 0 > %s/cgroup.freeze"
                         % (place.name, cgroups.why_frozen(frozen), frozen))
    if state:
        if state['cgroup'] != wanted:
            raise GuardError("Guard '%s' is up, at the cgroup %s. Take it down (state=absent) before it guards %s, or "
                             'give this one another name.' % (place.name, state['cgroup'], wanted))
        return
    place.refuse_overlap(wanted)


def _leave(place):
    """What this call looks up and opens is no deed of those who are guarded; it may run in their session."""
    with contextlib.suppress(FileNotFoundError):
        cgroups.enter(place.desk)


def _is_as_wished(state, request):
    """Is it what the user asks for? A guard that is gets left alone."""
    return (_has_policy(state, request) and state['uids'] == starts.wish(request)['uids']
            and request.loader in (loader.AUTO, state['loader']))


def _has_policy(state, request):
    wish = starts.wish(request)
    return all(state[key] == wish[key] for key in ('policy_sha256', 'mode', 'observe'))


def _prove_again(place, state, uids):
    """The guard's memory with what the proof adds to it."""
    kernel = bpf.kernel()
    *tables, board = (kernel.open(pinned.path(place.pins, name)) for name in (*proof.TABLES, answers.BOARD))
    try:
        proved = proof.prove(place, kernel, tables, state['programs'], state['mode'] != 'monitor', state['servers'], uids,
                             _drill(place, state))
        answers.turn_on(kernel, board, proved.answered)
        return dict(state, entered=state['entered'] + proved.entered)
    finally:
        bpf.close([*tables, board])


def _drill(place, state):
    """Without its agent, what only the agent can say is not said."""
    return proof.Drill(state['outages'], state['policy'].get('unresolvable', UNRESOLVABLE[0]), standby.is_held(place.serving))


def _prove_at_the_end(place, state):
    """Whatever others did in the meantime, does it still do what it did at first? A guard that is known to be broken is
    not asked.

    Returns the guard's memory with what was found out, and why it could not be tried out, in a list.
    """
    if health.faults(place, state)[0]:
        return state, []
    full = limits.no_room(place.cgroup, proof.NEEDS)
    try:
        if full:
            raise NotTried(full)
        if state['launcher'] and not place.has_launcher:  # nobody could come in any more
            raise NotTried('Its launcher %s is gone.' % place.launcher)
        return _prove_again(place, state, ()), []  # without its agent a guard enforces, and lets only root in
    except (NotTried, KernelError, OSError) as error:
        return state, ['At its end the guard could not be tried out: %s' % reason(error)]
    except GuardError as error:  # The guard did not prove itself
        text = str(error)
        told = 'At its end t' + text[1:] if text.startswith('The ') else 'At its end: ' + text
        return dict(state, breaches=state['breaches'] + [told]), []
