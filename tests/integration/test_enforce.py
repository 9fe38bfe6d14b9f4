# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is denied, how, and what the play says then."""

from __future__ import annotations

import pytest
from controller import REASON, policy, reach
from hosts import inside

LOADERS = ("libbpf", "bcc")
DENIED = ("EACCES", "EPERM")
GITHUB = "192.0.2.10", "2001:db8:2::10", "::ffff:192.0.2.10"
WAYS = ("udp_connect", "udp_sendto", "udp_sendmsg", "udp_sendmmsg", "fastopen", "icmp", "ping_socket")


def test_denied_addresses_fail_at_once_and_others_work(controller, fleet):
    run = controller.guarded([
        *(task for address in GITHUB for task in reach("tcp", address)),
        *reach("tcp", "203.0.113.10"), *reach("tcp", "2001:db8:3::10"), *reach("tcp", "::ffff:203.0.113.20"),
    ])
    run.ended(2)
    reached = {one["address"]: one for one in run.values("REACHED")}
    for address in GITHUB:
        assert reached[address]["errno"] in DENIED and reached[address]["ms"] < 100, run
    for address in ("203.0.113.10", "2001:db8:3::10", "::ffff:203.0.113.20"):
        assert reached[address]["errno"] == 0, run
    assert fleet.log("github.com") == []
    run.said("failed=1", "GUARD deploy on web1 [enforce]: 3 accesses denied", "DENIED  192.0.2.10:80/tcp",
             "DENIED  [2001:db8:2::10]:80/tcp", "1x  direct connect  (rule github)", f"why      {REASON}", "owner    db-team",
             "Reach 192.0.2.10 by tcp (", "command  /usr/bin/python3 reach.py tcp 192.0.2.10 80", "exit status 2")


def test_a_process_reads_permission_denied(controller):
    run = controller.guarded([{"name": "Fetch", "ansible.builtin.shell": "bash -c '< /dev/tcp/192.0.2.10/80'"}])
    run.ended(2)
    assert "Permission denied" in run.output or "Operation not permitted" in run.output, run


@pytest.mark.parametrize("family", ["192.0.2.10", "2001:db8:2::10"])
def test_every_way_to_send_is_denied_and_counted(controller, fleet, family):
    ways = [way for way in WAYS if ":" not in family or way not in ("udp_sendmmsg", "ping_socket")]
    run = controller.guarded([task for way in ways for task in reach(way, family, 9000)])
    run.ended(2)
    reached = {one["way"]: one for one in run.values("REACHED")}
    assert sorted(reached) == sorted(ways)
    for way in ways:
        assert reached[way]["errno"] in DENIED and reached[way]["ms"] < 100, (way, run)
        run.said(f"reach.py {way} {family}")
    # sendmmsg sends its second message only when the first has gone: one denial
    run.said(f"{len(ways)} accesses denied")
    assert fleet.log("github.com") == []


def test_a_swallowed_error_still_fails_the_host(controller):
    run = controller.guarded([{"name": "Swallow", "ansible.builtin.shell":
                               "curl -s http://192.0.2.10/ || true", "changed_when": False}])
    run.ended(2).said("failed=1", "curl -s http://192.0.2.10/", "Swallow (",
                      r"expect:\n192.0.2.10:80/tcp, once, in the task 'Swallow': curl -s http://192.0.2.10/\nRule 'github' (db-team)")


def test_expected_denials_are_told_and_fail_nothing(controller):
    run = controller.guarded([{"name": "Try", "ansible.builtin.shell": "curl -s http://192.0.2.10/ || true"}],
                             policy=policy(expected=["github"]))
    run.ended(0).said("DENIED (expected)", "failed=0")


def test_drill_denies_and_fails_only_what_the_tasks_fail(controller, fleet):
    swallow = [{"name": "Try", "ansible.builtin.shell": "curl -s http://192.0.2.10/ || true"}]
    controller.guarded(swallow, policy=policy("drill")).ended(0).said("DENIED (drill)", "failed=0")
    needs = [{"name": "Need it", "ansible.builtin.command": "curl -s http://192.0.2.10/"}]
    controller.guarded(needs, policy=policy("drill")).ended(2).said("failed=1")
    assert fleet.log("github.com") == []


def test_monitor_lets_through_and_records_everything(controller, fleet):
    run = controller.guarded([*reach("tcp", "192.0.2.10"), *reach("tcp", "203.0.113.10"),
                              *reach("udp_sendto", "203.0.113.20", 9000), *reach("icmp", "203.0.113.30")],
                             policy=policy("monitor"))
    run.ended(0).said("WOULD DENY", "192.0.2.10:80/tcp", "203.0.113.10:80/tcp", "203.0.113.20:9000/udp",
                      "203.0.113.30/icmp", "1 access would be denied")
    assert all(one["errno"] == 0 for one in run.values("REACHED")), run
    assert len(fleet.log("github.com")) >= 1


def test_a_sealed_room_leaves_loopback_resolver_and_what_is_allowed(controller):
    sealed = {"version": 1, "mode": "enforce", "default": "deny",
              "allow": [{"id": "mirror", "hosts": ["mirror.example"], "ports": [80]}]}
    run = controller.guarded([
        *reach("tcp", "203.0.113.20"), *reach("tcp", "203.0.113.20", 8080), *reach("tcp", "203.0.113.30"),
        {"name": "Loopback", "ansible.builtin.shell": "ping -c 1 127.0.0.1 && getent hosts mirror.example"},
    ], policy=sealed)
    run.ended(2)
    assert [one["errno"] for one in run.values("REACHED")] == [0, "EACCES", "EACCES"], run
    run.said("2 accesses denied", "203.0.113.20:8080/tcp  mirror.example", "no rule allows it")


def test_ports_narrow_and_the_longest_prefix_wins(controller):
    rules = {"version": 1, "mode": "enforce",
             "deny": [{"id": "web", "reason": "r", "networks": ["192.0.2.0/24"], "ports": ["tcp/80"]},
                      {"id": "all", "reason": "r", "networks": ["203.0.113.0/24"]}],
             "allow": [{"id": "mirror", "networks": ["203.0.113.20"]}]}
    run = controller.guarded([*reach("tcp", "192.0.2.10", 80), *reach("tcp", "192.0.2.10", 8080),
                              *reach("udp_sendto", "192.0.2.10", 80), *reach("tcp", "203.0.113.20"),
                              *reach("tcp", "203.0.113.10")], policy=rules)
    assert [one["errno"] for one in run.values("REACHED")] == ["EACCES", 0, 0, 0, "EACCES"], run
    run.ended(2)


def test_exact_names_are_resolved_on_the_target(controller, fleet):
    """So that their addresses are denied also to those that ask for no name."""
    named = policy()
    named["deny"][0] = {"id": "github", "reason": REASON, "hosts": ["GitHub.com."]}
    by_address = "curl -sS http://192.0.2.10/ 'http://[2001:db8:2::10]/' || true"
    run = controller.guarded([{"name": "By address", "ansible.builtin.shell": by_address}], policy=named)
    run.ended(2).said("192.0.2.10:80/tcp  github.com  2x  direct connect  (rule github)", "also     [2001:db8:2::10]:80/tcp")
    assert fleet.log("github.com") == []


@pytest.mark.parametrize("name, problem", [("gone.example", "it does not exist"),
                                           ("unstable.example", "the resolver gave no answer")])
def test_a_name_that_can_not_be_resolved_is_denied_all_the_same(controller, name, problem):
    unknown = policy("drill")
    unknown["deny"][0] = {"id": "github", "reason": "r", "hosts": [name]}
    _results, run = controller.adhoc("ebpf_guard", {"policy": unknown})
    run.ended(0).said(f"Rule 'github': no address is known for {name} ({problem}", "denied all the same",
                      "The agent asks again every 30 seconds.")
    asked = inside(controller.fleet, "getent", "hosts", name, check=False)
    assert asked.returncode == 2
    report = controller.call("ebpf_guard", state="absent")
    assert {(one["kind"], one["name"], one["rule"]) for one in report["denied"]} == {("dns", name, "github")}
