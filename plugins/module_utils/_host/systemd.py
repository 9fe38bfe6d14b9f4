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

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import command

BOOTED = '/run/systemd/system'  # as in sd_booted(3)
INIT_CGROUP = '/proc/1/cgroup'
INIT = '/init.scope'  # where systemd itself is
SLICE = 'system.slice'
# Nobody ends foreign processes with the service, limits them, or moves them. `exec`: started means executed.
PROPERTIES = ('Type=exec', 'Delegate=yes', 'KillMode=process', 'OOMPolicy=continue', 'TasksMax=infinity')


def unit(name):
    return 'ebpf_guard-%s.service' % name


def cgroup_of(name, booted=BOOTED, init=INIT_CGROUP):
    """The cgroup of a guard's service, below the cgroup2 mount; empty where systemd does not manage that tree."""
    if os.path.isdir(booted):
        with contextlib.suppress(OSError), open(init) as lines:
            for line in lines.read().splitlines():
                if line.startswith('0::/') and line.endswith(INIT):
                    return '%s/%s/%s' % (line[len('0::'):-len(INIT)], SLICE, unit(name))
    return ''


def slice_of_user(own='/proc/self/cgroup'):
    """The cgroup of all sessions of the user in whose session this process is, below the cgroup2 mount."""
    with open(own) as lines:
        path = next((line[len('0::/'):] for line in lines.read().splitlines() if line.startswith('0::/')), '')
    found = re.match(r'(.*/)?user\.slice/user-\d+\.slice(?=/)', path)
    if not found:
        raise GuardError('scope: user guards the sessions of the connecting user. On a host with systemd-logind and '
                         'pam_systemd they are in a slice of their own; this one is in the cgroup /%s. Use scope: tasks.'
                         % path)
    return found.group()


def start(name, keeps):
    """Returns when the process that sleeps is in the service's cgroup.

    `keeps`: the last part of the guarded cgroup's name. systemd ends a slice, and a user's seconds after the last
    logout, when no unit wants it any more.
    """
    wanted = ['--property=%s=%s' % (how, keeps) for how in ('Wants', 'After') if keeps.endswith('.slice')]
    command.run('systemd-run', '--quiet', '--collect', '--no-ask-password', '--unit=' + unit(name), '--slice=' + SLICE,
                "--description=Loopbreak's guard '%s'" % name, *('--property=' + one for one in PROPERTIES), *wanted,
                'sleep', 'infinity')


def stop(name):
    command.run('systemctl', '--quiet', '--no-ask-password', 'stop', unit(name))
