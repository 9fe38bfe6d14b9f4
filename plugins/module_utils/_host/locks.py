# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. One call at a time: a lock for each guard, and one for what the guards of a host share.

A lock is the kernel's, of a file that only root can reach. So nobody else can keep a call waiting, and who died has no lock.
The file is there while the lock is taken, and says who has it, for those who wait too long.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import clock, processes

DIRECTORY = '/run/ebpf_guard.lock'  # not below the guards' own, on which a tmpfs may be mounted at any time
SHARED = '.shared'  # no guard's name begins like this
PATIENCE = 60  # seconds; a call may take half a minute: many rules, a slow resolver, a busy host
PAUSE = 0.02
TRIES = 100


class NotTaken(GuardError):
    """Another call has the lock, or there is no room for one."""


@contextlib.contextmanager
def hold(name, doing, patience=None):
    """The lock of this guard. `doing`: what for, as others are told. Raises NotTaken.

    A command that is run meanwhile has it as well (command.py). Nothing else of this process passes it on. Where /run is
    read-only no guard can be changed, and there is no lock.
    """
    path = os.path.join(DIRECTORY, name)
    if os.statvfs(os.path.dirname(DIRECTORY)).f_flag & os.ST_RDONLY:
        yield
        return
    descriptor = _take(path, doing, PATIENCE if patience is None else patience)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            _remove(descriptor, path)
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # also where a process that hangs was given it
        os.close(descriptor)
        _clear()


def shared():
    """What belongs to no guard alone: directories and mounts above them all, controllers. Nobody waits while holding it."""
    return hold(SHARED, 'what all guards share')


def _take(path, doing, patience):
    deadline = time.monotonic() + patience
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):  # else its last holder has removed it meanwhile
                os.set_inheritable(descriptor, True)
                _note(descriptor, doing)
                taken, descriptor = descriptor, None
                return taken
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise NotTaken(_who(descriptor, path, patience))
        finally:
            if descriptor is not None:
                os.close(descriptor)
        time.sleep(PAUSE)


def _open(path):
    for attempt in range(TRIES):
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(DIRECTORY, 0o700)
            found = os.lstat(DIRECTORY)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise NotTaken('%s is no directory that root alone can write to, so the locks of guards have no safe place. '
                               'Remove it.' % DIRECTORY)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            # the last holder of another lock has removed the directory, maybe
            if not isinstance(error, FileNotFoundError) or attempt == TRIES - 1:
                raise NotTaken('The lock %s could not be made: %s. Nothing was changed.' % (path, error.strerror))


def _is_at(descriptor, path):
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)


def _note(descriptor, doing):
    with contextlib.suppress(OSError):  # no room: then nobody is told who it is
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({'pid': os.getpid(), 'started': processes.started(os.getpid()), 'doing': doing,
                                          'since': clock.moment()}).encode(), 0)


def _remove(descriptor, path):
    if _is_at(descriptor, path):
        os.unlink(path)


def _clear():
    """What calls have left that were killed; and the directory, with the last of them."""
    with contextlib.suppress(OSError):
        for entry in os.listdir(DIRECTORY):
            path = os.path.join(DIRECTORY, entry)
            with contextlib.suppress(OSError), open(path) as left:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(left.fileno(), path)
        os.rmdir(DIRECTORY)


def _who(descriptor, path, patience):
    """Who has the lock, as a sentence, and what to do."""
    name = os.path.basename(path)
    what = 'What all guards of this host share' if name == SHARED else "Guard '%s'" % name
    try:
        note = json.loads(os.pread(descriptor, 4096, 0))
        pid, started = note['pid'], note['started']
        who = 'process %d (%s), since %s' % (pid, note['doing'], clock.told(note['since']))
    except (ValueError, KeyError, TypeError, IndexError):  # the holder is just about to write it
        pid, started, who = None, None, 'another call'
    told = '%s is being changed by %s. This call has waited %d seconds for that, and changed nothing. ' % (what, who, patience)
    if pid and processes.started(pid) == started:
        if processes.is_stopped(pid):
            return told + 'That process is stopped: let it go on (kill -CONT %d), or end it (kill -KILL %d).' % (pid, pid)
        return told + 'Try again when it has ended. If it hangs, end it (kill %d).' % pid
    still = ', '.join('%d (%s)' % (pid, processes.command_of(pid)) for pid in processes.with_lock(path))
    if still:
        return told + 'That process has ended, and what it had started has not: %s. Try again when it has, or end it.' % still
    return told + 'Try again.'
