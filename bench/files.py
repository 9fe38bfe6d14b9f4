# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rules for files cost, in a virtual machine: not every kernel lets programs answer for its security hooks."""

from __future__ import annotations

from guest import KERNEL, WITH, WITHOUT, guest
from report import Row

PATHS = 1_000
NONE, BESIDE, INSIDE = "no guard on the host", "outside of a guard", "enforce, 1,000 paths"
MEASURED = "the same, stats: true"
CGROUPS = {NONE: WITHOUT, BESIDE: WITHOUT, INSIDE: WITH, MEASURED: WITH}

FILES, TRACKED = 5_000, 20_000      # in a tree for tar(1), and in one of git's
TREE, REPOSITORY = "/dev/shm/tree", "/dev/shm/repository"
# {what accesses.c does: (of what, how often, title, unit, most inside, most for the rest of the host)}
WORKS = {
    "open": (f"{TREE}/t00/0", 5_000, f"open(2) and close(2) of a file, Linux {KERNEL} in a virtual machine, CPU time", "ns",
             1.05, 1.01),
    "tar": (TREE, 2, f"tar(1) of {FILES:,} files there", "ms", 1.05, 1.01),
    "status": (REPOSITORY, 1, f"git status of {TRACKED:,} files there", "ms", 1.05, 1.01),
    "exec": ("/usr/bin/true", 200, "fork(2), execve(2) and end of /usr/bin/true there", "us", 1.03, 1.005),
}
UNITS = {"ns": 1, "us": 1e3, "ms": 1e6}     # in ns
PREPARE = f"""
import os, subprocess
for number in range({PATHS // 2}):
    os.makedirs("/srv/denied/d%d" % number)

def fill(tree, files, directories):
    for number in range(files):
        directory = "%s/t%02d" % (tree, number % directories)
        os.makedirs(directory, exist_ok=True)
        with open("%s/%d" % (directory, number), "w") as file:
            file.write("x" * 1000)

fill("{TREE}", {FILES}, 100)
fill("{REPOSITORY}", {TRACKED}, 400)
for command in "init --quiet", "add .", "-c user.name=b -c user.email=b@example commit --quiet -m all":
    subprocess.run(["git", "-C", "{REPOSITORY}", *command.split()], check=True)
"""


def policy():
    """Half of the paths are there, in rules of 100; and a type of file systems."""
    paths = ["/srv/denied/d%d" % number for number in range(PATHS)]
    return {"version": 1, "deny": [
        {"id": "r%d" % start, "reason": "a benchmark", "paths": paths[start:start + 100]}
        for start in range(0, PATHS, 100)] + [{"id": "nfs", "reason": "a benchmark", "filesystems": ["nfs", "nfs4"]}]}


def rows():
    taken = {what: {way: [] for way in CGROUPS} for what in WORKS}
    with guest("accesses") as machine:
        machine.exec("python3", "-c", PREPARE, timeout=600)

        def work(what, way):
            path, count, *_more = WORKS[what]
            return int(machine.exec("/root/accesses", what, CGROUPS[way], path, str(count), timeout=300).stdout) / count

        def measure(*ways):
            for what in WORKS:
                for way in ways:
                    taken[what][way].append(work(what, way))

        for what in WORKS:
            work(what, NONE)    # a cgroup in which much has run accounts for memory in another way than a new one
        measure(NONE)       # one round: another would be all but the same, as what is counted are instructions
        with machine.guard(policy()):
            measure(BESIDE, INSIDE)
            with machine.measuring():
                measure(MEASURED)
    return [_row(what, taken[what]) for what in WORKS]


def _row(what, taken):
    _path, _count, title, unit, inside, beside = WORKS[what]
    row = Row(title, unit, {way: [ns / UNITS[unit] for ns in values] for way, values in taken.items()})
    row.target(INSIDE, "<=", inside)
    row.target(BESIDE, "<=", beside)
    return row
