# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are hardened: what keeps tasks out of a guard, or the guard off the host, is told at the start, with a remedy."""

from __future__ import annotations

import contextlib
import json
import re
import time

import pytest
from controller import FILES, policy
from hosts import LAUNCHER, remains

CGROUP2 = "/sys/fs/cgroup/unified"
HOME = "cp -a /etc/sudoers /tmp/sudoers", "cp -a /tmp/sudoers /etc/sudoers; rm /tmp/sudoers"
SH_ALONE = (f"{HOME[0]}; sed -i '/^deploy /d' /etc/sudoers; echo 'deploy ALL=(root) NOPASSWD: /bin/sh' >> /etc/sudoers; "
            "mv /etc/sudoers.d /tmp/sudoers.d; mkdir /etc/sudoers.d",
            f"rm -r /etc/sudoers.d; mv /tmp/sudoers.d /etc/sudoers.d; {HOME[1]}")
UMASK = f"{HOME[0]}; echo 'Defaults umask=0077, umask_override' >> /etc/sudoers", HOME[1]
NO_WAY = "chmod 0700 /run", "chmod 0755 /run"
READ_ONLY = f"mount -o remount,bind,ro {CGROUP2}", f"mount -o remount,bind,rw {CGROUP2}"
READ_ONLY_RUN = "mount -o remount,bind,ro /run", "mount -o remount,bind,rw /run"
EXCLUSIVE = tuple(f"python3 /opt/exclusive.py {word} {CGROUP2}" for word in ("attach", "detach"))


@contextlib.contextmanager
def hardened(fleet, **ways):
    with contextlib.ExitStack() as undo:
        for host, (there, back) in ways.items():
            fleet.exec(host, "sh", "-ec", there)
            undo.callback(fleet.exec, host, "sh", "-ec", back)
        yield


def reasons(run):
    """{host: why it failed}"""
    return {host: json.loads(f'"{text}"') for host, text in re.findall(
        r'^fatal: \[(\w+)\]: FAILED! => \{.*?"msg": "((?:[^"\\]|\\.)*)"', run.output, re.M)}


@pytest.mark.shape("sudoers that allow /bin/sh alone; root with umask 077; a path that shuts the login user out",
                   "found at the start, in one sentence with the remedy, and nothing stays; the umask makes no difference")
def test_the_way_in_is_tried_as_tasks_take_it(controller, fleet):
    tasks = [{"name": "As root", "ansible.builtin.command": "id -un", "changed_when": False},
             {"name": "As the login user", "ansible.builtin.command": "id -un", "become": False, "changed_when": False},
             {"name": "Tell", "ansible.builtin.debug": {"msg": "REACHED {{ inventory_hostname }}"}}]
    with hardened(fleet, web1=SH_ALONE, web2=UMASK, web3=NO_WAY):
        run = controller.guarded(tasks, "-e", "ansible_user=deploy", hosts="all", play={"become": True}).ended(2)
    assert re.findall(r"REACHED (\w+)", run.output) == ["web2"], run
    why = reasons(run)
    assert set(why) == {"web1", "web3"}, run
    assert why["web1"].startswith("Tasks that become 'root' could not enter guard 'deploy', because sudo does not let user "
                                  f"'deploy' run its launcher {LAUNCHER}"), why
    assert why["web1"].endswith(f"Add to sudoers: deploy ALL=(root) NOPASSWD: {LAUNCHER}"), why
    assert why["web3"] == (f"User 'deploy' can't run the launcher {LAUNCHER}, through which all of this user's tasks have to go: "
                           "Permission denied. The mode of /run shuts this user out. Give it 0755."), why
    assert [remains(fleet, host) for host in fleet.hosts] == [[]] * 3


SAID = {
    "web1": f"The kernel refused to attach ebg_connect4 to the cgroup: Operation not permitted (EPERM). There, a program of "
            "somebody else lets no other beside or below it: 'of_another' (id NUMBER), which is attached to the cgroup "
            f"{CGROUP2} for connect4. Have the product that it belongs to attach it with BPF_F_ALLOW_MULTI, or stop that product "
            f"on this host (`bpftool cgroup show {CGROUP2}` lists it).",
    "web2": f"cgroup2 is read-only here ({CGROUP2}), and a guard is a cgroup of its own. A container has it so, and so has a "
            "service with ProtectControlGroups=yes: bring the guard up on the machine itself, or take that setting out of the "
            "service that runs the controller or sshd.",
    "web3": "/run is read-only here, and a guard keeps things there while it is up. Mount it writable; where this is a container, "
            "or a service with ProtectSystem= or ReadOnlyPaths=, bring the guard up on the machine itself, or take that setting "
            "out.",
}


@pytest.mark.shape("a program of somebody else that lets no other below it; cgroup2 or /run read-only",
                   "the doctor and the start say the same sentence, with what is in the way and what to change; nothing stays")
def test_the_doctor_says_what_the_start_says(controller, fleet):
    for host in fleet.hosts:
        fleet.exec(host, "sh", "-c", "cat > /opt/exclusive.py", input=(FILES / "exclusive.py").read_text())
    with hardened(fleet, web1=EXCLUSIVE, web2=READ_ONLY, web3=READ_ONLY_RUN):
        doctor = controller.shipped("doctor").ended(2)
        results, _run = controller.adhoc("ebpf_guard", {"policy": policy()}, "all")
        gone, _run = controller.adhoc("ebpf_guard", {"state": "absent"}, "web2")
    for host, said in SAID.items():
        pattern = re.escape(said).replace("NUMBER", r"\d+")
        assert re.fullmatch(pattern, results[host]["msg"]), results[host]["msg"]
        assert re.search(rf'"{host}: not able: {pattern}"', doctor.output), (host, doctor)
    assert gone["web2"]["changed"] is False, gone
    assert [remains(fleet, host) for host in fleet.hosts] == [[]] * 3


CONTAINED = {
    "web1": ("python3 /opt/contained.py seccomp",
             "The kernel refused to load the guard's programs: Operation not permitted (EPERM). Something forbids it to root: a seccomp "
             "filter is on this process, as a container has one, or a service with SystemCallFilter=."),
    "web2": ("python3 /opt/contained.py namespace",
             "Root is that of a user namespace here, as in a container without root, and the kernel takes BPF programs from root of "
             "the machine alone. Bring the guard up on the machine itself."),
    "web3": ("setpriv --bounding-set -sys_admin,-net_raw",
             "Root lacks CAP_SYS_ADMIN and CAP_NET_RAW here, as in a container. Bring the guard up on the machine itself, or give the "
             "container that."),
}
BY = "/usr/local/bin/contained-python"


def test_the_doctor_says_what_the_start_says_in_a_container(controller, fleet):
    for host, (way, _said) in CONTAINED.items():
        fleet.exec(host, "sh", "-c", "cat > /opt/contained.py", input=(FILES / "contained.py").read_text())
        fleet.exec(host, "sh", "-ec", f"printf '#!/bin/sh\\nexec {way} /usr/bin/python3 \"$@\"\\n' > {BY}; chmod 755 {BY}")
    how = "-e", f"ansible_python_interpreter={BY}"
    doctor = controller.shipped("doctor", *how).ended(2)
    results, _run = controller.adhoc("ebpf_guard", {"policy": policy()}, "all", *how)
    for host, (_way, said) in CONTAINED.items():
        assert results[host]["msg"] == said
        assert f'"{host}: not able: {said}"' in doctor.output, (host, doctor)
    assert [remains(fleet, host) for host in fleet.hosts] == [[]] * 3


def test_a_task_where_cgroup2_is_read_only(controller, fleet):
    """As in a service with ProtectControlGroups=yes: root is not let in, and is told why at once."""
    controller.call("ebpf_guard", policy=policy())
    began = time.monotonic()
    done = fleet.exec("web1", "unshare", "-m", "sh", "-c", f"{READ_ONLY[0]} && {LAUNCHER} -c 'echo ENTERED'", check=False)
    assert done.returncode and "cgroup2 is read-only here" in done.stdout and "ENTERED" not in done.stdout, done
    assert time.monotonic() - began < 10  # and not after it has waited for somebody
    controller.call("ebpf_guard", state="absent")
