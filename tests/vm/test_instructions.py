# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many instructions the programs are: a guard against slow ones that needs no clock and no quiet machine.

instructions.json has what each program is to the verifier, and what it runs for an access. It stands for one kernel. To renew
it, remove it and run this test twice.
"""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

HERE = Path(__file__).resolve().parent
FIGURES = HERE / "instructions.json"
COLLECTIONS = HERE.parents[1] / "build" / "collections"
SLACK = 0.15, 60    # a part, and instructions: another build of the kernel, where memory is allocated, an interrupt


def policy():
    """A thousand rules of each kind."""
    rules = range(1000)
    return {"version": 1, "deny": [
        {"id": "many", "reason": "a test", "networks": ["198.18.%d.%d" % divmod(2 * number, 256) for number in rules],
         "hosts": ["*.h%d.denied.example" % number for number in rules],
         "paths": ["/srv/denied/d%d" % number for number in rules]}]}


def measured(machine):
    machine.put(COLLECTIONS, HERE / "files/hooks.py")
    return json.loads(machine.exec("env", "PYTHONPATH=/root/collections", "python3", "/root/hooks.py", timeout=600,
                                   input=json.dumps(packed.pack(check(policy())))).stdout)


def flat(figures):
    """{sentence: number}"""
    return {**{f"{program}, verified": number for program, number in figures["verified"].items()},
            **{f"{what}: {program}": number for what, run in figures["run"].items() for program, number in run.items()}}


def test_no_program_has_become_slower_or_faster(counting):
    found = measured(counting)
    if not FIGURES.exists():
        FIGURES.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
        raise AssertionError(f"{FIGURES.name} is written anew: look at what has changed in it, and run this test again")
    stands, now = flat(json.loads(FIGURES.read_text())), flat(found)
    part, some = SLACK
    changed = [f"{what}: {stands.get(what, 0):,} before, {now.get(what, 0):,} now" for what in sorted({**stands, **now})
               if abs(now.get(what, 0) - stands.get(what, 0)) > part * stands.get(what, 0) + some]
    assert not changed, "instructions:\n" + "\n".join(changed) + (
        f"\nIf that is as it should be: remove {FIGURES.relative_to(HERE.parents[1])}, run this test, and commit what it writes.")
