# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guard outlives: calls that are killed, and others who remove or damage what belongs to it. The next call gets through."""

from __future__ import annotations

import datetime
import errno
import os
import random
import shutil
import signal
import subprocess
import time
import types
from pathlib import Path

import kills
import pytest
from calls import (GUARDED, NAME, REACHED, REFUSED, Place, absent, denials, enter, gone, left, policy, present,
                   reach, settled)
from small_host import on_a_host

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent, company, standby, start, stop
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, processes
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log

SAMPLE = 16     # kills, of more than a thousand that `make kills` tries
NOBODY = 65534


def end_here(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def instead(module, name):
    """The call ends itself where it would do this."""
    return lambda: setattr(module, name, end_here)


def up(**more):
    told = present(**more)
    assert told["rc"] == 0, told
    assert reach() == GUARDED


def down(denied=1):
    """Takes the guard down; its report has this many denials."""
    told = absent()
    assert told["rc"] == 0 and denials(told) == denied, told
    assert gone() == []
    return told


# --- an agent that is slow, and one that does nothing ---

def with_agent(becomes):
    """Before a call: it has a second of patience with its agent, which becomes what `becomes(pid)` makes of it."""
    def started(*arguments, begin=subprocess.Popen, **options):
        process = begin(*arguments, **options)
        becomes(process.pid)
        return process
    agent.PATIENCE, agent.subprocess = 1, types.SimpleNamespace(**{**vars(subprocess), "Popen": started})


def crowd_out(pid):
    """It gets what another process leaves it of one CPU: an eighth of that, or less."""
    caller, cpu = os.getpid(), random.choice(sorted(os.sched_getaffinity(0)))
    if not os.fork():
        processes.end_with(caller)
        os.sched_setaffinity(0, {cpu})
        while True:
            pass
    os.sched_setaffinity(pid, {cpu})
    os.setpriority(os.PRIO_PROCESS, pid, 9)
    group = Path(f"/proc/{pid}/autogroup")  # where the kernel shares among sessions, a process's own number says nothing
    if group.exists():
        group.write_text("9")


def test_a_slow_agent_has_the_time_that_it_needs():
    def act():
        up(before=lambda: with_agent(crowd_out))
        down()
    on_a_host(act)


@pytest.mark.parametrize("stops, said", [
    (lambda pid: os.kill(pid, signal.SIGSTOP), "it has done nothing for 1 seconds. A signal or a debugger has stopped it. kill -CONT "),
    (lambda pid: os.kill(pid, signal.SIGKILL), "and it was killed by signal 9. Is the host out of memory")])
def test_what_a_start_waited_for_in_vain(stops, said):
    def act():
        told = present(before=lambda: with_agent(stops))
        assert told["rc"] == 1 and "This call waited for the guard's agent" in told["msg"] and said in told["msg"], told
        assert gone() == []
    on_a_host(act)


# --- calls that are killed ---

def test_killed_before_a_line():
    """A few lines of all, others every day."""
    seed = datetime.date.today().toordinal()
    print(f"seed {seed}: as kills.py --sample {SAMPLE} --seed {seed}")
    found = kills.run(kills.sample(kills.all_tasks(), SAMPLE, seed))
    assert [one for one in found if one[4]] == []


@pytest.mark.parametrize("where", [(log, "append"), (stop, "_let_go"), (stop.attach, "detach"), (stop, "sweep")])
def test_an_end_that_was_cut_off(where):
    """Nobody comes in any more, and the next call, whichever it is, has the report."""
    def act():
        for finishes in (absent, present):
            up()
            enter("sleep 60 > /dev/null & :")
            absent(before=instead(*where))
            assert reach() == REFUSED and settled() == "cut"
            told = finishes()
            assert told["rc"] == 0, told
            if finishes is absent:
                assert denials(told) == 1 and told["ended"]["by"] == "state=absent" and told["faults"] == [], told
                assert [one["command"] for one in told["left_running"]] == ["sleep 60"]
            else:
                assert "had been ended by state=absent" in str(told["warnings"]), told
                assert reach() == GUARDED
                down()
            assert gone() == []
    on_a_host(act)


def test_a_report_outlives_the_pins_and_the_file_system_for_bpf():
    def act():
        for harm in (["rm", "-rf", "/sys/fs/bpf/ebpf_guard"], ["umount", "-l", "/sys/fs/bpf"],
                     ["mount", "-o", "remount,ro", "/sys/fs/bpf"]):
            up()
            absent(before=instead(log, "append"))
            subprocess.run(harm, check=True)
            told = absent()
            if harm[0] == "mount":
                assert told["rc"] == 1 and "/sys/fs/bpf is read-only here" in told["msg"], told
                assert denials(told) == 1
                subprocess.run(["mount", "-o", "remount,rw", "/sys/fs/bpf"], check=True)
                told = absent()
            assert told["rc"] == 0 and denials(told) == 1, told
            if harm[0] == "umount":
                subprocess.run(["mount", "-t", "bpf", "-o", "mode=700", "bpf", "/sys/fs/bpf"], check=True)
            assert gone() == []
    on_a_host(act)


def test_the_agent_goes_on_with_an_end_that_was_cut_off():
    """Its own ttl, or a call that was killed before it came to the agent."""
    def act():
        up()
        absent(before=instead(agent, "stop"))
        assert settled() == "ended" and reach() == REFUSED
        told = down()
        assert told["ended"]["by"] == "state=absent" and told["faults"] == []
    on_a_host(act)


@pytest.mark.parametrize("ends", [down, lambda: None], ids=["the next call", "the agent"])
def test_an_agent_that_came_back_while_nobody_had_the_lock(ends):
    """Somebody who came in had it brought back, and waited for the call that was killed then: its report was kept already."""
    def act():
        place = Place(NAME)
        up()
        absent(before=instead(log, "append"))
        agent_again = subprocess.Popen(standby.command(place.code, *company.words(place, "revive")))
        while not standby.is_held(place.serving):
            assert agent_again.poll() is None
        told = ends()
        assert told or settled() == "ended"
        down(0 if told else 1)
    on_a_host(act)


def test_who_waits_at_a_door_is_not_let_in():
    def act():
        told = present(join_users=["nobody"])
        assert told["rc"] == 0 and enter("cat /proc/self/cgroup", NOBODY)[1].strip().endswith(NAME), told
        door = os.open(os.path.join(Place(NAME).doors, str(NOBODY)), os.O_RDWR)
        absent(before=instead(agent, "stop"))
        waiting = subprocess.Popen(["sleep", "60"], preexec_fn=lambda: os.setuid(NOBODY))
        os.write(door, f"{waiting.pid}\n".encode())
        assert settled() == "ended"
        assert "ebpf_guard" not in Path(f"/proc/{waiting.pid}/cgroup").read_text()
        assert enter(uid=NOBODY)[0] == 97
        down(0)
    on_a_host(act)


def test_one_agent_after_an_exchange_that_was_cut_off():
    def act():
        up()
        present(policy(1), before=instead(agent, "stop"))
        assert settled() == "whole" and reach() == GUARDED
        told = present(policy(2))
        assert told["rc"] == 0 and settled() == "whole", told
        down(2)
    on_a_host(act)


def test_an_agent_after_a_start_that_was_cut_off():
    def act():
        present(before=instead(start.agents.Agent, "take_over"))
        assert settled() == "whole" and reach() == GUARDED
        assert present()["changed"] is False
        down()
        present(ttl=1, before=instead(start.agents.Agent, "take_over"))
        deadline = time.monotonic() + 20
        while left() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert gone() == []  # of an ad-hoc call, for which nobody waits
    on_a_host(act)


def fail_here(*_arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("ends", [end_here, fail_here])
def test_who_came_into_a_guard_that_never_was_is_ended(ends):
    """Outside, they would run unguarded."""
    def come_in(*arguments):
        assert enter("sleep 60 > /dev/null & :")[0] == 0
        ends(*arguments)

    def act():
        told = present(before=lambda: setattr(Place, "write_code", come_in))
        assert told["rc"] in (1, -signal.SIGKILL) and gone() == [], told
        assert "sleep 60" not in map(processes.command_of, cgroup.pids(cgroup.mount_point()))
    on_a_host(act)


# --- what others remove ---

def remove(*paths):
    return lambda: [shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
                    for path in paths]


def replaced(path, make):
    def act():
        remove(path)()
        make(path)
    return act


def harms():
    """{what is done to a guard that is up: (does it, do its records stay, did accesses pass unseen)}"""
    place = Place(NAME)
    pins = [f"{place.pins}/{name}" for name in ("ebg_egress", "ebg_denied", "ebg_current", "ebg_entry")]
    return {
        "all of /run/ebpf_guard": (remove("/run/ebpf_guard"), True, False),
        "the run directory": (remove(place.run), True, False),
        "the run directory is a file": (replaced(place.run, lambda path: Path(path).touch()), True, False),
        "the run directory leads nowhere": (replaced(place.run, lambda path: os.symlink("/nowhere", path)), True, False),
        "the memory": (remove(place.state), True, False),
        "the memory is a directory": (replaced(place.state, os.mkdir), True, False),
        "the memory and its copy": (remove(f"{place.pins}/ebg_memory", place.state), False, False),
        "the launcher": (remove(place.launcher), True, False),
        "the launcher is a directory": (replaced(place.launcher, os.mkdir), True, False),
        "the doors are a file": (replaced(place.doors, lambda path: Path(path).touch()), True, False),
        "some pins": (remove(*pins), True, True),
        "all pins": (remove(place.pins), False, True),
        "the file system for BPF": (lambda: subprocess.run(["umount", "-l", "/sys/fs/bpf"], check=True), False, True),
        "the cgroup": (lambda: os.rmdir(place.own), True, True),
        "the agent and its cgroup": (end_agent, True, False),
    }


def end_agent():
    agent.stop(Place(NAME))
    cgroup.remove_alone(Place(NAME).desk)


@pytest.mark.parametrize("odd", [0, 1])
def test_whatever_is_removed_the_next_call_gets_through(odd):
    """By present and by absent, once with the agent alive. Nothing is left, and what the kernel still has is reported."""
    def act():
        for number, what in enumerate(harms()):
            follows, alive = (present, absent)[(number + odd) % 2], number % 4 < 2
            note = (what, follows.__name__, alive)
            up()
            if not alive and what != "the agent and its cgroup":
                end_agent()
            harm, records_stay, is_breach = harms()[what]
            harm()
            assert reach() != REACHED or is_breach, note
            told = follows()
            assert told["rc"] == 0, (note, told)
            if follows is present:
                assert reach() == GUARDED, note
                told = absent()
            assert told["rc"] == 0 and denials(told) >= records_stay, (note, told)
            assert bool(told["faults"]) == is_breach, (note, told["faults"])
            if what == "the file system for BPF":
                subprocess.run("mountpoint -q /sys/fs/bpf || mount -t bpf -o mode=700 bpf /sys/fs/bpf", shell=True, check=True)
            assert gone() == [], (note, gone())
    on_a_host(act)


# --- a memory that is damaged ---

def damages(text, picked):
    """What may become of a file: cut, other bytes, another kind."""
    for whole in ("", "[]", "null", "{}", "0", '"x"', "\0" * len(text), "[" * 100000, '{"abi": 1}', text[:-1] + ', "agent": 1}'):
        yield whole.encode()
    for index in picked:
        yield text[:index].encode()
        changed = bytearray(text.encode())
        changed[index] ^= 1 << index % 8
        yield bytes(changed)


def damaged_memories(picked, with_copy):
    """Each call gets through, or says in a sentence what it found, and then the next one does."""
    def act():
        up()
        place = Place(NAME)
        text = Path(place.state).read_text()
        for number, damage in enumerate(damages(text, picked(len(text)))):
            follows = (present, absent)[number % 2]
            if not Path(place.state).exists():
                up()
            if not with_copy:
                end_agent()
                os.unlink(f"{place.pins}/ebg_memory")
            Path(place.state).write_bytes(damage)
            told = follows()
            assert "Traceback" not in str(told) and "text" not in told, (damage, told)
            assert told["rc"] == 0 or not with_copy and ("damaged" in told["msg"] or "another version" in told["msg"]), (damage, told)
            if not with_copy:
                told = told if follows is absent else absent()
                assert gone() == [], (damage, told)
                assert "its report is lost" in told["msg"] or denials(told) == 1 and told["denied"][0]["rule"], (damage, told)
        told = absent()
        assert told["rc"] == 0 and gone() == [], told
    on_a_host(act, patience=3600)


@pytest.mark.parametrize("with_copy", [True, False])
def test_a_damaged_memory(with_copy):
    damaged_memories(lambda size: random.Random(size).sample(range(size), 8), with_copy)
