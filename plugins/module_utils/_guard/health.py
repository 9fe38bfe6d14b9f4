# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Is a guard as it was made? Compares its memory with what is on the host; changes nothing."""

from __future__ import annotations

import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import memory, notes, standby
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup as cgroups
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import limits
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, pinned, programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import KernelError


def faults(place, state):
    """(breaches, damages) as sentences: what let accesses pass unseen, and what else is not as it was made."""
    if state is None:
        remains = place.remains()
        return [], ["There were remains of a guard '%s' that is not up: %s." % (place.name, ', '.join(remains))
                    ] if remains else []
    if 'end' in state:
        end = state['end']
        return end['breaches'], end['damages'] + [
            'The end of the guard, by %s at %s, was cut off. The next state=present or state=absent goes on with it.'
            % (end['by'], end['at'])]
    kernel = bpf.kernel()
    return list(_breaches(kernel, place, state)), [*_map_damages(kernel, place, state), *_other_damages(place, state)]


def _breaches(kernel, place, state):
    cgroup = cgroups.identity(_where(place, state))
    if not cgroup:
        yield 'The cgroup %s was removed.' % state['cgroup']
    elif cgroup != state['cgroup_id']:
        yield 'The cgroup %s was removed and made anew.' % state['cgroup']
    for name, program in state['programs'].items():
        fault = _link_fault(kernel, place, name, cgroup, program)
        if fault:
            yield fault


def _where(place, state):
    """The path of the guarded cgroup, also where cgroup2 has been mounted elsewhere since."""
    moved = cgroups.mount_point() + state['cgroup'][len(_mount_of(state)):]
    is_same = not cgroups.identity(state['cgroup']) and cgroups.identity(moved) == state['cgroup_id']
    return moved if is_same else state['cgroup']


def _mount_of(state):
    return state['cgroup'][:-len(state['cgroup_name'])]


def _map_damages(kernel, place, state):
    ledger = pinned.ledger(kernel, place.pins)
    for name, identity in state['maps'].items():
        found = _pinned_map(kernel, pinned.path(place.pins, name))
        if found is None:
            yield 'The map %s was unpinned%s.' % (
                name, ', and its records are lost' if name in programs.LEDGER and name not in ledger else '')
        elif found != identity:
            yield 'The pin of the map %s was replaced.' % name
    bpf.close(ledger.values())


def _other_damages(place, state):
    if memory.FOUND in state:
        yield state[memory.FOUND]
    if _where(place, state) != state['cgroup']:
        yield ('cgroup2 was mounted at %s when the guard was brought up, and it is at %s now: until it is back, no task finds '
               "the guard's cgroup, so none runs." % (_mount_of(state), cgroups.mount_point()))
    elif place.cgroup != state['cgroup']:
        yield 'The link %s to the guarded cgroup was removed.' % place.link
    frozen = cgroups.frozen(place.cgroup)
    if frozen:
        yield cgroups.why_frozen(frozen)
    if state['launcher'] and not place.has_launcher:
        yield 'The launcher %s was removed.' % place.launcher
    yield from limits.changes(place.cgroup, state['policy'].get('limits', {}))
    if not standby.is_held(place.serving):
        yield "The guard's agent (pid %d) has ended." % (notes.read(place)['pid'] or state['agent']['pid'])


def _link_fault(kernel, place, hook, cgroup, program):
    try:
        link = kernel.open(pinned.path(place.pins, hook))
    except KernelError:
        return 'The link of %s was unpinned, so the program is attached no more.' % hook
    try:
        info = kernel.link_info(link)
    finally:
        os.close(link)
    if programs.is_on_cgroup(hook):
        if not info.cgroup_id:
            return 'The link of %s was detached from its cgroup.' % hook
        if cgroup and info.cgroup_id != cgroup:
            return 'The link of %s is attached to another cgroup.' % hook
    if info.prog_id != program:
        return 'The program of %s is not the one that was attached: an exchange of the rules was cut off.' % hook
    return None


def _pinned_map(kernel, path):
    try:
        fd = kernel.open(path)
    except KernelError:
        return None
    try:
        return kernel.map_info(fd).id
    finally:
        os.close(fd)
