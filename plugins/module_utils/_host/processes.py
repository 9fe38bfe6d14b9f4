# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Processes of the host: what runs there, since when, and who started it; the limits and the threads of this one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import threading
import time
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _secrets
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, reason
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files

LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_AS, resource.RLIMIT_DATA)
OPEN_FILES = 4096  # at least, where root may have them
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

# runs: it has a CPU, or would take one; switched: how often it left one so far
Thread = namedtuple('Thread', 'number runs switched')


def started(pid):
    """When a process started, in clock ticks since boot; None where there is no such process."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in 'ZX' else None


def is_stopped(pid):
    """By a signal, or by a debugger."""
    fields = _stat(pid)
    return bool(fields) and fields[0] in 'Tt'


def threads(pid):
    """The threads of a process, as Thread."""
    found = []
    with contextlib.suppress(OSError):
        for number in os.listdir('/proc/%d/task' % pid):
            told = {line[0]: line[1] for line in files.words('/proc/%d/task/%s/status' % (pid, number)) if len(line) > 1}
            found.append(Thread(int(number), told['State:'] == 'R', sum(
                int(told[kind + 'voluntary_ctxt_switches:']) for kind in ('', 'non'))))
    return found


class Watch:
    """How long a process has done nothing but wait. On a host that is busy or slow it runs, or would if it had a CPU.

    `all_threads`: False for one whose other threads wake up now and then, whatever becomes of the first.
    """

    def __init__(self, pid, all_threads=True):
        self.pid, self.all_threads = pid, all_threads
        self._moved, self._before = time.monotonic(), None

    def idle(self):
        """In seconds. It knows what it has seen: who wants to know has to ask again and again."""
        now, found = time.monotonic(), [thread for thread in threads(self.pid) if self.all_threads or thread.number == self.pid]
        if found != self._before or any(thread.runs for thread in found):
            self._before, self._moved = found, now
        return now - self._moved


def _stat(pid):
    """What proc(5) tells behind the name; None where there is no such process."""
    try:
        return files.text('/proc/%d/stat' % pid).rpartition(')')[2].split()
    except OSError:
        return None


def usage(pid):
    """{cpu_seconds, memory} of a process, memory in bytes that are resident; None where there is no such process."""
    fields = _stat(pid) if pid else None
    return fields and {'cpu_seconds': (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK'),
                       'memory': int(fields[21]) * resource.getpagesize()}


def with_lock(path):
    """The processes that have the lock of a file; not those that only have it open."""
    found = []
    for pid in sorted(int(entry) for entry in os.listdir('/proc') if entry.isdigit()):
        with contextlib.suppress(OSError):
            for descriptor in os.listdir('/proc/%d/fd' % pid):
                if os.readlink('/proc/%d/fd/%s' % (pid, descriptor)) == path:
                    with open('/proc/%d/fdinfo/%s' % (pid, descriptor)) as told:
                        if 'FLOCK' in told.read():
                            found.append(pid)
    return found


def end_with(parent):
    """A child that is killed with the process that forked it: it is of no use to anybody else, and has that one's locks."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def reap(child, patience=2):
    """Kill a child. Returns its status; None where it does not end, as who waits for a dead file server."""
    os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    return None


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
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0


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
