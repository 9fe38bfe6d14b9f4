# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts on which a security module has a say: SELinux that enforces, AppArmor, and a kernel that is locked down.

What they let a guard do, it does. What they deny is told by name, in the words of the module that denied it.
"""

from __future__ import annotations

import re

import pytest
from controller import Controller
from matrix import report
from tasks import findings, role, tell

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.launcher import LABELLED
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.refusal import LOCKED_DOWN

pytestmark = pytest.mark.large
RULES = {"net": {"networks": ["192.0.2.0/24"]}, "name": {"hosts": [".github.com"]}, "files": {"paths": ["/opt/denied"]}}
POLICY = {"version": 1, "mode": "enforce", "expected": list(RULES), "limits": {"pids": 500},
          "deny": [{"id": name, "reason": "a test", **rule} for name, rule in RULES.items()]}
SLOW = {"ANSIBLE_TIMEOUT": "120"}
PREPARE = "mkdir -p /opt/denied; echo content > /opt/denied/file; chmod -R a+rX /opt/denied; dmesg --clear"
# Three words: who runs this, by which type of SELinux, and in which guard; and then what passed
KNOCK = ("echo $(id -un) $(tr ' ' : < /proc/self/attr/current | cut -d: -f3) $(tail -n 1 /proc/self/cgroup | sed s,.*/,,); "
         "bash -c 'true > /dev/tcp/192.0.2.10/80' 2> /dev/null && echo net; "
         "cat /opt/denied/file 2> /dev/null; getent hosts api.github.com; true")
# Who comes how, and what the first line says
WHO = {
    "root": ({"ansible_user": "root"}, "root unconfined_t deploy"),
    "sudo": ({"ansible_become": True}, "root unconfined_t deploy"),
    "the login user": ({}, "deploy unconfined_t deploy"),
    "who is become": ({"ansible_user": "root", "ansible_become": True, "ansible_become_user": "deploypw"}, "deploypw unconfined_t deploy"),
    "a confined user": ({"ansible_user": "other"}, "other staff_t deploy"),
    "a confined user, async": ({"ansible_user": "other"}, "other staff_t deploy"),
}
PYTHON = "/usr/local/bin/confined-python"
PROFILES = f"""
profile confined-python {PYTHON} {{
  file, network, signal, ptrace, unix, mount, umount,
  capability dac_override, capability dac_read_search, capability net_raw, capability net_admin, capability setuid,
  capability setgid, capability kill, capability chown, capability fowner, capability sys_resource,
}}
profile confined-launcher /run/ebpf_guard/deploy/launcher {{
  file, signal, unix, network,
  audit deny /sys/fs/cgroup/** w,
}}
"""


def tasks():
    for who, (how, _said) in WHO.items():
        background = {"async": 300, "poll": 2} if who.endswith("async") else {}
        yield {"name": who, "ansible.builtin.shell": KNOCK, "register": "knocked", "changed_when": False, "ignore_errors": True,
               "vars": how, **background}
        yield {"name": "Tell", "ansible.builtin.debug": {"msg": "TOLD {{ {'of': %r, 'host': inventory_hostname, 'told': knocked} | to_json }}" % who}}


def raw(name, command):
    return {"name": name, "ansible.builtin.raw": command, "register": "said", "changed_when": False, "vars": {"ansible_user": "root"}}


PLAY = {"hosts": "selinux", "gather_facts": False, "remote_user": "deploy", "vars": {"ansible_user": "deploy"}, "tasks": [
    raw("Prepare", PREPARE), role("start", ebpf_guard_policy=POLICY, ebpf_guard_join_users=["deploy", "deploypw", "other"]),
    *tasks(), *report("REPORT"), role("stop"), raw("Look", "getenforce; dmesg | grep 'avc: *denied'; true"), tell("LOOKED", "said.stdout_lines"),
]}


@pytest.fixture(scope="module")
def controller(confined, tmp_path_factory):
    return Controller(confined, tmp_path_factory.mktemp("confined"))


@pytest.fixture(scope="module")
def run(controller):
    run = controller.playbook([PLAY], timeout=1800, **SLOW)
    print(f"the play took {run.seconds:.0f} s")
    return run.ended(0)


@pytest.mark.parametrize("who", WHO)
def test_a_guard_holds_where_selinux_enforces(run, who):
    [told] = [one["told"] for one in run.values("TOLD") if one["of"] == who]
    assert told["stdout_lines"] == [WHO[who][1]], told


def test_what_was_denied_where_selinux_enforces_is_in_the_report(run):
    told = findings(run)["REPORT"]["selinux"]
    assert {one["rule"] for one in told["denied"]} == set(RULES) and told["limits"]["pids"]["limit"] == 500, told


def test_selinux_has_nothing_against_a_guard(run):
    """But for what systemd does when a confined user logs in."""
    enforces, *denied = findings(run)["LOOKED"]["selinux"]
    assert enforces.strip() == "Enforcing" and [line for line in denied if not re.search(r'comm="\(?systemd', line)] == []


def doctor_and_start(controller, host, *how):
    """What the doctor says of a host, and why a start fails there."""
    page = controller.shipped("doctor", "--limit", host, *how, timeout=900, **SLOW)
    results, run = controller.adhoc("ebpf_guard", {"policy": POLICY}, host, *how, timeout=900, **SLOW)
    run.ended(2)
    return page, results[host]["msg"]


@pytest.mark.parametrize("host", ["selinux", "apparmor"])
def test_the_doctor_finds_nothing_in_the_way(controller, host):
    controller.shipped("doctor", "--limit", host, timeout=900, **SLOW).ended(0).said(f'"{host}: able"')


def test_a_root_that_selinux_confines(controller):
    page, why = doctor_and_start(controller, "selinux", "-b", "-e", "ansible_user=other")
    assert why.startswith("The kernel refused to load the guard's programs: Permission denied (EACCES). Something forbids it to root: "
                          "SELinux is enforcing, this process runs as staff_u:sysadm_r:sysadm_t:"), why
    page.ended(2).said(f"selinux: not able: {why}")


@pytest.fixture
def profiles(confined):
    """A Python and a launcher that AppArmor confines."""
    machine, parse = confined["apparmor"], "apparmor_parser --{} --skip-cache /etc/apparmor.d/confined"
    machine.exec("sh", "-ec", f"cp $(readlink -f /usr/bin/python3) {PYTHON}; cat > /etc/apparmor.d/confined; {parse.format('replace')}",
                 input=PROFILES)
    yield
    machine.exec("sh", "-ec", parse.format("remove"))


def test_a_root_that_apparmor_confines(controller, profiles):
    page, why = doctor_and_start(controller, "apparmor", "-e", f"ansible_python_interpreter={PYTHON}")
    assert why == ("The kernel refused to load the guard's programs: Operation not permitted (EPERM). Something forbids it to root: "
                   "AppArmor confines this process by the profile 'confined-python', and dmesg has what that would have to allow "
                   '(apparmor="DENIED").')
    page.ended(2).said("apparmor: not able: The kernel refused", "by the profile 'confined-python'")


def test_a_launcher_that_apparmor_confines(controller, confined, profiles):
    results, run = controller.adhoc("ebpf_guard", {"policy": POLICY}, "apparmor", timeout=900, **SLOW)
    run.ended(2)
    assert LABELLED.replace("@label", "confined-launcher (enforce)") in results["apparmor"]["msg"], run
    assert 'apparmor="DENIED"' in (said := confined["apparmor"].exec("dmesg").stdout) and 'profile="confined-launcher"' in said


def test_a_kernel_that_is_locked_down(controller):
    page, why = doctor_and_start(controller, "lockdown")
    assert why == LOCKED_DOWN
    page.ended(2).said(f"lockdown: not able: {LOCKED_DOWN}", "lockdown  confidentiality")
