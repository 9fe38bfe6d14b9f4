# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits on the deploy cgroup, where cgroup2 has the controllers: hit, told, and nothing else on the host minds."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from controller import Controller
from matrix import policy
from tasks import TRIED, findings, kernels, role, tell

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import text

SCRIPT = Path(__file__).resolve().parent / "files" / "limited.py"
LIMITS, OTHER = {"memory": "64M", "cpus": 0.5, "pids": 25}, {"memory": "96M", "pids": 30}
# Every controller that is handed on anywhere, and what was killed for lack of memory
LOOK = "cd /sys/fs/cgroup && grep -r . --include=cgroup.subtree_control . | grep -v 'user.slice' | sort; " \
       "grep oom_kill /proc/vmstat; systemctl --failed --no-legend"


def guarded(**limits):
    return role("start", ebpf_guard_policy={**policy("enforce", hosts=()), **limits})


def limited(mark, *arguments):
    script = {"cmd": " ".join([str(SCRIPT), *arguments]), "executable": "/usr/bin/python3"}
    return [{"name": f"Meet the limits ({mark})", "register": "met", "ansible.builtin.script": script}, tell(mark, "met.stdout | from_json")]


def look(mark):
    return [{"name": f"Look at the host ({mark})", "register": "host", "ansible.builtin.shell": LOOK}, tell(mark, "host.stdout_lines")]


# What was told of one guard or of several: on which hosts, and which limits were hit
BLOCKS = re.compile(r"^(GUARD deploy on .* \[enforce\]: nothing denied\n(?:    .*\n)*)  limits were hit:\n((?:    .*\n)*)", re.M)
PLAY = {"hosts": ",".join(TRIED), "gather_facts": False, "tasks": [
    *look("BEFORE"),
    guarded(limits=LIMITS), *limited("FIRST", "try"), guarded(limits=OTHER), *limited("OTHER", "lift"),
    role("stop"), *look("AFTER"),
]}


@pytest.fixture(scope="module")
def met(machines, tmp_path_factory):
    """{mark: {kernel: what was told}}, and what the run printed."""
    controller = Controller(machines, tmp_path_factory.mktemp("limits"))
    run = controller.playbook([PLAY], timeout=1800, ANSIBLE_TIMEOUT="120").ended(0)
    print(f"the play took {run.seconds:.0f} s")
    return findings(run), run


@kernels
def test_limits_hold_and_are_told(met, kernel):
    told, run = met
    first, other = told["FIRST"][kernel], told["OTHER"][kernel]
    assert (first["memory.max"], first["cpu.max"], first["pids.max"]) == (["67108864"], ["50000", "100000"], ["25"])
    assert first.get("memory.swap.max", ["0"]) == ["0"]
    assert first["hungry"] == signal.SIGKILL
    children, why = first["many"]
    assert 5 < children < 25 and why == "Resource temporarily unavailable"
    assert (other["memory.max"], other["cpu.max"], other["pids.max"]) == (["100663296"], ["max", "100000"], ["30"])
    [(hosts, limits)] = [one for one in BLOCKS.findall(run.output) if kernel in re.findall(r"[\w.]+", one[0])]
    killed = sum(1 for one in TRIED if one in re.findall(r"[\w.]+", hosts))     # one on each; many hosts are told together
    assert f"    memory   limit of 96M: {text.amount(killed, 'process')} killed for lack of memory\n" in limits, run
    assert "    pids     limit of 30: no process could be started, " in limits, run
    assert re.search(r"The limit \S+/pids.max was changed from 30 to max", run.output.replace("\n", " ")), run


@kernels
def test_the_host_is_otherwise_unharmed(met, kernel):
    before, after = (met[0][mark][kernel] for mark in ("BEFORE", "AFTER"))
    assert [line.replace("oom_kill 0", "oom_kill 1") for line in before] == after
