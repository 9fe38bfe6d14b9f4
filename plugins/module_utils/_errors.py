# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every stage raises, and the words for what Python raises. Only a module's main() turns it into fail_json. Private to
this collection.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import traceback

from ansible_collections.loopbreak.deploy.plugins.module_utils import _confined

# What to do about what a host lacks, by errno
ADVICE = {
    errno.EAGAIN: 'This host lets no more processes or threads start here: raise pids.max of the cgroup (TasksMax= of the '
                  'service or the session), or the limit of processes (ulimit -u).',
    errno.ENOMEM: 'There is too little memory here: free some, or raise the limit (memory.max of the cgroup, ulimit -v).',
    errno.ENOSPC: 'Make room on that file system.', errno.EDQUOT: "Raise root's quota on that file system.",
    errno.EROFS: 'Mount that file system writable.', errno.EFBIG: 'Raise the limit of the size of files (ulimit -f).',
    errno.EMFILE: 'Raise the limit of open files (ulimit -n).', errno.ENFILE: 'Raise fs.file-max of this host.',
    errno.EIO: 'The disk, or the file server, does not work.',
}
FORBIDDEN = (errno.EACCES, errno.EPERM)
# What a file or a directory is that is something else than it has to be
FOREIGN = (errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.EEXIST, errno.ENXIO, errno.EINVAL)
NO_THREAD = "can't start new thread"  # Python's words


class GuardError(Exception):
    """A failure told in one whole human message; `facts` are further keys for fail_json."""

    def __init__(self, message, **facts):
        super().__init__(message)
        self.facts = facts


class NotTried(GuardError):
    """A guard could not be tried out. That says nothing of the guard."""


class PolicyError(GuardError):
    """The policy can't be accepted; nothing on the target was touched."""


def reason(error):
    """Why something could not be done: what the host said, of what, and what to do. Not what Python calls it."""
    if isinstance(error, MemoryError):
        error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    elif isinstance(error, RuntimeError) and NO_THREAD in str(error):
        error = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    if isinstance(error, GuardError) or not isinstance(error, OSError):
        return str(error)
    said, advice = error.strerror or str(error) or type(error).__name__, ADVICE.get(error.errno, '')
    if error.errno in FORBIDDEN:
        advice = 'Something forbids that to root: %s.' % (_confined.told() or 'a security module, or an attribute of the file (lsattr)')
    if isinstance(error.filename, (str, bytes)):
        said += ' (%s)' % os.fsdecode(error.filename)
        if error.errno in FOREIGN:
            advice = 'If somebody else than the guard has put that there, remove it.'
    return ('%s. %s' % (said, advice)).strip()


def failure(error, doing):
    """What a module fails with, as arguments of fail_json. `doing`: what it could not do, in words."""
    facts = dict(getattr(error, 'facts', {}))
    if isinstance(error, GuardError):
        said = str(error)
    elif reason(error) != str(error):
        said = '%s could not be %s: %s' % (*doing, reason(error))
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = ('%s could not be %s, because of an error of the collection itself (%s in %s of %s, line %d). Please report '
                'it, with what -vvv shows.' % (
                    *doing, type(error).__name__, last.name, os.path.basename(last.filename), last.lineno))
        facts['exception'] = ''.join(traceback.format_exception(type(error), error, error.__traceback__))
    return dict(facts, msg=said.encode('utf-8', 'backslashreplace').decode())


@contextlib.contextmanager
def answered(*doing):
    """Around what comes before a module can answer by itself: Ansible's own part needs files and processes, too."""
    try:
        yield
    except Exception as error:  # pylint: disable=broad-exception-caught
        cause = error
        while cause and not isinstance(cause, (OSError, MemoryError)):
            cause = cause.__context__  # where Ansible can't tell what a host lacks, that has an error of its own
        if not cause:
            raise
        sys.stdout.write(json.dumps(dict(failure(cause, doing), failed=True)) + '\n')
        raise SystemExit(1)
