# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The service of a guard, where systemd manages the cgroup tree: systemd leaves alone what is below it.

A process that only sleeps keeps it up. systemd removes a service's cgroup when the last process has left, and the
programs would go with it: between two tasks, if the agent were the only process and was killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import command, files

BOOTED = '/run/systemd/system'  # as in sd_booted(3)
INIT_CGROUP = '/proc/1/cgroup'
INIT = '/init.scope'  # where systemd itself is
SLICE = 'system.slice'
# Nobody ends foreign processes with the service, limits them, or moves them. `exec`: started means executed. Each with the
# version that knows it: one that knows no OOMPolicy ends nobody for want of memory.
PROPERTIES = {'Type=exec': 240, 'Delegate=yes': 218, 'KillMode=process': 0, 'OOMPolicy=continue': 243, 'TasksMax=infinity': 227}
OLDEST = 236  # knows --collect
PATIENCE = 30  # seconds for the service's process to be where it belongs, on a host that is busy


def unit(name):
    return 'ebpf_guard-%s.service' % name


def cgroup_of(name, booted=BOOTED, init=INIT_CGROUP):
    """The cgroup of a guard's service, below the cgroup2 mount; empty where systemd does not manage that tree."""
    if os.path.isdir(booted):
        with contextlib.suppress(OSError):
            for line in files.text(init).split('\n'):
                if line.startswith('0::/') and line.endswith(INIT):
                    return '%s/%s/%s' % (line[len('0::'):-len(INIT)], SLICE, unit(name))
    return ''


def slice_of_user(own='/proc/self/cgroup'):
    """The cgroup of all sessions of the user in whose session this process is, below the cgroup2 mount."""
    path = next((line[len('0::/'):] for line in files.text(own).split('\n') if line.startswith('0::/')), '')
    found = re.match(r'(.*/)?user\.slice/user-\d+\.slice(?=/)', path)
    if not found:
        raise GuardError('scope: user guards the sessions of the connecting user. On a host with systemd-logind and '
                         'pam_systemd they are in a slice of their own; this one is in the cgroup /%s. Use scope: tasks.'
                         % path)
    return found.group()


def version(told=None):
    """The number of systemd's version; 0 where it does not tell."""
    found = re.match(r'systemd (\d+)', command.run('systemctl', '--version') if told is None else told)
    return int(found.group(1)) if found else 0


def properties(number):
    """Those that this version knows. One that does not tell its number is taken for old."""
    if number and number < OLDEST:
        raise GuardError("This host has systemd %d, and the guard's service needs %d or later." % (number, OLDEST))
    return [one for one, since in PROPERTIES.items() if max(number, OLDEST) >= since]


def start(name, keeps, pids):
    """Returns when the process that sleeps is in the service's cgroup. `pids()` tells who is there.

    `keeps`: the last part of the guarded cgroup's name. systemd ends a slice, and a user's seconds after the last
    logout, when no unit wants it any more.
    """
    number = version()
    wanted = ['--property=%s=%s' % (how, keeps) for how in ('Wants', 'After') if keeps.endswith('.slice')]
    command.run('systemd-run', '--quiet', '--collect', '--no-ask-password', '--unit=' + unit(name), '--slice=' + SLICE,
                "--description=Loopbreak's guard '%s'" % name, *('--property=' + one for one in properties(number)), *wanted,
                'sleep', 'infinity')
    deadline = time.monotonic() + PATIENCE
    while not pids():  # before 240 the command returns as soon as there is a process, which has yet to go there
        if time.monotonic() > deadline:
            raise GuardError("systemd %s started the guard's service %s, and within %d seconds no process was in its cgroup. "
                             '`systemctl status %s` may tell why.' % (number or '(its version is not known)', unit(name),
                                                                      PATIENCE, unit(name)))
        time.sleep(0.01)


def stop(name):
    command.run('systemctl', '--quiet', '--no-ask-password', 'stop', unit(name))
