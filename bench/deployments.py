# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guard costs what deployments do: compile, and install and clone from servers that are outside of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from guest import KERNEL
from images import images
from report import Row, interleaved
from room import BIN, SERVER, run
from supplies import DEBIAN, PYTHON, SUPPLIES, TRACKED

MIRROR = "mirror.allowed.example"   # the resolver of the room knows every name
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
IMAGE = Path("/run/image")
INTO = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


# Each makes a new directory ready and gives the command that is measured.

@contextlib.contextmanager
def compiling(directory):
    shutil.copytree(SUPPLIES / "source", directory / "source")
    yield "make", "-C", directory / "source", "-j2", "linux"


@contextlib.contextmanager
def apt(directory):
    """Into the root file system of a virtual machine, on which what is written goes into the directory."""
    root, upper, work = (directory / name for name in ("root", "upper", "work"))
    for made in (root, upper, work):
        made.mkdir()
    with mounted("-t", "overlay", "overlay", "-o", f"lowerdir={IMAGE},upperdir={upper},workdir={work}", root), \
            mounted("--bind", "/proc", root / "proc"), mounted("--bind", "/dev", root / "dev"):
        (root / "etc/resolv.conf").write_text(f"nameserver {SERVER}\n")
        (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")     # starts no service
        (root / "usr/sbin/policy-rc.d").chmod(0o755)
        shutil.rmtree(root / "etc/apt/sources.list.d")
        (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] http://{MIRROR}/debs ./\n")
        yield "chroot", root, "sh", "-c", "apt-get update && apt-get --yes install " + " ".join(DEBIAN)


@contextlib.contextmanager
def cloning(directory):
    yield "git", "clone", f"git://{MIRROR}/repository.git", directory / "clone"


@contextlib.contextmanager
def pip(directory):
    yield (BIN / "python", "-m", "pip", "--isolated", "--no-cache-dir", "--disable-pip-version-check", "install", "--target",
           directory / "installed", "--index-url", f"http://{MIRROR}/simple/", "--trusted-host", MIRROR, PYTHON)


# {what: (title, rounds: more of what takes less)}
DEPLOYMENTS = {compiling: ("a compile: make -j2 of Lua", 5),
               apt: (f"apt-get update and install of {' and '.join(DEBIAN)} from a mirror", 9),
               cloning: (f"git clone of {TRACKED:,} files", 15),
               pip: (f"pip install of {PYTHON} from an index", 5)}


@contextlib.contextmanager
def mounted(*arguments):
    run("mount", *arguments)
    try:
        yield
    finally:
        run("umount", arguments[-1])


def take(deployment, cgroup):
    """(seconds that it takes, CPU time of its processes), in a cgroup."""
    with tempfile.TemporaryDirectory(dir="/run") as directory, deployment(Path(directory)) as command, \
            open(Path(directory, "output"), "w+", encoding="utf-8") as output:
        began = time.monotonic()
        process = subprocess.Popen(["sh", "-c", INTO, *map(str, (cgroup, *command))], stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, env=ENVIRONMENT, cwd="/")
        _pid, status, used = os.wait4(process.pid, 0)
        took = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"`{command[0]}` failed ({process.returncode}): {output.read()[-2000:]}")
        return took, used.ru_utime + used.ru_stime


def rows(room, cgroups):
    """`cgroups`: {way: cgroup}, the one without a guard first."""
    room.serve_git(SUPPLIES / "git")
    IMAGE.mkdir()
    with mounted("-o", "loop,ro", images(KERNEL)[KERNEL].disk, IMAGE), room.resolver(SERVER):
        return [_row(deployment, cgroups) for deployment in DEPLOYMENTS]


def _row(deployment, cgroups):
    """The seconds count, as people wait for them. The CPU time stands beside them: other work on the machine changes it less."""
    used = {way: [] for way in cgroups}

    def seconds(way):
        took, cpu = take(deployment, cgroups[way])
        used[way].append(cpu)
        return took

    title, rounds = DEPLOYMENTS[deployment]
    row = Row(title, "s", interleaved({way: lambda way=way: seconds(way) for way in cgroups}, rounds))
    plain, *others = cgroups
    for way in others:
        row.target(way, "<=", 1.03)
        row.figure(f"CPU time, {way}", [one / other for one, other in zip(used[way][1:], used[plain][1:])], "x")
    return row
