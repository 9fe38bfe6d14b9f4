# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes with secrets in their command lines: none is shown, printed or logged. And tasks with no_log."""

from __future__ import annotations

import base64
import json
import re
import subprocess

import pytest
from command_lines import MASK, SECRET, ordinary, with_secrets
from controller import FILES

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import words
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import text

PROGRAM = "/usr/local/bin/knock"
LOG = "/var/log/ebpf_guard/deploy.jsonl"
ROWS = {"EBPF_GUARD_MAX_ROWS": "1000"}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    built = tmp_path_factory.mktemp("knock") / "knock"
    subprocess.run(["clang-14", "-O2", "-static", "-Wall", "-Wextra", "-Wno-unused-result", "-Werror", FILES / "knock.c",
                    "-o", built], check=True)
    return {"name": "Bring the program", "ansible.builtin.copy": {"src": str(built), "dest": PROGRAM, "mode": "0755"}}


def knock(how, lines, **more):
    packed = base64.b64encode(json.dumps(lines).encode()).decode()
    return {"name": f"Knock {how}", "ansible.builtin.script": {"cmd": f"{FILES}/knock.py {PROGRAM} {how} {packed}",
                                                               "executable": "/usr/bin/python3"}, **more}


def guarded(controller, tasks, **settings):
    """A play whose last task prints what state=absent has returned."""
    return controller.guarded(tasks, variables={"ebpf_guard_fail_on_denied": False}, after=[
        {"name": "Tell", "ansible.builtin.debug": {"msg": "REPORT {{ ebpf_guard_report | to_json }}"}}], **settings)


def result_of(run):
    return run.values("REPORT")[0]


def end(fleet, processes):
    for process in processes:
        fleet.exec("web1", "kill", str(process["pid"]))


def test_no_secret_is_shown_and_every_other_line_is(controller, fleet, program):
    secret, plain = [arguments for arguments, _secrets in with_secrets()], ordinary()
    run = guarded(controller, [program, knock("itself", secret + plain), knock("below", secret), knock("stay", secret[:3] + plain[:1])],
                  **ROWS).ended(2)
    result, log = result_of(run), fleet.exec("web1", "cat", LOG).stdout
    *_earlier, logged = re.split(r'^\{.*"event": "down".*\n(?=.)', log, flags=re.M)   # of this guard alone
    end(fleet, result["left_running"])
    assert SECRET[:4] not in run.output and SECRET[:4] not in log
    whole = [" ".join(arguments)[:_abi.ARGS] for arguments in plain]
    for where, records in (("result", result["denied"]), ("log", [json.loads(line) for line in logged.splitlines()[:-1]])):
        commands = [record["command"] for record in records]
        assert len(commands) == 2 * len(secret) + len(plain) + 4, where
        assert [line for line in whole if line not in commands] == [], where
        assert sum(MASK in command for command in commands) == len(secret) + 3, where
    shown = [f"    command  {text.clip(words.spoken(line), text.ROOM)}\n" for line in whole]
    run.said(*shown)
    left = {process["command"] for process in result["left_running"]}
    assert whole[0] in left and sum(MASK in command for command in left) == 3


def test_the_class_of_a_record_is_told_by_who_names_the_endpoint(controller, program):
    run = guarded(controller, [program, knock("itself", [["curl", "-u", f"a:{SECRET}", "http://192.0.2.10/"], ["./update"]])],
                  **ROWS).ended(2)
    records = {record["command"].split()[0]: record for record in result_of(run)["denied"]}
    assert (records["./update"]["class"], records["./update"]["evidence"]) == ("hidden", None)
    assert records["curl"]["class"] == "direct"
    assert records["curl"]["evidence"] == {"pid": records["curl"]["pid"], "command": f"curl -u a:{MASK} http://192.0.2.10/"}
    run.said("1x  direct connect  (rule github)", "    evidence its command line names it\n",
             "1x  hidden connect  (rule github)", "    evidence no command line names it that a person wrote\n")


def test_a_task_with_no_log_shows_no_command(controller, fleet, program):
    """Neither in the callback's report, nor in the results that other tasks print; other tasks show theirs."""
    quiet, loud = ["quiet", "words"], ["loud", "words"]
    look = [{"name": "Look", "loopbreak.deploy.ebpf_guard_info": {}, "become": True, "register": "seen"},
            {"name": "Tell", "ansible.builtin.debug": {"msg": "SEEN {{ seen.guards[0].denied | to_json }}"}}]
    # a task in between: what is as close to one with no_log as clocks can tell is hidden, too
    run = guarded(controller, [program, knock("itself", [quiet], no_log=True), *look, knock("itself", [loud]), look[0],
                               knock("stay", [quiet], no_log=True)], **ROWS).ended(2)
    result = result_of(run)
    end(fleet, result["left_running"])
    assert "quiet words" not in run.output, run
    hidden = "hidden (no_log)"
    assert sorted((record["command"], record["ancestry"] == []) for record in result["denied"]) == [
        (hidden, True), (hidden, True), ("loud words", False)]
    assert {process["command"] for process in result["left_running"]} == {hidden}
    assert [record["command"] for record in run.values("SEEN")[0]] == [hidden]
    run.said(f"    command  {hidden}\n", "    command  loud words\n")
    log = fleet.exec("web1", "cat", LOG).stdout  # root's alone, and of the host, which knows nothing of no_log
    assert '"quiet words"' in log


def test_without_the_callback_nobody_knows_of_no_log(controller, program):
    run = guarded(controller, [program, knock("itself", [["quiet", "words"]], no_log=True)],
                  ANSIBLE_CALLBACKS_ENABLED="ansible.builtin.tree").ended(0)
    assert [record["command"] for record in result_of(run)["denied"]] == ["quiet words"]
