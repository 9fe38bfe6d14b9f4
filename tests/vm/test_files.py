# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for files on supported kernels: one play on all machines tries every access of accesses.py in and outside a guard.

docs/files.md has the table of the accesses and of what becomes of them, and is compared with what the kernels do.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import accesses
from controller import Controller
from images import KERNELS
from tasks import TRIED, findings, kernels, processes, tell
from accesses import ACCESSES

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "docs" / "files.md"
MARKERS = "<!-- what `make kernels` measured -->\n", "<!-- end -->\n"
LAUNCHER = "/run/ebpf_guard/deploy/launcher"
EXCHANGES = 2


def policy(mode="enforce", **more):
    return {"version": 1, "mode": mode,
            "deny": [{"id": "files", "reason": "a test", "paths": accesses.DENIED},
                     {"id": "images", "reason": "a test", "filesystems": accesses.FILESYSTEMS}, *more.get("deny", ())],
            "allow": [{"id": "ok", "paths": accesses.ALLOWED}], "expected": ["files", "images"]}


OTHER = policy(deny=[{"id": "more", "reason": "a test", "paths": ["/srv/plain", "/opt/absent"]}])


# The play

def act(name, mark=None, **task):
    done = {"name": f"accesses.py {name}", "ansible.builtin.command": f"/usr/bin/python3 /opt/accesses.py {name}",
            "changed_when": False, "register": "said", **task}
    return [done, tell(mark, "said.stdout | from_json")] if mark else [done]


def guard(mark, **arguments):
    return [{"name": "Guard", "loopbreak.deploy.ebpf_guard": {"fail_on_denied": False, **arguments},
             "register": "guard"}, tell(mark, "guard")]


def tried(mode):
    mark = mode.upper()
    return [*act("prepare"), *guard(f"{mark}_UP", policy=policy(mode)), *guard(f"{mark}_AGAIN", policy=policy(mode)),
            *act("outside", f"{mark}_OUTSIDE"),
            *act("inside", f"{mark}_INSIDE", vars={"ansible_shell_executable": LAUNCHER}),
            *guard(f"{mark}_DOWN", state="absent")]


def exchanged():
    """A process opens a denied file all the time, while the rules are exchanged."""
    shell = {"name": "Loop", "changed_when": False, "ansible.builtin.shell":
             f"setsid {LAUNCHER} -c 'exec /usr/bin/python3 /opt/accesses.py loop' > /run/accesses.loop 2>&1 < /dev/null &"}
    wait = {"name": "Wait", "ansible.builtin.wait_for": {"path": accesses.LOOPING, "timeout": 120}}
    stop = {"name": "Stop", "changed_when": False, "ansible.builtin.shell":
            f"touch {accesses.STOP}; for i in $(seq 600); do test -s /run/accesses.loop && break; sleep 0.1; done; "
            "cat /run/accesses.loop", "register": "said"}
    return [*act("prepare"), *guard("EXCHANGE_UP", policy=policy()), shell, wait,
            *(task for number in range(EXCHANGES)
              for task in guard(f"EXCHANGE_{'AB'[number % 2]}", policy=(OTHER, policy())[number % 2])),
            stop, tell("LOOP", "said.stdout | from_json"), *guard("EXCHANGE_DOWN", state="absent")]


PLAY = {"hosts": ",".join(TRIED), "gather_facts": False,
        "tasks": [*act("programs", "BEFORE"), *tried("enforce"), *tried("monitor"), *exchanged(),
                  *act("programs", "AFTER", until="'ebg_' not in said.stdout", retries=20, delay=1, failed_when=False)]}


def measure(machines, directory):
    """{mark: {kernel: what was told}}"""
    controller = Controller(machines, directory)
    # what is denied is looked at below, each by itself
    run = controller.playbook([PLAY], timeout=3000, ANSIBLE_TIMEOUT="120", EBPF_GUARD_FAIL="false")
    if run.status:
        pytest.fail(f"the play failed: {run.output[-4000:]}", pytrace=False)
    print(f"the play took {run.seconds:.0f} s")
    return findings(run)


@pytest.fixture(scope="module")
def measured(machines, tmp_path_factory):
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda machine: machine.put(HERE / "accesses.py", to="/opt"), machines.values()))
    return measure(machines, tmp_path_factory.mktemp("files"))


# An access on one kernel: what was expected of it, and what it did.

def expected(name, kernel, mode):
    """(outcome, {"kind path"})"""
    its = ACCESSES[name]
    records = its.differs.get(kernel, its.records)
    if mode == "monitor":
        return "passes", {*records, *its.in_monitor} if records else set()
    return "EACCES" if records else "passes", set(records)


def found(measured, name, kernel, mode):
    result = measured[f"{mode.upper()}_INSIDE"][kernel][name]
    return result["outcome"], {f"{record['kind']} {plain(record['path'])}"
                               for record in measured[f"{mode.upper()}_DOWN"][kernel]["denied"]
                               if processes(record).intersection(result["pids"])}


def plain(path):
    """A path that is the same in each run: `-` for none, `#N` for a file that has no name yet."""
    path = re.sub(r"/#\d+$", "/#N", path or "-")
    return "...tail" if path == "..." + (("/" + accesses.PART) * 2 + "/file")[-252:] else path


@pytest.mark.parametrize("mode", ("enforce", "monitor"))
@pytest.mark.parametrize("name", ACCESSES)
def test_access(name, mode, measured):
    wrong = [f"Linux {kernel}: expected {expected(name, kernel, mode)}, found {found(measured, name, kernel, mode)}"
             for kernel in TRIED if found(measured, name, kernel, mode) != expected(name, kernel, mode)]
    assert not wrong, f"{ACCESSES[name].title}, in {mode} mode:\n" + "\n".join(wrong)


# What holds besides

def down(measured, kernel, mode="enforce"):
    return measured[f"{mode.upper()}_DOWN"][kernel]


@kernels
def test_a_process_outside_reaches_everything(kernel, measured):
    for mode in ("ENFORCE", "MONITOR"):
        outcomes = measured[f"{mode}_OUTSIDE"][kernel]
        assert len(outcomes) == 11 and set(outcomes.values()) == {"passes"}, f"{mode}: {outcomes}"


@kernels
@pytest.mark.parametrize("mode", ("enforce", "monitor"))
def test_totals_are_exact(mode, kernel, measured):
    report = down(measured, kernel, mode)
    verdict = "denied" if mode == "enforce" else "would_deny"
    assert report["counters"]["lost"] == 0
    for kind in ("file", "exec"):
        told = sum(record["count"] for record in report["denied"] if record["kind"] == kind)
        assert report["counters"][kind][verdict] == told > 0, kind
    counted = [record for record in report["denied"] if record["path"] == "/srv/denied/counted"]
    assert sum(record["processes"] for record in counted) == accesses.PROCESSES
    assert sum(record["count"] for record in counted) == accesses.PROCESSES * accesses.OPENS


@kernels
def test_all_denials_are_those_of_the_accesses(kernel, measured):
    tried = {pid for result in measured["ENFORCE_INSIDE"][kernel].values() for pid in result["pids"]}
    strangers = [record for record in down(measured, kernel)["denied"]
                 if not tried & processes(record)]
    assert not strangers


@kernels
def test_monitor_mode_observes_what_is_executed_or_comes_over_a_network(kernel, measured):
    observed = down(measured, kernel, "monitor")["observed"]
    executed = {record["path"] for record in observed if record["kind"] == "exec"}
    assert "/usr/bin/dash" in executed and "/srv/plain/script" not in executed, executed    # of a script, its interpreter
    assert sorted(record["path"] for record in observed if record["kind"] == "file") == sorted(accesses.REMOTE)


@kernels
def test_the_same_policy_again_is_no_change(kernel, measured):
    for mode in ("ENFORCE", "MONITOR"):
        assert measured[f"{mode}_UP"][kernel]["changed"] is True
        assert measured[f"{mode}_AGAIN"][kernel]["changed"] is False


@kernels
def test_no_open_passes_while_rules_are_exchanged(kernel, measured):
    loop, report = measured["LOOP"][kernel], measured["EXCHANGE_DOWN"][kernel]
    assert set(loop["outcomes"]) == {"EACCES"}
    assert [record["pid"] for record in report["denied"]] == [loop["pid"]]
    assert report["denied"][0]["count"] == report["counters"]["file"]["denied"] == loop["outcomes"]["EACCES"]


@kernels
def test_a_guard_that_is_down_has_left_nothing(kernel, measured):
    for kind, before in measured["BEFORE"][kernel].items():
        # systemd makes its own (sd_...) anew when a unit comes or goes, as the guard's service does
        assert [one for one in measured["AFTER"][kernel][kind]
                if one not in before and not one.split()[1].startswith("sd_")] == [], kind
    for mark in ("ENFORCE_DOWN", "MONITOR_DOWN", "EXCHANGE_DOWN"):
        assert measured[mark][kernel]["faults"] == []


# The table of the documentation

def verdict(name, kernel):
    return "denied" if expected(name, kernel, "enforce")[0] == "EACCES" else "passes"


def row(name):
    its = ACCESSES[name]
    verdicts = {kernel: verdict(name, kernel) for kernel in KERNELS}
    usual = max(verdicts.values(), key=list(verdicts.values()).count)
    others = [f"{word} on {', '.join(kernel for kernel in verdicts if verdicts[kernel] == word)}"
              for word in sorted({*verdicts.values()} - {usual})]
    because = [f"({why})" for why in (its.limit, its.because if others else None) if why]
    return f"| {its.title} | {' '.join(['; '.join([usual, *others]), *because])} |\n"


def test_the_table_of_the_docs_is_what_test_access_finds():
    table = "| access | verdict |\n|---|---|\n" + "".join(row(name) for name in ACCESSES)
    before, _marker, rest = DOCUMENT.read_text().partition(MARKERS[0])
    stands, _marker, after = rest.partition(MARKERS[1])
    if stands != table:
        DOCUMENT.write_text(f"{before}{MARKERS[0]}{table}{MARKERS[1]}{after}")
        pytest.fail(f"{DOCUMENT} did not say what the kernels do. It does now: look at the difference, and commit it if "
                    f"it is right.\n--- it said\n{stands}\n--- now\n{table}")
