# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The agent as its guard's calls know it: started, handed over to, ended.

It is started before anything else of a guard exists, from a file without a name, so that nothing can be left behind
between its start and the first thing that it watches over. Once the guard is up, its code is in the run directory, and
its standby (standby.py) is started from there.
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
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import company, standby
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, processes

CODE = __name__.partition('._guard.')[0]  # the package of all that runs on a target
MAIN = '''import sys
if sys.argv[-2] == 'standby':
    from %(standby)s import main
elif sys.argv[-2] == 'revive':
    from %(company)s import main
else:
    from %(agent)s import main
main(sys.argv[-1], *map(int, sys.argv[1:-3]))
'''
PATIENCE = 20  # seconds in which the agent only waits, and does not answer. One that works has all the time that it needs
LOOK = 0.1  # seconds from one look at it to the next


def _archive(main):
    """This package as a zip that Python can run: the code came to the host inside a module, and goes with it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        parts = CODE.split('.')
        for depth in range(len(parts)):
            archive.writestr('/'.join(parts[:depth + 1]) + '/__init__.py', '')
        for name, module in list(sys.modules.items()):
            if name.startswith(CODE + '.'):
                is_package = hasattr(module, '__path__')
                archive.writestr(name.replace('.', '/') + ('/__init__.py' if is_package else '.py'),
                                 '' if is_package else module.__loader__.get_source(name))
        archive.writestr('__main__.py', MAIN % {'agent': main.__module__, 'standby': standby.__name__, 'company': company.__name__})
    return content.getvalue()


class Agent:
    """The module's end of the conversation: start it, and once the guard is complete let it take over.

    `main`: of the module that runs as the agent. Who starts one has imported it, so that it came to the host as well.
    """

    def __init__(self, place, main):
        self.owes = False
        self.code = _archive(main)
        nameless = os.memfd_create('ebpf_guard')
        try:
            with os.fdopen(os.dup(nameless), 'wb') as content:
                content.write(self.code)
            self.process = subprocess.Popen(
                [sys.executable, '-I', '-S', '/proc/self/fd/%d' % nameless, 'ebpf_guard', 'agent', place.name],
                pass_fds=[nameless], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True, cwd='/')
        finally:
            os.close(nameless)

    def open_doors(self):
        """From now on the agent lets in who knocks. Returns when it listens, which also shows that it works."""
        self.wait_until_answering()
        self._order('doors', 'to open the doors')
        self._hear('to open the doors')

    def begin_answering(self, questions, answering, rules):
        """Answer denied DNS questions. The maps by their ids; `rules`: of the guard's memory. Waits for nothing."""
        self._order('answer ' + json.dumps([questions, answering, rules]), 'to hear which questions it is to answer')
        self.owes = True

    def wait_until_answering(self):
        """Until a question would be answered, if there is one who could."""
        if self.owes:
            self._hear('to answer DNS questions')
        self.owes = False

    def leave_desk(self):
        """Of a start that failed: the agent must not be in the cgroup that goes."""
        with contextlib.suppress(GuardError):
            self.wait_until_answering()
            self._order('leave', 'to leave its cgroup')
            self._hear('to leave its cgroup')

    def _order(self, text, what):
        pipe, left = self.process.stdin.fileno(), text.encode() + b'\n'
        os.set_blocking(pipe, False)  # one that hangs reads nothing, and the rules are more than a pipe holds
        try:
            while left:
                self._wait([], [pipe], what)
                left = left[os.write(pipe, left):]
        except OSError:
            raise self._ended(what)

    def _hear(self, what):
        """Each order is followed by a line. Who gives another one has read it."""
        self._wait([self.process.stdout], [], what)
        if not self.process.stdout.readline():
            raise self._ended(what)

    def _wait(self, readers, writers, what):
        """Until the agent has done its part: also for minutes, on a host so slow, as long as it works."""
        watch = processes.Watch(self.process.pid, all_threads=False)
        while not any(select.select(readers, writers, [], LOOK)):
            if watch.idle() >= PATIENCE:
                raise GuardError("This call waited for the guard's agent (process %d) %s, and it has done nothing for %d seconds. %s" % (
                    self.process.pid, what, PATIENCE, _why_idle(self.process.pid)))

    def _ended(self, what):
        ended = self.process.wait()
        how = 'was killed by signal %d' % -ended if ended < 0 else 'ended with status %d' % ended
        return GuardError("This call waited for the guard's agent %s, and it %s. Is the host out of memory, or out of processes?" % (
            what, how))

    def take_over(self):
        """The guard is up and its memory is written: from now on the agent serves it, and cleans up no more."""
        with contextlib.suppress(GuardError):  # it has died since: the guard tells so when it is looked at
            self._order('up', 'to take over')
        self.process.stdin.close()
        self.process.stdout.close()

    def identity(self):
        return {'pid': self.process.pid, 'started': processes.started(self.process.pid)}


def _why_idle(pid):
    """What keeps an agent that does not work, in a sentence, with what to do."""
    if processes.is_stopped(pid):
        return 'A signal or a debugger has stopped it. kill -CONT %d lets it go on.' % pid
    frozen = cgroup.frozen(cgroup.mount_point() + cgroup.of(pid))
    if frozen:
        return '%s echo 0 > %s/cgroup.freeze lets it go on.' % (cgroup.why_frozen(frozen), frozen)
    return 'It waits for a disk or a file server, or a security module holds it up: dmesg may tell.'


def is_own(identity):
    """Is it this process?"""
    return identity['pid'] == os.getpid() and processes.started(os.getpid()) == identity['started']


def stop(place, but=None):
    """End the agent and its standby, and any other that was left, unless it is this process, or `but`.

    Each of them is at the desk, and what is born there is as well. A look that comes while one executes the next program
    sees no command, so it is looked at again.
    """
    for _patience in range(PATIENCE * 100):  # until they are really gone: the cgroup can't be removed before
        living = [(pid, processes.command_of(pid)) for pid in cgroup.pids(place.desk)
                  if pid not in (os.getpid(), but) and processes.started(pid) is not None]
        ours = [(pid, command) for pid, command in living if not command or command.endswith(_ends(place))]
        if not ours:
            return
        for pid, command in sorted(ours, key=lambda one: 'agent' in one[1].split()[-2:]):  # the standby first, or it takes over
            if command:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # it holds nothing that would have to be put away
        time.sleep(0.01)


def _ends(place):
    """What the command lines of the agent and of its standby end with."""
    return tuple(' ' + ' '.join(company.words(place, what)) for what in ('agent', 'standby', 'revive'))


def went_out(place, record):
    """Is this what an agent does that was started from inside the guard, as by a task that exchanges its rules?"""
    return record['path'] == os.path.join(place.desk, 'cgroup.procs') and record['command'].endswith(_ends(place))
