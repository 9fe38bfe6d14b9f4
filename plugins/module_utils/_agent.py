# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The agent: one small process beside a guard. Enforcement does not need it.

It removes what a start leaves that dies half-way, lets the processes of `join_users` in, looks the names of the rules
up again and again, ends the sockets of those who ignore that they were refused, and takes a forgotten guard down when
its time is over. It is started before anything else of a guard exists, from a file without a name, so that
nothing can be left behind between its start and the first thing that it watches over.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import subprocess
import sys
import threading
import time
import zipfile

from ansible_collections.loopbreak.deploy.plugins.module_utils import _cgroup
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._state import Place

PACKAGE = __name__.rpartition('.')[0]
PATIENCE = 20  # seconds for the agent to answer, on a host that is busy
TOLD = 100  # processes that users tried to bring in; who tries more can't fill the log
GLANCE = 60  # seconds between two looks whether the guard is still there


def _archive():
    """This package as a zip that Python can run: the code came to the host inside a module, and goes with it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w') as archive:
        parts = PACKAGE.split('.')
        for depth in range(len(parts)):
            archive.writestr('/'.join(parts[:depth + 1]) + '/__init__.py', '')
        for name, module in list(sys.modules.items()):
            if name.rpartition('.')[0] == PACKAGE:
                archive.writestr(name.replace('.', '/') + '.py', module.__loader__.get_source(name))
        archive.writestr('__main__.py', 'import sys\nfrom %s import main\nmain(sys.argv[-1])\n' % __name__)
    return content.getvalue()


class Agent:
    """The module's end of the conversation: start it, and once the guard is complete let it take over."""

    def __init__(self, place):
        nameless = os.memfd_create('ebpf_guard')
        try:
            with os.fdopen(os.dup(nameless), 'wb') as content:
                content.write(_archive())
            self.process = subprocess.Popen(
                [sys.executable, '-I', '-S', '/proc/self/fd/%d' % nameless, 'ebpf_guard', 'agent', place.name],
                pass_fds=[nameless], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True, cwd='/')
        finally:
            os.close(nameless)

    def open_doors(self):
        """Returns when the agent listens at the doors, which also shows that it works."""
        try:
            self.process.stdin.write(b'doors\n')
            self.process.stdin.flush()
        except OSError:
            raise GuardError("The guard's agent ended at once.")
        if not select.select([self.process.stdout], [], [], PATIENCE)[0] or not self.process.stdout.readline():
            raise GuardError("The guard's agent did not start. Is the host out of memory, or out of processes?")

    def take_over(self):
        """The guard is up and its memory is written: from now on the agent serves it, and cleans up no more."""
        with contextlib.suppress(OSError):  # it has died since: the guard tells so when it is looked at
            self.process.stdin.write(b'up\n')
            self.process.stdin.close()
        self.process.stdout.close()

    def identity(self):
        return {'pid': self.process.pid, 'started': _started(self.process.pid)}


def _started(pid):
    """When a process started, in clock ticks since boot; None where there is no such process."""
    try:
        with open('/proc/%d/stat' % pid) as stat:
            fields = stat.read().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] in 'ZX' else int(fields[19])


def alive(identity):
    return _started(identity['pid']) == identity['started']


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


def stop_lost(place):
    """End the agents of a guard whose memory can't be read, so that nobody knows their pids."""
    for pid in _cgroup.pids(place.desk):
        if _cgroup.command_of(pid).endswith(' ebpf_guard agent ' + place.name):
            stop({'pid': pid, 'started': _started(pid)})


def went_out(place, record):
    """Is this what an agent does that was started from inside the guard, as by a task that exchanges its rules?"""
    return (record['path'] == os.path.join(place.desk, 'cgroup.procs')
            and record['command'].endswith(' ebpf_guard agent ' + place.name))


def make_doors(place, uids):
    """A FIFO for each user that may join: only this user can write to it."""
    os.makedirs(place.doors, mode=0o755, exist_ok=True)
    for entry in os.listdir(place.doors):
        if int(entry) not in uids:
            os.unlink(os.path.join(place.doors, entry))
    for uid in uids:
        door = os.path.join(place.doors, str(uid))
        if not os.path.exists(door):
            os.mkfifo(door, 0o600)
            os.chown(door, uid, -1)


def main(name):
    """The agent's life. Its standard input says what the start has done so far, or ends when the start has died."""
    place = Place(name)
    doors = {}
    if sys.stdin.readline() == 'doors\n':
        doors = {os.open(os.path.join(place.doors, entry), os.O_RDWR | os.O_NONBLOCK): int(entry)
                 for entry in os.listdir(place.doors)}
        with contextlib.suppress(OSError):  # the start has died since, as the next line tells
            sys.stdout.write('open\n')
            sys.stdout.flush()
    if sys.stdin.readline() != 'up\n':
        from ansible_collections.loopbreak.deploy.plugins.module_utils import _guard
        _guard.abandon(place)
        return
    sys.stdout.close()
    _cgroup.enter(place.desk)  # leave the login session: it would not end before its processes
    _serve(place, doors)


def _serve(place, doors):
    from ansible_collections.loopbreak.deploy.plugins.module_utils import _guard, _ledger
    knocking = select.poll()
    for door in doors:
        knocking.register(door, select.POLLIN)
    told = set()
    refusals = _guard.refusals(place)
    knocking.register(refusals, select.POLLIN)
    threading.Thread(target=_look_up, args=(place,), daemon=True).start()  # a slow resolver keeps nobody at a door
    while True:
        state = place.read()
        if state is None:
            return
        left = state['expires_at'] - time.time() if state['expires_at'] else GLANCE
        if left <= 0:
            _guard.expire(place)
            return
        for door, _event in knocking.poll(min(left, GLANCE) * 1000 + 1):
            if door not in doors:
                refusals.read()
                continue
            for word in os.read(door, 4096).split():
                refused = _admit(place, word, doors[door])
                if refused and refused not in told and len(told) < TOLD:
                    told.add(refused)
                    _ledger.append_refusal(place.log, place.name, *refused, _cgroup.command_of(refused[1]))


def _look_up(place):
    """Every `resolve.interval` seconds: what the names of the rules lead to by now, for the kernel."""
    from ansible_collections.loopbreak.deploy.plugins.module_utils import _guard, _policy, _resolve
    state = place.read()
    policy = _policy.check(state['policy'])
    names = _resolve.exact_names(policy)
    start = 0
    while policy.interval and names:
        time.sleep(policy.interval)
        # of very many names, some at a time: a guard must not be a burden to the resolver
        batch, start = names[start:start + _resolve.AT_ONCE], start + _resolve.AT_ONCE
        if start >= len(names):
            start = 0
        with contextlib.suppress(GuardError, OSError):  # the guard is going down, or is being mended
            _guard.learn(place, _resolve.look_up(batch))


def _admit(place, word, uid):
    """Move a process of this user into the guard: only its own ones, and none out of another guard.

    Returns (uid, pid, owner) where it is somebody else's.
    """
    with contextlib.suppress(OSError, ValueError):  # ended, or no pid: its launcher waits in vain, and refuses
        pid = int(word)
        owner = os.stat('/proc/%d' % pid).st_uid
        if owner != uid:
            return uid, pid, owner
        if not _cgroup.is_guarded(pid):
            _cgroup.enter(place.cgroup, pid)
    return None
