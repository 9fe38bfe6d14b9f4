# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed collection's modules, each call in a process of its own: a fork of this one, which has imported them."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "build/collections"),
                *glob.glob(str(ROOT / "build/venv/lib/python3*/site-packages"))]

# pylint: disable=wrong-import-position
import module_call  # noqa: E402
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import objects  # noqa: E402
from ansible_collections.loopbreak.deploy.plugins.modules import ebpf_guard, ebpf_guard_info  # noqa: E402

OBJECTS = objects.packed("libbpf")
LIMIT = 180     # seconds; no call may take this long, whatever was done to it


class Call:
    """A call that runs. `hinder`: what is done to its process before the module begins."""

    def __init__(self, what, main, options, hinder=None):
        self.what, self.began, self.took, self.status, self.killed_after = what, time.monotonic(), None, None, None
        self._read, write = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            module_call.become(main, options, write, hinder)
        os.close(write)
        os.set_blocking(self._read, False)
        self._said = b""

    def is_over(self):
        """Looks, and does not wait."""
        if self.took is not None:
            return True
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._read, 1 << 20):
                self._said += data
        if pid:
            self.took, self.status = time.monotonic() - self.began, os.waitstatus_to_exitcode(status)
            os.close(self._read)
        elif time.monotonic() - self.began > LIMIT and self.killed_after is None:
            self.kill()
        return bool(pid)

    def kill(self):
        """Only the call itself: what it has started goes on, as after a lost connection."""
        self.killed_after = time.monotonic() - self.began
        os.kill(self.pid, signal.SIGKILL)

    @property
    def said(self):
        return self._said.decode("utf-8", "replace")

    @property
    def result(self):
        """What a controller would have got; None where that is no result."""
        try:
            return json.loads(self._said)
        except ValueError:
            return None

    @property
    def sentence(self):
        """What a person would be told: the message, or all that was said."""
        return (self.result or {}).get("msg") or self.said[-3000:]

    @property
    def is_well(self):
        return self.status == 0 and bool(self.result)


def present(name, policy, hinder=None, **options):
    return Call("present", ebpf_guard.main, {"name": name, "policy": policy, "loader": "libbpf",
                                             "_sent": {"objects": OBJECTS, "remote_user": "root"}, **options}, hinder)


def absent(name, hinder=None):
    return Call("absent", ebpf_guard.main, {"name": name, "state": "absent", "fail_on_denied": False}, hinder)


def info(name=None, hinder=None):
    return Call("info", ebpf_guard_info.main, {"name": name} if name else {}, hinder)


def memory(megabytes):
    """No more memory than the process has by now, and this."""
    def limit():
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + (megabytes << 20), ) * 2)
    return limit


def files(count):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def inside(cgroup):
    """In a cgroup with a limit of its own, also one of cgroup v1."""
    return lambda: (Path(cgroup) / "cgroup.procs").write_text("0")
