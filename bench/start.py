# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One start of a guard, in a process of its own, with what the module has loaded when it starts one on a target.

Reads {"name", "policy" (packed, as the action plugin sends it), "loader"} from standard input; prints what it took, times in ns and memory in bytes.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent_process, guard, start
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import objects
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed

# What the target speaks of. The agent and the proof come on top, as does what is worked out of the policy while the tables
# are filled: they are in "whole".
MEASURED = (start.fill_tables, start.load, start.attach_programs, start.pin_new)


def timed(took, step):
    """The step, and how long it takes goes into `took`."""
    def wrapper(*arguments):
        began = time.monotonic_ns()
        try:
            return step(*arguments)
        finally:
            took[step.__name__] = time.monotonic_ns() - began

    return wrapper


def without_compiling(took, make):
    """tables.make(), and how long it waits for what it fills in goes into `took`, below 0."""
    def waiting(items):
        items = iter(items)
        while True:
            began = time.monotonic_ns()
            item = next(items, None)
            took["compiling"] = took.get("compiling", 0) - (time.monotonic_ns() - began)
            if item is None:
                return
            yield item

    return lambda kernel, tables: make(kernel, ((name, room, waiting(blocks)) for name, room, blocks in waiting(tables)))


def peak_memory():
    """Of this process, or of BCC's compiler, which is one of its own."""
    # not getrusage of this one: that also counts what the parent had before exec
    status = Path("/proc/self/status").read_text()
    return max(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024


def main():
    took = {}
    start.STEPS = tuple(timed(took, step) if step in MEASURED else step for step in start.STEPS)
    start.tables.make = without_compiling(took, start.tables.make)
    wanted = json.load(sys.stdin)
    shipped = objects.unpacked(objects.packed(wanted["loader"]))
    began = time.monotonic_ns()
    request = guard.Request(name=wanted["name"], policy=packed.unpack(wanted["policy"]), observe=False, ttl=0, uids=[], shell="",
                            loader=wanted["loader"], objects=shipped, agent=agent_process.main)
    guard.present(request)
    print(json.dumps({"up": sum(took.values()), "steps": took, "whole": time.monotonic_ns() - began, "memory": peak_memory()}))


if __name__ == "__main__":
    main()
