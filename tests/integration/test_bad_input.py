# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input is refused with one clear error, before the target is touched: here the target does not even exist."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml
from controller import policy, where
from hosts import remains

RULE = "  - id: github\n    reason: r\n"
# name: (policy file, what the error says)
BAD_POLICIES = {
    "unknown key": ("version: 1\nmodes: enforce\n", [":2:", "modes", "mode"]),
    "unknown rule key": (f"version: 1\ndeny:\n{RULE}    network: [192.0.2.0/24]\n", [":5:", "'github'", "networks"]),
    "missing reason": ("version: 1\ndeny:\n  - id: github\n    networks: [192.0.2.0/24]\n", [":3:", "'github'", "reason"]),
    "duplicate id": (f"version: 1\ndeny:\n{RULE}    networks: [192.0.2.0/24]\n{RULE}    networks: [192.0.2.1]\n",
                     [":6:", "'github'"]),
    "bad network": (f"version: 1\ndeny:\n{RULE}    networks:\n      - 192.0.2.0/33\n", [":6:", "'github'", "192.0.2.0/33"]),
    "host bits": (f"version: 1\ndeny:\n{RULE}    networks: [192.0.2.1/24]\n", [":5:", "192.0.2.0/24"]),
    "bad port": (f"version: 1\ndeny:\n{RULE}    networks: [192.0.2.1]\n    ports: [70000]\n", [":6:", "70000"]),
    "bad host": (f"version: 1\ndeny:\n{RULE}    hosts: ['git hub.com']\n", [":5:", "git hub.com"]),
    "wildcard in the middle": (f"version: 1\ndeny:\n{RULE}    hosts: ['api.*.com']\n", [":5:", "api.*.com"]),
    "empty rule": (f"version: 1\ndeny:\n{RULE}", [":3:", "'github'", "hosts"]),
    "unsupported version": ("version: 2\n", [":1:", "version", "1"]),
    "no mapping": ("- version: 1\n", ["mapping"]),
    "not YAML": ("version: 1\ndeny: [\n", [":"]),
    "unknown expected": ("version: 1\nexpected: [github]\n", [":2:", "github"]),
    "relative path": (f"version: 1\ndeny:\n{RULE}    paths: [mnt/a]\n", [":5:", "'github'", "mnt/a", "absolute"]),
    "every file": (f"version: 1\ndeny:\n{RULE}    paths:\n      - /mnt\n      - /\n", [":7:", "'/'", "every file"]),
    "wildcard in a path": (f"version: 1\ndeny:\n{RULE}    paths: ['/mnt/a/*']\n", [":5:", "wildcard", "'/mnt/a'"]),
    "variable in a path": (f"version: 1\ndeny:\n{RULE}    paths: [$HOME/bin]\n", [":5:", "$HOME/bin", "not filled in"]),
    "wildcard of types": (f"version: 1\ndeny:\n{RULE}    filesystems: ['nfs*']\n", [":5:", "nfs*", "fuse.*"]),
    "port of a path": (f"version: 1\ndeny:\n{RULE}    paths: [/mnt]\n    ports: [443]\n", [":3:", "ports", "networks"]),
    "relative socket": (f"version: 1\ndeny:\n{RULE}    sockets: [docker.sock]\n", [":5:", "docker.sock", "@name"]),
    "lock": ("version: 1\nlock: maybe\n", [":2:", "lock", "neither true nor false"]),
    # of later versions: refused by name
    "no service map": ("version: 1\nservice: mysql\nservices: no-map.yml\n", [":3:", "services", "no service map '", "no-map.yml'"]),
    "service map": ("version: 1\nservice: mysql\nservices:\n  a: {depends_on: [msql]}\n  mysql:\n", [":4:", "'a'", "mean mysql?"]),
    "limits": ("version: 1\nlimits: {pids: 0}\n", [":2:", "limits", "pids: 512"]),
    "interval": ("version: 1\nresolve: {interval: -1}\n", [":2:", "interval", "-1"]),
    "encrypted DNS": ("version: 1\nencrypted_dns: maybe\n", [":2:", "maybe", "deny"]),
    "taken id": ("version: 1\ndeny:\n  - id: encrypted_dns\n", [":3:", "encrypted_dns"]),
}
BAD_OPTIONS = {
    "user scope": ({"scope": "user"}, ["scope: user", "scope: tasks"]),
    "cgroup and user scope": ({"cgroup": "service", "scope": "user"}, ["exclude each other"]),
    "cgroup": ({"cgroup": "no/such"}, ["there is no cgroup /sys/fs/cgroup/unified/no/such"]),
    "name": ({"name": "../x"}, ["../x", "lower case"]),
    "ttl": ({"ttl": -1}, ["ttl: -1"]),
    "two policies": ({"policy_file": "x.yml"}, ["either policy_file or policy"]),
    "unknown user": ({"join_users": ["nobody-there"]}, ["nobody-there", "join_users"]),
}


@pytest.mark.cores
def test_every_bad_policy_is_refused_without_a_target(controller):
    tasks = []
    for number, (name, (text, _fragments)) in enumerate(BAD_POLICIES.items()):
        (controller.directory / f"bad{number}.yml").write_text(text)
        tasks.append({"name": name, "ignore_errors": True, "register": "refused",
                      "loopbreak.deploy.ebpf_guard": {"policy_file": f"bad{number}.yml"}})
        tasks.append({"name": "Tell", "ansible.builtin.debug": {"msg": "SAID {{ refused.msg | to_json }}"}})
    nowhere = {"hosts": "nowhere", "gather_facts": False, "tasks": tasks,
               "vars": {"ansible_host": "198.51.100.99"}}
    run = controller.playbook([{"hosts": "localhost", "gather_facts": False, "tasks": [
        {"name": "A host that is not there", "ansible.builtin.add_host": {"name": "nowhere"}}]}, nowhere])
    said = run.values("SAID")
    assert len(said) == len(BAD_POLICIES), run
    for number, (name, (_text, fragments)) in enumerate(BAD_POLICIES.items()):
        for fragment in [f"bad{number}.yml", *fragments]:
            assert fragment in said[number], (name, fragment, said[number])
        assert said[number].count("\n") == 0, said[number]


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_bad_options_are_refused(controller, fleet, what):
    options, fragments = BAD_OPTIONS[what]
    _results, run = controller.adhoc("ebpf_guard", {"policy": policy(), **options})
    run.ended(2).said(*fragments)
    assert remains(fleet) == []


def test_no_policy_and_no_such_file(controller):
    _results, run = controller.adhoc("ebpf_guard", {})
    run.ended(2).said("needs a policy")
    _results, run = controller.adhoc("ebpf_guard", {"policy_file": "no-such.yml"})
    run.ended(2).said("no-such.yml")


def test_a_vaulted_policy_file(controller):
    (controller.directory / "password").write_text("secret\n")
    path = controller.write(policy("drill"))
    subprocess.run([controller.bin / "ansible-vault", "encrypt", "--vault-password-file", "password", path.name],
                   cwd=controller.directory, check=True, capture_output=True, env=controller.environment)
    results, run = controller.adhoc("ebpf_guard", {"policy_file": path.name}, "web1", "--vault-password-file", "password")
    assert results["web1"]["guard"]["mode"] == "drill", run
    controller.call("ebpf_guard", state="absent")


def test_without_root_the_error_says_become(controller):
    _results, run = controller.adhoc("ebpf_guard", {"policy": policy()}, "web1", "-e", "ansible_user=deploy")
    run.ended(2).said("become: true")
    _results, run = controller.adhoc("ebpf_guard", {"state": "absent"}, "web1", "-e", "ansible_user=deploy")
    run.ended(2).said("become: true")
    _results, run = controller.adhoc("ebpf_guard_info", {}, "web1", "-e", "ansible_user=deploy")
    run.ended(2).said("become: true")


def role(name, entry="main", **variables):
    """The role in a block whose failure is told."""
    return {"name": name, "block": [{"name": name, "ansible.builtin.include_role": {"name": "loopbreak.deploy.ebpf_guard", "tasks_from": entry},
                                     "vars": {f"ebpf_guard_{key}": value for key, value in variables.items()}}],
            "rescue": [{"name": "Tell", "ansible.builtin.debug": {"msg": "SAID {{ ansible_failed_result.msg | to_json }}"}}]}


MISTAKES = {
    "nothing inside": ({"policy": policy()}, "there is nothing to run inside the guard. Give ebpf_guard_tasks, a file of tasks, or "
                       "ebpf_guard_roles to the role loopbreak.deploy.ebpf_guard."),
    "mistyped": ({"policy": policy(), "taks": "tasks.yml"},
                 "ebpf_guard_taks is no variable of the role loopbreak.deploy.ebpf_guard. Did you mean ebpf_guard_tasks?"),
    "no such file": ({"policy": policy(), "tasks": "no-such.yml"}, "ebpf_guard_tasks: there is no file 'no-such.yml' on the controller."),
    # the role has a file of this name
    "a file of ours": ({"policy": policy(), "tasks": "install.yml"}, "ebpf_guard_tasks: there is no file 'install.yml' on the controller."),
    "idle policy": ({"policy": {"version": 1}, "tasks": "tasks.yml"}, "policy: this policy denies nothing and limits nothing"),
}


def test_first_mistakes_with_the_role(controller, fleet):
    """Each is one sentence, and the host has nothing of it. What is no mistake works: a file of tasks beside the tasks of the role
    that uses ours, and a variable of the play's own.
    """
    tasks = controller.directory / "roles" / "mysql" / "tasks"
    tasks.mkdir(parents=True)
    (controller.directory / "tasks.yml").write_text("[]")
    (tasks / "start.yml").write_text(yaml.safe_dump(where()))  # the role has a file of this name as well
    (tasks / "main.yml").write_text(yaml.safe_dump([role("Wrapped", policy=policy(), tasks="start.yml", enabled=True)]))
    run = controller.playbook([
        {"hosts": "web2", "gather_facts": False, "tasks": [role("Stop alone", "stop")]},
        {"hosts": "web1", "gather_facts": False, "tasks": [role(name, **given) for name, (given, _said) in MISTAKES.items()]},
        {"hosts": "web1", "gather_facts": False, "roles": ["mysql"]},
        *({"hosts": "web3", "gather_facts": False, "vars": login, "tasks": [role("No root", "start", policy=policy())]} for login in (
            {"ansible_user": "plain"}, {"ansible_user": "deploy", "ansible_become_exe": "/usr/bin/no-sudo"})),
    ], ANSIBLE_CALLBACKS_ENABLED="profile_nothing")
    *told, without_sudo, no_sudo = run.values("SAID")
    assert len(told) == len(MISTAKES), run
    for text, (name, (_given, said)) in zip(told, MISTAKES.items()):
        assert said in text and "\n" not in text, (name, text)
        assert name == "idle policy" or re.match(r"\d+\.yml:\d+: ", text), text
    assert "Guard 'deploy' is not up on web2" in run.output, run
    assert run.values("WHERE") == ["web1 0::/ebpf_guard/deploy"], run
    assert "ebpf_guard_enabled says nothing to the role" in run.output, run
    assert without_sudo == ("A guard needs root, and user 'plain' can't become root on this host by sudo: Missing sudo password. Give the "
                            "password with --ask-become-pass (-K), or let this user do that without one."), run
    assert no_sudo.startswith("A guard needs root, and user 'deploy' can't become root on this host by sudo: "), run
    assert no_sudo.endswith("not found. Set ansible_become_method to what this host has, or log in as root."), run
    assert remains(fleet) == []
