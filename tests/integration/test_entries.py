# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who enters is counted, who does not is listed, and who leaves fails the host."""

from __future__ import annotations

import pytest
from controller import FILES, policy
from hosts import CGROUP, LAUNCHER

AROUND = {"ANSIBLE_ACTION_PLUGINS": str(FILES / "action_plugins")}
TOP = "/sys/fs/cgroup/unified/cgroup.procs"
INSIDE = [
    {"name": "A module", "ansible.builtin.ping": None},
    {"name": "A loop", "ansible.builtin.command": "true", "loop": [1, 2, 3]},
    {"name": "A copy", "ansible.builtin.copy": {"content": "x", "dest": "/tmp/copied"}},
    {"name": "As another user", "ansible.builtin.command": "true", "become": True, "become_user": "plain"},
    {"name": "In the background", "ansible.builtin.command": "sleep 1", "async": 30, "poll": 0, "register": "job"},
    {"name": "Until it is done", "ansible.builtin.async_status": {"jid": "{{ job.ansible_job_id }}"}, "register": "done",
     "until": "done.finished", "retries": 30, "delay": 1},
    {"name": "Wait for it", "ansible.builtin.wait_for_connection": None},
    {"name": "A script", "ansible.builtin.script": "/bin/true"},
    {"name": "What fails", "ansible.builtin.command": "false", "ignore_errors": True},
    {"name": "What fails before", "ansible.builtin.command": "{{ nothing }}", "ignore_errors": True},
    {"name": "What starts nothing", "ansible.builtin.debug": {"msg": "x"}},
    {"name": "What is skipped", "ansible.builtin.command": "true", "when": False},
    {"name": "Raw, as who may not join", "ansible.builtin.raw": "true", "become": True, "become_user": "deploypw",
     "ignore_errors": True},
    {"name": "Raw, as another user", "ansible.builtin.raw": "true", "become": True, "become_user": "plain"},
]


def outside(run):
    """What the report lists as outside, of the guard that came down last."""
    section = run.output.rpartition("outside the guard (not watched, not stopped):\n")[2]
    return [line.strip() for line in section.split("\n") if line.startswith("    ")]


@pytest.mark.shape("an action plugin that needs no shell; a fetch", "it is listed as outside, and nothing else is")
@pytest.mark.parametrize("pipelining, strategy", [("true", "free"), ("false", "linear")])
def test_what_did_not_enter_is_listed_and_nothing_else(controller, pipelining, strategy):
    run = controller.guarded([
        *INSIDE, {"name": "Around", "ansible.legacy.around": {"cmd": "true"}},
        {"name": "Fetched", "ansible.builtin.fetch": {"src": "/etc/hostname", "dest": str(controller.directory) + "/"}},
        {"name": "Fetched by root", "ansible.builtin.fetch": {"src": "/etc/hosts", "dest": str(controller.directory) + "/"},
         "become": True},
    ], hosts="web1:web2", play={"strategy": strategy}, variables={"ebpf_guard_join_users": ["plain"]},
        ANSIBLE_PIPELINING=pipelining, **AROUND)
    run.ended(0)
    for block in run.output.split("GUARD deploy on ")[1:3]:
        section = block.partition("not stopped):\n")[2].partition("What did not enter")[0]
        assert [line.strip().split(" (")[0] for line in section.splitlines() if line.strip()] == [
            "did not enter: Around", "file transfer: Fetched"], run


@pytest.mark.shape("a strategy or a connection that starts every task without a shell", "the run fails: nobody entered")
@pytest.mark.parametrize("mode, status", [("enforce", 2), ("monitor", 0)])
def test_nobody_entered(controller, mode, status):
    run = controller.guarded([{"name": "Around", "ansible.legacy.around": {"cmd": "true"}}], policy=policy(mode), **AROUND)
    run.ended(status).said("nobody entered the guard: its tasks ran outside", "did not enter: Around")
    assert ("exit status 2: nobody entered the guards on web1" in run.output) is (status == 2)


@pytest.mark.shape("a task that moves itself out of the guard's cgroup", "it is told, and the host fails in enforce mode")
def test_who_leaves_fails_the_host(controller):
    again = f"sh -c 'echo $$ > {TOP}; {LAUNCHER} -c true; true'"
    run = controller.guarded([{"name": "Out and in again", "ansible.builtin.shell": again}], hosts="web1:web2", after=[
        {"name": "Up", "loopbreak.deploy.ebpf_guard": {"policy": policy()}, "when": "inventory_hostname == 'web2'"},
        {"name": "Leave", "ansible.builtin.raw": f"{LAUNCHER} -c 'echo $$ > {TOP}'", "when": "inventory_hostname == 'web2'"},
        {"name": "Down", "loopbreak.deploy.ebpf_guard": {"state": "absent"}, "when": "inventory_hostname == 'web2'"}])
    run.ended(2).said("(sh) left the guard at", "what it did from then on was not watched")
    assert run.output.count("left the guard at") >= 1 and "guards were not whole on web2\n" in run.output.replace(";", "\n"), run


def test_the_numbers(controller, fleet):
    """Of what came in: neither the proofs nor what is there already."""
    first = controller.call("ebpf_guard", policy=policy())
    assert first["entries"] == {"count": 0, "first": None, "last": None, "times": []}
    assert controller.call("ebpf_guard", policy=policy())["entries"]["count"] == 0
    fleet.exec("web1", "sh", "-c", f"for turn in 1 2; do {LAUNCHER} -c '{LAUNCHER} -c true; sleep 0.1'; done")
    controller.call("ebpf_guard", policy=policy("monitor"))
    last = controller.call("ebpf_guard", state="absent")
    entries = last["entries"]
    assert entries["count"] == len(entries["times"]) == 2 and not last["faults"] and not last["left"]
    assert entries["times"] == sorted(entries["times"]) and [entries["first"], entries["last"]] == entries["times"]


def test_the_guard_proves_itself_at_its_end(controller, fleet):
    controller.call("ebpf_guard", policy=policy())
    fleet.exec("web1", "sh", "-c", f"printf '#!/bin/sh\\nexit 1\\n' > {LAUNCHER}")
    results, run = controller.adhoc("ebpf_guard", {"state": "absent"})
    assert run.status == 2 and "At its end the guard did not prove itself" in results["web1"]["msg"], run
    assert fleet.exec("web1", "test", "-e", CGROUP, check=False).returncode == 1


def test_an_end_that_can_not_be_tried_out_is_told(controller, fleet):
    """The process that would try it needs a cgroup below this one. That says nothing of the guard, so it fails nothing."""
    site = "/sys/fs/cgroup/unified/site"
    fleet.exec("web1", "mkdir", site)
    controller.call("ebpf_guard", policy=policy(), cgroup="site")
    fleet.exec("web1", "sh", "-c", f"echo 0 > {site}/cgroup.max.descendants")
    results, run = controller.adhoc("ebpf_guard", {"state": "absent"})
    fleet.exec("web1", "rmdir", site)
    run.ended(0).said("At its end the guard could not be tried out")
    assert results["web1"]["faults"] == []


def test_a_cgroup2_that_was_mounted_elsewhere_is_told(controller, fleet):
    """Nothing gets past the guard there: no task finds it, so none runs."""
    controller.call("ebpf_guard", policy=policy())
    fleet.exec("web1", "sh", "-c", "mkdir /run/moved; mount --move /sys/fs/cgroup/unified /run/moved")
    faults = controller.call("ebpf_guard_info")["guards"][0]["faults"]
    refused = fleet.exec("web1", LAUNCHER, "-c", "true", check=False).returncode
    fleet.exec("web1", "sh", "-c", "mount --move /run/moved /sys/fs/cgroup/unified; rmdir /run/moved")
    assert "cgroup2 was mounted at /sys/fs/cgroup/unified when the guard was brought up, and it is at /run/moved now" in faults[0]
    assert len(faults) == 1 and refused == 97
    assert controller.call("ebpf_guard", state="absent")["faults"] == []
