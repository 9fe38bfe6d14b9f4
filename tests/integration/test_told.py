# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads when a host fails for a denial, who decided by whose words, and what nobody may read."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from controller import REASON, policy

NAMED = policy(deny=[{"id": "github", "reason": REASON, "owner": "db-team", "hosts": [".github.com"]}])
HEAD = "Guard 'deploy' denied what the policy does not expect:\n"
RULE = f"Rule 'github' (db-team): {REASON}."
TELL = {"ansible.builtin.debug": {"msg": "TOLD {{ [ansible_failed_result.msg, ebpf_guard_report.verdict, ebpf_guard_report.denied] "
                                         "| to_json }}"}}
# A repository whose submodule, requirements whose package, and a package whose script are on github.com
PREPARE = r"""
mkdir -p /srv/told/repo && cd /srv/told/repo && git init -q .
printf '[submodule "tool"]\n path = tool\n url = http://github.com/tool.git\n' > .gitmodules
git update-index --add --cacheinfo 160000,1111111111111111111111111111111111111111,tool
cd .. && echo 'tool @ git+http://github.com/tool.git' > requirements.txt
printf '#!/bin/sh\nsh -c "curl -s http://github.com/ || true"\n' > /usr/local/bin/install-packages
chmod +x /usr/local/bin/install-packages
printf 'all:\n\tcurl -s http://github.com/ || true\n' > Makefile
printf 'import subprocess\nsubprocess.call(["curl", "-s", "http://github.com/"])\n' > deploy.py
"""


def command(name, line, **more):
    return {"name": name, "ansible.builtin.shell": {"cmd": f"{line} || true", "chdir": "/srv/told"}, **more}


def module(name, action, **arguments):
    return {"name": name, f"ansible.builtin.{action}": arguments, "ignore_errors": True}


# a task, and the class of what it was denied
TASKS = [
    (module("Fetch", "get_url", url="http://github.com/f", dest="/tmp/f"), "direct"),
    ({**module("Ask", "uri", url="{{ item }}"), "loop": ["http://api.github.com/"]}, "direct"),
    (module("Wait", "wait_for", host="github.com", port=80, timeout=1), "direct"),
    ({**module("Quiet", "uri", url="http://www.github.com/"), "no_log": True}, "direct"),
    (module("Clone", "git", repo="https://github.com/tool.git", dest="/tmp/tool"), "direct"),
    (command("Submodule", "git -C repo submodule update --init"), "hidden"),
    (command("Requirements", "python3 -m pip install --break-system-packages -r requirements.txt"), "hidden"),
    (command("Package", "install-packages"), "hidden"),
    (command("Make", "make"), "direct"),
    (command("Python", "python3 deploy.py"), "direct"),
    (command("Others", "echo github.com | xargs -n1 timeout 9 sudo -n nice curl -s"), "direct"),
    (command("User", "curl -s http://github.com/", become=True, become_user="deploy"), "direct"),
]


@pytest.fixture
def tools(fleet):
    fleet.exec("web1", "sh", "-ec", PREPARE)
    yield
    fleet.exec("web1", "rm", "-r", "/srv/told", "/usr/local/bin/install-packages")


def guarded(controller, tasks, policy=NAMED, **role):
    return {"name": "Guarded", "ansible.builtin.include_role": {"name": "loopbreak.deploy.ebpf_guard"},
            "vars": {"ebpf_guard_policy": policy, "ebpf_guard_tasks": str(controller.write(tasks)), **role}}


def play(*tasks, **more):
    return [{"hosts": "web1", "gather_facts": False, "tasks": list(tasks), **more}]


def test_each_denial_has_its_task_and_tells_who_decided(controller, tools):
    run = controller.playbook(play({"block": [guarded(controller, [task for task, _class in TASKS])], "rescue": [TELL]})).ended(2)
    (message, verdict, denied), = run.values("TOLD")
    assert message == verdict == HEAD + "\n".join([
        "github.com (DNS question), 2 times, in the task 'Fetch': /usr/bin/python3",
        "api.github.com (DNS question), 2 times, in the task 'Ask': /usr/bin/python3",
        f"and 10 more: see the report of the guard, or ebpf_guard_report.denied. {RULE}"]), run
    classes = {}
    for record in denied:
        classes.setdefault(record["task"].partition(" (")[0], set()).add(record["class"])
        assert (record["evidence"] is None) == (record["class"] == "hidden"), record
    assert classes == {task["name"]: {expected} for task, expected in TASKS}, run
    of_quiet = [record for record in denied if record["name"] == "www.github.com"]
    assert {record["command"] for record in of_quiet} == {"hidden (no_log)"}
    assert all(record["evidence"] == {"pid": None, "command": None, "task": record["task"]} for record in of_quiet)
    # what is printed of the failure is the message alone
    fatal, = [line for line in run.output.splitlines() if line.startswith("fatal: ") and "Guard 'deploy'" in line]
    assert len(fatal) < len(message) + 100 and "counters" not in run.output, run
    run.said("    evidence the arguments of its task name it\n", "    evidence no command line names it that a person wrote\n")


SWALLOW = {"name": "Swallow", "ansible.builtin.shell": "curl -s http://github.com/ || true"}
OWN = {"name": "Own", "ansible.builtin.command": "sh -c 'echo its own failure; exit 3'"}
LINE = "github.com (DNS question), 2 times, in the task 'Swallow': curl -s http://github.com/"


@pytest.mark.shape("a wrapped task fails, and something was denied", "both failures are printed, and the run ends with 2")
def test_a_failing_stop_hides_no_other_failure(controller):
    run = controller.playbook(play(guarded(controller, [SWALLOW, OWN]))).ended(2)
    run.said("its own failure", LINE, "failed=2", "exit status 2: accesses were denied on web1")


@pytest.mark.shape("`ebpf_guard_fail_on_denied: false`", "the host goes on, `ebpf_guard_report` has the verdict, the run ends with 2")
def test_a_host_that_must_not_fail_has_the_verdict_all_the_same(controller):
    run = controller.playbook(play(guarded(controller, [SWALLOW], ebpf_guard_fail_on_denied=False),
                                   {"ansible.builtin.debug": {"var": "ebpf_guard_report.verdict"}},
                                   {"ansible.builtin.debug": {"msg": "BRIEF {{ ebpf_guard_report.ansible_stats | to_json }}"}}),
                              ANSIBLE_SHOW_CUSTOM_STATS="true").ended(2)
    run.said("failed=0", LINE, "GUARD UP: deploy on web1 [enforce]  connect, send, dns, payload")
    brief = {"ebpf_guard": {"outcome": "denied", "denied": 2, "new": 0, "endpoints": ["github.com (DNS question)"]}}
    assert run.values("BRIEF") == [{"data": brief, "per_host": True, "aggregate": False}]
    shown = re.findall(r"^\t(web1|RUN): (.*)$", run.output.partition("CUSTOM STATS: ")[2], re.MULTILINE)
    assert {host: json.loads(told) for host, told in shown} == {"web1": brief, "RUN": brief}, run


def test_without_the_callback_no_task_is_known_and_the_host_fails(controller):
    run = controller.playbook(play(guarded(controller, [SWALLOW])), ANSIBLE_CALLBACKS_ENABLED="ansible.builtin.tree").ended(2)
    run.said(r"expect:\ngithub.com (DNS question), 2 times: curl -s http://github.com/\nRule", "failed=1")


@pytest.mark.shape("`no_log: true` applied to the role", "a denial fails the host, with no command in the message")
def test_under_no_log_the_message_shows_no_command(controller):
    """ansible-core prints the message of a failure, whatever no_log says."""
    quiet = guarded(controller, [SWALLOW])
    quiet["ansible.builtin.include_role"]["apply"] = {"no_log": True}
    run = controller.playbook(play(quiet)).ended(2).said("failed=1", "no_log hides the report")
    assert "curl" not in run.output, run


def test_check_mode_fails_nothing(controller):
    controller.playbook(play(guarded(controller, [SWALLOW])), "--check").ended(0).said("failed=0")


SECRETS = ("inline", "whole", "file")  # in the names of hosts that nobody may read


@pytest.mark.cores
def test_a_policy_that_came_from_a_vault_is_shown_nowhere(controller):
    """By values of a mapping, as a variable of an encrypted file, and as an encrypted policy file; also when it goes."""
    at, key = controller.directory, ["--vault-password-file", "key"]

    def vault(*arguments):
        return subprocess.run([controller.bin / "ansible-vault", *arguments, *key], cwd=at, check=True, capture_output=True, text=True,
                              env=controller.environment).stdout

    def rules(host):
        return f'version: 1\nmode: drill\ndeny: [{{id: github, reason: r, hosts: ["{host}"]}}]\n'
    (at / "key").write_text("password\n")
    (at / "vars.yml").write_text("secret: " + vault("encrypt_string", "inline.example") + "\ninline:\n  "
                                 + rules("{{ secret }}").replace("\n", "\n  "))
    (at / "whole.yml").write_text("whole:\n  " + rules("whole.example").replace("\n", "\n  "))
    (at / "file.yml").write_text(rules("file.example"))
    vault("encrypt", "whole.yml", "file.yml")
    up = [{"name": f"Up by {name}", "loopbreak.deploy.ebpf_guard": {"policy": f"{{{{ {name} }}}}"}} for name in SECRETS[:2]]
    run = controller.playbook(play(guarded(controller, [{"ansible.builtin.ping": {}}], "{{ inline }}"), *up,
                                   {"name": "Up by file", "loopbreak.deploy.ebpf_guard": {"policy_file": "file.yml"}},
                                   vars_files=["vars.yml", "whole.yml"]), "--diff", "-vvv", *key)
    _results, down = controller.adhoc("ebpf_guard", {"state": "absent"}, "web1", "--diff", "-vvv")
    run.said("failed=0", "Rule 'github': no address is known for ********")
    for printed in (run, down):
        printed.said('"policy": "(hidden: the policy came from a vault)"')
        assert not re.search(r"(%s)\.example" % "|".join(SECRETS), printed.output), printed
