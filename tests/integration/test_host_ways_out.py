# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways out on this machine's kernel, which may know unix sockets by the path that a process gives alone.

What is tried on every supported kernel is in tests/vm.
"""

from __future__ import annotations

import pytest
from hosts import inside, remains

REASON = "what docker starts is not in the guard"
DOCKER, MINE = "/run/docker.sock", "/run/mine.sock"
LISTEN = f"""
import os, signal, socket
servers = []
for path in ({DOCKER!r}, {MINE!r}):
    servers.append(socket.socket(socket.AF_UNIX))
    servers[-1].bind(path)
    servers[-1].listen(64)
pid = os.fork()
if pid:
    print(pid)
else:
    os.setsid()
    for descriptor in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    signal.pause()
"""
ASK = "import os, socket, sys; os.chdir('/run'); socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def policy(mode="enforce", sockets=(DOCKER,), **more):
    return {"version": 1, "mode": mode, "deny": [{"id": "docker", "reason": REASON, "sockets": list(sockets)}], **more}


def ask(path=DOCKER):
    return ["/usr/bin/python3", "-c", ASK, path]


@pytest.fixture(scope="module", autouse=True)
def docker(fleet):
    """Somebody who listens where docker would."""
    pid = fleet.exec("web1", "/usr/bin/python3", "-c", LISTEN).stdout.strip()
    yield
    fleet.exec("web1", "sh", "-c", f"kill {pid}; rm {DOCKER} {MINE}")


def test_a_rule_for_sockets_denies_and_tells(controller, fleet):
    task = {"name": "Ask docker", "ansible.builtin.command": {"argv": ask()}, "changed_when": False,
            "ignore_errors": True}
    run = controller.guarded([task], policy=policy(), variables={"ebpf_guard_fail_on_denied": False})
    run.ended(2).said(DOCKER, "(rule docker)", REASON, "Permission denied")
    assert remains(fleet) == []


def test_by_which_path_it_is_asked(controller, fleet):
    told = controller.call("ebpf_guard", policy=policy())
    assert told["guard"]["enforced"]["unix"] is True
    for path in (DOCKER, "/var" + DOCKER, "docker.sock"):
        assert "Permission denied" in inside(fleet, *ask(path), check=False).stderr, path
    fleet.exec("web1", *ask())  # outside
    report = controller.call("ebpf_guard", state="absent", fail_on_denied=False)
    assert sum(record["count"] for record in report["denied"]) == report["counters"]["unix"]["denied"] == 3
    assert {(record["kind"], record["rule"]) for record in report["denied"]} == {("unix", "docker")}


@pytest.mark.parametrize("wanted", [policy("monitor"), policy("monitor", sockets=["/run/other"]),
                                    policy(sockets=["/run/other"]), {"version": 1, "ways_out": [MINE]}])
def test_a_known_way_is_recorded_in_every_mode(controller, fleet, wanted):
    controller.call("ebpf_guard", policy=wanted)
    inside(fleet, *ask())
    inside(fleet, *ask(MINE))
    report = controller.call("ebpf_guard", state="absent")
    would = "deny" in wanted and wanted["deny"][0]["sockets"] == [DOCKER]
    told = [record for record in report["denied" if would else "observed"] if record["kind"] == "unix"]
    assert {(record["path"], record["count"], record["rule"]) for record in told} == {
        (DOCKER, 1, "docker" if would else None)} | {(MINE, 1, None) for _named in wanted.get("ways_out", ())}
    assert told[0]["command"].startswith("/usr/bin/python3 -c")


def test_rules_for_sockets_are_exchanged(controller, fleet):
    for number, rules in enumerate(([DOCKER], ["/run/other"], [DOCKER])):
        wanted = policy(sockets=rules)
        assert controller.call("ebpf_guard", policy=wanted)["changed"]
        assert not controller.call("ebpf_guard", policy=wanted)["changed"], number
        assert (inside(fleet, *ask(), check=False).returncode == 0) == (rules != [DOCKER])
    report = controller.call("ebpf_guard", state="absent", fail_on_denied=False)
    assert [record["count"] for record in report["denied"] if record["rule"] == "docker"] in ([2], [1, 1])
    assert remains(fleet) == []


def test_the_callback_lists_what_was_asked_outside(controller):
    task = {"name": "Ask docker", "ansible.builtin.command": {"argv": ask()}, "changed_when": False}
    run = controller.guarded([task], policy={"version": 1, "encrypted_dns": "deny"}).ended(0)
    run.said("ways out, asked to act outside the guard (not watched there):", f"    {DOCKER}  1x  python3 -c")


def test_a_lock_holds_or_fails_the_start(controller, fleet):
    results, run = controller.adhoc("ebpf_guard", {"policy": {"version": 1, "lock": True}})
    told = results["web1"]
    if "guard" in told:
        assert told["guard"]["enforced"]["lock"] is True
        leave = "echo $$ > $(findmnt -fno TARGET -t cgroup2)/cgroup.procs"
        assert inside(fleet, "sh", "-c", leave, check=False).returncode != 0
        controller.call("ebpf_guard", state="absent", fail_on_denied=False)
    else:
        run.ended(2).said("lock: true", "can not be enforced on this host", "write lock: false")
    assert remains(fleet) == []
