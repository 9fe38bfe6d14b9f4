# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Who the users of this host are. Its name services may ask a directory over the network, which may not answer."""

from __future__ import annotations

import os
import pwd
import queue

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import processes

PATIENCE = 10  # seconds for one question


def named(name):
    """What the host knows of a user; None where there is no such user."""
    return _ask(pwd.getpwnam, name)


def numbered(uid):
    return _ask(pwd.getpwuid, uid)


def groups(user):
    """The groups of a user, of whom the host has told."""
    return _ask(os.getgrouplist, user.pw_name, user.pw_gid)


def _ask(question, who, *more):
    """Nothing ends a call into the name services. So a thread makes it, that no process has to wait for."""
    answered = queue.SimpleQueue()

    def ask():
        try:
            answered.put(question(who, *more))
        except (KeyError, ValueError):  # ValueError: no name that any user could have
            answered.put(None)

    processes.start_threads(ask, 1)
    try:
        return answered.get(timeout=PATIENCE)
    except queue.Empty:
        raise GuardError("Within %d seconds this host did not tell who user '%s' is: a name service of /etc/nsswitch.conf does "
                         'not answer. Try `id %s` there.' % (PATIENCE, who, who))
