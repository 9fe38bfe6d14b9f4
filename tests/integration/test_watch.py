# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody watches guards of several hosts while they are up: a line for each denial and each new endpoint, as it happens."""

from __future__ import annotations

import os
import re

import pytest
from controller import policy
from hosts import agents, denied, inside
from names import until

WATCH = [{"ansible.builtin.import_playbook": "loopbreak.deploy.watch"}]
OTHER = [{"id": "later", "reason": "we try to live without", "networks": ["203.0.113.10"]}]


class Watching:
    """A watch that runs, and what it has printed so far."""

    def __init__(self, controller, hosts, **environment):
        self.process = controller.start(WATCH, "-e", f"ebpf_guard_hosts={hosts}", **environment)
        self.told = []

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.process.kill()
        self.process.wait()

    def read_until(self, pattern):
        for line in self.process.stdout:
            self.told.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError("".join(self.told))

    def end(self):
        """Its exit status, and all that it has printed."""
        self.told.append(self.process.stdout.read())
        return self.process.wait(60), "".join(self.told)


@pytest.mark.cores
def test_a_guard_is_watched_until_it_is_down(controller, fleet):
    controller.call("ebpf_guard", policy=policy("drill"), observe=True)
    assert denied(fleet)
    with Watching(controller, "web1:web2") as watching:
        watching.read_until(r"^\d\d:\d\d:\d\d web1 DRILL +192.0.2.10:80/tcp  1 time  curl -s .*\(rule \w+\)$")
        assert denied(fleet)
        watching.read_until(r"web1 DRILL +192.0.2.10:80/tcp  1 time  curl")
        inside(fleet, "bash", "-c", "exec 3<> /dev/udp/198.51.100.7/9")
        watching.read_until(r"web1 REACHED +198.51.100.7:9/udp  1 time  bash")
        assert denied(fleet)
        watching.read_until(r"web1 DRILL ")
        assert controller.call("ebpf_guard", policy=policy("drill", deny=OTHER), observe=True)["changed"]
        assert denied(fleet, address="203.0.113.10")
        watching.read_until(r"web1 DRILL +203.0.113.10:80/tcp  1 time  curl .*\(rule later\)$")
        assert denied(fleet, address="203.0.113.10")
        last = controller.call("ebpf_guard", state="absent", fail_on_denied=False)
        assert sum(record["count"] for record in last["denied"]) == 5
        watching.read_until(r"^web1 the guard is down$")
        status, text = watching.end()
    assert status == 0 and text.count("web1 DRILL") == 5 and text.count("web2 has no such guard") == 1, text


def looking(fleet):
    """Pids of the processes on web1, but for the agents, that are Python: here those of the module by which somebody watches."""
    found = fleet.exec("web1", "sh", "-c", "cat $(find /sys/fs/cgroup -name cgroup.procs)").stdout.split()
    return {int(pid) for pid in found if "python" in executable(pid)} - set(agents(fleet))


def executable(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def connections(fleet):
    """Pids of what carries the connections to the hosts."""
    return set((fleet.cgroup / "controller" / "cgroup.procs").read_text().split())


def test_a_watch_whose_connection_breaks_leaves_nothing(controller, fleet):
    controller.call("ebpf_guard", policy=policy("drill"))
    before, others = looking(fleet), connections(fleet)
    with Watching(controller, "web1", ANSIBLE_SSH_CONTROL_PATH_DIR=f"/tmp/lbw{os.getpid()}") as watching:
        assert denied(fleet)
        watching.read_until(r"web1 DRILL ")
        until(lambda: looking(fleet) - before, 60)
        for pid in connections(fleet) - others:
            os.kill(int(pid), 9)
        status, text = watching.end()
    assert status == 4 and "UNREACHABLE" in text, text
    until(lambda: looking(fleet) == before, 10)  # it would look for 20 seconds
    assert denied(fleet)
    _results, run = controller.adhoc("ebpf_guard_info", {"follow": True}, "web1", "-B", "60", "-P", "1")
    run.ended(2).said("follow prints what happens while the task runs, so it can not run with async.")
    [found] = controller.call("ebpf_guard_info")["guards"]
    assert found["whole"] and sum(record["count"] for record in found["denied"]) == 2
    assert not controller.call("ebpf_guard", policy=policy("drill"))["changed"]
    controller.call("ebpf_guard", state="absent", fail_on_denied=False)
