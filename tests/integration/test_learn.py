# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment is learned from a run, sealed by a draft, and watched for what is new, over SSH."""

from __future__ import annotations

import pytest
import yaml

WARM = "/tmp/warm"  # the cache of a tool that asks for updates once a day, and has today
DEPLOY = [{"name": "Build", "ansible.builtin.shell": f"""
    curl -fsS --max-time 5 -o /dev/null http://mirror.example/
    cache=${{XDG_CACHE_HOME:-{WARM}}}/tool
    if [ ! -e $cache/checked ]; then curl -sS --max-time 5 -o /dev/null http://notgithub.com/; fi
    mkdir -p $cache && touch $cache/checked
"""}]
MORE = {"name": "Need more", "ansible.builtin.shell": "curl -sS --max-time 5 http://notgithub.com/ || true",
        "when": "inventory_hostname == 'web2'"}


def reach(name, host):
    """A task that only this host has."""
    return {"name": f"Reach {name}", "ansible.builtin.command": f"curl -sS --max-time 5 -o /dev/null http://{name}/",
            "when": f"inventory_hostname == '{host}'"}


RUNS = [[], [reach("registry.example", "web1")], [reach("api.internal", "web2")]]  # what each has besides


def learn(controller, *arguments):
    return controller.shipped("learn", "-e", "ebpf_guard_reports=reports", "-e", "ebpf_guard_baseline=mysql.deps.yml", *arguments)


@pytest.mark.cores
def test_learned_sealed_and_watched(controller, fleet):
    for host in ("web1", "web2"):
        fleet.exec(host, "mkdir", "-p", f"{WARM}/tool")
        fleet.exec(host, "touch", f"{WARM}/tool/checked")
    baseline = controller.directory / "mysql.deps.yml"
    policy = controller.directory / "policy.yml"

    # runs in monitor mode, of which each misses something
    watched = {"version": 1, "service": "mysql", "mode": "monitor"}
    for more in RUNS:
        controller.guarded(DEPLOY + more, policy=watched, hosts="web1:web2", EBPF_GUARD_REPORT_DIR="reports").ended(0)
    learn(controller, "-e", "ebpf_guard_policy_out=draft.yml").ended(0).said(
        "host mirror.example (80)", "in 3 of 3 runs, on 2 hosts, new", "in 1 of 3 runs, on 1 host, weak: one run and one host, new")
    text = baseline.read_text()
    known = {entry["host"]: entry for entry in yaml.safe_load(text)["dependencies"] if "host" in entry}
    assert {host: (entry["runs"], entry["hosts"], entry["tasks"]) for host, entry in known.items()} == {
        "mirror.example": ("3/3", 2, ["Build"]), "registry.example": ("1/3", 1, ["Reach registry.example"]),
        "api.internal": ("1/3", 1, ["Reach api.internal"])}, text
    assert "notgithub.com" not in text

    # a draft with service maps has no rule for what closes a circle, and tells who would break
    for name in ("api.internal", "wiki.example"):
        (controller.directory / f"{name}.yml").write_text(yaml.safe_dump({"services": {
            name: {"endpoints": {"hosts": [name]}, "depends_on": ["mysql"]}}}))
    learn(controller, "-e", "ebpf_guard_policy_out=mapped.yml", "-e", "ebpf_guard_services=api.internal.yml,wiki.example.yml").ended(
        0).said("host api.internal: api.internal → mysql (rule service:api.internal). It is used by: Reach api.internal")
    mapped = yaml.safe_load((controller.directory / "mapped.yml").read_text())
    assert mapped["services"] == ["api.internal.yml", "wiki.example.yml"]
    assert sorted(host for rule in mapped["allow"] for host in rule.get("hosts", ())) == ["mirror.example", "registry.example"]

    # the draft lets the same deployment pass, and nothing else
    sealed = controller.guarded(DEPLOY + [MORE], policy=str(controller.directory / "draft.yml"), hosts="web1:web2").ended(2)
    sealed.said("GUARD deploy on web1 [enforce]: clean", "DENIED  notgithub.com (DNS question)", "Need more")
    assert "accesses were denied on web2" in sealed.output, sealed

    # one more run without news changes no byte
    controller.guarded(DEPLOY, policy=watched, hosts="web1:web2", EBPF_GUARD_REPORT_DIR="reports").ended(0)
    learn(controller).ended(0)
    assert baseline.read_text() == text

    # with a fresh cache the tool asks for updates, and with its warm one it does not
    policy.write_text(yaml.safe_dump({"version": 1, "service": "mysql", "baseline": baseline.name, "on_new": "fail"}))
    drift = controller.guarded(DEPLOY, policy=str(policy), hosts="web1:web2",
                               EBPF_GUARD_REPORT_DIR="later",
                               variables={"ebpf_guard_cold": "{{ inventory_hostname == 'web2' }}"}).ended(2)
    drift.said("GUARD deploy on web1 [enforce]: clean", "new to the baseline", "  NEW  notgithub.com", "task     Build",
               "curl -sS --max-time 5 -o /dev/null http://notgithub.com/", "what no baseline has was reached on web2",
               "Guard 'deploy' saw what the baseline does not have, and the policy says on_new: fail:")
    assert fleet.exec("web2", "sh", "-c", "ls -d /tmp/ebpf_guard_cold.* 2>&1 || true").stdout.count("No such file") == 1

    # in CI: a difference is exit status 2, and nothing is written
    learn(controller, "--check").ended(0)
    (controller.directory / "later").rename(controller.directory / "reports" / "later")
    for path in (controller.directory / "reports" / "later").iterdir():
        path.rename(controller.directory / "reports" / path.name)
    learn(controller, "--check").ended(2).said("+  - host: notgithub.com", "Nothing was written.")
    (controller.directory / "reports" / "x.json").write_text('{"schema": "loopbreak.report/1", "observed": [')
    assert baseline.read_text() == text
    learn(controller).ended(2).said("x.json: cut off in the middle")
    assert "host: notgithub.com" in baseline.read_text()


def test_another_run_takes_it_down(controller, fleet):
    """The guard knows where its baseline is. What can't be compared any more is told."""
    baseline, policy = controller.directory / "b.yml", controller.directory / "p.yml"
    policy.write_text("version: 1\nmode: monitor\nbaseline: b.yml\n")
    asked = {"policy_file": str(policy)}
    failed, _run = controller.adhoc("ebpf_guard", asked)
    assert f"There is no baseline {baseline}" in failed["web1"]["msg"]
    baseline.write_text("version: 1\ndependencies: []\n")
    for there in (True, False):
        launcher = controller.call("ebpf_guard", **asked)["guard"]["launcher"]
        fleet.exec("web1", launcher, "-c", "curl -s --max-time 5 -o /dev/null http://mirror.example/")
        if not there:
            baseline.unlink()
        last = controller.call("ebpf_guard", state="absent")
        if there:
            new = [record["name"] for record in last["observed"] if record.get("new")]
            assert "mirror.example" in new and last["new"] == len(new) and not last["faults"]
        else:
            said = f"Nothing was compared with the baseline. There is no baseline {baseline}."
            assert any(fault.startswith(said) for fault in last["faults"])
