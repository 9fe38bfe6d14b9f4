# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The agent as its guard's calls know it: started, handed over to, ended.

It is started before anything else of a guard exists, from a file without a name, so that nothing can be left behind
between its start and the first thing that it watches over.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import time
import zipfile

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, processes

CODE = __name__.partition('._guard.')[0]  # the package of all that runs on a target
PATIENCE = 20  # seconds for the agent to answer, on a host that is busy


def _archive(main):
    """This package as a zip that Python can run: the code came to the host inside a module, and goes with it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w') as archive:
        parts = CODE.split('.')
        for depth in range(len(parts)):
            archive.writestr('/'.join(parts[:depth + 1]) + '/__init__.py', '')
        for name, module in list(sys.modules.items()):
            if name.startswith(CODE + '.'):
                is_package = hasattr(module, '__path__')
                archive.writestr(name.replace('.', '/') + ('/__init__.py' if is_package else '.py'),
                                 '' if is_package else module.__loader__.get_source(name))
        archive.writestr('__main__.py', 'import sys\nfrom %s import main\nmain(sys.argv[-1])\n' % main.__module__)
    return content.getvalue()


class Agent:
    """The module's end of the conversation: start it, and once the guard is complete let it take over.

    `main`: of the module that runs as the agent. Who starts one has imported it, so that it came to the host as well.
    """

    def __init__(self, place, main):
        self.owes = False
        nameless = os.memfd_create('ebpf_guard')
        try:
            with os.fdopen(os.dup(nameless), 'wb') as content:
                content.write(_archive(main))
            self.process = subprocess.Popen(
                [sys.executable, '-I', '-S', '/proc/self/fd/%d' % nameless, 'ebpf_guard', 'agent', place.name],
                pass_fds=[nameless], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True, cwd='/')
        finally:
            os.close(nameless)

    def open_doors(self):
        """From now on the agent lets in who knocks. Returns when it listens, which also shows that it works."""
        self.wait_until_answering()
        self._order('doors')
        self._hear()

    def begin_answering(self, questions, answering, rules):
        """Answer denied DNS questions. The maps by their ids; `rules`: of the guard's memory. Waits for nothing."""
        self._order('answer ' + json.dumps([questions, answering, rules]))
        self.owes = True

    def wait_until_answering(self):
        """Until a question would be answered, if there is one who could."""
        if self.owes:
            self._hear()
        self.owes = False

    def stop_answering(self):
        """Of a start that failed: the agent must not be in the cgroup that goes."""
        with contextlib.suppress(GuardError):
            self.wait_until_answering()
            self._order('leave')
            self._hear()

    def _order(self, text):
        pipe, left, deadline = self.process.stdin.fileno(), text.encode() + b'\n', time.monotonic() + PATIENCE
        os.set_blocking(pipe, False)  # one that hangs reads nothing, and the rules are more than a pipe holds
        try:
            while left:
                if not select.select([], [pipe], [], max(0, deadline - time.monotonic()))[1]:
                    raise GuardError("The guard's agent does not answer. Is it stopped, or the host very busy?")
                left = left[os.write(pipe, left):]
        except OSError:
            raise GuardError("The guard's agent ended at once.")

    def _hear(self):
        """Each order is followed by a line. Who gives another one has read it."""
        if not select.select([self.process.stdout], [], [], PATIENCE)[0] or not self.process.stdout.readline():
            raise GuardError("The guard's agent did not start. Is the host out of memory, or out of processes?")

    def take_over(self):
        """The guard is up and its memory is written: from now on the agent serves it, and cleans up no more."""
        with contextlib.suppress(GuardError):  # it has died since: the guard tells so when it is looked at
            self._order('up')
        self.process.stdin.close()
        self.process.stdout.close()

    def identity(self):
        return {'pid': self.process.pid, 'started': processes.started(self.process.pid)}


def alive(identity):
    return processes.started(identity['pid']) == identity['started']


def is_own(identity):
    """Is it this process?"""
    return identity['pid'] == os.getpid() and alive(identity)


def stop(identity):
    """End the agent of a guard that is going down, unless it is the one that takes it down."""
    if identity['pid'] == os.getpid():
        return
    for _patience in range(PATIENCE * 100):  # until it is really gone: its cgroup can't be removed before
        if not alive(identity):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(identity['pid'], signal.SIGKILL)  # it holds nothing that would have to be put away
        time.sleep(0.01)


def stop_lost(place, but=None):
    """End the agents that the guard's memory does not tell of: it can't be read, or a call was killed that exchanged the agent.

    `but`: the pid of one that stays.
    """
    for pid in cgroup.pids(place.desk):
        if pid != but and processes.command_of(pid).endswith(' ebpf_guard agent ' + place.name):
            stop({'pid': pid, 'started': processes.started(pid)})


def went_out(place, record):
    """Is this what an agent does that was started from inside the guard, as by a task that exchanges its rules?"""
    return (record['path'] == os.path.join(place.desk, 'cgroup.procs')
            and record['command'].endswith(' ebpf_guard agent ' + place.name))
