# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the bench that reach into the collection still do: nothing else runs them between two releases."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import guard
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from tools import ROOT

POLICY = {"version": 1, "deny": [{"id": "bench", "reason": "a benchmark", "networks": ["192.0.2.0/24"]}]}


def told(python, part, *arguments, **options):
    """What a part prints."""
    done = subprocess.run([python, ROOT / "bench" / part, *arguments], capture_output=True, text=True, check=False,
                          env=dict(os.environ, PYTHONPATH=str(ROOT / "build" / "collections")), **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_start():
    wanted = {"name": "bench-part", "policy": packed.pack(check(POLICY)), "loader": "libbpf"}
    try:
        one = told("/usr/bin/python3", "start.py", input=json.dumps(wanted))
    finally:
        guard.absent("bench-part")
    assert sum(one["steps"].values()) == one["up"] < one["whole"] and one["memory"] > 0


def by_itself(*command):
    """A Python process that finds the modules of the bench."""
    paths = ("bench", "tests/fleet", "tests/vm", "build/collections")
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False,
                          env=dict(os.environ, PYTHONPATH=os.pathsep.join(str(ROOT / path) for path in paths)))


IN_A_ROOM = """
import contextlib
from bench import policy
from deployments import take
from room import SERVER, BUILT, Room, enter
enter()
waits = []
with Room() as room:
    room.serve(BUILT / "servers", SERVER, ready="ready")
    with room.stalls(waits):
        guarded = room.guard("part", policy(3, named=False))
    for cgroup in (guarded, room.trie_program("part"), room.empty_programs()):
        assert room.load(cgroup, "elsewhere", 100) > 0
    took, used = take(lambda _directory: contextlib.nullcontext(("grep", "-q", "/bench-part$", "/proc/self/cgroup")), guarded)
    assert took > 0 and used > 0
    try:
        take(lambda _directory: contextlib.nullcontext(("sh", "-c", "echo the reason; exit 3")), guarded)
    except RuntimeError as error:
        assert "(3): the reason" in str(error)
    else:
        raise AssertionError("a deployment that fails is no measurement")
assert waits[0] > 0
print(len(waits))
"""


def test_a_room(tmp_path):
    """A guard in it, a program that looks into the guard's table, and what sees how long others wait."""
    subprocess.run(["make", *(f"build/bench/{name}" for name in ("load", "servers", "stall", "trie.bpf.o", "empty.bpf.o"))],
                   cwd=ROOT, check=True, capture_output=True)
    script = tmp_path / "part.py"
    script.write_text(IN_A_ROOM)
    done = by_itself(script)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_the_repository_that_is_cloned(tmp_path):
    done = by_itself("-c", "import pathlib, supplies\n"
                     f"supplies.repository(pathlib.Path({str(tmp_path / 'git')!r}))\nprint(supplies.TRACKED)")
    assert done.returncode == 0, done.stderr
    files = subprocess.run(["git", "-C", tmp_path / "git", "ls-tree", "-r", "--name-only", "main"], capture_output=True, text=True,
                           check=True).stdout.split()
    assert len(set(files)) == int(done.stdout)


def test_the_controller():
    one = told(sys.executable, "controller.py", "2", "3", "every")
    assert one["size"] and one["seconds"] and one["view"] and all(one["written"].values())


def test_two_runs_are_compared(tmp_path):
    def run(name, guarded, more=()):
        row = {"title": "a row", "ways": {way: {"rounds": rounds} for way, rounds in (("plain", [10, 10, 10]), ("guarded", guarded))},
               "targets": [{"what": "guarded", "unit": "x", "rounds": [9]}, {"what": "a figure", "unit": "MB", "rounds": [5]}, *more]}
        machine = {"kernel": "6.12", "cpus": 2, "cpu": "a CPU"}
        (tmp_path / name).write_text(json.dumps({"machine": machine, "rows": [row]}))
        return tmp_path / name

    def compared(*runs):
        return subprocess.run([sys.executable, ROOT / "bench" / "compare.py", *runs], capture_output=True, text=True,
                              check=True).stdout.splitlines()[3:]

    before, alike = run("before", [11, 12, 13]), run("alike", [12, 12, 12])
    after = run("after", [14, 15, 16], [{"what": "new", "unit": "s", "rounds": [1]}])
    said = [line.split() for line in compared(before, alike)]
    assert said == [["a", "row"], ["guarded", "1.20", "1.20", "x"], ["a", "figure", "5.00", "5.00", "MB"]]
    said = [line.split() for line in compared(before, after)]
    assert said == [["a", "row"], ["guarded", "1.20", "1.50", "x", "CHANGED"], ["a", "figure", "5.00", "5.00", "MB"],
                    ["new", "only", "after"]]


def test_a_policy_file(tmp_path):
    file = tmp_path / "policy.yml"
    file.write_text(json.dumps(POLICY))
    assert told(sys.executable, "check.py", file)["size"]
