# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of real commands, run inside a guard by a play: what each should come to, and what it came to."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shlex
import time
from typing import NamedTuple

from controller import FILES, REASON

PYTHON = "/usr/bin/python3"
# milliseconds that a denial may take longer than the tool itself does; resolvers wait for 5 seconds, and TCP for minutes
QUICK = 3_000
FIRST = "getent hosts begin.example"  # in the resolver's log, what comes behind this was asked inside
TASK_RESULT = re.compile(r"^(?:ok|changed|fatal): \[(\w+)\](?:: FAILED!)? => (\{.*\"left_running\".*\})$", re.M)
GETADDRINFO = "import socket, sys; print(socket.getaddrinfo(sys.argv[1], 443))"
FETCH = ("import socket, sys; s = socket.socket(socket.AF_INET6); s.settimeout(5); s.connect((sys.argv[1], 80)); "
         "s.send(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(s.recv(99))")


class Try(NamedTuple):
    """One command, and what is right. Where it is to be denied: the record's kind and name, and the rule."""

    command: str
    kind: str = ""  # "": it has to work
    name: str | None = None  # of the record; where an address has several, one of them
    says: str = ""  # what the tool has to print
    rule: str | None = "github"
    status: int | None = None  # None: 0 where it works, any other where it is denied
    by: str = ""  # what the record's command has in it; "": it is the command


def name_rules(mode="enforce", deny=(".github.com",), allow=(), interval=0, **changes):
    """A policy of names alone: nothing says which addresses they have."""
    rules = {"version": 1, "mode": mode, "resolve": {"interval": interval}, **changes}
    if deny:
        rules["deny"] = [{"id": "github", "reason": REASON, "owner": "db-team", "hosts": list(deny)}]
    if allow:
        rules["allow"] = [{"id": "wanted", "hosts": list(allow)}]
    return rules


def commands_task(commands, name="Try the commands"):
    """Two tasks: run the commands, and tell how they went."""
    packed = base64.b64encode(json.dumps(commands).encode()).decode()
    return [{"name": name, "ansible.builtin.script": {"cmd": f"{FILES}/commands.py {packed}", "executable": PYTHON},
             "register": "tried"},
            {"name": "Tell", "ansible.builtin.debug": {"msg": "TRIED {{ tried.stdout | trim }}"}}]


def unguarded(fleet, commands):
    """{command: how it went} outside any guard."""
    packed = base64.b64encode(json.dumps(commands).encode()).decode()
    told = fleet.exec("web1", PYTHON, "-", packed, input=(FILES / "commands.py").read_text(), timeout=300).stdout
    return {one["command"]: one for one in json.loads(told)}


def attempts(controller, tries, policy, compare=False, **options):
    """Runs a table through the role; (Run, {command: outcome}, report).

    Asserts of each command how it went, how long it took, and what the report says of it.
    """
    commands = [one.command for one in tries]
    usual = unguarded(controller.fleet, commands) if compare else {}
    controller.fleet.forget_logs()
    run = controller.guarded(commands_task([FIRST, *commands]), "-v", policy=policy, **options)
    [told] = run.values("TRIED")
    outcomes = {one["command"]: one for one in told}
    report = report_of(run)
    wrong = [said for one in tries
             if (said := judge(one, outcomes[one.command], usual.get(one.command), report, policy))]
    assert not wrong, "\n".join(wrong) + f"\n{run}"
    return run, outcomes, report


def judge(wanted, outcome, usual, report, policy):
    """What is wrong with a command's outcome and records; None for nothing."""
    records = [record for record in report["denied"] if ran(wanted, record["command"])]
    if wanted.kind:
        spent = outcome["ms"] - (usual["ms"] if usual else 0)
        problem = (outcome["status"] == 0 != wanted.status and "worked"
                   or spent > QUICK and f"took {spent} ms too long")
    else:
        problem = (outcome["status"] != (wanted.status or 0) and "did not work"
                   or policy["mode"] != "monitor" and records and f"was denied: {records}")
    if not problem and wanted.says not in outcome["said"]:
        problem = f"did not say {wanted.says!r}"
    found = {(record["kind"], name, record["rule"])
             for record in records for name in (record["name"] or "").split(", ")}
    if not problem and wanted.kind and (wanted.kind, wanted.name or "", wanted.rule) not in found:
        problem = f"is not recorded as {wanted.kind, wanted.name, wanted.rule}, but as {sorted(found, key=str)}"
    return f"{wanted.command}: {problem}; {outcome}" if problem else None


def ran(wanted, command):
    """Is this the command line of a record that is meant?"""
    if wanted.by:
        return wanted.by in command
    return command == " ".join(shlex.split(wanted.command))[:len(command)] and len(command) > 8


def report_of(run, host="web1"):
    """The result of the play's state=absent task; needs -v."""
    [report] = [json.loads(text) for name, text in TASK_RESULT.findall(run.output) if name == host]
    return report


def asked_inside(fleet):
    """The names that the resolver was asked for since the first of the commands."""
    log = [line for line in fleet.log("resolver") if line["event"] == "query"]
    first = next(place for place, line in enumerate(log) if line["name"].startswith("begin.example"))
    return {line["name"].rstrip(".").lower() for line in log[first:]}


def presented(fleet, *services):
    """The names that came with a ClientHello or a request to these servers."""
    return {line.get("sni") or (line.get("host") or "").partition(":")[0] for service in services
            for line in fleet.log(service) if line["event"] in ("hello", "request")}


@contextlib.contextmanager
def file_with(fleet, path, change, host="web1"):
    """A host's file, changed for a while: `change` makes the new content from the old."""
    before = fleet.exec(host, "cat", path).stdout
    fleet.exec(host, "tee", path, input=change(before))
    try:
        yield
    finally:
        fleet.exec(host, "tee", path, input=before)


def until(true, seconds):
    """How many seconds it took to become true; an AssertionError where it took too long."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"still not so after {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - began
