# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small host for one test: a process with mounts, a network and a cgroup tree of its own, and this machine's kernel.

/run, /var/log, the BPF file system and cgroup2 are empty. The addresses that the tests reach for are on the loopback device,
so nothing leaves the machine.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import uuid
from pathlib import Path

import fleet_kernel

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWNET = 0x00020000, 0x02000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
ADDRESSES = ("192.0.2.1", "192.0.2.53", "198.51.100.1", "203.0.113.66")


def on_a_host(act, *arguments, patience=600):
    """What act() returns there, as JSON carries it; what it raises fails here. Nothing of the host stays."""
    cgroup = fleet_kernel.cgroup2_mount() / f"ebg-host-{uuid.uuid4().hex[:12]}"
    cgroup.mkdir()
    receive, send = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(receive)
            signal.alarm(patience)
            _move_in(cgroup)
            told = {"result": act(*arguments)}
        except BaseException:
            told = {"raised": traceback.format_exc()}
        try:
            with os.fdopen(send, "w") as answer:
                json.dump(told, answer)
            sys.stdout.flush()
        finally:
            os._exit(0)
    os.close(send)
    try:
        with os.fdopen(receive) as answer:
            told = json.loads(answer.read() or '{"raised": "it ended without a word"}')
        os.waitpid(pid, 0)
    finally:
        fleet_kernel.remove_cgroup(cgroup)
    assert "raised" not in told, told["raised"]
    return told["result"]


def _move_in(cgroup):
    (cgroup / "cgroup.procs").write_text("0")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWNET) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "unshare")
    mount = str(fleet_kernel.cgroup2_mount())
    resolver = Path(tempfile.mkdtemp()) / "resolv.conf"
    resolver.write_text("nameserver 192.0.2.53\n")
    for command in (["umount", "-l", mount], ["mount", "-t", "cgroup2", "none", mount],
                    ["mount", "-t", "tmpfs", "-o", "mode=755", "run", "/run"],
                    ["mount", "-t", "tmpfs", "-o", "mode=755", "log", "/var/log"],
                    ["mount", "-t", "bpf", "-o", "mode=700", "bpf", "/sys/fs/bpf"],
                    ["mount", "--bind", str(resolver), "/etc/resolv.conf"], ["ip", "link", "set", "lo", "up"],
                    *(["ip", "address", "add", address + "/32", "dev", "lo"] for address in ADDRESSES)):
        subprocess.run(command, check=True)
    resolver.unlink()
    resolver.parent.rmdir()
