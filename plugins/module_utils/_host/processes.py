# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Processes of the host: what runs there, since when, and who started it; the limits and the threads of this one."""

from __future__ import annotations

import contextlib
import resource
import threading

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _secrets
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, reason
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files

LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_AS, resource.RLIMIT_DATA)
OPEN_FILES = 4096  # at least, where root may have them


def started(pid):
    """When a process started, in clock ticks since boot; None where there is no such process."""
    try:
        fields = files.text('/proc/%d/stat' % pid).rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] in 'ZX' else int(fields[19])


def command_of(pid):
    """The command line as records have it: without secrets, and cut."""
    try:
        with open('/proc/%d/cmdline' % pid, 'rb') as content:
            kept = content.read(_abi.ARGS)
    except OSError:
        return ''
    return _secrets.shown(_secrets.arguments(kept), len(kept) == _abi.ARGS)


def ancestors(pid):
    """This process and those that started it."""
    while pid:
        yield pid
        try:
            pid = int(files.text('/proc/%d/stat' % pid).rpartition(')')[2].split()[1])
        except OSError:
            return


def lift_limits():
    """Take for this process what it may have. A login can be given little, and half a guard is none."""
    for limit in LIMITS:
        with contextlib.suppress(OSError, ValueError):
            hard = resource.getrlimit(limit)[1]
            resource.setrlimit(limit, (hard, hard))
    with contextlib.suppress(OSError, ValueError):
        if 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < OPEN_FILES:
            resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))


def start_threads(work, number):
    """Threads that no process waits for at its end: as many as this host lets it start. One of them has to be."""
    threads = []
    try:
        for _number in range(number):
            threads.append(threading.Thread(target=work, daemon=True))
            threads[-1].start()
    except (RuntimeError, MemoryError) as error:
        if len(threads) == 1:
            raise GuardError('No thread could be started: %s' % reason(error))
        threads.pop()
    return threads
