# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a guard is on a systemd host, and who gets inside: on a machine with each systemd that the kernels come with."""

from __future__ import annotations

import json
import shlex

import pytest
from controller import Controller
from tasks import role

HOSTS = ("6.1", "6.12")    # systemd 252 and 257
SERVICE = "/sys/fs/cgroup/system.slice/ebpf_guard-deploy.service"
INSIDE = "0::/system.slice/ebpf_guard-deploy.service/ebpf_guard/deploy"
POLICY = {"version": 1, "mode": "enforce", "expected": ["site"],
          "deny": [{"id": "site", "reason": "a test", "networks": ["192.0.2.0/24"]}]}
# One line: who runs this, where, and whether it is denied. A bash that can't connect says so.
KNOCK = ("echo $(id -un) $(tail -n 1 /proc/self/cgroup) "
         "$(bash -c 'true > /dev/udp/192.0.2.10/9' 2> /dev/null && echo passed || echo denied)")

# who: (how the task gets there, what it says; None where it must not run)
USERS = {
    "root": ({"ansible_user": "root"}, "root"),
    "not root": ({}, "deploy"),
    "not root, without pipelining": ({"ansible_pipelining": False}, "deploy"),
    "sudo": ({"ansible_become": True}, "root"),
    "sudo, without pipelining": ({"ansible_become": True, "ansible_pipelining": False}, "root"),
    "sudo with a password": ({"ansible_user": "deploypw", "ansible_become": True, "ansible_become_password": "deploypw"},
                             "root"),
    "su": ({"ansible_become": True, "ansible_become_method": "su", "ansible_become_user": "deploypw",
            "ansible_become_password": "deploypw"}, "deploypw"),
    "who may not join": ({"ansible_user": "other"}, None),
}

# A user writes a process of root's and one of another user's into the own door, and tries to use that of another one.
INTRUDE = """
echo 1 > /run/ebpf_guard/deploy/join/$(id -u)
echo $(pgrep -o -u other) > /run/ebpf_guard/deploy/join/$(id -u)
echo $$ 2> /dev/null > /run/ebpf_guard/deploy/join/1001 || echo no door of another one
"""
# systemd reads everything anew, executes itself anew, and changes a setting of the service; the agent is killed.
DISTURB = f"""
service() {{ systemctl show --property=Delegate,KillMode,ActiveState --value ebpf_guard-deploy.service | sort; }}
ls -id {SERVICE}/ebpf_guard/deploy; service
grep -h . {SERVICE}/cgroup.procs {SERVICE}/ebpf_guard/cgroup.procs {SERVICE}/ebpf_guard/deploy/cgroup.procs
kill -9 $(pgrep -f 'ebpf_guard agent deploy$')
systemctl daemon-reload; systemctl daemon-reexec; systemctl set-property --runtime ebpf_guard-deploy.service CPUWeight=50
ls -id {SERVICE}/ebpf_guard/deploy; service
for try in $(seq 100); do pgrep -f 'ebpf_guard agent deploy$' > /dev/null && break; sleep 0.2; done
pgrep -fc 'ebpf_guard agent deploy$'
/run/ebpf_guard/deploy/launcher -c "$KNOCK"
"""
# Kills the next start of a guard 'half' when its service is there.
KILLER = """until systemctl --quiet is-active ebpf_guard-half.service; do sleep 0.1; done
kill -9 $(ps -o ppid= -p $(pgrep -f 'ebpf_guard agent half$'))"""
REMAINS = """
for try in $(seq 100); do pgrep -f '[e]bpf_guard agent' > /dev/null || break; sleep 0.2; done
pgrep -af '[e]bpf_guard agent'; pgrep -ax sleep; systemctl list-units --all --plain --no-legend 'ebpf_guard*'
find /sys/fs/cgroup /run /sys/fs/bpf -name '*ebpf_guard*'; true
"""
# sudo opens a login session, as it does on hosts whose PAM says so for all services
SESSIONS = "echo 'session optional pam_systemd.so' >> /etc/pam.d/sudo"
NO_SESSIONS = "sed -i '$d' /etc/pam.d/sudo"
LOGGED_OUT = """
until ! loginctl show-user deploy > /dev/null 2>&1; do sleep 0.5; done
sleep 1; ls -d /sys/fs/cgroup/user.slice/user-1000.slice
"""


def ask(mark, action="raw", command=KNOCK, **variables):
    """Two tasks: run a command line, and tell what it said."""
    return [{"name": mark, f"ansible.builtin.{action}": command, "register": "asked", "changed_when": False,
             "ignore_errors": True, "vars": variables}, tell(mark, "asked")]


def tell(mark, value):
    return {"name": "Tell", "ansible.builtin.debug": {
        "msg": f"TOLD {{{{ {{'of': {json.dumps(mark)}, 'host': inventory_hostname, 'told': {value}}} | to_json }}}}"}}


def action(who):
    """Through su, `raw`: for a module's files Ansible would want setfacl on the host."""
    return "raw" if who == "su" else "shell"


def as_root(mark, command):
    """`raw`, so outside the guard."""
    return ask(mark, command=f"export SYSTEMD_PAGER=\nKNOCK={shlex.quote(KNOCK)}\n{command}", ansible_user="root")


def play(*tasks, hosts=HOSTS):
    return {"hosts": ",".join(hosts), "gather_facts": False, "remote_user": "deploy", "tasks": list(tasks),
            "vars": {"ansible_user": "deploy", "ebpf_guard_policy": POLICY}}


PLAYS = [
    play(*as_root("kill the start", f"systemd-run --quiet --collect sh -c {shlex.quote(KILLER)}"),
         {"name": "Killed", "loopbreak.deploy.ebpf_guard": {"name": "half", "policy": POLICY}, "become": True,
          "register": "killed", "ignore_errors": True},
         tell("killed", "killed"), *as_root("remains of half", REMAINS),
         role("start", ebpf_guard_join_users=["deploy", "deploypw"])),
    play(*(task for who, (how, _said) in USERS.items() for task in ask(who, action(who), **how)),
         {"name": "As if ControlPersist had expired", "ansible.builtin.meta": "reset_connection"},
         *ask("reconnected", "shell"), hosts=HOSTS[-1:]),
    play(*ask("intrude", command=INTRUDE), *as_root("disturb", DISTURB), role("stop"), *as_root("remains", REMAINS)),
    play(*as_root("sessions", SESSIONS), role("start", ebpf_guard_join_users=["deploy", "deploypw"]),
         *ask("root in a session", "shell", ansible_become=True),
         *ask("another user in a session", "shell", ansible_become=True, ansible_become_user="deploypw"),
         *ask("sudo in a task", "shell", f"sudo -n -u other sh -c {shlex.quote(KNOCK)}"),
         {"name": "Down", "loopbreak.deploy.ebpf_guard": {"state": "absent"}, "become": True, "register": "down",
          "ignore_errors": True}, tell("down with sessions", "down"), role("stop"), *as_root("no sessions", NO_SESSIONS)),
    play(role("start", ebpf_guard_scope="user"), *ask("raw"), *ask("sudo in raw", command=f"sudo sh -c {shlex.quote(KNOCK)}"),
         *ask("task", "shell"), {"name": "Log out", "ansible.builtin.meta": "reset_connection"},
         *as_root("others", KNOCK), *as_root("logged out", LOGGED_OUT), *ask("next login"),
         role("stop"), *ask("after"), *as_root("remains of user", REMAINS)),
]


@pytest.fixture(scope="module")
def run(machines, tmp_path_factory):
    run = Controller(machines, tmp_path_factory.mktemp("systemd")).playbook(PLAYS, timeout=1800, ANSIBLE_TIMEOUT="120")
    print(f"the play took {run.seconds:.0f} s")
    return run


@pytest.fixture(scope="module", params=HOSTS)
def told(request, run):
    """What one host told: {mark: result}."""
    found = {one["of"]: one["told"] for one in run.values("TOLD") if one["host"] == request.param}
    assert "remains of user" in found, run
    return found


def said(result):
    return result["stdout"].replace("\r", "").strip()


@pytest.mark.parametrize("who", [*USERS, "reconnected"])
def test_who_gets_inside(run, who):
    [one] = [one["told"] for one in run.values("TOLD") if one["of"] == who]
    user = USERS[who][1] if who in USERS else "deploy"
    if user:
        assert said(one) == f"{user} {INSIDE} denied", one
    else:
        assert one["failed"] and "this user may not join it (see join_users)" in json.dumps(one), one


def test_an_intruder_is_refused_and_told(run, told):
    assert said(told["intrude"]).endswith("no door of another one"), told["intrude"]
    run.said("refused at the door", "uid 1000 pid 1 of uid 0: /sbin/init")


def test_systemd_and_the_end_of_the_agent_leave_the_guard_alone(told):
    """The agent is back. No process is above the tasks' cgroup, which is the same one afterwards."""
    where, service = f"{SERVICE}/ebpf_guard/deploy", ["active", "process", "yes"]
    number, path, *rest = said(told["disturb"]).split()
    assert path == where and rest == [*service, number, where, *service, "1", "root", INSIDE, "denied"], told["disturb"]


def test_a_start_that_is_killed_and_a_guard_that_is_down_leave_nothing(told):
    assert told["killed"]["failed"], told["killed"]
    for mark in ("remains of half", "remains", "remains of user"):
        assert said(told[mark]) == "", told[mark]


def test_who_is_put_into_a_session_comes_back_or_fails_the_host(told):
    """By the launcher, which every task of Ansible goes through; what a task starts by itself does not."""
    assert said(told["root in a session"]) == f"root {INSIDE} denied", told["root in a session"]
    assert said(told["another user in a session"]) == f"deploypw {INSIDE} denied", told["another user in a session"]
    assert "/session-" in said(told["sudo in a task"]), told["sudo in a task"]
    left, down = told["down with sessions"]["left"], told["down with sessions"]
    assert down["failed"] and [one["command"].split()[0] for one in left] == ["sudo"] and "/session-" in left[0]["cgroup"], down
    assert down["msg"].count("left the guard at") == 1 and "pam_systemd" in down["msg"], down


def test_it_covers_every_session_of_the_user(told):
    for mark, user, end in (("raw", "deploy", "denied"), ("sudo in raw", "root", "denied"), ("task", "deploy", "denied"),
                            ("others", "root", "passed"), ("next login", "deploy", "denied"), ("after", "deploy", "passed")):
        words = said(told[mark]).split()
        assert (words[0], words[-1]) == (user, end), (mark, told[mark])
        assert ("user-0.slice" if mark == "others" else "user-1000.slice") in words[1]
    assert said(told["logged out"]).endswith("user-1000.slice"), told["logged out"]
