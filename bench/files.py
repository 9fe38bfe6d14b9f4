# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rules for files cost, in a virtual machine: not every kernel lets programs answer for its security hooks."""

from __future__ import annotations

import contextlib
import json

from machines import Machines
from report import Row
from room import BUILT, COLLECTIONS, HERE

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

KERNEL = "6.12"
ROUNDS = 2      # they are all but the same: what is counted are instructions
PATHS = 1_000
OPENS, EXECUTIONS = 5_000, 200
FILES, READ = 5_000, 2     # a tree of so many files, read so often
NONE, BESIDE, INSIDE = "no guard on the host", "outside of a guard", "enforce, 1,000 paths"
MEASURED = "the same, stats: true"

THERE = "/root/loopbreak"
PYTHON = ("env", f"PYTHONPATH={THERE}/build/collections", "python3")
GUARD = "bench-files"
WITHOUT = "/sys/fs/cgroup/bench"
WITH = f"/sys/fs/cgroup/system.slice/ebpf_guard-{GUARD}.service/ebpf_guard/{GUARD}"
CGROUPS = {NONE: WITHOUT, BESIDE: WITHOUT, INSIDE: WITH, MEASURED: WITH}
TREE = "/dev/shm/tree"
PREPARE = f"""
import os
os.makedirs("{CGROUPS[NONE]}")
for number in range({PATHS // 2}):
    os.makedirs("/srv/denied/d%d" % number)
for number in range({FILES}):
    directory = "{TREE}/t%02d" % (number % 100)
    os.makedirs(directory, exist_ok=True)
    with open("%s/%d" % (directory, number), "w") as file:
        file.write("x" * 1000)
"""


def policy():
    """Half of the paths are there, in rules of 100; and a type of file systems."""
    paths = ["/srv/denied/d%d" % number for number in range(PATHS)]
    return {"version": 1, "deny": [
        {"id": "r%d" % start, "reason": "a benchmark", "paths": paths[start:start + 100]}
        for start in range(0, PATHS, 100)] + [{"id": "nfs", "reason": "a benchmark", "filesystems": ["nfs", "nfs4"]}]}


def rows():
    with Machines(KERNEL, counting=True) as machines:
        machine = machines[KERNEL]
        machine.put(HERE, to=THERE)
        machine.put(COLLECTIONS, to=f"{THERE}/build")
        machine.put(BUILT / "accesses")
        machine.exec("python3", "-c", PREPARE)

        def start():
            machine.exec(*PYTHON, f"{THERE}/bench/start.py", timeout=300,
                         input=json.dumps({"name": GUARD, "policy": packed.pack(check(policy())), "loader": "libbpf"}))
            machine.exec("sleep", "10")     # until the agent has nothing left to begin with

        @contextlib.contextmanager
        def measuring():
            """The kernel measures each run of each program, as for a guard with stats: true."""
            machine.exec("systemd-run", "--quiet", "--unit=measuring", *PYTHON, "-c",
                         "import time\nfrom ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf\n"
                         "held = bpf.kernel().measure()\nopen('/run/measuring', 'w').close()\ntime.sleep(1e6)")
            machine.exec("sh", "-c", "until [ -e /run/measuring ]; do sleep 1; done; rm /run/measuring")
            yield
            machine.exec("systemctl", "stop", "measuring")

        def end():
            machine.exec(*PYTHON, "-c", "from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import guard\n"
                         f"guard.absent('{GUARD}')")

        def accessed(what, way, path, count):
            return int(machine.exec("/root/accesses", what, CGROUPS[way], path, str(count), timeout=300).stdout) / count

        def opens(way):
            return accessed("open", way, f"{TREE}/t00/0", OPENS)

        def executions(way):
            return accessed("exec", way, "/usr/bin/true", EXECUTIONS) / 1e3

        def deployment(way):
            return accessed("tar", way, TREE, READ) / 1e6

        taken = {work: {way: [] for way in CGROUPS} for work in (opens, executions, deployment)}

        def measure(*ways):
            for work in taken:
                for way in ways:
                    taken[work][way].append(work(way))

        for work in taken:
            work(NONE)      # a cgroup in which much has run accounts for memory in another way than a new one
        for _round in range(ROUNDS):
            measure(NONE)
            start()
            measure(BESIDE, INSIDE)
            with measuring():
                measure(MEASURED)
            end()
    found = [Row(f"open(2) and close(2) of a file, Linux {KERNEL} in a virtual machine, CPU time", "ns", taken[opens]),
             Row(f"tar(1) of {FILES:,} files there", "ms", taken[deployment])]
    for row in found:
        row.target(INSIDE, "<=", 1.10)
    return [*found, Row("fork(2), execve(2) and end of /usr/bin/true there", "us", taken[executions])]
