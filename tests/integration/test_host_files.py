# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for files on this machine's kernel, which may or may not let programs answer for its security hooks.

Every way to a file, and what is denied on which kernel, is in tests/vm.
"""

from __future__ import annotations

import pytest
from hosts import inside, remains

REASON = "the artifact store is what this play repairs"


def policy(mode="enforce", **rule):
    return {"version": 1, "mode": mode, "deny": [{"id": "artifacts", "reason": REASON, **rule}]}


@pytest.fixture
def store(fleet):
    """A directory with a program in it."""
    fleet.exec("web1", "sh", "-c", "mkdir -p /srv/store && cp /bin/true /srv/store/tool")
    yield "/srv/store"
    fleet.exec("web1", "rm", "-r", "/srv/store")


@pytest.mark.parametrize("mode", ["enforce", "drill"])
@pytest.mark.parametrize("rule", [{"paths": ["/srv/store"]}, {"filesystems": ["nfs4"]}])
def test_rules_for_files_hold_or_fail_the_start(controller, fleet, store, rule, mode):
    results, run = controller.adhoc("ebpf_guard", {"policy": policy(mode, **rule)})
    told = results["web1"]
    if "guard" in told:
        run.ended(0)
        assert (told["guard"]["enforced"]["file"], told["guard"]["enforced"]["exec"]) == (True, True)
        refused = inside(fleet, f"{store}/tool", check=False).returncode == 126
        assert refused == ("paths" in rule)
        controller.call("ebpf_guard", state="absent", fail_on_denied=False)
    else:
        run.ended(2).said("'artifacts'", "can not be enforced on this host", "take paths and filesystems out of the policy")
        assert inside(fleet, f"{store}/tool", check=False).returncode != 0  # no launcher
    assert remains(fleet) == []


def test_a_policy_without_files_needs_nothing_for_them(controller):
    told = controller.call("ebpf_guard", policy={"version": 1, "encrypted_dns": "deny"})
    assert told["guard"]["enforced"]["file"] == told["guard"]["enforced"]["exec"]
    assert "nothing needs it" in told["guard"]["enforced"]["file"]
    controller.call("ebpf_guard", state="absent")


def test_monitor_mode_tells_what_was_executed(controller, fleet, store):
    run = controller.guarded([{"name": "Run it", "ansible.builtin.command": f"{store}/tool", "changed_when": True}],
                             policy=policy("monitor", paths=[store]))
    run.ended(0).said(f"{store}/tool (executed)", "(rule artifacts)", REASON)
    controller.call("ebpf_guard", policy=policy("monitor", paths=[store]))
    inside(fleet, f"{store}/tool")
    inside(fleet, "env", "true")
    report = controller.call("ebpf_guard", state="absent")
    told = {record["path"]: record for record in report["denied"]}
    assert told.keys() == {f"{store}/tool"}
    assert (told[f"{store}/tool"]["kind"], told[f"{store}/tool"]["mode"]) == ("exec", "monitor")
    seen = {record["path"].rpartition("/")[2] for record in report["observed"] if record["kind"] == "exec"}
    assert {"env", "true"} <= seen
    assert report["counters"]["exec"]["would_deny"] == 1 and report["counters"]["exec"]["denied"] == 0
    assert remains(fleet) == []


def test_rules_for_files_are_exchanged(controller, fleet, store):
    """Their programs can't take each other's place; those of both rules are attached for a moment, and one counts."""
    for number, rules in enumerate(([store], ["/srv/other"], [store], [])):
        wanted = policy("monitor", paths=rules) if rules else {"version": 1, "encrypted_dns": "deny"}
        assert controller.call("ebpf_guard", policy=wanted)["changed"]
        again = controller.call("ebpf_guard", policy=wanted)
        assert not again["changed"] and not again["repaired"], number
        inside(fleet, f"{store}/tool")
    report = controller.call("ebpf_guard", state="absent")
    assert [(record["path"], record["count"]) for record in report["denied"]] == [(f"{store}/tool", 2)] or \
        [record["count"] for record in report["denied"]] == [1, 1]
    assert report["counters"]["exec"]["would_deny"] == 2
    assert remains(fleet) == []
