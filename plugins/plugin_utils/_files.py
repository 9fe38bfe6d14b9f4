# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Files of people on the controller: read, and replaced as a whole, by one run at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, reason

PATIENCE = 60  # seconds
MODE = 0o666  # of a new file, but for what the umask takes away


def read(path):
    """The text of a file; None where there is none."""
    try:
        with open(path, encoding='utf-8', newline='') as file:
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise GuardError("%s can't be read: %s" % (path, reason(error))) from error


@contextlib.contextmanager
def alone(path):
    """Nobody else changes a file of this directory meanwhile who comes here, too. It leaves no file behind."""
    directory = os.path.dirname(os.path.realpath(path))
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise GuardError("The directory of %s can't be used: %s" % (path, reason(error))) from error
    try:
        _wait_for(lock, path)
        yield
    finally:
        os.close(lock)


def _wait_for(lock, path):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                raise GuardError("%s can't be locked: %s" % (path, reason(error))) from error
        if time.monotonic() > deadline:
            raise GuardError('Another run has been changing files beside %s for %d seconds. Nothing was written. Try again '
                             'when it is over.' % (path, PATIENCE))
        time.sleep(0.1)


def replace(path, text):
    """The whole new file, or the old one: never a part. A link leads to the same file as before."""
    path = os.path.realpath(path)
    try:
        handle, new = tempfile.mkstemp(dir=os.path.dirname(path), prefix='.%s.' % os.path.basename(path))
        try:
            with open(handle, 'w', encoding='utf-8', newline='') as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(new, _mode(path))
            os.replace(new, path)
        except BaseException:
            os.unlink(new)
            raise
    except OSError as error:
        raise GuardError("%s can't be written: %s" % (path, reason(error))) from error


def _mode(path):
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path).st_mode & 0o7777
    umask = os.umask(0)
    os.umask(umask)
    return MODE & ~umask
