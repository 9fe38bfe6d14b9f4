# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways out on supported kernels: one play on all machines tries each, watched, and with rules and lock: true."""

from __future__ import annotations

from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from controller import Controller
from images import KERNELS
from tasks import TRIED, findings, kernels, processes, tell

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.model import FEW

SCRIPT = Path(__file__).resolve().parent / "files/outward.py"
LAUNCHER = "/run/ebpf_guard/deploy/launcher"
DOCKER, BUS, PRIVATE = "/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"
SOCKETS = [DOCKER, "@tool", "/run/datagrams", "/run/later", BUS, PRIVATE]
POLICIES = {
    "MONITOR": {"version": 1, "mode": "monitor"},
    "DENY": {"version": 1, "lock": True, "expected": ["sockets", "spools"], "deny": [
        {"id": "sockets", "reason": "a test", "sockets": SOCKETS},
        {"id": "spools", "reason": "a test", "paths": ["/var/spool/cron", "/etc/cron.d"]}]},
}

# A way. `seen`: what stands in the report of it where nothing denies it, as "kind path"; `denied`: the same where the
# policy above does, None where it does not. `older`: denied in addition, with the systemd of Debian 12.
Way = namedtuple("Way", "seen denied older", defaults=((), None, ()))
MOVED, MOUNTED = "unix /sys/fs/cgroup/cgroup.procs", "unix /run/mounted/cgroup.procs"
BEGUN = "unix clone3(2) into a cgroup"
WAYS = {
    "docker": Way([f"unix {DOCKER}"], [f"unix {DOCKER}"]),
    "docker by /var/run": Way([f"unix {DOCKER}"], [f"unix {DOCKER}"]),
    "docker by a symbolic link": Way([f"unix {DOCKER}"], [f"unix {DOCKER}"]),
    "docker by a relative path": Way([f"unix {DOCKER}"], [f"unix {DOCKER}"]),
    "docker by a hard link": Way([f"unix {DOCKER}"], [f"unix {DOCKER}"]),
    "docker by a bind mount": Way([f"unix {DOCKER}"], [f"unix {DOCKER}"]),
    "a socket without a file": Way([], ["unix @tool"]),
    "a socket that is made later": Way([], ["unix /run/later"]),
    "a datagram": Way([], ["unix /run/datagrams"]),
    "a socket of no rule": Way(),
    "docker of a user": Way(["unix /run/user/7/docker.sock"]),
    "systemd of a user": Way(["unix /run/user/7/systemd/private"]),
    "dirmngr": Way(["unix /root/gnupg/S.dirmngr"]),
    "a master of ssh": Way(["unix /run/plain"]),
    "systemd-run": Way([f"unix {BUS}"], [f"unix {BUS}"]),
    "systemctl restart": Way([f"unix {PRIVATE}"], [f"unix {PRIVATE}"], [f"unix {BUS}"]),
    "the system bus": Way([f"unix {BUS}"], [f"unix {BUS}"]),
    "at": Way(["unix /var/spool/cron/atjobs"], ["file /var/spool/cron/atjobs"]),
    "crontab": Way(["unix /var/spool/cron/crontabs"], ["file /var/spool/cron/crontabs"]),
    "cron.d": Way(["unix /etc/cron.d"], ["file /etc/cron.d"]),
    "cgroup.procs": Way([MOVED], [MOVED]),
    "cgroup.procs by a mount of its own": Way([MOUNTED], [MOUNTED]),
    "cgroup.procs below the guard": Way(),
    "reading a cgroup.procs": Way(),
    "clone3 into a cgroup": Way([BEGUN], [BEGUN]),
    "fork": Way(),
}
LOCKED = {MOVED, MOUNTED, BEGUN}


# The play

def guard(mark, arguments, **task):
    return [{"name": "Guard", "loopbreak.deploy.ebpf_guard": {"fail_on_denied": False, **arguments},
             "register": "guard", **task}, tell(mark, "guard")]


def script(name, **task):
    return {"name": f"outward.py {name}", "ansible.builtin.command": f"/usr/bin/python3 /opt/outward.py {name}",
            "changed_when": False, "register": "said", **task}


INSIDE = {"vars": {"ansible_shell_executable": LAUNCHER}}


def phase(mark, *more):
    """Exchanged and taken down by a task that would run inside: with lock: true, too."""
    return [*guard(f"{mark}_UP", {"policy": POLICIES[mark]}), script("try", **INSIDE),
            tell(mark, "said.stdout | from_json"), *more, *guard(f"{mark}_DOWN", {"state": "absent"}, **INSIDE)]


PLAY = {"hosts": ",".join(TRIED), "gather_facts": False, "tasks": [
    script("prepare"), *phase("MONITOR"),
    *phase("DENY", *guard("EXCHANGE", {"policy": POLICIES["DENY"], "observe": True}, **INSIDE))]}


@pytest.fixture(scope="module")
def measured(machines, tmp_path_factory):
    """{mark: {kernel: what was told}}, and the output of the run."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda machine: machine.put(SCRIPT, to="/opt"), machines.values()))
    # what is denied is looked at below, each by itself
    run = Controller(machines, tmp_path_factory.mktemp("ways")).playbook(
        [PLAY], timeout=3000, ANSIBLE_TIMEOUT="120", EBPF_GUARD_FAIL="false")
    if run.status:
        pytest.fail(f"the play failed: {run.output[-4000:]}", pytrace=False)
    print(f"the play took {run.seconds:.0f} s")
    return dict(findings(run), output=run.output)


def found(measured, way, kernel, mark, sort):
    """{"kind path"} of the records of one way; of files that say what is to run, the directory."""
    pid, report = measured[mark][kernel][way]["pid"], measured[f"{mark}_DOWN"][kernel]
    return {f"{record['kind']} {plain(record['path'])}" for record in report[sort]
            if record["kind"] != "exec" and pid in processes(record)}


def plain(path):
    directory = path.rpartition("/")[0]
    return directory if "cron" in directory else path


def expected(way, mark, kernel):
    """(does it pass, its denials, its observations)"""
    its = WAYS[way]
    if mark == "MONITOR" or its.denied is None:
        return True, set(), set(its.seen)
    return False, {*its.denied, *(its.older if KERNELS[kernel][1] == "bookworm" else ())}, set()


@pytest.mark.parametrize("mark", POLICIES)
@pytest.mark.parametrize("way", WAYS)
def test_way(way, mark, measured):
    wrong = []
    for kernel, told in measured[mark].items():
        outcome, wanted = told[way]["outcome"], expected(way, mark, kernel)
        is_so = (outcome == "ok", *(found(measured, way, kernel, mark, sort) for sort in ("denied", "observed")))
        if is_so != wanted:
            wrong.append(f"Linux {kernel}: expected {wanted}, found {is_so}, the attempt ended with {outcome}")
    assert not wrong, "\n".join(wrong)


# What holds besides

@kernels
def test_what_is_enforced(kernel, measured):
    watched, denied = (measured[f"{mark}_UP"][kernel]["guard"]["enforced"] for mark in POLICIES)
    assert (watched["unix"], denied["unix"], denied["lock"]) == (True, True, True)
    assert "nothing needs it" in watched["lock"]


@kernels
@pytest.mark.parametrize("mark", POLICIES)
def test_totals_are_exact(mark, kernel, measured):
    report = measured[f"{mark}_DOWN"][kernel]
    assert report["counters"]["lost"] == 0
    left = ["/", "/", None] if mark == "MONITOR" else []  # in the order of LOCKED, which the other policy denies
    assert sorted(map(str, (one["cgroup"] for one in report["left"]))) == sorted(map(str, left)), report["left"]
    assert len(report["faults"]) == len(left) and all("left the guard" in fault for fault in report["faults"]), report["faults"]
    for kind in ("unix", "file"):
        told = sum(record["count"] for record in report["denied"] if record["kind"] == kind)
        assert report["counters"][kind]["denied"] == told and (told > 0) == (mark == "DENY"), kind
        assert report["counters"][kind]["would_deny"] == 0, kind


@kernels
def test_the_report_names_the_program_that_asked(kernel, measured):
    asked = {record["command"].partition(" ")[0].rpartition("/")[2]
             for record in measured["MONITOR_DOWN"][kernel]["observed"] if record["path"] in (BUS, PRIVATE)}
    assert {"systemd-run", "systemctl"} <= asked


@kernels
def test_a_denial_by_the_lock_has_no_rule_and_says_why(kernel, measured):
    told = {f"{record['kind']} {record['path']}": (record["rule"], record["reason"])
            for record in measured["DENY_DOWN"][kernel]["denied"] if record["rule"] is None}
    assert told == dict.fromkeys(LOCKED, (None, "the policy says lock: true, and this leads out of the guard"))


@kernels
def test_a_locked_guard_is_exchanged_by_a_task_inside(kernel, measured):
    """What the module does is no deed of the deployment: it runs outside, so the lock does not keep the new agent in."""
    told = measured["EXCHANGE"][kernel]
    assert told["changed"] and not told["repaired"]


def test_the_callback_lists_what_was_asked_outside(measured):
    """In DENY, too, those that no rule denies. Of more than a few hosts, those that are alike are told together."""
    told = measured["output"].count("ways out, asked to act outside the guard (not watched there):")
    assert told == 2 * len(TRIED) or len(TRIED) > FEW and 2 <= told < 2 * len(TRIED)
