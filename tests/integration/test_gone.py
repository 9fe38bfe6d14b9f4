# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guard that ends while its run goes on: the task that meets it fails and tells so, and what was recorded is told."""

from __future__ import annotations

import pytest
from controller import reach
from hosts import OVER, remains

LAST = "/run/ebpf_guard/deploy/last.json"
WAIT = f"until [ -e {LAST} ]; do sleep 0.2; done"
SHELL = ["ansible", "web1", "-u", "root", "-m", "ansible.builtin.shell", "-a"]
ENDS = {  # what ends it: a shell command of a task inside, or an ansible call of somebody else
    "its ttl": [*SHELL, f"{OVER}; {WAIT}"],
    "the removal of its state": f"rm -rf /run/ebpf_guard; {WAIT}",
    "state=absent": ["ansible", "web1", "-m", "loopbreak.deploy.ebpf_guard", "-a", "state=absent fail_on_denied=false"],
}
MEETS = {"name": "Meets it", "ansible.builtin.command": "touch /tmp/it-ran"}


def ends(controller, how):
    if isinstance(ENDS[how], str):
        return {"name": "Ends it", "ansible.builtin.shell": ENDS[how], "become": True}
    program, *arguments = ENDS[how]
    return {"name": "Ends it", "ansible.builtin.command": {"argv": [str(controller.bin / program), *arguments]},
            "delegate_to": "localhost", "become": False, "vars": {"ansible_connection": "local"}}


@pytest.mark.shape("the guard ends while tasks go on (ttl, another run, its state is removed)",
                   "the next task fails with who ended it and when, `always` runs, and what was denied is told")
@pytest.mark.parametrize("how, user, pipelining", [
    ("its ttl", "root", "true"), ("its ttl", "deploy", "false"), ("its ttl", "deploy", "true"),
    ("the removal of its state", "root", "false"), ("state=absent", "deploy", "true")])
def test_the_task_that_meets_it_fails(controller, fleet, how, user, pipelining):
    run = controller.guarded([*reach("tcp", "192.0.2.10"), ends(controller, how), MEETS], "-e", f"ansible_user={user}",
                             play={"become": user != "root"}, ANSIBLE_PIPELINING=pipelining)
    run.ended(2).said(f"this task was not run, because guard 'deploy' was ended by {how}", "GUARD GONE", "1 access denied",
                      "Take the guard down", "task     Reach 192.0.2.10 by tcp")
    assert "UNREACHABLE" not in run.output and "LEFT UP" not in run.output, run
    assert fleet.exec("web1", "test", "-e", "/tmp/it-ran", check=False).returncode == 1
    assert remains(fleet) == []


def test_a_guard_that_is_gone_and_never_asked_for_is_told(controller, fleet):
    """The play ends before state=absent. What stays is no guard and no damage; the next start removes it."""
    run = controller.guarded([ends(controller, "its ttl"), {**MEETS, "ignore_errors": True},
                              {"name": "End", "ansible.builtin.meta": "end_host"}])
    run.ended(2).said("GUARD GONE: deploy on web1 [enforce]", "ended by its ttl at 2", f"report   {LAST} on the host")
    assert "LEFT UP" not in run.output, run
    found = controller.call("ebpf_guard_info")
    assert found["guards"] == [] and [(one["name"], one["by"]) for one in found["ended"]] == [("deploy", "its ttl")]
    run = controller.guarded([])
    run.ended(0).said("had been ended by its ttl", "clean, nothing denied")


def test_a_guard_of_which_nothing_is_left_is_told(controller):
    """As after a reboot: nobody is there who could leave a word."""
    run = controller.guarded([{"name": "As a reboot", "ansible.builtin.shell":
                               "kill -9 $(cat /sys/fs/cgroup/unified/ebpf_guard/deploy.agent/cgroup.procs); "
                               "rm -rf /run/ebpf_guard/deploy /sys/fs/bpf/ebpf_guard"}, MEETS], ANSIBLE_PIPELINING="false")
    run.said("GUARD GONE: deploy on web1 [enforce]", "the loss of its launcher, as by a reboot", "unreachable in Meets it")
    assert "LEFT UP" not in run.output, run
    controller.call("ebpf_guard", state="absent")


@pytest.mark.shape("ansible.builtin.reboot inside the guard", "refused by name before it does anything")
@pytest.mark.parametrize("callback", [True, False])
def test_a_reboot_is_refused(controller, callback):
    """The command would do nothing: this host is one of many on a machine."""
    command = "/nonexistent/shutdown -r now" if not callback else "/nonexistent/turn-off"
    restart = {"name": "Restart", "ansible.builtin.reboot": {"reboot_command": command, "reboot_timeout": 200}}
    run = controller.guarded([restart], **({} if callback else {"ANSIBLE_CALLBACKS_ENABLED": "no.such.callback"}))
    run.ended(2).said("Guard 'deploy' does not survive a reboot, so the host was not rebooted")
    assert run.seconds < 100 and "/nonexistent/turn-off" not in run.output, run
