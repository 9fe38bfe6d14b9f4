# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine to measure in what not every kernel can. Its clock counts instructions, and other work does not count."""

from __future__ import annotations

import contextlib
import json

from machines import Machines
from room import BUILT, COLLECTIONS, HERE

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

KERNEL = "6.12"
THERE = "/root/loopbreak"
PYTHON = ("env", f"PYTHONPATH={THERE}/build/collections", "python3")
UTILS = "from ansible_collections.loopbreak.deploy.plugins.module_utils"
GUARD = "bench"
WITHOUT = "/sys/fs/cgroup/bench"
WITH = f"/sys/fs/cgroup/system.slice/ebpf_guard-{GUARD}.service/ebpf_guard/{GUARD}"


class Guest:
    """`with guest("accesses") as guest:` brings it up, with that program of the bench in /root."""

    def __init__(self, machine):
        self.exec = machine.exec

    @contextlib.contextmanager
    def guard(self, policy):
        """The cgroup WITH is there meanwhile."""
        self.exec(*PYTHON, f"{THERE}/bench/start.py", timeout=300,
                  input=json.dumps({"name": GUARD, "policy": packed.pack(check(policy)), "loader": "libbpf"}))
        self.exec("sleep", "10")     # until the agent has nothing left to begin with
        yield
        self.exec(*PYTHON, "-c", f"{UTILS}._guard import guard\nguard.absent('{GUARD}')")

    @contextlib.contextmanager
    def measuring(self):
        """The kernel measures each run of each program, as for a guard with stats: true."""
        self.exec("systemd-run", "--quiet", "--unit=measuring", *PYTHON, "-c",
                  f"import time\n{UTILS}._kernel import bpf\nheld = bpf.kernel().measure()\n"
                  "open('/run/measuring', 'w').close()\ntime.sleep(1e6)")
        self.exec("sh", "-c", "until [ -e /run/measuring ]; do sleep 1; done; rm /run/measuring")
        yield
        self.exec("systemctl", "stop", "measuring")


@contextlib.contextmanager
def guest(*programs):
    with Machines(KERNEL, counting=True) as machines:
        machine = machines[KERNEL]
        machine.put(HERE, to=THERE)
        machine.put(COLLECTIONS, to=f"{THERE}/build")
        machine.put(*(BUILT / program for program in programs))
        machine.exec("mkdir", WITHOUT)
        yield Guest(machine)
