# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guard costs a play: a deployment in 20 tasks over SSH on ten hosts of the test fleet."""

from __future__ import annotations

import os
import subprocess
import time

from fleet import Fleet
from report import Check, Row, interleaved
from room import BIN, COLLECTIONS, HERE

HOSTS, TASKS = 10, 20
KINDS = ("unguarded", "guarded")
PIPELINING = ("on", "off")
ROUNDS = 1      # a play takes most of a minute, and the rounds hardly differ
LONGER = {"on": 1.05, "off": 1.08}  # at most, by pipelining
CPU = {"controller": 0.2, "host": 0.4}  # seconds that a guard adds for a host at most, by where
COUNTING = """#!/bin/sh
echo >> {calls}
exec {program} "$@"
"""


class Controller:
    """The real ansible-playbook; counts how often it goes to a host."""

    def __init__(self, fleet):
        self.cgroup, self.hosts = fleet.cgroup, fleet.hosts
        self.calls = fleet.directory / "calls"
        self.releases = 0
        for program in ("ssh", "sftp"):
            script = fleet.directory / program
            script.write_text(COUNTING.format(calls=self.calls, program=program))
            script.chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_CONFIG": str(fleet.directory / "ansible.cfg"), "ANSIBLE_INVENTORY": str(fleet.inventory),
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_HOME": str(fleet.directory / "ansible"),
            "ANSIBLE_CALLBACKS_ENABLED": "loopbreak.deploy.ebpf_guard", "ANSIBLE_FORKS": str(HOSTS),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(fleet.directory / "cp"), "ANSIBLE_SSH_EXECUTABLE": str(fleet.directory / "ssh"),
            "ANSIBLE_SFTP_EXECUTABLE": str(fleet.directory / "sftp")}

    def _run(self, program, *arguments, pipelining="on"):
        done = subprocess.run([str(BIN / program), *map(str, arguments)], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd="/",
                              env={**self.environment, "ANSIBLE_PIPELINING": str(pipelining == "on")})
        if done.returncode:
            raise RuntimeError(f"{program} failed ({done.returncode}): {done.stdout[-3000:]}")

    def connect(self):
        """The connections are up then, for as long as plays follow each other."""
        self._run("ansible", "fleet", "-m", "ansible.builtin.ping")

    def play(self, kind, pipelining):
        """A deployment of a new release: {"seconds", "trips" to a host, CPU seconds for a host on it ("host") and on the
        controller ("controller")}."""
        self.releases += 1
        self.calls.write_text("")
        began, hosts, own = time.monotonic(), self._used_by_hosts(), _used_by_children()
        self._run("ansible-playbook", HERE / "play" / f"{kind}.yml", "-e", f"release={self.releases}",
                  pipelining=pipelining)
        return {"seconds": time.monotonic() - began, "trips": len(self.calls.read_text()) / HOSTS,
                "host": (self._used_by_hosts() - hosts) / HOSTS, "controller": (_used_by_children() - own) / HOSTS}

    def _used_by_hosts(self):
        told = [(self.cgroup / host / "cpu.stat").read_text().split() for host in self.hosts]
        return sum(int(words[words.index("usage_usec") + 1]) for words in told) / 1e6


def _used_by_children():
    times = os.times()
    return times.children_user + times.children_system


def rows():
    told = {(kind, pipelining): [] for pipelining in PIPELINING for kind in KINDS}
    with Fleet("bench", hosts=HOSTS) as fleet:
        controller = Controller(fleet)
        controller.connect()

        for pipelining in PIPELINING:
            interleaved({kind: lambda way=(kind, pipelining): told[way].append(controller.play(*way)) for kind in KINDS},
                        ROUNDS, warm_up=False)
    return [_row(pipelining, told) for pipelining in PIPELINING]


def _row(pipelining, told):
    plain, guarded = told["unguarded", pipelining], told["guarded", pipelining]

    def more(what):
        return [one[what] - other[what] for one, other in zip(guarded, plain)]

    row = Row(f"a play of {TASKS} tasks on {HOSTS} hosts over SSH, pipelining {pipelining}", "s",
              {"unguarded": [one["seconds"] for one in plain], "guarded": [one["seconds"] for one in guarded]})
    row.target("guarded", "<=", LONGER[pipelining])
    row.figure("a task takes longer by", [seconds / TASKS * 1000 for seconds in more("seconds")], "ms")
    row.figure("round trips to a host, unguarded", [one["trips"] for one in plain], "")
    row.figure("round trips more, guarded", more("trips"), "")
    for where, most in CPU.items():
        row.figure(f"CPU time for a host on the {where}, unguarded", [one[where] for one in plain], "s")
        row.checks.append(Check(f"CPU time more on the {where}, guarded", more(where), "<=", most, "s"))
    return row
