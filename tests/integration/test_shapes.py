# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays of every shape: what should have been guarded is guarded, or does not run, or the run fails and tells it."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from controller import GUARD_NETS, policy, where

INSIDE, OUTSIDE = "0::/ebpf_guard/deploy", "0::/"
PROBE = [{**task, "tags": ["deploy"]} for task in where("Probe")]
OTHER = {"version": 1, "mode": "enforce", "deny": [{"id": "api", "reason": "another", "networks": ["203.0.113.10/32"]}]}
NAMED = policy(deny=[{"id": "github", "reason": "r", "hosts": [".github.com"], "networks": GUARD_NETS}])


def role(entry=None, keywords=None, **variables):
    """An inclusion of the role; `entry`: start or stop."""
    include = {"name": "loopbreak.deploy.ebpf_guard", **({"tasks_from": entry} if entry else {})}
    return {"name": f"The role, {entry or 'main'}", "ansible.builtin.include_role": include,
            "vars": {f"ebpf_guard_{name}": value for name, value in variables.items()}, **(keywords or {})}


def bracket(*tasks, **keywords):
    return {"name": "Bracket", "block": [role("start", keywords, policy=policy()), *tasks], "always": [role("stop", keywords)]}


def play(host, *tasks, **keywords):
    return {"hosts": host, "gather_facts": False, "tasks": list(tasks), **keywords}


def wrapped(controller, *tasks, keywords=None, **variables):
    """An inclusion of `main` with these tasks in it."""
    return role(None, keywords, **{"policy": policy(), "tasks": str(controller.write(list(tasks))), **variables})


def at_once(*calls):
    """The results of calls that do not mind each other."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def section(run, title):
    """The lines of a section of a report, without the reports that come after it."""
    _before, found, after = run.output.partition(title)
    lines = []
    for line in after.splitlines()[1:]:
        if not line.startswith("    "):
            break
        lines.append(line.strip())
    return lines if found else []


@pytest.mark.shape("`ignore_errors` on a block, on the play or on the role, and the guard can't come up",
                   "what is wrapped does not run; the run fails")
def test_a_start_that_fails_and_is_ignored(controller, fleet):
    """By a policy that is not there, and by a shell that beats the launcher; of a bracket, the tasks are told."""
    mark = {"name": "Must not run", "ansible.builtin.command": "touch /tmp/it-ran", "changed_when": True,
            "notify": "Must not run either"}
    handler = {"name": "Must not run either", "ansible.builtin.command": "touch /tmp/it-ran"}
    bare = {"name": "Bare", "ansible.builtin.command": "true"}
    failing = wrapped(controller, mark, policy="nosuch.yml")
    around = wrapped(controller, mark, keywords={"ignore_errors": True})
    static = {"role": "loopbreak.deploy.ebpf_guard", **failing["vars"]}
    first, second = at_once(
        lambda: controller.playbook([
            play("web1", {"name": "Block", "ignore_errors": True, "block": [failing]}, handlers=[handler]),
            play("web2", {**failing, "ansible.builtin.include_role": {
                "name": "loopbreak.deploy.ebpf_guard", "apply": {"ignore_errors": True}}}, ignore_errors=True),
            play("web3", {"name": "Block", "ignore_errors": True, "block": [
                role("start", policy="nosuch.yml"), bare, role("stop")]}),
            play("web2", roles=[{**static, "ebpf_guard_name": "static"}], ignore_errors=True)]),
        lambda: controller.playbook([play("web2", around, ignore_errors=True)], "-e", "ansible_shell_executable=/bin/bash"))
    first.ended(2).said("GUARD NEVER UP: deploy on web1", "GUARD NEVER UP: deploy on web2", "GUARD NEVER UP: deploy on web3", "GUARD NEVER UP: static on web2",
                        "guards never came up on web1, web2, web3", "tasks    Bare")
    second.ended(2).said("its start failed in See that nothing else decides about the shell")
    for host in ("web1", "web2"):
        assert fleet.exec(host, "test", "-e", "/tmp/it-ran", check=False).returncode == 1


@pytest.mark.shape("a bracket without `tags: [always]`, and `--tags`, `--start-at-task`",
                   "tasks that run without their start are told; the run fails")
def test_a_bracket_whose_start_is_left_out(controller):
    included = {"name": "Included", "ansible.builtin.include_tasks": str(controller.write(PROBE)), "tags": ["deploy"]}
    included_too = {"name": "Included", "ansible.builtin.include_tasks": str(controller.write([bracket(*PROBE)])), "tags": ["deploy"]}
    tagged, entered, chosen, unseen = at_once(
        lambda: controller.playbook([play("web1", bracket(included)), play("web3", included_too)], "--tags", "deploy"),
        lambda: controller.playbook([play("web2", bracket(*PROBE))], "--start-at-task", "Probe"),
        lambda: controller.playbook([play("web3", bracket(*PROBE, tags=["always"]))], "--tags", "deploy"),
        lambda: controller.playbook([play("web2", bracket(*PROBE))], "--start-at-task", "Probe",
                                    ANSIBLE_CALLBACKS_ENABLED="profile_nothing"))
    assert tagged.values("WHERE") == [f"web1 {OUTSIDE}", f"web3 {OUTSIDE}"] and entered.values("WHERE") == [f"web2 {OUTSIDE}"]
    tagged.ended(2).said("GUARD NEVER UP: deploy on web1", "GUARD NEVER UP: deploy on web3", "the start of its guard was not run (--tags)",
                         "ran outside the guard", "tasks    Probe")
    entered.ended(2).said("GUARD NEVER UP: deploy on web2", "the start of its guard was not run (--start-at-task)")
    unseen.ended(2).said("Guard 'deploy' was never up in this run", "(--start-at-task)")
    chosen.ended(0).said("GUARD deploy on web3 [enforce]: clean")
    assert chosen.values("WHERE") == [f"web3 {INSIDE}"]


@pytest.mark.shape("`--step`, and no to the start", "tasks that run without their start are told; the run fails")
def test_a_start_that_a_person_leaves_out(controller):
    bare = [{"name": "Bare", "ansible.builtin.command": "true"}]
    stepped = controller.playbook([play("web1", bracket(*bare))], "--step", input="n\ny\nc\n")
    stepped.ended(2).said("GUARD NEVER UP: deploy on web1", "the start of its guard was not run (--step)", "tasks    Bare")


@pytest.mark.shape("a start that is skipped by its own `when`; a `state: absent` that cleans up", "no fault")
def test_what_is_left_out_on_purpose(controller):
    """And beside it `absent` at the end of a play that never brought its guard up in a way that can be read beforehand."""
    module = {"name": "Down", "loopbreak.deploy.ebpf_guard": {"state": "absent"}}
    bare = {"name": "Bare", "ansible.builtin.command": "true"}
    left_out = role("start", {"when": False}, policy=policy())
    inside_left_out = {**left_out, "when": True}
    inside_left_out["ansible.builtin.include_role"] = {**left_out["ansible.builtin.include_role"], "apply": {"when": False}}
    fine, late = at_once(
        lambda: controller.playbook([
            play("web1", left_out, bare, role("stop")), play("web1", inside_left_out, bare, role("stop")),
            play("web2", module, bare), play("web2", bare, module, wrapped(controller, bare))]),
        lambda: controller.playbook([play("web3", bare, module)]))
    fine.ended(0)
    assert "NEVER UP" not in fine.output, fine
    late.ended(2).said("GUARD NEVER UP: deploy on web3", "the tasks before this ran unguarded", "tasks    Bare")


@pytest.mark.shape("a guard inside a guard of the same name and policy, by `main` or by start and stop",
                   "one guard, which the outer one takes down")
def test_nested_guards_are_one(controller):
    again = {"name": "Down, but not this one", **{key: value for key, value in role("stop").items() if key != "name"}}
    run = controller.playbook([
        play("web1", wrapped(controller, wrapped(controller, *where("Inner"), policy=NAMED), *where("Outer"), policy=NAMED),
             *where("After")),
        play("web2", wrapped(controller, bracket(*where("Inner")), again, *where("Outer")), *where("After")),
        play("web3", bracket(wrapped(controller, *where("Inner")), *where("Outer")), *where("After"))])
    run.ended(0)
    for host in ("web1", "web2", "web3"):
        assert [told for told in run.values("WHERE") if told.startswith(host)] == [
            f"{host} {INSIDE}", f"{host} {INSIDE}", f"{host} {OUTSIDE}"], run
        assert run.output.count(f"GUARD deploy on {host} [enforce]: clean") == 1, run


@pytest.mark.shape("a guard inside that names roles, where the outer one names tasks; and the other way round",
                   "each runs its own, once")
def test_a_nested_guard_runs_what_is_its_own(controller):
    def guard(**wraps):
        return role(policy=NAMED, **wraps)

    for name, tasks in (("leaf", where("Leaf")), ("brings", [guard(tasks=str(controller.write(where("Own"))))])):
        directory = controller.directory / "roles" / name / "tasks"
        directory.mkdir(parents=True)
        (directory / "main.yml").write_text(yaml.safe_dump(tasks))
    run = controller.playbook([play("web1", wrapped(controller, guard(roles=["leaf"]), policy=NAMED)),
                               play("web2", guard(roles=["brings"]))], timeout=120)
    run.ended(0)
    assert run.values("WHERE") == [f"web1 {INSIDE}", f"web2 {INSIDE}"], run


@pytest.mark.shape("a guard inside a guard of the same name with another policy", "refused; the outer one stays")
def test_a_nested_guard_with_another_policy_is_refused(controller):
    inner = wrapped(controller, {"name": "Must not run", "ansible.builtin.command": "touch /tmp/it-ran"}, policy=OTHER)
    run = controller.playbook([
        play("web1", wrapped(controller, {"name": "Try", "block": [inner], "rescue": where("Rescue")})),
        play("web2", wrapped(controller, {"name": "Try", "block": [inner], "ignore_errors": True}, *where("Ignored")))])
    run.ended(2).said("is up around this, with another policy", "GUARD deploy on web1 [enforce]: clean",
                      "GUARD deploy on web2 [enforce]: clean", "GUARD NEVER UP: deploy on web2")
    assert run.values("WHERE") == [f"web1 {INSIDE}", f"web2 {INSIDE}"], run


@pytest.mark.shape("start twice in a bracket", "the policy is exchanged; what our modules look up is not the deployment's deed")
def test_start_twice(controller):
    first = {"name": "Bare", "ansible.builtin.command": "true"}
    look = {"name": "Look", "loopbreak.deploy.ebpf_guard_info": {}}
    run = controller.playbook([
        play("web1", role("start", policy=NAMED), first, look, role("start", policy=NAMED), role("stop")),
        play("web2", role("start", policy=OTHER), first, role("start", policy=NAMED), *where(), role("stop"), *where())])
    run.ended(0).said("GUARD deploy on web1 [enforce]: clean", "GUARD deploy on web2 [enforce]: clean")
    assert run.values("WHERE") == [f"web2 {INSIDE}", f"web2 {OUTSIDE}"], run


@pytest.mark.shape("the role on another host: `apply: {delegate_to: …}`, a block with `delegate_to`",
                   "refused before a host is touched")
def test_the_role_can_not_be_delegated(controller, fleet):
    mark = {"name": "Must not run", "ansible.builtin.command": "touch /tmp/it-ran"}
    applied = wrapped(controller, mark)
    applied["ansible.builtin.include_role"]["apply"] = {"delegate_to": "web2"}
    imported = {"name": "Import", "ansible.builtin.import_role": {"name": "loopbreak.deploy.ebpf_guard"},
                "vars": {"ebpf_guard_policy": policy()}}
    run = controller.playbook([
        play("web1", applied, ignore_errors=True),
        play("web3", {"name": "Block", "delegate_to": "web2", "block": [imported]})])
    run.ended(2).said("GUARD NEVER UP: deploy on web1")
    refused = re.findall(r"fatal: \[(web\d) -> web2.*The role can't be delegated \(delegate_to: web2\)", run.output)
    assert set(refused) == {"web1", "web3"}, run
    assert fleet.exec("web2", "test", "-e", "/tmp/it-ran", check=False).returncode == 1


@pytest.mark.shape("a task that is delegated from one guarded host to another",
                   "inside the other's guard, and told so; to a host without a guard: listed as outside")
def test_delegation_between_hosts(controller):
    only = {"when": "inventory_hostname == 'web1'"}
    run = controller.guarded([
        {**where("To a guarded one")[0], "delegate_to": "web2", **only}, {**where()[1], **only},
        {"name": "To a bare one", "ansible.builtin.command": "true", "delegate_to": "web3", **only},
        {"name": "Each its own", "ansible.builtin.command": "true", "loop": ["web2", "web3"], "delegate_to": "{{ item }}", **only},
        {"name": "Denied there", "ansible.builtin.command": "curl -s http://192.0.2.10/", "delegate_to": "web2",
         "failed_when": False, **only},
    ], hosts="web1,web2")
    run.ended(2).said("GUARD deploy on web1 [enforce]: clean", "GUARD deploy on web2 [enforce]: 1 access denied", "task     Denied there")
    assert run.values("WHERE") == [f"web1 {INSIDE}"], run
    assert [line.partition(" (")[0] for line in section(run, "outside the guard (not")] == [
        "delegated to web3: To a bare one", "delegated to web3: Each its own"]
    assert [line.partition(" (")[0] for line in section(run, "in the guard of another host")] == [
        f"delegated to web2: inside the guard of web2: {task}" for task in ("To a guarded one", "Each its own", "Denied there")], run


@pytest.mark.shape("a later play with a shell of its own; a shell that a fact sets before the guard",
                   "both hold after the guard, as if it had never been there")
def test_the_shell_is_as_it_was(controller):
    tell = {"name": "Tell", "ansible.builtin.debug": {
        "msg": "SHELL {{ (inventory_hostname ~ ' ' ~ ansible_shell_executable) | to_json }}"}}
    bare = {"name": "Bare", "ansible.builtin.command": "true"}
    run = controller.playbook([
        play("web2", {"name": "Own", "ansible.builtin.set_fact": {"ansible_shell_executable": "/bin/bash"}}),
        play("web1,web2", wrapped(controller, bare), tell),
        play("web1,web2", tell, bare, vars={"ansible_shell_executable": "/bin/dash"})])
    run.ended(0)
    told = run.values("SHELL")
    assert sorted(told[:2]) == ["web1 /bin/sh", "web2 /bin/bash"] and sorted(told[2:]) == ["web1 /bin/dash", "web2 /bin/bash"], run


@pytest.mark.shape("`connection: local` on a task, or `ansible_connection: local` in its variables",
                   "runs on the controller, by its usual shell; listed as outside")
def test_a_local_task_inside(controller):
    shell = "readlink /proc/$$/exe; test -e /run/ebpf_guard || echo controller"

    def task(name, **keywords):
        return [{"name": name, "ansible.builtin.shell": shell, "register": "here", **keywords},
                {"name": "Tell", "ansible.builtin.debug": {"msg": "HERE {{ here.stdout_lines | to_json }}"}}]
    local = {"ansible_connection": "local"}
    run = controller.guarded([
        *task("By keyword", connection="local"), *task("By variable", vars=local),
        *task("By template", connection="{{ 'local' }}"),
        *task("In bash", connection="local", vars={"ansible_shell_executable": "/bin/bash"}),
        {"name": "Include", "ansible.builtin.include_tasks": str(controller.write(task("Included"))), "vars": local},
        {"name": "local_action", "local_action": {"module": "ansible.builtin.command", "argv": ["true"]}},
        *where()])
    run.ended(0)
    told = run.values("HERE")
    assert [lines[-1] for lines in told] == ["controller"] * 5 and "bash" in told[3][0] and "bash" not in told[0][0], run
    assert run.values("WHERE") == [f"web1 {INSIDE}"], run
    outside = section(run, "outside the guard (not")
    assert [line.rpartition(" (")[0] for line in outside if "connection" in line] == [
        f"on the controller (connection: local): {name}"
        for name in ("By keyword", "By variable", "By template", "In bash", "Included")], run


@pytest.mark.shape("role parameters, `include_vars`, `vars` of an include, that name another shell",
                   "inside, or listed as outside")
def test_variables_that_name_another_shell(controller):
    for name, tasks in (("params", where("By parameter")),):
        directory = controller.directory / "roles" / name / "tasks"
        directory.mkdir(parents=True)
        (directory / "main.yml").write_text(json.dumps(tasks))
    values = controller.write({"ansible_shell_executable": "/bin/bash"})
    run = controller.guarded([
        {"name": "Read", "ansible.builtin.include_vars": str(values)}, *where("After include_vars"),
        {"name": "Import", "ansible.builtin.import_role": {"name": "params"}, "vars": {"ansible_shell_executable": "/bin/sh"}},
        {"name": "Include", "ansible.builtin.include_role": {"name": "params"}, "vars": {"ansible_shell_executable": "/bin/sh"}}],
        play={"vars": {"ansible_shell_executable": "/bin/dash"}})
    run.ended(0)
    told, listed = run.values("WHERE"), section(run, "outside the guard (not")
    assert told[0] == f"web1 {INSIDE}" and len(told) == 3, run
    assert told.count(f"web1 {OUTSIDE}") == sum("through /bin/sh: " in line for line in listed) > 0, run


@pytest.mark.shape("`--check`, and a task with `check_mode: false`", "it runs for real; listed as outside")
def test_a_task_that_runs_for_real_in_check_mode(controller):
    run = controller.guarded([*where("For real", check_mode=False), {"name": "Not for real", "ansible.builtin.command": "true"}],
                             "--check")
    run.ended(0).said("GUARD deploy on web1 [check mode]: not up", "ran for real in check mode, outside any guard: ")
    assert "For real" in section(run, "outside the guard (not")[0] and "Not for real" not in "".join(
        section(run, "outside the guard (not")), run


@pytest.mark.shape("`ansible_become: true` and `ansible_become_user` in the inventory", "the guard is brought up by root all the same")
def test_the_inventory_says_who_to_become(controller):
    inventory = controller.write({"all": {"vars": {"ansible_become": True, "ansible_become_user": "plain"}}})
    both = ["-i", str(controller.fleet.inventory), "-i", str(inventory)]
    inside, refused = at_once(
        lambda: controller.playbook([play("web1", wrapped(controller, *where(), join_users=["plain"]))], *both),
        lambda: controller.playbook([play("web2", wrapped(controller, *where()))], "-e", "ansible_become_user=plain",
                                    "-e", "ansible_become=true"))
    inside.ended(0)
    assert inside.values("WHERE") == [f"web1 {INSIDE}"], inside
    refused.ended(2).said("Only root can load BPF programs", "Here ansible_become_user is plain, which beats become: true")


@pytest.mark.shape("the callback is not loaded (AWX has a list of its own, a typo)",
                   "the role warns; with `ebpf_guard_require_callback: true` it refuses")
def test_without_the_callback(controller):
    tasks = {"name": "Bare", "ansible.builtin.command": "true"}
    warned, refused, enabled = at_once(
        lambda: controller.playbook([play("web1", wrapped(controller, tasks))], ANSIBLE_CALLBACKS_ENABLED="profile_nothing"),
        lambda: controller.playbook([play("web2", wrapped(controller, tasks, require_callback=True))],
                                    ANSIBLE_CALLBACKS_ENABLED="profile_nothing"),
        lambda: controller.playbook([play("web3", wrapped(controller, tasks, require_callback=True))]))
    sentence = "loopbreak.deploy.ebpf_guard does not follow this run"
    warned.ended(0)
    assert sentence in " ".join(warned.output.split()), warned
    refused.ended(2).said(sentence)
    enabled.ended(0)
    assert sentence not in " ".join(enabled.output.split()), enabled


@pytest.mark.shape("`meta: end_host`, `end_play`, `end_batch`, `end_role` inside", "the guard is told as left up, with what ended it; the run fails")
def test_what_leaves_a_guard_up_is_named(controller):
    def leave(how):
        return wrapped(controller, {"name": "Not taken", "ansible.builtin.meta": "end_play", "when": False},
                       {"name": "Leave", "ansible.builtin.meta": how})
    ways = ("web1", "end_role" if controller.core >= (2, 18) else "end_host"), ("web2", "end_batch"), ("web3", "end_play")
    run = controller.playbook([play(host, leave(how)) for host, how in ways])
    run.ended(2)
    for host, how in ways:
        told = run.output.partition(f"GUARD LEFT UP: deploy on {host}")[2].partition("remedy")[0]
        assert f"meta: {how} in " in told and (how == "end_play" or "end_play" not in told), run
    _results, down = controller.adhoc("ebpf_guard", {"state": "absent"}, "web1,web2,web3")
    down.ended(0)
