# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The doors: a FIFO for each user that may join. A launcher writes its pid there, and the agent moves it in."""

from __future__ import annotations

import contextlib
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import make_open
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, labels


def make_doors(place, uids):
    """A door for each of these users, and for nobody else: only this user can write to it."""
    make_open(place.doors)
    for entry in os.listdir(place.doors):
        if entry not in map(str, uids):
            os.unlink(os.path.join(place.doors, entry))
    for uid in uids:
        door = os.path.join(place.doors, str(uid))
        if not os.path.exists(door):
            os.mkfifo(door, 0o600)
            labels.give(door, labels.WRITTEN)
            os.chown(door, uid, -1)


def open_doors(place):
    """{file descriptor: uid}"""
    return {os.open(os.path.join(place.doors, entry), os.O_RDWR | os.O_NONBLOCK): int(entry)
            for entry in os.listdir(place.doors) if entry.isdecimal()}


def admit(place, word, uid):
    """Move a process of this user into the guard: only its own ones, and none out of another guard.

    Returns (uid, pid, owner) where it is somebody else's.
    """
    with contextlib.suppress(OSError, ValueError):  # ended, or no pid: its launcher waits in vain, and refuses
        pid = int(word)
        owner = os.stat('/proc/%d' % pid).st_uid
        if owner != uid:
            return uid, pid, owner
        if not cgroup.is_guarded(pid) and os.path.isdir(place.doors):  # they are taken away first when the guard ends
            cgroup.enter(place.cgroup, pid)
    return None
