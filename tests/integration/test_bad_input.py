# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input is refused with one clear error, before the target is touched: here the target does not even exist."""

from __future__ import annotations

import subprocess

import pytest
from controller import BIN, policy
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
    subprocess.run([BIN / "ansible-vault", "encrypt", "--vault-password-file", "password", path.name],
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
