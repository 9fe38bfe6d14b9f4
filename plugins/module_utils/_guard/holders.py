# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Who holds a guard: the runs that brought it up, or share it, each with the inventory's name of this host.

A run is one process of ansible-playbook. The action plugin tells which (`run`): its id, the controller, the user, the
playbook, the process. Whether that process still runs only its own controller knows; `run` has the answer, where asked for.
"""

from __future__ import annotations

import os
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, clock, processes

LATELY = 60  # seconds within which a run is likely to send its next task
KEPT = ('id', 'host', 'controller', 'machine', 'user', 'playbook', 'pid', 'started')


def holder(run, since, before=None, earlier=None):
    """`since`: a moment (clock.py). `before`: the counters until this run took the guard
    over; None where it has brought it up. `earlier`: from whom.
    """
    return dict({key: run.get(key) for key in KEPT}, since=since, before=before, earlier=earlier)


def same(one, other):
    return (one['id'], one['host']) == (other['id'], other['host'])


def of(state):
    return state.get('holders', []) if state else []


def mine(state, run):
    return next((one for one in of(state) if run and same(one, run)), None)


def as_told(one):
    """A holder with moments as users read them; since when it is one, so that records can be compared with it."""
    earlier = one['earlier'] and dict(one['earlier'], **{key: clock.told(one['earlier'][key]) for key in ('since', 'until')})
    return dict(one, since=clock.stamp(clock.wall(one['since'])), earlier=earlier)


def others(state, run):
    return [one for one in of(state) if not run or not same(one, run)]


def told(one):
    """Who that is, for people."""
    return '%s on %s (%s)' % (one['user'], one['controller'], one['playbook'] or 'ad-hoc')


def ask(state, run):
    """Raises GuardError where the controller must first tell whether other runs of its own are over."""
    answered = run['over'] + run['running'] if run else []
    open_ones = [one for one in others(state, run) if run and one['machine'] == run['machine'] and one['playbook']
                 and one['id'] not in answered + [run['id']]]
    if open_ones:
        raise GuardError('The controller did not tell whether another run is over.', ask_controller=open_ones)


def is_over(one, run):
    """Is it known that this holder's run has ended? One call alone (ad-hoc) ends with it."""
    if run and one['id'] == run['id']:
        return False
    return not one['playbook'] or bool(run) and one['id'] in run['over']


def is_needed(one, run, in_use):
    """Might this holder's run still send tasks here? Of one on another controller only the use of the guard tells."""
    if is_over(one, run):
        return False
    return bool(run) and one['machine'] == run['machine'] or in_use


def is_in_use(place, entered):
    """Did somebody enter lately, or is a process inside, besides this call and what it runs in? Of somebody else's cgroup
    the latter tells nothing. `entered`: when somebody last did, in seconds since the epoch; None: never.
    """
    if entered is not None and time.time() - entered < LATELY:
        return True
    inside = set(cgroup.pids(place.cgroup)) if place.cgroup == place.own else set()
    return bool(inside - set(processes.ancestors(os.getpid())))


def refuse(place, one, run):
    """Another holder is at work."""
    if one['id'] == run['id']:
        return GuardError(
            "%s is the same machine as %s, which holds guard '%s' in this run. Give each of them a guard of its own (name; in "
            'the role ebpf_guard_name, with the name of the host in it), or share one: share: true (ebpf_guard_share).'
            % (run['host'], one['host'], place.name))
    return GuardError(
        "Guard '%s' is held by another run: %s, for %s, since %s. Nothing was changed. Give this run a guard of its own (name; "
        'in the role ebpf_guard_name), or share that one: share: true (ebpf_guard_share). If the other run is over, take the '
        'guard down: state: absent.' % (place.name, told(one), one['host'], clock.told(one['since'])))
