# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills a call before every line that it runs, and looks what becomes of the guard. `make kills` writes build/kills.txt.

For each scene the call is made once, and the lines of the files below are noted. Then it is made again for each of them, and
ends itself with SIGKILL there. What must hold: nobody ever reaches what is denied, whoever survived gets done, the next call
gets through, nothing is left, and no denial is missing in the reports.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from calls import (GUARDED, NAME, REACHED, Place, absent, denials, enter, gone, logged, policy, present, reach,
                   settled)
from small_host import on_a_host

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build"
FILES = ("_guard/guard.py", "_guard/start.py", "_guard/stop.py", "_guard/tombstone.py", "_guard/place.py", "_guard/memory.py",
         "_guard/agent.py", "_kernel/attach.py", "_kernel/pinned.py", "_kernel/memo.py", "_host/cgroup.py")
WORDS = {"whole": "goes on, whole", "down": "nothing is left", "ended": "ended by the agent, its report waits",
         "cut": "waits for the next call"}


# --- the scenes: what is there before the call, and the call ---

def up():
    told = present()
    assert told["rc"] == 0, told


def broken():
    up()
    place = Place(NAME)
    for path in (f"{place.pins}/ebg_egress", place.launcher):
        os.unlink(path)
    agent.stop(place)


def in_use():
    """Somebody is inside who stays there."""
    up()
    enter("sleep 60 > /dev/null & :")


def cut():
    """Its end was cut off before a thing was removed."""
    up()
    reach_once()
    absent(before=lambda: kill_at("_guard/stop.py", "_let_go"))
    assert reach() != REACHED


SCENES = {
    "start": (lambda: None, present),
    "exchange": (up, lambda **more: present(policy(1), **more)),
    "check": (up, present),
    "repair": (broken, present),
    "down": (in_use, absent),
    "down, after one that was killed": (cut, absent),
    "start, after an end that was killed": (cut, present),
}
counted = [0]  # the denials that the guard's reports have to tell of


def reach_once():
    found = reach()
    assert found != REACHED, "a task reached what is denied"
    counted[0] += found == GUARDED


# --- lines ---

class Tracer:
    """Tells `meet(file, function, line)` of each line of the files before it is run."""

    def __init__(self, meet):
        self.meet, self.files, self.pid = meet, {}, os.getpid()

    def __call__(self, frame, _event, _argument):
        path = frame.f_code.co_filename
        if path not in self.files:
            self.files[path] = next((name for name in FILES if path.endswith("/module_utils/" + name)), None)
        return self.lines if self.files[path] else None

    def lines(self, frame, event, _argument):
        if event == "line" and os.getpid() == self.pid:  # a process that it forks is not the call
            self.meet(self.files[frame.f_code.co_filename], frame.f_code.co_name, frame.f_lineno)
        return self.lines


def kill_at(file, function, line=None):
    """From now on this process ends before that line, or before the function's first one."""
    def meet(*met):
        if met == (file, function, line) or line is None and met[:2] == (file, function):
            os.kill(os.getpid(), signal.SIGKILL)
    sys.settrace(Tracer(meet))


def lines_of(scene):
    """[file, function, line] of all that the scene's call runs, in the order of their first times. On a host of its own."""
    before, call = SCENES[scene]
    before()
    with tempfile.NamedTemporaryFile("r", dir="/run") as notes:
        def note():
            log = open(notes.name, "w", buffering=1)  # closed with its process
            sys.settrace(Tracer(lambda *met: log.write(json.dumps(met) + "\n")))
        told = call(before=note)
        assert told["rc"] == 0, told
        found = dict.fromkeys(notes.read().splitlines())
    absent()
    return [json.loads(line) for line in found]


# --- a kill, and what becomes of the guard ---

def kill(scene, where, follows):
    """Returns what there was when the dust had settled. `follows`: the next call, present or absent."""
    before, call = SCENES[scene]
    counted[0] = 0
    already = logged()
    before()
    if not counted[0]:
        reach_once()
    until_then = counted[0]
    killed = call(before=lambda: kill_at(*where))
    assert killed["rc"] in (-signal.SIGKILL, 0), killed
    reach_once()
    found = settled()
    reach_once()
    if scene.startswith("start") and found in ("down", "ended"):
        counted[0] = until_then  # a start that is not done is judged, and counts for nobody
    if follows == "present":
        told = present(policy(2))
        assert told["rc"] == 0, told
        reach_once()
        assert settled() == "whole"
    earlier = logged() - already if found == "whole" else 0  # of a guard that ended before this one began
    told = absent()
    assert told["rc"] == 0, told
    assert gone() == [], gone()
    if follows == "absent" and found != "down":
        assert denials(told) == counted[0] - earlier, (denials(told), counted[0], earlier, told)
    assert logged() - already == counted[0], (logged(), already, counted[0])
    return found if killed["rc"] else "not met"


def worker(number, tasks, queue):
    def act():
        for scene, where, follows in tasks:
            try:
                found, trouble = kill(scene, where, follows), None
            except AssertionError as error:
                found, trouble = "WRONG", str(error)
                clean_up()
            queue.put((scene, where, follows, found, trouble))
    on_a_host(act, patience=6 * 3600)


def clean_up():
    """After a finding: the next kill shall not suffer from it."""
    agent.stop(Place(NAME))
    for _attempt in range(3):
        absent()


def run(tasks, workers=2):
    """[(scene, where, follows, found, trouble)] of all tasks, shared out to small hosts."""
    queue, found = multiprocessing.SimpleQueue(), []
    crew = [multiprocessing.Process(target=worker, args=(number, tasks[number::workers], queue)) for number in range(workers)]
    for one in crew:
        one.start()
    while len(found) < len(tasks):
        at_work = any(one.is_alive() for one in crew)  # asked before the queue: what is put last is not missed
        if not queue.empty():
            found.append(queue.get())
            if found[-1][4]:
                print("NOT WELL:", *found[-1], file=sys.stderr, flush=True)
            if len(found) % 100 == 0:
                print(f"{len(found)} of {len(tasks)} kills", file=sys.stderr, flush=True)
        elif at_work:
            time.sleep(0.05)
        else:
            break
    for one in crew:
        one.join()
    assert len(found) == len(tasks), f"{len(tasks) - len(found)} kills were not tried"
    return found


def all_tasks(scenes=tuple(SCENES)):
    """Every line of every scene; the next call is the one or the other, in turn."""
    tasks = []
    for scene in scenes:
        for index, where in enumerate(on_a_host(lines_of, scene)):
            tasks.append((scene, where, ("absent", "present")[index % 2]))
    return tasks


def sample(tasks, size, seed):
    return random.Random(seed).sample(tasks, min(size, len(tasks)))


def table(found):
    """By scene and function: how many lines, and what became of the guard."""
    rows = collections.defaultdict(collections.Counter)
    for scene, (file, function, _line), _follows, outcome, _trouble in found:
        rows[scene, file, function][outcome] += 1
    for (scene, file, function), outcomes in rows.items():
        told = ", ".join(f"{count} {WORDS.get(outcome, outcome)}" for outcome, count in outcomes.most_common())
        yield f"{scene:36} {file:20} {function:24} {sum(outcomes.values()):4} lines: {told}"


def by_scene(found):
    """The same by scene alone, as the docs have it."""
    rows = collections.defaultdict(collections.Counter)
    for scene, _where, _follows, outcome, _trouble in found:
        rows[scene][outcome] += 1
    outcomes = [*WORDS, "not met", "WRONG"]
    yield "| the call | lines | " + " | ".join(WORDS.get(outcome, outcome) for outcome in outcomes) + " |"
    yield "|---" * (2 + len(outcomes)) + "|"
    for scene, counts in rows.items():
        yield f"| {scene} | {sum(counts.values())} | " + " | ".join(str(counts[outcome]) for outcome in outcomes) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", action="append", choices=SCENES)
    parser.add_argument("--sample", type=int, help="so many kills in place of all")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    began, tasks = time.monotonic(), all_tasks(asked.scene or tuple(SCENES))
    tasks = sample(tasks, asked.sample, asked.seed) if asked.sample else tasks
    found = run(tasks)
    wrong = [one for one in found if one[4]]
    met = collections.Counter(one[3] for one in found)
    summary = f"{len(found)} kills in {time.monotonic() - began:.0f} s, {len(wrong)} not well; " + ", ".join(
        f"{count} {WORDS.get(outcome, outcome)}" for outcome, count in met.most_common())
    order = {(scene, tuple(where)): index for index, (scene, where, _follows) in enumerate(tasks)}
    found.sort(key=lambda one: order[one[0], tuple(one[1])])
    lines = [f"{scene}: {where[0]}:{where[2]} {where[1]}, then {follows}: {outcome}{' ' + trouble if trouble else ''}"
             for scene, where, follows, outcome, trouble in found]
    BUILD.mkdir(exist_ok=True)
    (BUILD / "kills.txt").write_text("\n".join([summary, "", *by_scene(found), "", *table(found), "", *lines, ""]))
    print("\n".join([*table(found), "", *by_scene(found), "", *(line for line, one in zip(lines, found) if one[4]), summary]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
