# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What a host has, what a guard could enforce there, and what to change to get the rest.

Only the kernel and the host know whether they take a guard. So one is brought up as every guard is, on a cgroup of its own
that nobody else is in, and taken down again before the call ends. If the call is killed, the trial's agent takes it down.
"""

from __future__ import annotations

import contextlib
import os
import platform

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, reason
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent_process, guard, place, stop
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import start as starts
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import BPFFS
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, command, locks, users
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import (
    bcc_compiler, bpf, files, libbpf, loader, optional, programs, refusal, security_hooks, ways_out)
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

CONNECTIONS = programs.capabilities(programs.GUARD)  # one object: all of them, or no guard
POLICY = {'version': 1, 'lock': True, 'deny': [{'id': 'trial', 'reason': 'a trial', 'hosts': ['.trial.invalid']}]}
KERNELS = {'maps.debug', 'progs.debug'}  # what the kernel itself puts into each bpffs, if it has the module bpf_preload


def look(objects):
    """{host, capabilities, able, summary}; `objects`: {object: bytes}."""
    host = facts()
    capabilities = probe(objects, host)
    able, summary = verdict(host, capabilities)
    return {'host': host, 'capabilities': capabilities, 'able': able, 'summary': summary}


# What it has


def facts():
    """What the host has. None is for what is not there, and for what nothing here tells."""
    machine = os.uname()
    mounted = list(cgroup.mounts())
    found = {'kernel': machine.release, 'architecture': machine.machine, 'python': platform.python_version(),
             'btf': os.path.exists(libbpf.BTF), 'lsm': security_hooks.security_modules(), 'lockdown': refusal.lockdown(),
             'cgroup2': None, 'cgroup_layout': None, 'libbpf': None, 'loader': None,
             'bpffs': place.has_bpffs(),
             'bcc': bcc_compiler.is_there(),
             'kernel_headers': False}
    with contextlib.suppress(GuardError):
        bcc_compiler.check_headers(bcc_compiler.headers(), machine.release, machine.version)
        found['kernel_headers'] = any(map(os.path.exists, bcc_compiler.headers()))
    with contextlib.suppress(GuardError):
        found['cgroup2'] = cgroup.mount_point()
        found['cgroup_layout'] = 'hybrid' if any(kind == 'cgroup' for _point, _root, kind in mounted) else 'unified'
    with contextlib.suppress(GuardError):
        libbpf.check()
        found['libbpf'] = 'unknown'
    found['libbpf'] = libbpf.version() or found['libbpf']  # of one that is too old, too
    return found


# What could be in force


def probe(objects, host):
    """{capability: True, or why it can't be in force on this host, and what to change}; and host['loader']."""
    hopeless, missing = [], []  # all of it, so that nobody has to ask again after each thing that is mended
    with _noted(hopeless, hopeless):
        place.check()
    with _noted(missing, hopeless):
        libbpf.check_btf()
    found = {}
    with _noted(missing, hopeless):
        libbpf.check()
        library = libbpf.Library()
        if host['btf'] and not hopeless:
            found = _load(library, objects)
            host['loader'] = loader.LIBBPF
    if not hopeless and not missing:
        with _noted(missing, hopeless):
            found.update(_try_out(objects, loader.LIBBPF))
    elif not hopeless and host['bcc']:
        with _noted(missing, hopeless):
            _try_out(objects, loader.BCC)
            found = {**dict.fromkeys(programs.CAPABILITIES, optional.BCC_LACKS), **dict.fromkeys(CONNECTIONS, True)}
            missing, host['loader'] = [], loader.BCC
    lacking = hopeless + missing
    return dict.fromkeys(programs.CAPABILITIES, ' '.join(lacking)) if lacking else found


def _try_out(objects, by):
    """What a guard enforces that this loader brings up here. Raises GuardError where it does not come up."""
    trial = place.Place(place.TRIAL)
    if cgroup.is_guarded(os.getpid()):  # what is done here would be a deed of those who are guarded
        return dict.fromkeys(CONNECTIONS, True)
    request = guard.Request(name=place.TRIAL, policy=check(POLICY), observe=True, ttl=0, uids=_connecting(), shell=None, loader=by,
                            objects=objects, agent=agent_process.main)
    with trial.lock('the doctor'):
        had_bpffs = place.has_bpffs()
        stop.sweep(trial)  # of a call that was killed together with its agent
        try:
            return starts.Start(trial, request, {}, [], None).try_out()
        finally:
            if not had_bpffs:
                _unmount_bpffs()


def _unmount_bpffs():
    with locks.shared():
        if place.has_bpffs() and not set(os.listdir(BPFFS)) - KERNELS:  # else a guard has come up meanwhile
            command.run('umount', BPFFS)


def _connecting():
    user = users.named(os.environ['SUDO_USER']) if 'SUDO_USER' in os.environ else None
    return {user.pw_uid} - {0} if user else set()


@contextlib.contextmanager
def _noted(missing, hopeless):
    """`hopeless`: what no loader changes."""
    try:
        yield
    except locks.NotTaken:  # that says nothing of the host
        raise
    except (GuardError, OSError) as error:
        (hopeless if isinstance(error, refusal.Final) else missing).append(_why(error))


def _why(error):
    """What failed, and what to change."""
    if 'missing_packages' in getattr(error, 'facts', ()):
        return '%s The role loopbreak.deploy.ebpf_guard does that by itself.' % error
    return reason(error)


def _load(library, objects):
    found, kernel = dict.fromkeys(CONNECTIONS, True), bpf.Kernel(library)
    with contextlib.closing(loader.load(loader.LIBBPF, library, objects, {})[0]):
        pass
    try:
        found.update(optional.probe(ways_out.start, kernel, objects))
    except GuardError as error:
        found.update(dict.fromkeys(('unix', 'lock'), _why(error)))
    found.update(optional.probe(files.start, kernel, objects))
    return found


# How people read it


def verdict(host, capabilities):
    """('fully', 'partly' or 'not', [the verdict, and below it a line for each thing that was looked at])."""
    able = ('fully' if all(found is True for found in capabilities.values())
            else 'not' if any(capabilities[name] is not True for name in CONNECTIONS) else 'partly')
    unknown = 'unknown: securityfs is not mounted'
    things = {
        'kernel': '%s on %s' % (host['kernel'], host['architecture']),
        'BTF': 'yes' if host['btf'] else 'no',
        'LSM': unknown if host['lsm'] is None else ', '.join(host['lsm']),
        'lockdown': host['lockdown'] or unknown,
        'cgroup2': '%s, %s' % (host['cgroup2'], host['cgroup_layout']) if host['cgroup2'] else 'not mounted',
        'bpffs': 'mounted' if host['bpffs'] else 'not mounted: the guard mounts it',
        'libbpf': host['libbpf'] or 'missing',
        'bcc': '%sinstalled, %skernel headers%s' % (
            '' if host['bcc'] else 'not ', '' if host['kernel_headers'] else 'no ',
            '; not needed' if host['loader'] == loader.LIBBPF else '; loads the guard' if host['loader'] else ''),
        'Python': host['python'],
    }
    for name, found in capabilities.items():
        things[name] = 'yes' if found is True else 'no: ' + found
    return able, [_verdict(able, capabilities)] + ['%-9s %s' % thing for thing in things.items()]


def _verdict(able, capabilities):
    if able == 'fully':
        return 'able'
    if able == 'not':
        return 'not able: ' + next(why for why in capabilities.values() if why is not True)
    lacking = {}
    for name, found in capabilities.items():
        if found is not True:  # a reason that is part of another one is told once
            lacking.setdefault(next((why for why in lacking if why in found), found), []).append(name)
    return 'partly able, ' + '; '.join('without %s: %s' % (' and '.join(names), why) for why, names in lacking.items())
