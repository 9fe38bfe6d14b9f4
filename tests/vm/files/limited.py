# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits that a task finds, as JSON. `try`: and what it meets there. `lift`: it lifts one, as root can."""

import json
import os
import signal
import sys

CGROUP = "/sys/fs/cgroup" + open("/proc/self/cgroup").read().strip().partition("::")[2]


def read(name):
    with open(os.path.join(CGROUP, name)) as content:
        return content.read().split()


def hungry():
    """How a child ends that wants 256 MB."""
    pid = os.fork()
    if not pid:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")  # this one, and not what asked for it
        bytearray(2 ** 28)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def many():
    """How many children there can be at a time, and why not one more."""
    children, why = [], None
    while why is None and len(children) < 100:
        try:
            pid = os.fork()
        except OSError as error:
            why = error.strerror
            break
        if not pid:
            signal.pause()
        children.append(pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return [len(children), why]


FILES = ("memory.max", "memory.swap.max", "cpu.max", "pids.max")
found = {name: read(name) for name in FILES if os.path.exists(os.path.join(CGROUP, name))}
if "try" in sys.argv:
    found.update(hungry=hungry(), many=many())
if "lift" in sys.argv:
    with open(os.path.join(CGROUP, "pids.max"), "w") as limit:
        limit.write("max")
print(json.dumps(found))
