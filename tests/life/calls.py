# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of the module on a small host, each in a process of its own that has imported it already: so a call takes as long as
its work does, and it can be killed at any line of it. And what there is of the guard on the host, from outside.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import module_call

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import memory, notes
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import Place
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, processes
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import objects
from ansible_collections.loopbreak.deploy.plugins.modules import ebpf_guard

NAME = "deploy"
OBJECTS = objects.packed("libbpf")
PATIENCE = 60   # seconds for a call, on a machine that is busy
DENIED = "203.0.113.66"
REACH = f"bash -c 'exec 3<>/dev/udp/{DENIED}/9' 2>&1 && echo REACHED"
GUARDED, REFUSED, REACHED = "guarded", "refused", "REACHED"


def policy(number=0, mode="enforce", **more):
    return {"version": 1, "mode": mode, "resolve": {"interval": 0}, **more, "deny": [
        {"id": "net", "reason": "r", "networks": ["203.0.113.0/24"]}, {"id": "name", "reason": "r", "hosts": ["denied.example"]},
        {"id": f"rule-{number}", "reason": "r", "networks": [f"10.0.{number}.0/24"]}]}


class Call:
    """A call under way. `before`: what its process does first."""

    def __init__(self, arguments, before=None):
        self.output, send = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            module_call.become(ebpf_guard.main, arguments, send, before)
        os.close(send)

    def result(self):
        """{rc, seconds, ...} and all that the module returned; `text` where that was no JSON."""
        began, said = time.monotonic(), b""
        while True:
            if time.monotonic() - began > PATIENCE:
                os.kill(self.pid, signal.SIGKILL)
            if select.select([self.output], [], [], 0.02)[0]:
                more = os.read(self.output, 1 << 20)
                said += more
                if more:
                    continue
            # what a killed call leaves running, such as its agent, holds no end of the pipe
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                os.close(self.output)
                break
        told = {"rc": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - began}
        try:
            return {**told, **json.loads(said)}
        except ValueError:
            return {**told, "text": said.decode("utf-8", "replace")}


def present(rules=None, before=None, **more):
    return Call({"name": NAME, "policy": rules or policy(), "loader": "libbpf",
                 "_sent": {"objects": OBJECTS, "remote_user": "root"}, **more}, before).result()


def absent(before=None, **more):
    return Call({"name": NAME, "state": "absent", "fail_on_denied": False, **more}, before).result()


def denials(result):
    """How many denials a result tells of, by its counters."""
    return sum(kind["denied"] for kind in result.get("counters", {}).values() if isinstance(kind, dict))


def enter(command=REACH, uid=None):
    """(exit status, output) of a command that goes through the launcher; (None, '') where there is none."""
    def become():
        os.setgid(65534)
        os.setuid(uid)
    try:
        done = subprocess.run([Place(NAME).launcher, "-c", command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False, timeout=PATIENCE, preexec_fn=become if uid else None)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None, ""
    return done.returncode, done.stdout


def reach():
    """What becomes of a task that comes now and reaches for what is denied."""
    status, said = enter()
    if "REACHED" in said:
        return REACHED
    return REFUSED if status in (None, 97) else GUARDED


def agents():
    """The pids of all agents of this host, also of those that have not yet gone where they belong."""
    return _known_as("agent")


def _known_as(*roles):
    return [pid for pid in cgroup.pids(cgroup.mount_point())
            if processes.command_of(pid).endswith(tuple(f" ebpf_guard {role} {NAME}" for role in roles))]


def left():
    """All that there is of a guard on this host."""
    place = Place(NAME)
    paths = [place.run, place.pins, place.own, place.desk, "/run/ebpf_guard", "/sys/fs/bpf/ebpf_guard",
             os.path.dirname(place.own)]
    return [path for path in paths if os.path.lexists(path)] + [
        f"process {pid}" for pid in _known_as("agent", "standby", "revive")]


def memory_of():
    """What the guard remembers; None where it has nothing that can be read."""
    try:
        return memory.unsealed(Path(Place(NAME).state).read_text())
    except (OSError, ValueError):
        return None


def gone(patience=5):
    """What is left when whoever waited for the call has seen that there is no guard any more."""
    end = time.monotonic() + patience
    while left() and time.monotonic() < end:
        time.sleep(0.02)
    return left()


def settled(patience=20):
    """Wait until whoever survived a killed call is done. Returns what there is then: whole, down, ended, or cut."""
    end, seen = time.monotonic() + patience, None
    while time.monotonic() < end:
        seen, before = _look(), seen
        if seen and (seen == before or seen != "cut"):  # an agent that moves to another cgroup can be missed by one look
            return seen
        time.sleep(0.02)
    raise AssertionError(f"agents {agents()} are at work after {patience} s, left: {left()}")


def _look():
    """How the guard seems to be; None while somebody is at work."""
    place, state, at_work = Place(NAME), memory_of(), agents()
    if state is None and place.is_buried and not place.remains() and not at_work:
        return "ended"
    if not left():
        return "down"
    if not at_work:
        return "cut"
    if state and "end" not in state and at_work == [notes.read(place)["pid"]]:  # the one that serves
        return "whole"
    return None


def logged():
    """How many denials the event log has of guards that ended. An end that was cut off may be there twice."""
    path = Path(Place(NAME).log)
    events = map(json.loads, path.read_text().splitlines() if path.exists() else ())
    return sum({event["ended"]["at"]: denials(event) for event in events if event["event"] == "down"}.values())
