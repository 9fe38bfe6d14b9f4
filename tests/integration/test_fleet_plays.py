# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the play looks like, its tasks run inside the guard, and nothing else of the host does."""

from __future__ import annotations

import json
import threading

import pytest
from controller import REASON, guarded_play, policy, reach, where

INSIDE = "0::/ebpf_guard/deploy"
ASYNC = [
    {"name": "Start a job", "ansible.builtin.shell": "sleep 1; tail -n 1 /proc/self/cgroup", "async": 30, "poll": 0,
     "register": "job"},
    {"name": "Wait for the job", "ansible.builtin.async_status": {"jid": "{{ job.ansible_job_id }}"},
     "register": "cgroup", "until": "cgroup.finished", "delay": 1, "retries": 20},
    {"name": "Tell", "ansible.builtin.debug": {"msg": "WHERE {{ (inventory_hostname ~ ' ' ~ cgroup.stdout) | to_json }}"}},
    {"name": "A job that is waited for", "ansible.builtin.shell": "tail -n 1 /proc/self/cgroup", "async": 30, "poll": 1,
     "register": "cgroup"},
    {"name": "Tell", "ansible.builtin.debug": {"msg": "WHERE {{ (inventory_hostname ~ ' ' ~ cgroup.stdout) | to_json }}"}},
]
LOOP = [
    {"name": "Loop", "ansible.builtin.command": "tail -n 1 /proc/self/cgroup", "loop": [1, 2, 3], "register": "loop"},
    {"name": "Tell", "ansible.builtin.debug": {
        "msg": "WHERE {{ (inventory_hostname ~ ' ' ~ (loop.results | map(attribute='stdout') | unique | join(','))) | to_json }}"}},
]
NOTIFY = [{"name": "Notify", "ansible.builtin.command": "true", "changed_when": True, "notify": "Handle"}]
HANDLERS = [where("Handle")[0], {**where()[1], "listen": "Handle"}]
KINDS = 6  # where(), both of ASYNC, LOOP, the handler, and become


@pytest.mark.parametrize("pipelining", ["true", "false"])
@pytest.mark.parametrize("user", ["root", "deploy"])
def test_every_kind_of_task_is_inside(controller, pipelining, user):
    run = controller.guarded(
        [*where(), *where("As root", become=True), *ASYNC, *LOOP, *NOTIFY], hosts="fleet", handlers=HANDLERS,
        variables=None, play={"vars": {"ansible_user": user}}, ANSIBLE_PIPELINING=pipelining)
    run.ended(0)
    told = run.values("WHERE")
    assert len(told) == 3 * KINDS, run
    assert {text.split(" ", 1)[1] for text in told} == {INSIDE}, run
    assert {text.split(" ", 1)[0] for text in told} == {"web1", "web2", "web3"}


@pytest.mark.parametrize("play", [{"serial": 1}, {"strategy": "free"}, {"strategy": "host_pinned"}])
def test_every_strategy(controller, play):
    run = controller.guarded([*where(), *LOOP, *NOTIFY], hosts="fleet", handlers=HANDLERS, play=play)
    run.ended(0)
    told = run.values("WHERE")
    assert len(told) == 9 and {text.split(" ", 1)[1] for text in told} == {INSIDE}, run


def test_become_to_others_by_sudo_and_su(controller):
    run = controller.guarded([*where("sudo", become=True, become_user="plain"),
                              *where("su", become=True, become_user="plain", become_method="su")])
    run.ended(0)
    assert run.values("WHERE") == [f"web1 {INSIDE}"] * 2, run


def test_a_sudo_password_and_a_login_without_become(controller):
    run = controller.guarded([*where(), *where("As root", become=True)], "-e", "ansible_become_pass=fleet-password",
                             play={"vars": {"ansible_user": "deploypw"}})
    run.ended(0)
    assert run.values("WHERE") == [f"web1 {INSIDE}"] * 2, run


def test_roles_run_inside_and_the_shell_is_restored(controller):
    role = controller.directory / "roles" / "mysql" / "tasks"
    role.mkdir(parents=True)
    (role / "main.yml").write_text(json.dumps(where()))
    shell = [{"name": "Which shell", "ansible.builtin.shell": "readlink /proc/$$/exe; tail -n 1 /proc/self/cgroup",
              "register": "after"},
             {"name": "Tell", "ansible.builtin.debug": {"msg": "AFTER {{ after.stdout | to_json }}"}}]
    run = controller.guarded([shell[0], shell[1]], after=shell, variables={"ebpf_guard_roles": ["mysql"]},
                             play={"vars": {"ansible_shell_executable": "/bin/bash"}})
    run.ended(0)
    assert run.values("WHERE") == [f"web1 {INSIDE}"], run
    # the user's own shell, inside through the launcher and afterwards
    assert run.values("AFTER") == [f"/usr/bin/bash\n{INSIDE}", "/usr/bin/bash\n0::/"], run


def test_the_rest_of_the_host_is_never_touched(controller, fleet):
    """While a guard denies github.com, a process of the host outside the play reaches it all the time."""
    answers, stop = [], threading.Event()

    def others():
        while not stop.is_set():
            answers.append(fleet.exec("web1", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://192.0.2.10/",
                                      check=False).stdout)

    thread = threading.Thread(target=others)
    thread.start()
    try:
        run = controller.guarded([task for _again in range(4) for task in reach("tcp", "192.0.2.10")])
    finally:
        stop.set()
        thread.join()
    run.ended(2).said("4 accesses denied")
    assert len(answers) > 10 and set(answers) == {"200"}, answers


def test_only_hosts_that_were_denied_fail(controller):
    run = controller.guarded([{"name": "Fetch", "ansible.builtin.command": "curl -s http://192.0.2.10/",
                               "when": "inventory_hostname == 'web2'"}], hosts="fleet")
    run.ended(2).said("GUARD deploy on web1 [enforce]: clean", "GUARD deploy on web2 [enforce]: 1 access denied",
                      REASON)
    recap = {line.split()[0]: line for line in run.output.splitlines() if "unreachable=" in line}
    assert "failed=0" in recap["web1"] and "failed=0" not in recap["web2"], run


def test_check_mode_changes_nothing(controller):
    run = controller.guarded([*where()], "--check", "--diff")
    run.ended(0).said("github.com runs on the database")  # the diff shows the policy
    assert "GUARD" not in run.output, run


def test_the_tags_of_a_run_choose_inside_the_guard(controller):
    tasks = [where()[0] | {"tags": ["deploy"]}, where()[1] | {"tags": ["deploy"]},
             {"name": "Not chosen", "ansible.builtin.command": "false"}]
    play = guarded_play(controller, tasks)
    play["tasks"][0]["tags"] = ["deploy"]
    run = controller.playbook([play], "--tags", "deploy")
    run.ended(0).said("GUARD deploy on web1 [enforce]: clean")
    assert run.values("WHERE") == [f"web1 {INSIDE}"], run


def test_a_bracket_of_start_and_stop(controller):
    def entry(point, **variables):
        return {"name": point, "ansible.builtin.include_role": {"name": "loopbreak.deploy.ebpf_guard",
                                                                "tasks_from": point}, "vars": variables}
    run = controller.playbook([
        {"hosts": "web1", "gather_facts": False, "tasks": [entry("start.yml", ebpf_guard_policy=policy()), *where()]},
        {"hosts": "web1", "gather_facts": False, "tasks": [*where(), entry("stop.yml"), *where()]},
    ])
    run.ended(0)
    assert run.values("WHERE") == [f"web1 {INSIDE}"] * 2 + ["web1 0::/"], run


def test_two_plays_of_one_run_do_not_mix(controller):
    run = controller.playbook([
        guarded_play(controller, reach("tcp", "192.0.2.10"), policy("monitor")),
        guarded_play(controller, reach("tcp", "203.0.113.10"))])
    run.ended(0).said("GUARD deploy on web1 [monitor]: 1 access would be denied",
                      "GUARD deploy on web1 [enforce]: clean")
