# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The agent as it runs: one small process beside a guard. Enforcement does not need it.

It removes what a start leaves that dies half-way, lets the processes of `join_users` in, looks the names of the rules
up again and again, makes room in the kernel's tables of names, answers denied DNS questions, ends the sockets of those who
ignore that they were refused, and takes a forgotten guard down when its time is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import threading
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import answers, doors, stop
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import Place
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, processes, resolver, sockdiag
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, libbpf, pinned, teach
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log

SHOWN = 100  # processes that users tried to bring in; who tries more can't fill the log
GLANCE = 60  # seconds between two looks whether the kernel's tables of names have room
OFTEN = 1  # the same, whether the guard is still there and its memory has changed


def main(name):
    """The agent's life. Its standard input says what the start has done so far, or ends when the start has died."""
    place = Place(name)
    for order in iter(sys.stdin.readline, 'up\n'):
        if order == 'doors\n':
            # in a thread, so that the start can try them, and that nothing else keeps anybody waiting
            threading.Thread(target=_admit, args=(place, doors.open_doors(place)), daemon=True).start()
        elif order.startswith('answer ') and order.endswith('\n'):  # a start that was killed may have written half of it
            _answer_questions(place, *json.loads(order[len('answer '):]))
        elif order == 'leave\n':
            _leave_desk(place)
        else:
            _leave_desk(place)
            stop.abandon(place)
            return
        with contextlib.suppress(OSError):  # the start has died since, as the next line tells
            sys.stdout.write('done\n')
            sys.stdout.flush()
    sys.stdout.close()
    cgroup.enter(place.desk)  # leave the login session: it would not end before its processes
    _serve(place)


def _leave_desk(place):
    """Out of the cgroup that is about to be removed."""
    with contextlib.suppress(OSError):  # it is not there yet
        if os.getpid() in cgroup.pids(place.desk):
            cgroup.enter(cgroup.mount_point())


def _answer_questions(place, questions, answering, rules):
    with contextlib.suppress(OSError, GuardError):  # a host without such sockets: nothing is swallowed then
        cgroup.enter(place.desk)  # an answer from inside the guard, by a start that a task there made, would be judged
        answers.begin(questions, answering, rules)


def _admit(place, opened):
    knocking, intruders = select.poll(), set()
    for door in opened:
        knocking.register(door, select.POLLIN)
    while opened:
        for door, _event in knocking.poll():
            with contextlib.suppress(OSError):  # an agent that is being replaced has read it, or the disk is full
                _answer(place, door, opened[door], intruders)


def _serve(place):
    waiting, refusals = select.poll(), _refusals(place)
    waiting.register(refusals, select.POLLIN)
    threading.Thread(target=_look_up, args=(place,), daemon=True).start()  # a slow resolver keeps nobody at a door
    swept, looked, seen, state = time.monotonic(), 0, None, place.read()
    while state:
        if time.monotonic() - looked > OFTEN:
            now, looked = _identity(place.state), time.monotonic()
            if now is None:
                stop.bury(place, state)
                return
            if now != seen:
                state, seen = place.read() or state, now
        if time.monotonic() - swept > GLANCE:
            swept = time.monotonic()
            with contextlib.suppress(GuardError, OSError):  # the guard is going down, or is being mended
                teach.make_room(bpf.kernel(), place.pins)
        left = state['expires_at'] - time.time() if state['expires_at'] else OFTEN
        if left <= 0:
            stop.expire(place)
            return
        if waiting.poll(min(left, OFTEN) * 1000 + 1):
            refusals.read()


def _identity(path):
    """Tells whether a file is still the same; None where it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _refusals(place):
    """What to poll, and to read, so that sockets end whose data was refused."""
    library = libbpf.Library()
    ring = bpf.Kernel(library).open(pinned.path(place.pins, 'ebg_refused'))
    return libbpf.Ring(library, ring, _abi.Refusal, sockdiag.Ender().end)


def _answer(place, door, uid, intruders):
    """Let in who knocks; note who tried to bring somebody else's process, each once."""
    for word in os.read(door, 4096).split():
        intruder = doors.admit(place, word, uid)
        if intruder and intruder not in intruders and len(intruders) < SHOWN:
            intruders.add(intruder)
            log.append_refusal(place.log, place.name, *intruder, processes.command_of(intruder[1]))


def _look_up(place):
    """Every `resolve.interval` seconds: what the names of the rules lead to by now, for the kernel."""
    policy = packed.unpack(place.read()['packed'])
    names = resolver.exact_names(policy)
    start = 0
    while policy.interval and any(rule.hosts for rule in policy.rules):
        time.sleep(policy.interval)
        # of very many names, some at a time: a guard must not be a burden to the resolver
        batch, start = names[start:start + resolver.AT_ONCE], start + resolver.AT_ONCE
        if start >= len(names):
            start = 0
        with contextlib.suppress(GuardError, OSError):  # the guard is going down, or is being mended
            teach.teach_attached(bpf.kernel(), place.pins, {**resolver.known_here(policy), **resolver.look_up(batch)})
