# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The standby: a process that waits for the agent to end, however it ends, and then takes its place.

It imports next to nothing, because it is there all the time. Two locks beside its code tell who is who: the agent holds
`serving`, its standby `waiting`. The kernel lets go of them when a process ends, so there is one of each, whoever starts
another one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time

SERVING, WAITING = 'serving', 'waiting'


def main(name):
    """Wait until nobody serves the guard, and go on as its agent."""
    directory = os.path.dirname(sys.argv[0])
    serving, waiting = (os.path.join(directory, lock) for lock in (SERVING, WAITING))
    if take(waiting) is None:
        return
    held = take(serving)
    if held is None:
        held = take(serving, waits=True)
        beat(held)  # the agent lived until now
    os.set_inheritable(held, True)
    os.execv(sys.executable, command(sys.argv[0], str(held), 'ebpf_guard', 'agent', name))


def command(code, *words):
    """Python, without anything of this host's settings for it."""
    return [sys.executable, '-I', '-S', code, *words]


def take(path, waits=False):
    """The file descriptor that holds a lock, or None where another process holds it. `waits`: until that has ended."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(path):
    """Is a process there that has this lock?"""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def clock():
    """In seconds: nobody sets it, and it goes on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def beat(serving):
    """Note on the agent's lock that it is alive."""
    with contextlib.suppress(OSError):  # on a file system that has become read-only
        os.utime(serving, (clock(), clock()))


def last_beat(serving):
    """When the agent was alive, by that clock."""
    return os.stat(serving).st_mtime
