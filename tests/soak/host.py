# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the campaign's own, on this machine's kernel: its processes, mounts, network and cgroups are nobody else's.

Everything of it ends with it, however it ends. The next campaign removes the cgroups of one that was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import targets

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "fleet"))
import fleet_kernel  # noqa: E402  pylint: disable=wrong-import-position

NAME = "loopbreak-soak-"
OUTSIDE = "LOOPBREAK_SOAK_PID"     # the pid by which the machine knows who made the host
INSIDE = "LOOPBREAK_SOAK_HOST"    # in the environment: the directory of the host that this process is in
DRIVER, LIMITED = "driver", "limited"
CGROUPS = (DRIVER, LIMITED)   # beside those of guards
PIDS = Path("/sys/fs/cgroup/pids")    # where the machine has the controller in a hierarchy of its own
TMPFS = {"/run": "size=16m,mode=755", "/var/log": "size=8m,mode=755"}    # small, so that they can be filled


def enter():
    """Run this program again on a host of its own; returns there, with the host's directory. Outside it never returns."""
    if INSIDE in os.environ:
        _hand_over_first_process()
        directory = Path(os.environ[INSIDE])
        _furnish(directory)
        return directory
    if os.geteuid() != 0:
        sys.exit("soak: needs root, for guards and namespaces")
    root = fleet_kernel.cgroup2_mount()
    trees = [tree for tree in (root, PIDS) if tree.is_dir()]
    for left in (left for tree in trees for left in tree.glob(NAME + "*")):
        if fleet_kernel.started_at(int(left.name[len(NAME):])) is None:
            fleet_kernel.remove_cgroup(left)
    cgroups = [tree / f"{NAME}{os.getpid()}" for tree in trees]
    directory = tempfile.mkdtemp(prefix=NAME)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for cgroup in cgroups:
        cgroup.mkdir()
    try:
        sys.exit(subprocess.run(
            ["setpriv", "--pdeathsig=KILL", "sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(cgroups[0]),
             "unshare", "--mount", "--net", "--pid", "--cgroup", "--fork", "--kill-child", "--mount-proc",
             sys.executable, *sys.argv],
            env={**os.environ, INSIDE: directory, OUTSIDE: str(os.getpid())}, check=False).returncode)
    finally:
        for cgroup in cgroups:
            fleet_kernel.remove_cgroup(cgroup)
        shutil.rmtree(directory)


def _hand_over_first_process():
    """The first process of the namespace waits for whoever has lost its parent; the campaign is the second one."""
    pid = os.fork()
    if not pid:
        return
    status = 0
    with contextlib.suppress(ChildProcessError):
        while True:
            ended, how = os.wait()
            if ended == pid:    # the kernel ends all others with this one
                status = os.waitstatus_to_exitcode(how)
                break
    os._exit(status if status >= 0 else 128 - status)


def _furnish(directory):
    run = fleet_kernel.run
    point = fleet_kernel.cgroup2_mount()
    run("umount", "--lazy", str(point))
    run("mount", "-t", "cgroup2", "cgroup2", str(point))
    # no process may be above the guards, or no controller could be enabled for them
    driver = point / DRIVER
    driver.mkdir()
    (point / LIMITED).mkdir()
    for pid in (point / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (driver / "cgroup.procs").write_text(pid)
    fleet_kernel.hand_down_controllers(point)
    run("mount", "-t", "bpf", "-o", "mode=700", "bpf", "/sys/fs/bpf")
    for place, options in TMPFS.items():
        run("mount", "-t", "tmpfs", "-o", options, "tmpfs", place)
    run("ip", "-batch", "-", input="link set lo up\n" + "".join(
        f"address add {address}/{'128 dev lo nodad' if ':' in address else '32 dev lo'}\n" for address in targets.ADDRESSES))
    resolver = directory / "resolv.conf"
    resolver.write_text(f"nameserver {targets.RESOLVER}\n")
    run("mount", "--bind", str(resolver), os.path.realpath("/etc/resolv.conf"))


def serve():
    """Starts what is outside of the guards; returns once it serves."""
    world = subprocess.Popen([sys.executable, str(HERE / "world.py")], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    if world.stdout.readline() != b"serves\n":
        raise RuntimeError("the servers did not start")
    return world


def processes():
    """{pid: command line} of all that live here, but for the first, this one and its threads."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != "1" and int(entry.name) != os.getpid():
            if fleet_kernel.started_at(int(entry.name)) is not None:
                with contextlib.suppress(OSError):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    return found


def started_at(pid):
    return fleet_kernel.started_at(pid)


def cgroup2():
    return fleet_kernel.cgroup2_mount()


def limited():
    """A cgroup in which processes can be limited in number; None where this machine has none."""
    for cgroup in (PIDS / f"{NAME}{os.environ[OUTSIDE]}", cgroup2() / LIMITED):
        if (cgroup / "pids.max").exists():
            return cgroup
    return None
