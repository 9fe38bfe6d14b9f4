# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Questions to file systems of this host, whose servers may be dead.

Nothing ends a call that waits for such a server, often not even a signal, and no process ends before its threads. So a child
makes these calls, that nobody has to wait for.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import queue
import socket
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import processes

PARALLEL = 8
PATIENCE = 2  # seconds in which all that is left of the child waits, and nothing moves
LONGEST = 60  # seconds for all questions of a call. A host can be so busy that the child hardly comes to run
LOOK = 0.1  # seconds from one look at the child to the next, while there is no answer
REAPED = 2  # the same for the child to end that has answered
MESSAGE = 65536  # bytes; two spellings of a path fit, also in the escapes of JSON


def ask(question, paths):
    """{path: (answer, [file descriptors])} of those for which there was an answer in time.

    `question(path)`, which the child calls, gives both: the answer as JSON has it, and what it has opened.
    """
    if not paths:
        return {}
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    child = os.fork()
    if not child:
        try:
            processes.end_with(parent)
            _keep_only(there.fileno())
            _answer(question, paths, there)
        finally:
            os._exit(0)
    there.close()
    with here:
        found = dict(_heard(here, paths, child))
    processes.reap(child, 0 if len(found) < len(paths) else REAPED)
    return found


def _keep_only(kept):
    """Nothing that somebody else waits for: the ends of pipes, locks."""
    last = max(map(int, os.listdir('/proc/self/fd')))
    os.closerange(0, kept)
    os.closerange(kept + 1, last + 1)


def _answer(question, paths, there):
    waiting = queue.SimpleQueue()
    for numbered in enumerate(paths):
        waiting.put(numbered)

    def work():
        with contextlib.suppress(queue.Empty, OSError):  # or the parent waits no more
            while True:
                number, path = waiting.get_nowait()
                answer, opened = question(path)
                there.sendmsg([json.dumps([number, answer]).encode()],
                              [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', opened))] if opened else [])
                for descriptor in opened:
                    os.close(descriptor)

    for thread in processes.start_threads(work, min(PARALLEL, len(paths))):
        thread.join()


def _heard(here, paths, child):
    """All answers, or those that came until the child only waited: that is a dead server, and no busy host."""
    here.settimeout(LOOK)
    end, watch = time.monotonic() + LONGEST, processes.Watch(child)
    left = len(paths)
    while left:
        try:
            told, passed, _flags, _who = here.recvmsg(MESSAGE, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        except socket.timeout:
            if watch.idle() >= PATIENCE or time.monotonic() >= end:
                return
            continue
        if not told:
            return
        left -= 1
        number, answer = json.loads(told)
        opened = array.array('i')
        for _level, _kind, content in passed:
            opened.frombytes(content)
        yield paths[number], (answer, list(opened))
