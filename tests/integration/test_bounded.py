# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody keeps a call waiting for ever: not other users, not a call that hangs, not a cgroup that is frozen. And no ttl ends a
guard while a task is inside.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

from controller import policy
from hosts import CGROUP, LAUNCHER, OVER, denied, remains

# Stops the call that changes the guard, and tells its pid
STOPS = r"""
until pid=$(sed -n 's/.*"pid": \([0-9]*\).*/\1/p' /run/ebpf_guard.lock/deploy 2> /dev/null) && [ "$pid" ]; do :; done
kill -STOP "$pid" && echo "$pid"
"""


@contextlib.contextmanager
def running(fleet, *command, said=None):
    """A process of web1, which has said so when it has begun."""
    with fleet.popen("web1", *command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if said:
                assert process.stdout.readline().strip() == said
            yield process
        finally:
            process.kill()


def info(controller):
    [found] = controller.call("ebpf_guard_info")["guards"]
    return found


def test_no_other_user_and_no_call_that_hangs_keeps_others_waiting(controller, fleet):
    locked = ["setpriv", "--reuid=65534", "--clear-groups", "flock", "--no-fork", "/run", "sh", "-c",
              "echo locked; exec sleep 600"]
    with running(fleet, *locked, said="locked"):
        controller.call("ebpf_guard", policy=policy())
    with running(fleet, "sh", "-c", STOPS) as stops, controller.start([{
            "hosts": "web1", "gather_facts": False, "tasks": [
                {"loopbreak.deploy.ebpf_guard": {"policy": policy(mode="drill")}}]}]) as call:
        pid = int(stops.stdout.readline())
        [fault] = info(controller)["faults"]
        assert f"Guard 'deploy' is being changed by process {pid} (present)" in fault and f"(kill -CONT {pid})" in fault
        controller.call("ebpf_guard", name="other", policy=policy())
        controller.call("ebpf_guard", name="other", state="absent")
        os.kill(pid, signal.SIGKILL)
        call.communicate()
    assert info(controller)["faults"] == []  # the dead hold nothing
    controller.call("ebpf_guard", state="absent")
    assert "ebpf_guard.lock" not in fleet.exec("web1", "ls", "/run").stdout.split()


def test_a_frozen_cgroup(controller, fleet):
    """Everything ends with a sentence, and nothing is killed."""
    controller.call("ebpf_guard", policy=policy())
    with running(fleet, LAUNCHER, "-c", "echo inside; exec sleep 600", said="inside") as task:
        fleet.exec("web1", "sh", "-c", f"echo 1 > {CGROUP}/cgroup.freeze")
        [fault] = info(controller)["faults"]
        assert fault == f"The cgroup {CGROUP} is frozen, so nothing in it runs."
        for wanted in (policy(), policy(mode="drill")):
            _results, run = controller.adhoc("ebpf_guard", {"policy": wanted})
            run.ended(2).said(f"Let it go on: echo 0 > {CGROUP}/cgroup.freeze")
        refused = fleet.exec("web1", LAUNCHER, "-c", "echo ran", check=False)
        assert refused.returncode == 97 and "its cgroup is frozen" in refused.stdout, refused
        results, run = controller.adhoc("ebpf_guard", {"state": "absent"})
        run.ended(0).said("its processes run again, unguarded")
        assert len(results["web1"]["left_running"]) == 1 and task.poll() is None
    assert remains(fleet) == []


def test_its_ttl_does_not_end_it_while_a_task_is_inside(controller, fleet):
    """What happens when nobody is inside any more is in test_gone.py."""
    began = controller.call("ebpf_guard", policy=policy())["guard"]["started_at"]
    with running(fleet, LAUNCHER, "-c", "echo inside; exec sleep 600", said="inside"):
        fleet.exec("web1", "sh", "-c", f"{OVER}; sleep 3")  # longer than the agent takes to look
        found = info(controller)
        assert found["whole"] and found["guard"]["overdue"] and denied(fleet)
        assert found["guard"]["started_at"] == began
        _results, run = controller.adhoc("ebpf_guard", {"state": "absent", "fail_on_denied": False})
        run.ended(0).said("The ttl of the guard was over at ", "A guard stays as long as processes run inside.")
    assert remains(fleet) == []
