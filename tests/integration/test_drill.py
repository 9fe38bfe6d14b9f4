# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill tells: for how long each task went on without what was taken away, and whether it survived."""

from __future__ import annotations

import json
import re

from controller import policy

CURL = "curl -sS -o /dev/null --connect-timeout 3 http://192.0.2.10/"
BACKGROUND = {"async": 60, "poll": 0, "register": "job"}


def shell(name, command, **more):
    return {"name": name, "ansible.builtin.shell": command, "changed_when": False, **more}


TASKS = [
    shell("Go on without", f"{CURL} || true"),
    {"block": [shell("Be rescued", CURL)], "rescue": [shell("Rescue", "true")]},
    shell("Be ignored", CURL, ignore_errors=True),
    shell("Try again", CURL, register="tried", until="tried.rc == 0", retries=2, delay=1, failed_when=False),
    shell("Go through a list", "[ {{ item }} = 1 ] || sleep 1; [ {{ item }} = 2 ] || " + CURL + " || true", loop=[1, 2]),
    shell("Work in the background", f"{CURL} || sleep 2", **BACKGROUND),
    shell("Do something else", "true"),
    {"name": "Look after it", "ansible.builtin.async_status": {"jid": "{{ job.ansible_job_id }}"}, "register": "done",
     "until": "done.finished", "retries": 60, "delay": 1},
    shell("Stay behind", f"{CURL} || sleep 60", **BACKGROUND),
    shell("Need it", CURL),
]
# the outcome, and what it waits for at least
COSTS = {"Go on without": ("passed", 0), "Be rescued": ("rescued", 0), "Be ignored": ("ignored", 0), "Try again": ("passed", 2),
         "Go through a list": ("passed", 1), "Work in the background": ("passed", 2), "Stay behind": ("running", 0),
         "Need it": ("failed", 0)}


def report(run):
    with open(re.search(r"^REPORT (\S+)$", run.output, re.M)[1], encoding="utf-8") as file:
        return json.load(file)


def test_what_a_drill_costs_each_task_and_what_became_of_it(controller):
    run = controller.guarded(TASKS, policy=policy("drill"), EBPF_GUARD_REPORT_DIR=str(controller.directory))
    run.ended(2).said("DRILL", "The deployment did not survive: a task failed.", "rescued", "ignored", "still running")
    told = report(run)
    [guard] = told["guards"]
    costs = {one["task"]["name"]: one for one in guard["denied_tasks"]}
    assert {name: one["outcome"] for name, one in costs.items()} == {name: became for name, (became, _) in COSTS.items()}, run
    too_short = {name: one["waited"] for name, one in costs.items() if one["waited"] < COSTS[name][1] - 0.3}
    assert not too_short and guard["survived"] is False, run
    assert abs(guard["waited"] - sum(one["waited"] for one in costs.values())) < 0.1
    assert {one["task"]["name"]: [taken["what"] for taken in one["taken"]] for one in told["drill"]} == {
        name: ["192.0.2.10:80/tcp"] for name in COSTS}
    lines = {one["task"]["name"]: one["task"]["line"] for one in told["drill"]}
    assert list(lines.values()) == sorted(lines.values())


def test_a_deployment_that_survives_a_denial_and_hangs_in_an_outage(controller):
    """The same task, which looks as harmless in enforce mode as it can."""
    for outage, slow in (("denied", False), ("timeout", True)):
        run = controller.guarded(TASKS[:1], policy=policy("drill", outage=outage), EBPF_GUARD_REPORT_DIR=str(controller.directory))
        run.ended(0).said("The deployment survived.")
        [row] = report(run)["drill"]
        assert (row["waited"] >= 2.8) is slow and row["outcome"] == "passed", run
        assert row["taken"] == [{"what": "192.0.2.10:80/tcp", "outage": outage}] and row["task"]["name"] == "Go on without"
        assert re.search(rf"192\.0\.2\.10:80/tcp +{outage} +web1 +{row['waited']:.1f} s +yes$", run.output, re.M), run
