# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guard that BCC compiled with the headers of a distribution's kernel does what one does that libbpf loaded; what BCC
does not carry is told, or refused.

It takes more than a minute on an emulated machine, so each compiles once. One of them is to find out by itself that it
has to: nothing there describes the kernel's types.
"""

from __future__ import annotations

import pytest
from controller import Controller
from images import HEADERS, KERNELS
from matrix import DENIALS, OTHERS, cell, measure, play, policy
from tasks import tell

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.optional import BCC_LACKS

HOSTS = [kernel for kernel, (suite, _userland) in KERNELS.items() if suite in HEADERS]
WITHOUT_HEADERS, WITHOUT_BTF, BTF = "5.10", "6.12", "/sys/kernel/btf"
LOADERS = {kernel: "auto" if kernel == WITHOUT_BTF else "bcc" for kernel in HOSTS}
NOT_CARRIED = ("file", "exec", "unix")
# What is refused leaves the guard as it is: the attempts that follow are denied as those before.
REFUSED = [{"name": "Deny files, too", "register": "refused", "ignore_errors": True, "become": True,
            "loopbreak.deploy.ebpf_guard": {"policy": policy("enforce"), "loader": "{{ ebpf_guard_loader }}"}},
           tell("REFUSED", "refused")]


@pytest.fixture(scope="module")
def controller(machines, servers, tmp_path_factory):
    return Controller(machines, tmp_path_factory.mktemp("bcc"))


@pytest.fixture(scope="module")
def measured(controller, machines):
    one = play(HOSTS, paths=(), then=REFUSED, exchanged="drill", taken_down=False)
    loaders = {"ebpf_guard_loader": f"{{{{ {LOADERS}[inventory_hostname] }}}}"}
    machines[WITHOUT_BTF].exec("mount", "-t", "tmpfs", "none", BTF)
    try:
        return measure(controller, {**one, "vars": loaders})
    finally:
        machines[WITHOUT_BTF].exec("umount", BTF)


def guards(measured, kernel):
    """{mode: what the guard told of itself in it}"""
    told = [measured.of[mark][kernel]["guard"] for mark in ("ENFORCE_REPORT", "EXCHANGE_REPORT", "MONITOR_REPORT")]
    return {guard["mode"]: guard for guard in told}


@pytest.mark.parametrize("row", DENIALS, ids=lambda row: row.attempt)
@pytest.mark.parametrize("kernel", HOSTS)
def test_what_libbpf_carries_holds_with_bcc_or_is_told(kernel, row, measured):
    """In enforce mode and in monitor mode."""
    word, reason = cell(row, measured, kernel)
    assert word == ("no" if row.enforced in NOT_CARRIED else "yes"), reason
    if word == "no":    # it was asked for in monitor mode
        assert BCC_LACKS in guards(measured, kernel)["monitor"]["enforced"][row.enforced]


@pytest.mark.parametrize("check", OTHERS)
@pytest.mark.parametrize("kernel", HOSTS)
def test_the_rest_holds_too(kernel, check, measured):
    """Who did it, the exchange of rules, here for a drill, users who are not root, and what remains."""
    assert OTHERS[check](measured, kernel) is True


@pytest.mark.parametrize("kernel", HOSTS)
def test_the_report_names_the_loader(kernel, measured):
    told = guards(measured, kernel)
    print(kernel, {mode: guard["load_ms"] for mode, guard in told.items()})
    assert list(told) == ["enforce", "drill", "monitor"]
    for guard in told.values():
        assert guard["loader"] == "bcc"
        if LOADERS[kernel] == "bcc":
            assert guard["loader_reason"] is None


def test_auto_takes_bcc_and_says_why(measured):
    reasons = {guard["loader_reason"] for guard in guards(measured, WITHOUT_BTF).values()}
    assert len(reasons) == 1 and f"{BTF}/vmlinux is missing" in (reason := reasons.pop())
    printed = " ".join(measured.run.output.split())     # warnings are broken into lines
    assert f"Guard 'deploy' was compiled on this host by BCC: {reason}" in printed


@pytest.mark.parametrize("kernel", HOSTS)
def test_rules_on_files_are_refused(kernel, measured):
    refused = measured.of["REFUSED"][kernel]
    assert refused["failed"] and "The rules on files ('paths') can not be enforced on this host" in refused["msg"]
    assert BCC_LACKS in refused["msg"]


def test_without_headers_the_error_names_them(controller, machines):
    release = machines[WITHOUT_HEADERS].image.release
    results, run = controller.adhoc("ebpf_guard", {"policy": policy("enforce", paths=()), "loader": "bcc"},
                                    WITHOUT_HEADERS, ANSIBLE_TIMEOUT="120")
    run.ended(2).said(f"BCC finds no headers of the kernel that runs, Linux {release}", f"/lib/modules/{release}/build")
    assert results[WITHOUT_HEADERS]["missing_packages"] == [f"linux-headers-{release}"]
