# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which loader brings a guard up, and what a host is told that lacks what one needs."""

from __future__ import annotations

import contextlib
import os

import pytest
from controller import policy
from hosts import PINS, denied, remains
from lacking import Lack, skip

RELEASE = os.uname().release
HEADERS = f"/usr/lib/modules/{RELEASE}/build"
NO_BTF = "mount -t tmpfs tmpfs /sys/kernel/btf", "umount /sys/kernel/btf"
NO_BCC = "mount -t tmpfs tmpfs /usr/lib/python3/dist-packages/bcc", "umount /usr/lib/python3/dist-packages/bcc"
NO_HEADERS = f"mv {HEADERS} {HEADERS}.away", f"mv {HEADERS}.away {HEADERS}"
NO_LIBBPF = ("mkdir /tmp/away && mv /usr/lib/*/libbpf.so.[01]* /tmp/away",
             "mv /tmp/away/* $(dirname /usr/lib/*/libc.so.6) && rmdir /tmp/away")
VERSION = f"{HEADERS}/include/linux/version.h"
OTHER_HEADERS = (f"sed -i.ours 's/^#define LINUX_VERSION_CODE .*/#define LINUX_VERSION_CODE 393392/' {VERSION}",  # 6.0.176
                 f"mv {VERSION}.ours {VERSION}")
TYPING_ERROR = (f"sed -i 's/char comm/chair comm/; s/__u8 comm/chair comm/' {HEADERS}/include/guard.h",
                f"sed -i 's/chair comm/__u8 comm/' {HEADERS}/include/guard.h")


@contextlib.contextmanager
def without(fleet, *ways, host="web2"):
    """Takes something away from a host; `ways`: two commands each, there and back."""
    done = []
    try:
        for there, back in ways:
            fleet.exec(host, "sh", "-ec", there)
            done.append(back)
        yield host
    finally:
        for back in reversed(done):
            fleet.exec(host, "sh", "-ec", back)


def programs(fleet, host="web1"):
    """What the verifier knows of the program behind a hook: libbpf's comes with the lines of its source, BCC's without."""
    return fleet.exec(host, "sh", "-ec", f"bpftool -j link show pinned {PINS}/ebg_connect4").stdout


def skip_with_other_headers(fleet):
    if fleet.exec("web2", "test", "-e", f"{HEADERS}/include/guard.h", check=False).returncode:
        skip(Lack.FLEET_HEADERS)


def test_a_guard_goes_on_with_the_other_loader(controller, fleet):
    """Read, changed and stopped by whichever; what was counted is still there."""
    seen = set()
    for number, loader in enumerate(["libbpf", "bcc", "bcc", "auto", "libbpf", "bcc"]):
        result = controller.call("ebpf_guard", policy=policy(), loader=loader)
        expected = {"auto": "bcc"}.get(loader, loader)  # what runs is left alone
        assert (result["guard"]["loader"], result["changed"]) == (expected, number in (0, 1, 4, 5))
        assert result["repaired"] == []
        seen.add(programs(fleet))
        assert denied(fleet)
        told = controller.call("ebpf_guard_info", name="deploy")["guards"][0]
        assert told["guard"]["loader"] == expected and told["counters"]["connect"]["denied"] == number + 1
    assert len(seen) == 4  # another program for each exchange
    changed = controller.call("ebpf_guard", policy=policy("drill"))  # auto
    assert (changed["guard"]["loader"], changed["guard"]["mode"]) == ("libbpf", "drill")
    assert denied(fleet)
    report = controller.call("ebpf_guard", state="absent", fail_on_denied=False)
    assert sum(record["count"] for record in report["denied"]) == 7 == report["counters"]["connect"]["denied"]


def test_what_bcc_does_not_carry_is_told_and_refused(controller, fleet):
    paths, sockets, lock = policy(), policy(), policy(lock=True)
    paths["deny"][0] = {"id": "share", "reason": "r", "paths": ["/mnt"]}
    sockets["deny"][0] = {"id": "docker", "reason": "r", "sockets": ["/run/docker.sock"]}
    for unable, what in ((paths, "rules on files ('share')"), (sockets, "rules on unix sockets ('docker')"), (lock, "lock: true")):
        _results, run = controller.adhoc("ebpf_guard", {"policy": unable, "loader": "bcc"})
        run.ended(2).said(what, "BCC compiles the programs of the network and of names alone", "loader: libbpf")
        assert remains(fleet) == []
    paths["mode"] = "monitor"
    enforced = controller.call("ebpf_guard", policy=paths, loader="bcc")["guard"]["enforced"]
    assert {key for key, value in enforced.items() if value is True} == {"connect", "send", "dns", "payload"}
    assert all("BCC" in enforced[key] for key in ("unix", "file", "exec"))
    controller.call("ebpf_guard", state="absent")


def test_an_exchange_compiles_nothing_anew(controller, fleet):
    skip_with_other_headers(fleet)
    controller.call("ebpf_guard", "web2", policy=policy(), loader="bcc")
    with without(fleet, NO_HEADERS) as host:
        result = controller.call("ebpf_guard", host, policy=policy("drill"), loader="bcc")
        assert (result["changed"], result["guard"]["mode"]) == (True, "drill")
        assert denied(fleet, host)
        controller.call("ebpf_guard", host, state="absent")
        assert remains(fleet, host) == []
        controller.adhoc("ebpf_guard", {"policy": policy(), "loader": "bcc"}, host)[1].ended(2).said("BCC finds no headers")


def test_auto_takes_bcc_where_libbpf_can_not_load(controller, fleet):
    with without(fleet, NO_BTF) as host:
        results, run = controller.adhoc("ebpf_guard", {"policy": policy()}, host)
        run.ended(0).said("Guard 'deploy' was compiled on this host by BCC", "does not describe its types")
        guard = results[host]["guard"]
        assert guard["loader"] == "bcc" and "/sys/kernel/btf/vmlinux is missing" in guard["loader_reason"]
        assert denied(fleet, host)
        controller.adhoc("ebpf_guard", {"policy": policy(), "loader": "libbpf"}, host)[1].ended(2).said(
            "CONFIG_DEBUG_INFO_BTF")
        assert denied(fleet, host)  # what failed has changed nothing
    controller.call("ebpf_guard", host, state="absent", fail_on_denied=False)


@pytest.mark.parametrize("loader, lacking, said", [
    ("auto", [NO_BTF, NO_BCC], ["CONFIG_DEBUG_INFO_BTF", "Or have BCC compile the guard on this host", "python3-bpfcc",
                                "python3-bcc", f"linux-headers-{RELEASE}", f"kernel-devel-{RELEASE}"]),
    ("auto", [NO_LIBBPF, NO_BCC], ["This host has no libbpf", "Install it with 'apt-get install libbpf1'.", "Or have BCC", "python3-bpfcc"]),
    ("auto", [NO_BTF, NO_HEADERS], ["Neither loader", "With libbpf: This kernel does not describe its types",
                                    "With BCC: BCC finds no headers"]),
    ("bcc", [NO_BCC], ["/usr/bin/python3", "can not import bcc", f"python3-bpfcc and linux-headers-{RELEASE} (Debian, Ubuntu)",
                       f"python3-bcc and kernel-devel-{RELEASE} (Fedora, RHEL)", "loader: libbpf"]),
    ("bcc", [NO_HEADERS], ["BCC finds no headers", f"/lib/modules/{RELEASE}/build", "/sys/kernel/kheaders.tar.xz",
                           f"linux-headers-{RELEASE}"]),
    ("bcc", [TYPING_ERROR], ["BCC could not compile the guard on this host", "include/guard.h:", "unknown type name 'chair'"]),
    ("bcc", [OTHER_HEADERS], [f"The kernel headers in /lib/modules/{RELEASE}/build are those of Linux 6.0.176, and Linux "
                              f"{RELEASE} runs", f"linux-headers-{RELEASE}", f"kernel-devel-{RELEASE}", "or use loader: libbpf"]),
], ids=["neither", "no libbpf and no BCC", "no BTF and no headers", "no BCC", "no headers", "does not compile", "other headers"])
def test_what_is_missing_is_told(controller, fleet, loader, lacking, said):
    if {NO_HEADERS, TYPING_ERROR, OTHER_HEADERS} & set(lacking):
        skip_with_other_headers(fleet)
    with without(fleet, *lacking) as host:
        _results, run = controller.adhoc("ebpf_guard", {"policy": policy(), "loader": loader}, host)
        run.ended(2).said(*said)
        assert "Traceback" not in run.output
        assert remains(fleet, host) == []
