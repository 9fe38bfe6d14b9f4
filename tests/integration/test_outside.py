# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs outside the guard is listed, and what can't get inside does not run."""

from __future__ import annotations

import pytest
from controller import policy, where
from hosts import CGROUP

MARK = {"name": "Must not run", "ansible.builtin.command": "touch /tmp/it-ran"}


def test_raw_and_delegated_tasks_are_listed(controller):
    run = controller.guarded([
        {"name": "Plain raw", "ansible.builtin.raw": "tail -n 1 /proc/self/cgroup"},
        {"name": "To another host", "ansible.builtin.command": "true", "delegate_to": "web2"},
        {"name": "To the controller", "ansible.builtin.command": "true", "delegate_to": "localhost"},
        {"name": "An ordinary one", "ansible.builtin.command": "true"},
    ])
    run.ended(0).said("outside the guard", "raw      Plain raw",
                      "delegated to web2: To another host",
                      "delegated to localhost: To the controller")
    outside = run.output.split("outside the guard", 1)[1]
    assert "An ordinary one" not in outside, run


@pytest.mark.parametrize("pipelining", ["true", "false"])
def test_without_a_cgroup_the_launcher_refuses(controller, fleet, pipelining):
    run = controller.guarded([{"name": "Break", "ansible.builtin.raw": f"rmdir {CGROUP}"}, MARK],
                             ANSIBLE_PIPELINING=pipelining)
    run.ended(2).said("ebpf_guard: this task was not run, because it could not enter the guard 'deploy'",
                      "the guard is not up on this host")
    assert fleet.exec("web1", "test", "-e", "/tmp/it-ran", check=False).returncode == 1
    controller.adhoc("ebpf_guard", {"state": "absent"})


def test_a_user_who_may_not_join_is_refused(controller, fleet):
    run = controller.guarded([MARK], "-e", "ansible_user=deploy", variables={"ebpf_guard_join_users": ["plain"]})
    run.ended(2).said("this user may not join it (see join_users)")
    assert fleet.exec("web1", "test", "-e", "/tmp/it-ran", check=False).returncode == 1


def test_a_user_can_not_push_another_one_in(controller, fleet):
    """Through the own door only own processes get in."""
    controller.call("ebpf_guard", policy=policy(), join_users=["deploy"])
    victim = fleet.popen("web1", "sleep", "60")
    fleet.ssh("web1", f"echo {victim.pid} > /run/ebpf_guard/deploy/join/1500; sleep 0.5", user="deploy")
    assert fleet.exec("web1", "cat", f"{CGROUP}/cgroup.procs").stdout == ""
    refused = fleet.ssh("web1", "echo 1 > /run/ebpf_guard/deploy/join/1500", user="plain", check=False)
    assert refused.returncode != 0
    victim.kill()
    victim.wait()
    controller.call("ebpf_guard", state="absent")


def test_a_module_that_is_delegated_back_is_told(controller):
    """`delegate_to` the own host: wherever it runs, nobody may believe that it was guarded when it was not."""
    run = controller.guarded([where()[0] | {"delegate_to": "{{ inventory_hostname }}"}, where()[1]])
    run.ended(0)
    inside = run.values("WHERE") == ["web1 0::/ebpf_guard/deploy"]
    assert inside or "delegated to web1" in run.output, run


def test_a_shell_that_extra_variables_set_is_refused(controller, fleet):
    """They beat every fact, so the launcher would never be asked."""
    run = controller.guarded([MARK], "-e", "ansible_shell_executable=/bin/bash")
    run.ended(2).said("the tasks would run outside the guard", "GUARD deploy on web1 [enforce]: clean")
    assert fleet.exec("web1", "test", "-e", "/tmp/it-ran", check=False).returncode == 1


def test_another_shell_inside_is_listed(controller):
    """A fact that takes the launcher's place, and an include that goes around it."""
    inner = controller.write(where("Included"))
    run = controller.guarded([
        {"name": "Around", "ansible.builtin.include_tasks": str(inner), "vars": {"ansible_shell_executable": "/bin/sh"}},
        *where("Still inside"),
        {"name": "Turn off", "ansible.builtin.set_fact": {"ansible_shell_executable": "/bin/sh"}},
        *where("Outside"),
    ])
    run.ended(0)
    assert run.values("WHERE") == ["web1 0::/", "web1 0::/ebpf_guard/deploy", "web1 0::/"], run
    outside = run.output.split("outside the guard", 1)[1]
    assert "through /bin/sh: Included" in outside and "through /bin/sh: Outside" in outside, run
    assert "Still inside" not in outside, run
