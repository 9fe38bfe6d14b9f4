# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent ends and is started again, with all it did, and its log hurts nobody."""

from __future__ import annotations

import json

import pytest
from controller import policy
from hosts import KILL_AGENT, LAUNCHER, agents, denied, inside, remains
from names import name_rules, until

LOADERS = ("libbpf", "bcc")
LOG = "/var/log/ebpf_guard/deploy.jsonl"


def enters(fleet):
    """How a task of a user that may join ended, and what it was told."""
    done = fleet.ssh("web1", f"{LAUNCHER} -c 'echo ran'", user="deploy", check=False)
    assert (done.returncode, "ran" in done.stdout.split()) in ((0, True), (97, False)), done
    return done.returncode or "entered", done.stderr


def measuring(fleet):
    """The agents that have the kernel measure."""
    return [pid for pid in agents(fleet) if "bpf-stats" in fleet.exec("web1", "ls", "-l", f"/proc/{pid}/fd", check=False).stdout]


@pytest.mark.libbpf
def test_an_agent_that_ends_is_started_again_with_all_it_did(controller, fleet):
    rules = name_rules("drill", deny=[".github.com", "unmoved.example"], interval=1)
    given = {"policy": rules, "join_users": ["deploy"]}
    controller.call("ebpf_guard", **given)
    try:
        # the agent alone: its standby takes its place
        [agent] = agents(fleet)
        fleet.exec("web1", "kill", "-9", str(agent))
        assert enters(fleet)[0] == "entered" and until(lambda: len(agents(fleet)) == 1, 20) and agents(fleet) != [agent]
        assert until(lambda: "EDE: 15 (Blocked)" in inside(fleet, "dig", "github.com").stdout, 20)
        fleet.point("unmoved.example", "203.0.113.83")
        assert until(lambda: denied(fleet, address="203.0.113.83"), 20)

        # both: root brings them back
        fleet.exec("web1", "sh", "-c", KILL_AGENT)
        status, told = enters(fleet)
        assert status == 97 and "the guard's agent, which lets this user in, has ended" in told
        results, _run = controller.adhoc("ebpf_guard_info", {}, "web1", "--check")
        [found] = results["web1"]["guards"]
        assert not results["web1"]["changed"] and "has ended" in str(found["faults"])
        assert inside(fleet, "true").returncode == 0 and enters(fleet)[0] == "entered"

        # info does as well
        assert until(lambda: agents(fleet), 20)
        fleet.exec("web1", "sh", "-c", KILL_AGENT)
        results, run = controller.adhoc("ebpf_guard_info", {})
        [found] = results["web1"]["guards"]
        assert results["web1"]["changed"] and found["whole"] and found["agent"]["restarts"] == 3, found
        run.said("The agent of guard 'deploy' had ended, and was started again.")
        assert enters(fleet)[0] == "entered"
        assert not controller.call("ebpf_guard_info")["changed"]

        # the ttl runs on
        assert not controller.call("ebpf_guard", ttl=4, **given)["changed"]
        fleet.exec("web1", "kill", "-9", *map(str, agents(fleet)))
        assert until(lambda: remains(fleet) == [], 60)
        last = json.loads(fleet.exec("web1", "tail", "-n", "1", LOG).stdout)
        assert last["event"] == "down" and last["agent"]["restarts"] == 4 and 0 < last["agent"]["gone_seconds"], last
    finally:
        fleet.point("unmoved.example", "203.0.113.81")


@pytest.mark.libbpf
def test_a_log_that_is_cut_or_full_keeps_nothing_from_anything(controller, fleet):
    fleet.exec("web1", "sh", "-c", f"mkdir -p /var/log/ebpf_guard; printf '{{\"event\": \"\\377' > {LOG}")
    controller.call("ebpf_guard", policy=policy("drill"), join_users=["deploy"])
    fleet.ssh("web1", "echo 1 > /run/ebpf_guard/deploy/join/1500", user="deploy")
    assert until(lambda: '"refused"' in fleet.exec("web1", "tail", "-n", "1", LOG).stdout, 20)
    victim = fleet.popen("web1", "sleep", "60")
    fleet.exec("web1", "sh", "-c", "mount -t tmpfs -o size=8k tmpfs /var/log/ebpf_guard; cat /dev/zero > /var/log/ebpf_guard/full; true")
    try:
        fleet.ssh("web1", f"echo {victim.pid} > /run/ebpf_guard/deploy/join/1500", user="deploy")
        assert enters(fleet)[0] == "entered" and denied(fleet)
        results, run = controller.adhoc("ebpf_guard", {"state": "absent"})
    finally:
        fleet.exec("web1", "umount", "/var/log/ebpf_guard")
        victim.kill()
        victim.wait()
    report = results["web1"]
    assert [one["pid"] for one in report["refused"]] == [1, victim.pid] and report["agent"]["restarts"] == 0
    assert len(report["denied"]) == 1 and remains(fleet) == []
    run.ended(0).said("while the guard was up: No space left on device. 1 line is lost.", "Of 2 lines, 2 are lost.")


def test_what_a_guard_costs_is_measured_while_somebody_wants_to_know(controller, fleet):
    given = {"policy": policy("drill"), "stats": True}
    assert controller.call("ebpf_guard", **given)["stats"]["tables"]["ebg_nets"]["entries"] >= 1
    assert not controller.call("ebpf_guard", **given)["changed"]
    assert denied(fleet)
    [one] = controller.call("ebpf_guard_info")["guards"]
    ran = one["stats"]["programs"]["ebg_connect4"]
    assert one["stats"]["measured"] and ran["runs"] >= 1 and ran["nanoseconds"] > 100 * ran["runs"], one["stats"]
    assert one["stats"]["tables"]["ebg_denied"] == {"entries": 1, "size": 16384}
    assert one["stats"]["agent"]["memory"] > 1 << 20 and 0 < one["stats"]["agent"]["cpu_seconds"] < 60

    # an agent that takes the place of another one goes on with it
    fleet.exec("web1", "kill", "-9", *map(str, agents(fleet)))
    assert until(lambda: len(agents(fleet)) == 1, 20)

    def runs():
        assert denied(fleet)
        [one] = controller.call("ebpf_guard_info", stats=True)["guards"]
        return one["stats"]["programs"]["ebg_connect4"]["runs"]
    assert until(lambda: runs() > ran["runs"], 30)

    # and who wants it no more has the kernel measure no more; others on this machine may
    assert measuring(fleet)
    assert controller.call("ebpf_guard", **dict(given, stats=False))["changed"]
    assert until(lambda: not measuring(fleet), 30)
    assert controller.call("ebpf_guard_info")["guards"][0]["stats"] is None
    assert controller.call("ebpf_guard", **given)["changed"]
    last = controller.call("ebpf_guard", state="absent")["stats"]
    assert last["programs"]["ebg_connect4"]["runs"] > ran["runs"] and last["agent"], last
