# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that tells whether hosts are able to run a guard, on hosts that really lack what it looks for."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time

import pytest
from controller import policy
from hosts import denied, listing

CONNECTIONS = ("connect", "send", "dns", "payload")
BCC = "/usr/lib/python3/dist-packages/bcc"
NO_BCC = f"mount -t tmpfs none {BCC}", f"umount {BCC}"
# how a host loses it, and gets it back
LOSSES = {
    "cgroup2": ("mount -t tmpfs none $(findmnt -fno TARGET -t cgroup2)", "umount $(findmnt -fno TARGET -t cgroup2)"),
    "BTF": ("mount -t tmpfs none /sys/kernel/btf", "umount /sys/kernel/btf"),
    "libbpf": ("mkdir /tmp/away && mv /usr/lib/*/libbpf.so.[01]* /tmp/away",
               "mv /tmp/away/* /usr/lib/*-linux-gnu && rmdir /tmp/away"),
    # the library itself, without what came with 0.3
    "libbpf 0.3": ("cd /usr/lib/*-linux-gnu && mkdir /tmp/away && mv libbpf.so.[01]* /tmp/away && "
                   "sed s/ring_buffer__epoll_fd/ring_buffer__epoll_xx/ /tmp/away/libbpf.so.1 > libbpf.so.0.2.0 && ln -s libbpf.so.0.2.0 libbpf.so.0",
                   "cd /usr/lib/*-linux-gnu && rm libbpf.so.0 libbpf.so.0.2.0 && mv /tmp/away/* . && rmdir /tmp/away"),
}
SAID = {
    "cgroup2": "not able: This host has no cgroup2 mounted, and the guard needs it to tell the deployment from the rest of "
               "the host. On a systemd host, boot with systemd.unified_cgroup_hierarchy=1.",
    "BTF": "not able: This kernel does not describe its types (/sys/kernel/btf/vmlinux is missing), and the guard needs "
           "that to read them. It needs a kernel built with CONFIG_DEBUG_INFO_BTF=y.",
    "libbpf": "not able: This host has no libbpf (libbpf.so.1 or libbpf.so.0), which loads the guard's programs into the "
              "kernel. Install it with 'apt-get install libbpf1'. The role loopbreak.deploy.ebpf_guard does that by itself.",
    "libbpf 0.3": "not able: This host has libbpf 0.2.0, and the guard needs libbpf 0.3 or later. Upgrade the package libbpf1.",
}


@contextlib.contextmanager
def losing(fleet, *, but_bcc=False, **what):
    """Hosts without something: web1="BTF"; and without BCC, which could do the same, unless `but_bcc`."""
    with contextlib.ExitStack() as undo:
        for host, thing in what.items():
            for take, give_back in [LOSSES[thing]] + [NO_BCC] * (not but_bcc):
                undo.callback(fleet.exec, host, "sh", "-c", give_back)
                fleet.exec(host, "sh", "-c", take)
        yield


def pages(run):
    """What each page told, as lists of lines. The last one is that of all hosts."""
    return [json.loads(lines) for lines in re.findall(r'"msg": (\[.*?^    \])', run.output, re.M | re.S)]


def loaded():
    """The ids of the guard's programs in this kernel, which all hosts of the fleet share."""
    told = subprocess.run(["bpftool", "-j", "prog", "show"], check=True, stdout=subprocess.PIPE).stdout
    return {program["id"] for program in json.loads(told) if program.get("name", "").startswith("ebg_")}


def stays_no_more_than(programs):
    """The kernel lets go of a program a while after its last link has gone."""
    for _time in range(200):
        if loaded() <= programs:
            return True
        time.sleep(0.1)
    return False


def test_hosts_that_are_able(controller, fleet):
    """Over sudo, for the whole inventory; and nothing of it stays."""
    before, programs = listing(fleet), loaded()
    run = controller.shipped("doctor", "-e", "ansible_user=deploy").ended(0)
    *each, together = pages(run)
    assert [line.split(": ")[0] for line in together] == ["web1", "web2", "web3"]
    assert sorted(page[0] for page in each) == sorted(together), run
    release = os.uname().release
    for page in each:
        assert re.match(r"web\d: (partly )?able\b", page[0]), page
        assert f"kernel    {release} on {os.uname().machine}" in page, page
        assert {"bpffs     mounted", "bpffs     not mounted: the guard mounts it"} & set(page), page
        assert {f"{name:9} yes" for name in CONNECTIONS} <= set(page), page
        assert re.search(r"^libbpf    \d+\.\d+", "\n".join(page), re.M), page
    assert listing(fleet) == before and stays_no_more_than(programs)


def test_hosts_that_lack_something_are_told_what_to_change(controller, fleet):
    with losing(fleet, web1="cgroup2", web2="BTF", web3="libbpf"):
        run = controller.shipped("doctor").ended(2)
    *each, together = pages(run)
    assert together == [f"web1: {SAID['cgroup2']}", f"web2: {SAID['BTF']}", f"web3: {SAID['libbpf']}"], run
    failed = re.findall(r'"msg": "Required and not to be had: connect, send, dns, payload\. (\w+): not able: ', run.output)
    assert sorted(failed) == ["web1", "web2", "web3"] and len(each) == 3, run
    for page, line in zip(sorted(each), ("cgroup2   not mounted", "BTF       no", "libbpf    missing")):
        assert line in page, page


def test_a_libbpf_that_is_too_old_is_told_by_the_doctor_and_by_a_start(controller, fleet):
    """And nothing is installed: the package is there."""
    with losing(fleet, web2="libbpf 0.3"):
        doctor, start = controller.shipped("doctor", "--limit", "web2").ended(2), controller.guarded([], hosts="web2").ended(2)
    page, together = pages(doctor)
    assert together == [f"web2: {SAID['libbpf 0.3']}"] and "libbpf    0.2.0" in page, doctor
    start.said(SAID["libbpf 0.3"].partition(": ")[2])
    assert "Install the packages" not in start.output, start


def test_a_host_where_bcc_can_is_partly_able(controller, fleet):
    before, programs = listing(fleet), loaded()
    with losing(fleet, but_bcc=True, web1="BTF"):
        run = controller.shipped("doctor", "--limit", "web1").ended(0)
    page = pages(run)[0]
    assert page[0] == "web1: partly able, without unix and lock and file and exec: BCC compiles the programs of the network " \
                      "and of names alone; these need loader: libbpf"
    assert "bcc       installed, kernel headers; loads the guard" in page
    assert {f"{name:9} yes" for name in CONNECTIONS} <= set(page)
    assert listing(fleet) == before and stays_no_more_than(programs)


def test_everything_that_is_lacking_is_told_at_once(controller, fleet):
    with losing(fleet, web2="BTF"), losing(fleet, web2="libbpf"), losing(fleet, web2="cgroup2"):
        results, _run = controller.adhoc("ebpf_guard_info", {"capabilities": True}, "web2")
    for name, why in results["web2"]["capabilities"].items():
        assert [part for part in ("no cgroup2", "CONFIG_DEBUG_INFO_BTF=y", "libbpf1") if part in why] == [
            "no cgroup2", "CONFIG_DEBUG_INFO_BTF=y", "libbpf1"], (name, why)
    assert results["web2"]["able"] == "not" and results["web2"]["guards"] == []


def test_a_root_that_may_not_load_programs(controller, fleet):
    fleet.exec("web1", "sh", "-ec", """
        printf '#!/bin/sh\\nexec setpriv --bounding-set -sys_admin,-bpf /usr/bin/python3 "$@"\\n' > /usr/local/bin/less-python
        chmod 755 /usr/local/bin/less-python
    """)
    try:
        run = controller.shipped("doctor", "--limit", "web1", "-e", "ansible_python_interpreter=/usr/local/bin/less-python")
    finally:
        fleet.exec("web1", "rm", "/usr/local/bin/less-python")
    run.ended(2).said("not able: Root lacks CAP_SYS_ADMIN here, as in a container. Bring the guard up on the machine itself")


def test_security_modules_are_told_where_securityfs_is_mounted(controller, fleet):
    mounted = fleet.exec("web1", "mountpoint", "-q", "/sys/kernel/security", check=False).returncode == 0
    if not mounted:
        host = controller.call("ebpf_guard_info", capabilities=True)["host"]
        assert (host["lsm"], host["lockdown"]) == (None, None)
        fleet.exec("web1", "mount", "-t", "securityfs", "none", "/sys/kernel/security")
    try:
        host = controller.call("ebpf_guard_info", capabilities=True)["host"]
        assert host["lsm"] == fleet.exec("web1", "cat", "/sys/kernel/security/lsm").stdout.strip().split(",")
        assert host["lockdown"] in ("none", "integrity", "confidentiality")
    finally:
        if not mounted:
            fleet.exec("web1", "umount", "/sys/kernel/security")


@pytest.mark.parametrize("required, status", [
    ("connect,dns", 2), ('{"ebpf_guard_require": ["dns"]}', 2), ("[]", 0), ('{"ebpf_guard_require": []}', 0)])
def test_what_is_required_decides(controller, fleet, required, status):
    variable = required if required.startswith("{") else f"ebpf_guard_require={required}"
    with losing(fleet, web1="libbpf"):
        run = controller.shipped("doctor", "-e", variable, "-e", "ebpf_guard_hosts=web1,web2").ended(status)
    assert [line.split(": ")[:2] for line in pages(run)[-1]][0] == ["web1", "not able"], run
    assert ("web2" in run.output, "web3" in run.output) == (True, False)
    assert re.findall(r"^fatal: \[(\w+)\]", run.output, re.M) == (["web1"] if status else [])


def test_an_unknown_requirement_is_refused_before_a_host_is_asked(controller):
    run = controller.shipped("doctor", "-e", "ebpf_guard_require=connect,dsn").ended(2)
    run.said("ebpf_guard_require: dsn is no capability of a guard", "connect, send, dns, payload, unix, lock, file, exec")
    assert "Look what the host has" not in run.output


def test_a_host_that_does_not_answer_is_told_with_the_others(controller):
    (controller.directory / "more.yml").write_text(json.dumps(
        {"all": {"hosts": {"nobody": {"ansible_host": "127.0.0.1", "ansible_port": 1}}}}))
    run = controller.shipped("doctor", "-i", str(controller.fleet.inventory), "-i", "more.yml", "--limit", "web1,nobody",
                             "-e", "ebpf_guard_require=[]")
    told = pages(run.ended(2).said("Required and not to be had: an answer. nobody: no answer: "))[-1]
    assert len(told) == 2 and [line for line in told if line.startswith("nobody: no answer: ")], run
    assert re.findall(r"^fatal: \[(\w+)\]: FAILED", run.output, re.M) == ["nobody"], run


def test_in_check_mode_it_is_the_same(controller):
    plain, checked = (pages(controller.shipped("doctor", "--limit", "web1", *more).ended(0)) for more in ((), ("--check",)))
    assert plain == checked


def test_a_guard_that_is_up_goes_on(controller, fleet):
    controller.call("ebpf_guard", policy=policy())
    before, programs = listing(fleet), loaded()
    found = controller.call("ebpf_guard_info", capabilities=True)
    assert [(guard["name"], guard["whole"]) for guard in found["guards"]] == [("deploy", True)]
    assert all(found["capabilities"][name] is True for name in CONNECTIONS)
    assert listing(fleet) == before and stays_no_more_than(programs) and denied(fleet)
    assert controller.call("ebpf_guard", state="absent", fail_on_denied=False)["guard"]["name"] == "deploy"


def test_capabilities_are_looked_at_when_asked_for(controller):
    assert set(controller.call("ebpf_guard_info")) & {"host", "capabilities", "able", "summary"} == set()
