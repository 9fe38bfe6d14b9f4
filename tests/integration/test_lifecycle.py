# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guard's life: up twice, exchanged, broken and mended, half-started, expired, down."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time

import pytest
from controller import policy, reach, where
from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from hosts import CGROUP, KILL_AGENT, LAUNCHER, PINS, agents, command_of, denied, listing, remains, remembering
from pages import returned, untrue

# Knocks at a denied address as fast as it can until its standard input ends; prints attempts and successes.
HAMMER = r"""
import select, socket, sys
tried = passed = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    knock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tried += 1
    try:
        knock.connect(("192.0.2.10", 9))
        passed += 1
    except OSError:
        pass
    knock.close()
print(tried, passed)
"""


# Kills the module's process of this host, a time after it has begun.
KILLER = r"""
import glob, os, signal, sys, time
def module():
    for pid in open("/sys/fs/cgroup/unified/cgroup.procs").read().split():
        try:
            command = open("/proc/%s/cmdline" % pid).read().split("\0")
        except OSError:
            continue
        if "python" in command[0] and "AnsiballZ_ebpf_guard" in command[-2]:
            return int(pid)
while not module():
    pass
victim = module()
time.sleep(float(sys.argv[1]))
try:
    os.kill(victim, signal.SIGKILL)
except ProcessLookupError:
    pass
print("killed")
"""


def info(controller, host="web1"):
    return controller.call("ebpf_guard_info", host)["guards"]


def test_present_twice_changes_nothing(controller, fleet):
    first = controller.call("ebpf_guard", policy=policy())
    pins = ["ls", "-i", "--ignore=ebg_memory", PINS]  # the guard remembers its new ttl
    links = fleet.exec("web1", *pins).stdout
    second = controller.call("ebpf_guard", policy=policy())
    assert first["changed"] and not second["changed"]
    assert second["guard"]["started_at"] == first["guard"]["started_at"]
    assert fleet.exec("web1", *pins).stdout == links
    enforced = first["guard"]["enforced"]
    assert enforced["connect"] is True and enforced["send"] is True and isinstance(enforced["file"], str)
    assert controller.call("ebpf_guard", state="absent")["changed"]
    assert not controller.call("ebpf_guard", state="absent")["changed"]


def test_check_mode_and_diff(controller, fleet):
    results, run = controller.adhoc("ebpf_guard", {"policy": policy()}, "web1", "--check", "--diff")
    assert results["web1"]["changed"] and run.said('+  "mode": "enforce"')
    assert remains(fleet) == []
    controller.call("ebpf_guard", policy=policy())
    results, run = controller.adhoc("ebpf_guard", {"policy": policy("monitor")}, "web1", "--check", "--diff")
    assert results["web1"]["changed"] and run.said('-  "mode": "enforce"', '+  "mode": "monitor"')
    assert denied(fleet)  # still
    results, _run = controller.adhoc("ebpf_guard", {"state": "absent"}, "web1", "--check")
    assert results["web1"]["changed"] and denied(fleet)
    controller.call("ebpf_guard", state="absent", fail_on_denied=False)


def test_rules_are_exchanged_with_no_gap_and_counts_go_on(controller, fleet):
    """A process hammers an address that every one of the policies denies."""
    controller.call("ebpf_guard", policy=policy("drill"))
    hammer = fleet.popen("web1", LAUNCHER, "-c", 'exec "$@"', "sh", "/usr/bin/python3", "-c", HAMMER,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    counts = []
    for number in range(4):
        wider = policy("drill")
        wider["deny"].append({"id": f"more-{number}", "reason": "r", "networks": ["198.51.100.200/32"]})
        results, run = controller.adhoc("ebpf_guard", {"policy": wider}, "web1", "--diff")
        run.said(f"more-{number}")
        assert results["web1"]["changed"]
        counts.append(results["web1"]["counters"]["connect"]["denied"])
    tried, passed = map(int, hammer.communicate("")[0].split())
    report = controller.call("ebpf_guard", state="absent")
    assert passed == 0 and tried > 1000
    assert counts == sorted(counts) and counts[0] > 0
    assert report["counters"]["connect"]["denied"] == tried
    assert sum(record["count"] for record in report["denied"]) == tried
    assert {record["rule"] for record in report["denied"]} == {"github"}


def test_an_exchange_reaches_what_was_connected_before(controller, fleet):
    """Under the first policy a UDP socket was connected to an address that the second one denies."""
    controller.call("ebpf_guard", policy={"version": 1, "mode": "drill", "encrypted_dns": "deny"})
    talk = fleet.popen("web1", LAUNCHER, "-c", 'exec "$@"', "sh", "/usr/bin/python3", "-uc",
                       "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                       "s.connect(('192.0.2.10', 9000))\ns.send(b'one'); print('sent'); input()\n"
                       "try: s.send(b'two')\nexcept OSError as e: print(e.errno)",
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert talk.stdout.readline() == "sent\n"
    controller.call("ebpf_guard", policy=policy("drill"))
    assert talk.communicate("\n")[0].strip() == "1"  # EPERM, from the egress program
    report = controller.call("ebpf_guard", state="absent")
    assert [(one["kind"], one["address"], one["port"]) for one in report["denied"]] == [("send", "192.0.2.10", 9000)]


def test_a_new_address_of_a_denied_name_is_taken_in(controller, fleet):
    """By `present` again, which changes nothing of the rules. The old one is not forgotten: a resolver may go round."""
    hosts = fleet.exec("web1", "cat", "/etc/hosts").stdout
    named = policy("drill")
    named["deny"][0] = {"id": "moving", "reason": "r", "hosts": ["moving.example"]}

    def at(address):
        fleet.exec("web1", "tee", "/etc/hosts", input=f"{hosts}{address} moving.example\n")
        return controller.call("ebpf_guard", policy=named)["changed"]
    try:
        assert at("192.0.2.10") and denied(fleet) and not denied(fleet, address="203.0.113.30")
        assert not at("203.0.113.30") and denied(fleet) and denied(fleet, address="203.0.113.30")
        assert not at("192.0.2.10")
    finally:
        fleet.exec("web1", "tee", "/etc/hosts", input=hosts)
    report = controller.call("ebpf_guard", state="absent")
    assert {record["name"] for record in report["denied"]} == {"moving.example"}


BREAKAGES = {
    "cgroup made anew": (f"for p in $(cat {CGROUP}/cgroup.procs); do :; done; rmdir {CGROUP} && mkdir {CGROUP}",
                         "was removed and made anew"),
    "cgroup removed": (f"rmdir {CGROUP}", "was removed."),
    "link detached": (f"bpftool link detach pinned {PINS}/ebg_connect4", "The link of ebg_connect4 was detached"),
    "link unpinned": (f"rm {PINS}/ebg_egress", "The link of ebg_egress was unpinned"),
    "ledger unpinned": (f"rm {PINS}/ebg_denied", "The map ebg_denied was unpinned."),
    "rules unpinned": (f"rm {PINS}/ebg_nets", "The map ebg_nets was unpinned."),
    "all unpinned": (f"rm {PINS}/*", "and its records are lost"),
    "launcher removed": (f"rm {LAUNCHER}", "The launcher"),
}


@pytest.mark.parametrize("what", BREAKAGES)
def test_what_is_broken_is_reported_and_mended(controller, fleet, what):
    command, sentence = BREAKAGES[what]
    controller.call("ebpf_guard", policy=policy("drill"))
    assert denied(fleet)
    fleet.exec("web1", "sh", "-ec", command)
    time.sleep(0.1)
    [found] = info(controller)
    assert not found["whole"] and any(sentence in fault for fault in found["faults"]), found
    results, run = controller.adhoc("ebpf_guard", {"policy": policy("drill")})
    assert results["web1"]["changed"] and any(sentence in fault for fault in results["web1"]["repaired"]), run
    run.said("Mended:")
    [found] = info(controller)
    assert found["whole"], found
    assert denied(fleet)
    report = controller.call("ebpf_guard", state="absent")
    assert report["counters"]["connect"]["denied"] == (1 if what == "all unpinned" else 2)
    breach = what.startswith(("cgroup", "message", "link", "all"))  # accesses may have passed unseen: the end knows of it
    seen = "was unpinned" if what == "all unpinned" else sentence
    assert any(seen in fault for fault in report["faults"]) == breach, report["faults"]


def test_a_guard_of_another_version_is_not_touched_but_taken_down(controller, fleet):
    """Its records have another form, so that reading them would be reading something else."""
    controller.call("ebpf_guard", policy=policy("drill"))
    fleet.exec("web1", "sh", "-ec", f"{remembering(abi=1)}; rm {PINS}/ebg_memory")
    for arguments in ({"policy": policy("drill")}, {"state": "absent"}):
        _results, run = controller.adhoc("ebpf_guard", arguments)
        run.ended(2).said("another version of this collection", "state=absent")
    assert remains(fleet) == []
    assert not controller.call("ebpf_guard", state="absent")["changed"]


def test_a_guard_that_was_broken_until_its_end_fails_the_host(controller, fleet):
    run = controller.guarded([{"name": "Break it", "ansible.builtin.command":
                               f"bpftool link detach pinned {PINS}/ebg_connect4"}])
    run.ended(2).said("was not whole all the time", "The link of ebg_connect4 was detached")


def test_a_failing_task_takes_the_guard_down_and_restores_the_shell(controller):
    run = controller.guarded([*reach("tcp", "192.0.2.10"), {"name": "Break", "ansible.builtin.command": "false"}])
    run.ended(2).said("Take the guard down", "GUARD deploy on web1 [enforce]: 1 access denied")
    rescued = [{"name": "Rescued", "block": [{"name": "Guarded", "ansible.builtin.include_role": {
        "name": "loopbreak.deploy.ebpf_guard"}, "vars": {
            "ebpf_guard_policy": policy(), "ebpf_guard_tasks": str(controller.write([
                {"name": "Break", "ansible.builtin.command": "false"}]))}}], "rescue": where()}]
    run = controller.playbook([{"hosts": "web1", "gather_facts": False, "tasks": rescued}])
    run.ended(0)
    assert run.values("WHERE") == ["web1 0::/"], run


def test_end_host_inside_is_caught_by_the_callback(controller):
    run = controller.guarded([{"name": "Leave", "ansible.builtin.meta": "end_host"}])
    run.ended(2).said("GUARD LEFT UP: deploy on web1", "state=absent")
    controller.call("ebpf_guard", state="absent")


def test_a_run_that_breaks_off_tells_of_the_guard_it_leaves(controller):
    """A wrapped file that is no YAML ends ansible-playbook at once: no `always`, no statistics."""
    (controller.directory / "broken.yml").write_text("- name: x\n  debug: {\n")
    run = controller.guarded([], variables={"ebpf_guard_tasks": str(controller.directory / "broken.yml")})
    assert run.status not in (0, 2), run
    run.said("GUARD LEFT UP: deploy on web1")
    controller.call("ebpf_guard", state="absent")


def test_two_guards_do_not_see_each_other(controller, fleet):
    other = policy("drill")
    other["deny"][0].update(id="api", networks=["203.0.113.10"])
    controller.call("ebpf_guard", policy=policy("drill"), name="one", observe=True)
    controller.call("ebpf_guard", policy=other, name="two", observe=True)
    assert denied(fleet, name="one") and not denied(fleet, name="two")
    assert denied(fleet, name="two", address="203.0.113.10") and not denied(fleet, name="one", address="203.0.113.10")
    assert [guard["name"] for guard in info(controller)] == ["one", "two"]
    one = controller.call("ebpf_guard", state="absent", name="one")
    assert denied(fleet, name="two", address="203.0.113.10")  # the other one goes on
    two = controller.call("ebpf_guard", state="absent", name="two")
    for report, here, there, count in ((one, "192.0.2.10", "203.0.113.10", 1), (two, "203.0.113.10", "192.0.2.10", 2)):
        assert {record["address"] for record in report["denied"]} == {here}
        assert {record["address"] for record in report["observed"] if record["kind"] == "connect"} == {there}
        assert report["counters"]["connect"] == {"allowed": 1, "denied": count, "would_deny": 0}


def test_a_guard_within_a_guard_is_refused(controller):
    run = controller.guarded([{"name": "Another", "loopbreak.deploy.ebpf_guard": {"name": "inner", "policy": policy()}}])
    run.ended(2).said("can't be brought up by a task that runs inside guard 'deploy'")


@pytest.mark.parametrize("moment", [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5])
def test_killing_a_start_leaves_nothing(controller, fleet, moment):
    """kill -9 of the module's process some time after it began; what is up completely by then may stay up."""
    before = listing(fleet)
    killer = fleet.popen("web1", "/usr/bin/python3", "-c", KILLER, str(moment), stdout=subprocess.PIPE)
    results, _run = controller.adhoc("ebpf_guard", {"policy": policy()}, ANSIBLE_PIPELINING="false")
    assert killer.communicate()[0] == "killed\n"
    if "guard" in results["web1"]:
        controller.call("ebpf_guard", state="absent")
    deadline = time.monotonic() + 10
    while listing(fleet) != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert listing(fleet) == before


def test_a_failing_canary_leaves_nothing(controller, fleet):
    """Without its loopback device the host can't prove that packets are denied."""
    before = listing(fleet)
    fleet.exec("web1", "ip", "link", "set", "lo", "down")
    try:
        _results, run = controller.adhoc("ebpf_guard", {"policy": policy()})
    finally:
        fleet.exec("web1", "ip", "link", "set", "lo", "up")
    run.ended(2).said("did not prove itself", "ebg_egress")
    assert listing(fleet) == before


def test_nobody_can_change_the_rules_of_a_guard(controller, fleet):
    controller.call("ebpf_guard", policy=policy("drill"))
    for name, size in (("ebg_config", ctypes.sizeof(_abi.Config)), ("ebg_ports", ctypes.sizeof(_abi.Port))):
        key, value = "0 0 0 0", " ".join("0" * size)
        done = fleet.exec("web1", "sh", "-c", f"bpftool map update pinned {PINS}/{name} key {key} value {value}",
                          check=False)
        assert done.returncode != 0 and "not permitted" in done.stdout + done.stderr, (name, done)
    assert denied(fleet)
    controller.call("ebpf_guard", state="absent")


def test_what_is_returned_is_as_documented(controller, fleet):
    """Every key, its type, and the keys of its sample."""
    of_ansible = {"changed", "failed", "msg", "warnings", "invocation"}
    up = controller.call("ebpf_guard", policy=policy(), stats=True, observe=True)
    assert denied(fleet)
    looked = controller.call("ebpf_guard_info", capabilities=True, stats=True)
    down = controller.call("ebpf_guard", state="absent", fail_on_denied=False)
    assert down["denied"] and down["observed"] and down["stats"], down
    described = returned()
    for result in (up, down):
        assert not untrue({key: value for key, value in result.items() if key not in of_ansible}, described["ebpf_guard"])
    assert not untrue({key: value for key, value in looked.items() if key not in of_ansible}, described["ebpf_guard_info"], is_whole=False)


def test_an_exchange_that_fails_leaves_the_old_rules(controller, fleet):
    controller.call("ebpf_guard", policy=policy("drill"))
    fleet.exec("web1", "ip", "link", "set", "lo", "down")
    try:
        _results, run = controller.adhoc("ebpf_guard", {"policy": {"version": 1, "mode": "drill", "encrypted_dns": "deny"}})
    finally:
        fleet.exec("web1", "ip", "link", "set", "lo", "up")
    run.ended(2).said("did not prove itself")
    assert denied(fleet)
    assert not controller.call("ebpf_guard", policy=policy("drill"))["changed"]
    controller.call("ebpf_guard", state="absent")


def test_the_remains_of_a_dead_start_are_cleared(controller, fleet):
    fleet.exec("web1", "sh", "-ec", f"mkdir -p {CGROUP} /run/ebpf_guard/deploy")
    [found] = info(controller)
    assert not found["whole"] and "remains" in found["faults"][0]
    result = controller.call("ebpf_guard", policy=policy("drill"))
    assert "remains" in result["repaired"][0] and denied(fleet)
    controller.call("ebpf_guard", state="absent")
    fleet.exec("web1", "sh", "-ec", f"mkdir -p {CGROUP} /run/ebpf_guard/deploy")
    assert controller.call("ebpf_guard", state="absent")["changed"]


def test_a_forgotten_guard_takes_itself_down(controller, fleet):
    controller.call("ebpf_guard", policy=policy(), ttl=3)
    assert denied(fleet)
    deadline = time.monotonic() + 20
    while remains(fleet) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert remains(fleet) == []
    log = fleet.exec("web1", "sh", "-c", "stat -c %a /var/log/ebpf_guard/deploy.jsonl; tail -n 2 /var/log/ebpf_guard/deploy.jsonl")
    assert log.stdout.startswith("600\n") and '"192.0.2.10"' in log.stdout and '"down"' in log.stdout


def test_what_still_runs_is_moved_out_and_listed(controller, fleet):
    controller.call("ebpf_guard", policy=policy("drill"))
    daemon = fleet.popen("web1", LAUNCHER, "-c", "exec sleep 300")
    time.sleep(0.5)
    report = controller.call("ebpf_guard", state="absent")
    assert report["left_running"] == [{"pid": daemon.pid, "command": "sleep 300"}]
    assert daemon.poll() is None
    daemon.send_signal(signal.SIGTERM)
    daemon.wait()


def test_a_log_out_does_not_end_the_guard(controller, fleet):
    """Enforcement outlives the module's process, its session and the agent."""
    controller.call("ebpf_guard", policy=policy("drill"))
    sessions = [int(pid) for pid in fleet.exec("web1", "cat", "/sys/fs/cgroup/unified/cgroup.procs").stdout.split()
                if "sshd: root@" in command_of(pid)]
    assert sessions and agents(fleet)
    for pid in sessions:
        os.kill(pid, signal.SIGKILL)
    fleet.exec("web1", "sh", "-c", KILL_AGENT)
    assert denied(fleet)  # root's entry brings it back
    results, run = controller.adhoc("ebpf_guard", {"state": "absent"})
    run.ended(0).said("The guard's agent")


@pytest.mark.parametrize("limits, controller_name", [
    ({"memory": "2G"}, "memory"), ({"pids": 512}, "pids"), ({"cpus": 1.5}, "cpu")])
def test_limits_that_this_host_can_not_hold_fail_the_start_by_name(controller, fleet, limits, controller_name):
    """Here cgroup v1 has the controllers. Where cgroup2 has them: tests/vm/test_limits_hit.py."""
    before = listing(fleet)
    results, run = controller.adhoc("ebpf_guard", {"policy": policy(limits=limits)})
    run.ended(2)
    assert f"has no {controller_name} controller for them: cgroup v1 has it" in results["web1"]["msg"], run
    assert listing(fleet) == before
