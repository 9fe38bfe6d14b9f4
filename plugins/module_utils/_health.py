# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Is a guard as it was made? Compares its memory with what is on the host; changes nothing."""

from __future__ import annotations

import contextlib
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils import _agent, _cgroup, _libbpf, _limits


def faults(place, state):
    """(breaches, damages) as sentences: what let accesses pass unseen, and what else is not as it was made."""
    if state is None:
        remains = place.remains()
        return [], ["There were remains of a guard '%s' that is not up: %s." % (place.name, ', '.join(remains))
                    ] if remains else []
    kernel = _libbpf.Kernel(_libbpf.Library())
    breaches, damages = [], []
    cgroup = _cgroup.identity(state['cgroup'])
    if not cgroup:
        breaches.append('The cgroup %s was removed.' % state['cgroup'])
    elif cgroup != state['cgroup_id']:
        breaches.append('The cgroup %s was removed and made anew.' % state['cgroup'])
    for name, program in state['programs'].items():
        if name != _libbpf.MESSAGE:
            said = _link_fault(kernel, place, name, cgroup, program)
        else:
            said = None if _is_loaded(kernel, program) else 'The program %s was detached from its map.' % name
        if said:
            breaches.append(said)
    maps = ledger_maps(kernel, place)
    for name, identity in state['maps'].items():
        found = _pinned_map(kernel, place.pin(name))
        if found is None:
            damages.append('The map %s was unpinned%s.' % (
                name, ', and its records are lost' if name in _libbpf.LEDGER and name not in maps else ''))
        elif found != identity:
            damages.append('The pin of the map %s was replaced.' % name)
    _libbpf.close(maps.values())
    if place.cgroup != state['cgroup']:
        damages.append('The link %s to the guarded cgroup was removed.' % place.link)
    if state['launcher'] and not os.access(place.launcher, os.X_OK):
        damages.append('The launcher %s was removed.' % place.launcher)
    damages += _limits.changes(place.cgroup, state['policy'].get('limits', {}))
    if not _agent.alive(state['agent']):
        damages.append("The guard's agent (pid %d) has ended." % state['agent']['pid'])
    return breaches, damages


def _link_fault(kernel, place, hook, cgroup, program):
    try:
        link = kernel.open(place.pin(hook))
    except _libbpf.KernelError:
        return 'The link of %s was unpinned, so the program is attached no more.' % hook
    try:
        info = kernel.link_info(link)
    finally:
        os.close(link)
    if hook in _libbpf.ATTACH_TYPES:
        if not info.cgroup_id:
            return 'The link of %s was detached from its cgroup.' % hook
        if cgroup and info.cgroup_id != cgroup:
            return 'The link of %s is attached to another cgroup.' % hook
    if info.prog_id != program:
        return 'The program of %s is not the one that was attached: an exchange of the rules was cut off.' % hook
    return None


def _is_loaded(kernel, program):
    """A program that nothing is attached to is gone from the kernel."""
    try:
        os.close(kernel.program(program))
    except _libbpf.KernelError:
        return False
    return True


def _pinned_map(kernel, path):
    try:
        fd = kernel.open(path)
    except _libbpf.KernelError:
        return None
    try:
        return kernel.map_info(fd).id
    finally:
        os.close(fd)


def ledger_maps(kernel, place):
    """{name: fd} of the ledger: by their pins, else through a program that still uses them."""
    maps = {}
    for name in _libbpf.LEDGER:
        with contextlib.suppress(_libbpf.KernelError):
            maps[name] = kernel.open(place.pin(name))
    for hook in _libbpf.HOOKS:
        if len(maps) == len(_libbpf.LEDGER):
            break
        with contextlib.suppress(_libbpf.KernelError):
            link = kernel.open(place.pin(hook))
            try:
                used = kernel.maps_of_program(kernel.link_info(link).prog_id)
            finally:
                os.close(link)
            for name, fd in used.items():
                if name in _libbpf.LEDGER and name not in maps:
                    maps[name] = fd
                else:
                    os.close(fd)
    return maps
