# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports of a run with real guards: the JSON is held against its schema, and all formats have the same numbers."""

from __future__ import annotations

import re
import signal
import time

import documents
import pytest
import report_formats
import yaml
from controller import REASON, guarded_play, policy, reach
from hosts import PINS

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import document

FORMATS = list(document.WRITERS)
EVERY_FORMAT = {"EBPF_GUARD_REPORT_DIR": "reports", "EBPF_GUARD_REPORTS": ",".join(FORMATS)}
LONG = [{"name": "Long", "ansible.builtin.shell": "touch /tmp/long; sleep 20"}]
# what breaks off a run, and whether `always` takes the guards down all the same
BREAKS = {"any_errors_fatal": ({"name": "Fail", "ansible.builtin.command": "false", "when": "inventory_hostname == 'web1'",
                                "any_errors_fatal": True}, True),
          "a file that does not parse": ({"name": "Include", "ansible.builtin.include_tasks": "broken.yml"}, False)}
NEVER = {"name": "Never", "ansible.builtin.command": "touch /tmp/it-ran"}


def written(controller):
    """{format: path} of the only run."""
    files = {path.name.partition(".")[2]: path for path in (controller.directory / "reports").iterdir()}
    assert sorted(files) == sorted(document.ENDS.get(form, form) for form in FORMATS)
    return {form: files[document.ENDS.get(form, form)] for form in FORMATS}


def counts(files):
    return {form: report_formats.READERS[form](path) for form, path in files.items()}


# Tries addresses, and then one of them by so many ports
REACH = """
import contextlib, socket, sys
ports, *addresses = sys.argv[1:]
for address in addresses:
    with contextlib.suppress(OSError):
        socket.create_connection((address, 80), 5).close()
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(1, 1 + int(ports)):
    with contextlib.suppress(OSError):
        probe.connect((addresses[0], port))
"""
DENIED, EXPECTED, NEW, KNOWN = "192.0.2.10", "203.0.113.30", "203.0.113.40", "203.0.113.20"
PORTS, ROOM = 17_000, 16_384  # the kernel keeps the details of so many denials
EVERYTHING = [
    {"name": "Reach", "ansible.builtin.command": {"argv": [
        "/usr/bin/python3", "-c", REACH, f"{{{{ {PORTS} if inventory_hostname == 'web1' else 0 }}}}", DENIED, EXPECTED, NEW, KNOWN]}},
    {"name": "Plain", "ansible.builtin.raw": "true"},
    {"name": "Break", "ansible.builtin.command": f"bpftool link detach pinned {PINS}/ebg_connect4",
     "when": "inventory_hostname == 'web3'"}]
BROKEN = "was detached"  # the link of the program


@pytest.mark.cores
def test_all_formats_tell_the_same_of_all_that_can_be(controller):
    """On one host more is denied than has room, a second one is only watched, and the guard of a third one is broken."""
    (controller.directory / "deps.yml").write_text(yaml.safe_dump({"version": 1, "dependencies": [
        {"network": KNOWN, "ports": [80]}]}))
    rules = {"version": 1, "mode": "{{ 'monitor' if inventory_hostname == 'web2' else 'enforce' }}", "deny": [
        {"id": "github", "reason": REASON, "hosts": [".github.com"]}, {"id": "updates", "reason": "r", "networks": [EXPECTED]}],
        "expected": ["updates"], "baseline": str(controller.directory / "deps.yml"), "on_new": "report"}
    run = controller.guarded(EVERYTHING, policy=rules, hosts="web1,web2,web3", **EVERY_FORMAT, GITHUB_ACTIONS="true",
                             GITHUB_STEP_SUMMARY="summary.md")
    run.ended(2).said("exit status 2: accesses were denied on web1, web3; guards were not whole on web3")
    files = written(controller)
    found = documents.read(files["json"])
    # on web1, and one of web3; both expect one; web2 would deny both
    sums = {"denied": 1 + PORTS + 1, "expected": 2, "would_deny": 2, "new": 3, "lost": 1 + PORTS + 1 - ROOM}
    assert counts(files) == {form: sums for form in FORMATS}
    assert not report_formats.of_a_cut_off_run(files)
    assert (controller.directory / "summary.md").read_bytes() == files["markdown"].read_bytes()
    annotated = re.findall(r"^::error .*?::.*: denied, (\d+)x on ", run.output, re.MULTILINE)
    assert sum(map(int, annotated)) == sums["denied"], run

    assert {form for form, text in report_formats.texts(files).items() if BROKEN not in text} == {"openmetrics"}
    assert '\nebpf_guard_faults{host="web3",guard="deploy"} 1\n' in files["openmetrics"].read_text()
    assert sorted((one["host"], one["how"], one["task"]["name"]) for one in found["outside"]) == [
        (host, "raw", "Plain") for host in ("web1", "web2", "web3")]
    assert {(one["host"], one["address"]) for one in found["observed"] if one["kind"] == "connect"} == {
        (host, address) for host in ("web1", "web2", "web3") for address in (NEW, KNOWN)}
    shells = {one["command"] for one in found["observed"] if one["path"] == "/usr/bin/dash"}
    pause = " && sleep 0" if controller.core < (2, 21) else ""
    assert shells == {f"/bin/sh -c /usr/bin/python3{pause}"}  # and none of the guard's own
    assert {one["host"]: one["outcome"] for one in found["guards"]} == {
        "web1": "denied", "web2": "new", "web3": "denied"}


@pytest.mark.parametrize("how", BREAKS)
def test_a_run_that_breaks_off_says_so_in_every_format(controller, how):
    task, down = BREAKS[how]
    (controller.directory / "broken.yml").write_text("- name: [\n")
    run = controller.guarded([*reach("tcp", "192.0.2.10"), task, NEVER], hosts="web1,web2", **EVERY_FORMAT)
    files = written(controller)
    assert counts(files) == {form: {"denied": 2} if down else {} for form in FORMATS}, run
    assert report_formats.of_a_cut_off_run(files) == set(FORMATS), run
    found = documents.read(files["json"])
    assert [one["outcome"] for one in found["guards"]] == ["denied" if down else "left up"] * 2
    assert found["outcome"]["hosts"]["denied" if down else "missing"] == ["web1", "web2"]
    if not down:
        controller.adhoc("ebpf_guard", {"state": "absent"}, "web1,web2")


def test_the_report_of_a_run_that_is_interrupted(controller, fleet):
    """One host denies, one would and observes; the guard of a third one is up when somebody presses Ctrl-C."""
    rules = {**policy(service="mysql"), "mode": "{{ 'monitor' if inventory_hostname == 'web2' else 'enforce' }}"}
    tasks = [*reach("tcp", "192.0.2.10"), *reach("tcp", "203.0.113.20"), {"name": "Plain", "ansible.builtin.raw": "true"}]
    denying = guarded_play(controller, tasks, rules, hosts="web1,web2")
    long = guarded_play(controller, LONG, hosts="web3")
    began = time.time()
    with controller.start([denying, long], **EVERY_FORMAT, EBPF_GUARD_STEP_SUMMARY="summary.md") as run:
        while fleet.exec("web3", "test", "-e", "/tmp/long", check=False).returncode and time.time() < began + 120:
            time.sleep(0.2)
        run.send_signal(signal.SIGINT)
        said = run.communicate()[0]
    controller.call("ebpf_guard", hosts="web3", state="absent")
    fleet.exec("web3", "rm", "/tmp/long")

    files = written(controller)
    assert counts(files) == {form: {"denied": 1, "would_deny": 1} for form in FORMATS}
    assert report_formats.of_a_cut_off_run(files) == set(FORMATS)
    assert (controller.directory / "summary.md").read_bytes() == files["markdown"].read_bytes()
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
