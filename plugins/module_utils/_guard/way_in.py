# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The way in, tried as each user that may join: whom the launcher does not lead inside is told before a task is.

How a user becomes another one is tried by the controller, because only that knows how.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _confined
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, NotTried, reason
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import users

PATIENCE = 30  # seconds; the launcher itself waits for the agent for some ten
TRIED = 'exit 0'  # by the shell that the launcher becomes
ROOT = namedtuple('User', 'pw_name pw_uid pw_gid')('root', 0, 0)


def check(place, uid):
    """Raises GuardError where this user's tasks would not get inside, with what is in the way. Returns whether somebody went
    in: a user who is not there any more does not.
    """
    user = users.numbered(uid) if uid else ROOT  # root goes in whether or not a name service answers
    if user is None:  # removed since: nobody comes by this name
        return False
    groups = users.groups(user) if uid else None  # here: a child of a process with threads should look nothing up

    def become():
        os.setgroups(groups)
        os.setgid(user.pw_gid)
        os.setuid(uid)

    try:
        entered = subprocess.run([place.launcher, '-c', TRIED], cwd='/', preexec_fn=become if uid else None,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                                 timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise NotTried("For user '%s' the launcher %s did not end within %d seconds." % (
            user.pw_name, place.launcher, PATIENCE))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.ENOMEM):
            raise NotTried('The launcher could not be tried out: %s' % reason(error))
        raise GuardError("User '%s' can't run the launcher %s, through which all of this user's tasks have to go: %s. %s" % (
            user.pw_name, place.launcher, error.strerror, _remedy(place.launcher, user)))
    if entered.returncode == -signal.SIGKILL:
        raise NotTried('Something killed the launcher, as the kernel does where a cgroup is out of memory.')
    if entered.returncode:
        said = (entered.stderr or entered.stdout).decode('utf-8', 'replace').strip().partition('\n')[0]
        raise GuardError("The guard did not prove itself: for user '%s' its launcher %s ended with %d%s" % (
            user.pw_name, place.launcher, entered.returncode, ': ' + said if said else '.'))
    return True


def _remedy(launcher, user):
    """What keeps the user from running it, and what to change."""
    directory = os.path.dirname(launcher)
    if os.statvfs(directory).f_flag & os.ST_NOEXEC:
        return '%s is on a file system that is mounted noexec. Mount it with exec.' % directory
    while directory != '/':
        if not _may_pass(os.stat(directory), user):
            return 'The mode of %s shuts this user out. Give it 0755.' % directory
        directory = os.path.dirname(directory)
    return ('Modes and mount allow that, so an ACL, a security module, or a service such as fapolicyd forbids it%s. Have it let '
            'this user execute what is below %s.' % (_seen(), os.path.dirname(os.path.dirname(launcher))))


def _seen():
    told = _confined.told()
    return ' (%s)' % told if told else ''


def _may_pass(status, user):
    if user.pw_uid == status.st_uid:
        return status.st_mode & stat.S_IXUSR
    if status.st_gid in users.groups(user):
        return status.st_mode & stat.S_IXGRP
    return status.st_mode & stat.S_IXOTH
