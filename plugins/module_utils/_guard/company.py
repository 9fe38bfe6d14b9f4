# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A guard has an agent, and the agent a standby: who starts another one, where one has ended.

The agent starts its standby. Where both have ended, the launcher does when root enters, and ebpf_guard_info. All of this is the
same on every host. systemd could start a process again only in a service of its own, because it removes empty cgroups of a
service meanwhile, and such a service would have to come and go with the guard.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import standby
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import Place
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup

OFTEN = 1  # seconds; an agent that served for less did not serve
SELDOM = 60
PATIENCE = 20  # seconds for a process to be there, on a host that is busy
UNBOUND = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC)


def words(place, what):
    """The end of a command line, by which one is known."""
    return 'ebpf_guard', what, place.name


class Company:
    """The agent's part: there is a standby."""

    def __init__(self, place, lived):
        """`lived`: how long the agent served whose place this one takes; None for the first one."""
        self.place, self.pause, self.due = place, OFTEN, 0
        # what ends each agent at once ends at last: after this one there is none, until root enters
        if lived is None or lived > OFTEN:
            self.keep()

    def keep(self):
        """Start one where none waits, and more and more seldom where it does not stay."""
        if standby.is_held(self.place.waiting):
            self.pause = OFTEN
        elif standby.clock() >= self.due:
            _start(self.place, 'standby')
            self.due, self.pause = standby.clock() + self.pause, min(2 * self.pause, SELDOM)


def revive(place):
    """Start the agent again where a guard that is up has none. Returns whether one serves now that was not there."""
    if not os.path.exists(place.state) or not os.path.exists(place.code) or standby.is_held(place.serving):
        return False
    began, process = standby.clock(), _start(place, 'revive')
    while process and standby.clock() < began + PATIENCE:
        is_there = standby.is_held(place.serving)
        if is_there and standby.last_beat(place.serving) > began:
            return True
        if process.poll() is not None and not is_there:
            return False
        time.sleep(0.01)
    return False


def _start(place, what):
    try:
        return subprocess.Popen(standby.command(place.code, *words(place, what)), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd='/')
    except OSError:  # no room for a process: who starts one tries again later
        return None


def main(name):
    """Come to the agent's cgroup, where who takes the guard down ends it, and be the standby of an agent that may have ended.

    Waits for the call that is changing the guard now.
    """
    _stand_alone()
    place = Place(name)
    with place.lock('starting its agent again'):
        if not os.path.exists(place.state):
            return
        cgroup.enter(place.desk)
    command = standby.command(place.code, *words(place, 'standby'))
    os.execv(command[0], command)


def _stand_alone():
    """Whoever started it, as a task's shell may have: nothing of theirs is kept, and nothing of theirs ends it."""
    with contextlib.suppress(OSError):  # it has a session of its own already
        os.setsid()
    os.chdir('/')
    os.umask(0o077)
    for descriptor in map(int, os.listdir('/proc/self/fd')):
        with contextlib.suppress(OSError):  # that of the list
            if descriptor > 2:
                os.close(descriptor)
    for limit in UNBOUND:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for name in set(os.environ) - {'PATH'}:  # of the C library's resolver, say
        del os.environ[name]
