# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports of a run with real guards: the JSON is held against its schema, and all formats have the same numbers."""

from __future__ import annotations

import signal
import time

import documents
import report_formats
from controller import REASON, guarded_play, policy, reach

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import document

LONG = [{"name": "Long", "ansible.builtin.shell": "touch /tmp/long; sleep 20"}]


def test_the_report_of_a_run_that_is_interrupted(controller, fleet):
    """One host denies, one would and observes; the guard of a third one is up when somebody presses Ctrl-C."""
    rules = {**policy(service="mysql"), "mode": "{{ 'monitor' if inventory_hostname == 'web2' else 'enforce' }}"}
    tasks = [*reach("tcp", "192.0.2.10"), *reach("tcp", "203.0.113.20"), {"name": "Plain", "ansible.builtin.raw": "true"}]
    denying = guarded_play(controller, tasks, rules, hosts="web1,web2")
    long = guarded_play(controller, LONG, hosts="web3")
    began = time.time()
    with controller.start([denying, long], EBPF_GUARD_REPORT_DIR="reports", EBPF_GUARD_REPORTS=",".join(document.WRITERS),
                          EBPF_GUARD_STEP_SUMMARY="summary.md") as run:
        while fleet.exec("web3", "test", "-e", "/tmp/long", check=False).returncode and time.time() < began + 120:
            time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        said = run.communicate()[0]
    controller.call("ebpf_guard", hosts="web3", state="absent")
    fleet.exec("web3", "rm", "/tmp/long")

    files = {path.name.partition(".")[2]: path for path in (controller.directory / "reports").iterdir()}
    assert sorted(files) == sorted(document.ENDS.get(form, form) for form in document.WRITERS)
    counts = [report_formats.READERS[form](files[document.ENDS.get(form, form)]) for form in document.WRITERS if form != "html"]
    assert counts == [{"denied": 1, "would_deny": 1}] * len(counts)
    assert (controller.directory / "summary.md").read_bytes() == files["md"].read_bytes()
    found = documents.read(files["json"])
    assert "\nREPORT " in said and found["run"]["cut_off"] and found["run"]["collection"], said
    assert found["outcome"]["status"] == 2 and {key: hosts for key, hosts in found["outcome"]["hosts"].items() if hosts} == {
        "denied": ["web1"], "missing": ["web3"]}
    guards = {one["host"]: one for one in found["guards"]}
    assert [(host, one["mode"], one["outcome"], one["observes"], one["service"]) for host, one in sorted(guards.items())] == [
        ("web1", "enforce", "denied", False, "mysql"), ("web2", "monitor", "would deny", True, "mysql"),
        ("web3", "enforce", "left up", False, None)]
    assert all(one["enforced"]["connect"] is True and one["policy_sha256"] and one["loader"] for one in guards.values())
    assert guards["web1"]["totals"]["denied"] == 1 and guards["web2"]["totals"]["would_deny"] == 1

    file, line = str(denying["tasks"][0]["vars"]["ebpf_guard_tasks"]).rpartition("/")[2], 1
    records = [(one["host"], one["guard"], one["rule"], one["reason"], one["address"], one["kind"], one["task"])
               for one in sorted(found["denied"], key=lambda one: one["host"])]
    task = {"name": "Reach 192.0.2.10 by tcp", "file": file, "line": line}
    assert records == [(host, "deploy", "github", REASON, "192.0.2.10", "connect", task) for host in ("web1", "web2")]
    seen = {(one["host"], one["address"]) for one in found["observed"] if one["kind"] == "connect"}
    assert ("web2", "203.0.113.20") in seen and {host for host, _address in seen} == {"web2"}
    assert sorted((one["host"], one["how"], one["task"]["name"]) for one in found["outside"]) == [
        ("web1", "raw", "Plain"), ("web2", "raw", "Plain")]
    assert {(one["host"], one["name"]) for one in found["tasks"] if one["file"] == file and not one["idle"]} == {
        (host, f"Reach {address} by tcp") for host in ("web1", "web2") for address in ("192.0.2.10", "203.0.113.20")}
    assert ("192.0.2.10:80/tcp", "github", "denied", 1) in {
        (one["endpoint"], one["rule"], one["verdict"], one["hosts"]) for one in found["endpoints"]}
