# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One start of a guard, in a process of its own, with what the module has loaded when it starts one on a target.

Reads {"name", "policy", "loader"} from standard input; prints what it took, times in ns and memory in bytes.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "build" / "collections"))
from ansible_collections.loopbreak.deploy.plugins.module_utils import _guard, _objects, _policy  # noqa: E402

# What the target speaks of. The agent, the proof and the check of the policy come on top: they are in "whole".
STEPS = ("_load", "_attach", "_pin")


def timed(took, step):
    """Has `took` know how long this step of a start takes."""
    function = getattr(_guard, step)

    def wrapper(*arguments):
        began = time.monotonic_ns()
        try:
            return function(*arguments)
        finally:
            took[step] = time.monotonic_ns() - began

    setattr(_guard, step, wrapper)


def peak_memory():
    """Of this process, or of BCC's compiler, which is one of its own."""
    # not getrusage of this one: that also counts what the parent had before exec
    status = Path("/proc/self/status").read_text()
    return max(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024


def main():
    took = {}
    for step in STEPS:
        timed(took, step)
    wanted = json.load(sys.stdin)
    objects = _objects.unpacked(_objects.packed(wanted["loader"]))
    began = time.monotonic_ns()
    request = _guard.Request(name=wanted["name"], policy=_policy.check(wanted["policy"]), observe=False, ttl=0, uids=[],
                             shell="", loader=wanted["loader"], objects=objects)
    checked = time.monotonic_ns()
    _guard.present(request)
    print(json.dumps({"up": sum(took[step] for step in STEPS), "steps": took, "check": checked - began,
                      "whole": time.monotonic_ns() - began, "memory": peak_memory()}))


if __name__ == "__main__":
    main()
