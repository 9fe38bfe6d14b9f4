# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guard costs a play: a deployment in 20 tasks over SSH on ten hosts of the test fleet."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from report import Row, interleaved
from room import BIN, COLLECTIONS, HERE, ROOT

sys.path.insert(0, str(ROOT / "tests" / "fleet"))
from fleet import Fleet  # noqa: E402

HOSTS, TASKS = 10, 20
ROUNDS = 2
WAYS = [(kind, pipelining) for pipelining in ("on", "off") for kind in ("unguarded", "guarded")]
COUNTING = """#!/bin/sh
echo >> {calls}
exec {program} "$@"
"""


class Controller:
    """The real ansible-playbook; counts how often it goes to a host."""

    def __init__(self, fleet):
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

    def play(self, kind, pipelining):
        """(seconds, how often a host was gone to) of a deployment of a new release."""
        self.releases += 1
        self.calls.write_text("")
        began = time.monotonic()
        done = subprocess.run([str(BIN / "ansible-playbook"), str(HERE / "play" / f"{kind}.yml"),
                               "-e", f"release={self.releases}"], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd="/",
                              env={**self.environment, "ANSIBLE_PIPELINING": str(pipelining == "on")})
        took = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"the {kind} play failed ({done.returncode}): {done.stdout[-3000:]}")
        return took, len(self.calls.read_text()) / HOSTS


def rows():
    trips = {way: [] for way in WAYS}
    with Fleet("bench", hosts=HOSTS) as fleet:
        controller = Controller(fleet)
        controller.play("guarded", "on")    # the connections are up then, and what Ansible caches is there

        def play(way):
            took, gone = controller.play(*way)
            trips[way].append(gone)
            return took

        took = interleaved({way: lambda way=way: play(way) for way in WAYS}, ROUNDS, warm_up=False)
    return [_row(pipelining, took, trips) for pipelining in ("on", "off")]


def _row(pipelining, took, trips):
    plain, guarded = ("unguarded", pipelining), ("guarded", pipelining)
    row = Row(f"a play of {TASKS} tasks on {HOSTS} hosts over SSH, pipelining {pipelining}", "s",
              {"unguarded": took[plain], "guarded": took[guarded]})
    row.target("guarded", "<=", 1.10)
    row.figure("a task takes longer by", [more / TASKS * 1000 for more in row.more("guarded", "unguarded")], "ms")
    row.figure("round trips to a host, unguarded", trips[plain], "")
    row.figure("round trips more that the guard makes",
               [more - less for more, less in zip(trips[guarded], trips[plain])], "")
    return row
