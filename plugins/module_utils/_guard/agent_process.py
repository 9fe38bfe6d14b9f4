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
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import (
    agent, answers, company, doors, notes, standby, stats, stop, stopping, ttl)
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import Place
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, files, locks, resolver, sockdiag
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, libbpf, pinned, programs, teach
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed

GLANCE = 60  # seconds between two looks whether the kernel's tables of names have room
OFTEN = 1  # the same, whether the guard is still there and its memory has changed


def main(name, serving=None):
    """The agent's life. Its standard input says what the start has done so far, or ends when the start has died.

    `serving`: the lock, of one that takes the place of an agent that has ended.
    """
    # half an agent would be taken for a whole one: what ends one thread ends all, and the standby takes over
    threading.excepthook = lambda _failure: os._exit(1)
    place = Place(name)
    noted, is_restart = notes.Notes(place), True
    if serving is None:
        for order in iter(sys.stdin.readline, 'up\n'):
            if order == 'doors\n':
                # Out of the login session, which would not end before its processes; and whom a door lets in looks whether
                # somebody is here
                cgroup.enter(place.desk)
                serving = standby.take(place.serving)  # unless an earlier agent serves
                # in a thread, so that the start can try them, and that nothing else keeps anybody waiting
                threading.Thread(target=_admit, args=(place, doors.open_doors(place), noted), daemon=True).start()
            elif order.startswith('answer ') and order.endswith('\n'):  # a start that was killed may have written half of it
                _answer_questions(place, *json.loads(order[len('answer '):]))
            elif order == 'leave\n':
                _leave_desk(place)
            else:
                _leave_desk(place)
                if not _clear_up(place):
                    return
                cgroup.enter(place.desk)
                break  # the guard was up already
            with contextlib.suppress(OSError):  # the start has died since, as the next line tells
                sys.stdout.write('done\n')
                sys.stdout.flush()
        with contextlib.suppress(OSError):
            sys.stdout.close()
        is_restart = serving is not None and os.path.exists(place.notes)  # there was no agent that it takes over from
        serving = serving or standby.take(place.serving, waits=True)  # the start ends the earlier one now
        state = place.read()
    else:
        os.set_inheritable(serving, False)
        state = _take_up(place, noted)
    if state:
        noted.begin(serving, is_restart)
        _serve(place, state, serving, noted)


def _take_up(place, noted):
    """Do again what an agent does that has ended. Returns the guard's memory; None where it is gone."""
    state = place.read()
    if state:
        if os.path.isdir(place.doors):
            threading.Thread(target=_admit, args=(place, doors.open_doors(place), noted), daemon=True).start()
        if state['servers']:  # the guard has rules for names, and denies; or it is a drill with outages
            _answer_questions(place, *(state['maps'][name] for name in programs.ANSWERS), state['rules'])
    return state


def _clear_up(place):
    """Nobody waits for this, and nobody else does it. Returns what stop.abandon does."""
    while True:
        with contextlib.suppress(locks.NotTaken):
            return stop.abandon(place)


def _leave_desk(place):
    """Out of the cgroup that is about to be removed."""
    with contextlib.suppress(OSError):  # it is not there yet
        if os.getpid() in cgroup.pids(place.desk):
            cgroup.enter(cgroup.mount_point())


def _answer_questions(place, questions, answering, rules):
    with contextlib.suppress(OSError, GuardError):  # a host without such sockets: nothing is swallowed then
        answers.begin(questions, answering, rules)


def _admit(place, opened, noted):
    knocking = select.poll()
    for door in opened:
        knocking.register(door, select.POLLIN)
    while opened:
        for door, _event in knocking.poll():
            with contextlib.suppress(OSError):  # an agent that is being replaced has read it
                _answer(place, door, opened[door], noted)


def _serve(place, state, serving, noted):
    waiting, refusals, generation = select.poll(), _refusals(place), state['generation']
    for ring in refusals:
        waiting.register(ring, select.POLLIN)
    # in a thread: a slow resolver keeps nobody at a door
    threading.Thread(target=_look_up, args=(place, packed.unpack(state['packed'])), daemon=True).start()
    attended = company.Company(place, noted.lived)
    meter, lookout = stats.Meter(), stopping.Lookout(place)
    swept, looked, seen = time.monotonic(), 0, None
    while True:
        meter.turn(state['stats'])
        lookout.look(state)
        if time.monotonic() - looked > OFTEN:
            now, looked = files.identity(place.state), time.monotonic()
            standby.beat(serving)
            noted.write()
            attended.keep()
            if now is None:
                with contextlib.suppress(locks.NotTaken):  # whoever takes the guard down ends this process as well
                    stop.bury(place, state)
                    return
            elif now != seen:
                with contextlib.suppress(GuardError, OSError):  # damaged, copy and all: what was known of it goes on
                    state = place.read() or state
                seen = now
            if state['generation'] != generation:  # the rules were exchanged, and the call was killed that should end this one
                agent.stop(place, but=state['agent']['pid'])
                return
            if 'end' in state:  # as soon as the call that ends the guard is done, or was killed
                with contextlib.suppress(locks.NotTaken):
                    stop.complete(place)
                    return
        if time.monotonic() - swept > GLANCE:
            swept = time.monotonic()
            with contextlib.suppress(GuardError, OSError):  # the guard is going down, or is being mended
                teach.make_room(bpf.kernel(), place.pins)
        if ttl.is_over(state) and not ttl.inside(place):
            with contextlib.suppress(locks.NotTaken):  # whoever changes the guard may renew its ttl
                if stop.expire(place):
                    return
        if waiting.poll(1000 * (stopping.OFTEN if stopping.is_wanted(state) else OFTEN)):
            refusals[0].read()


def _refusals(place):
    """What to poll, and to read, so that sockets end whose data was refused: one, or none where the pins are gone."""
    library = libbpf.Library()
    try:
        ring = bpf.Kernel(library).open(pinned.path(place.pins, 'ebg_refused'))
    except GuardError:
        return []
    return [libbpf.Ring(library, ring, _abi.Refusal, sockdiag.Ender().end)]


def _answer(place, door, uid, noted):
    """Let in who knocks; note who tried to bring somebody else's process."""
    for word in os.read(door, 4096).split():
        intruder = doors.admit(place, word, uid)
        if intruder:
            noted.refuse(*intruder)


def _look_up(place, policy):
    """Every `resolve.interval` seconds: what the names of the rules lead to by now, for the kernel."""
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
