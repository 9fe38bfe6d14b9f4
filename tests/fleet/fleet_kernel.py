# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet asks of the machine: commands, cgroups, network namespaces, the identity of processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

NETNS = Path("/run/netns")
KILL_SWITCH = "cgroup.kill"     # Linux 5.14
END_WITHIN = 10         # seconds for killed processes to be gone

# Debian package: a file that shows it is there (a name alone is looked up on PATH)
PACKAGES = {
    "openssh-server": "/usr/sbin/sshd",
    "openssh-client": "ssh-keygen",
    "sudo": "sudo",
    "iproute2": "ip",
    "util-linux": "nsenter",
    "tar": "tar",
    "dnsmasq-base": "dnsmasq",
    "bind9-dnsutils": "dig",
    "openssl": "openssl",
    "netcat-openbsd": "/usr/bin/nc.openbsd",
    "python3": "/usr/bin/python3",
    "iputils-ping": "ping",
    "curl": "curl",
    "libbpf1": "/usr/lib/*/libbpf.so.1",
}


class FleetError(Exception):
    """The whole sentence of what went wrong."""


def missing_packages() -> list[str]:
    def there(witness: str) -> bool:
        if "*" in witness:
            return any(Path("/").glob(witness.lstrip("/")))
        return shutil.which(witness, path="/usr/sbin:/usr/bin:/sbin:/bin") is not None
    return [package for package, witness in PACKAGES.items() if not there(witness)]


def run(*command: str, **options) -> str:
    """The command's output; FleetError with its error text when it fails."""
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    if done.returncode:
        raise FleetError(f"`{' '.join(command)}` failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout


# Processes. A pid alone is no identity: the kernel hands it out again.

def started_at(pid: int) -> int | None:
    """Kernel start time of a living process; None for a dead one, zombies included."""
    try:
        # the command's name, in parentheses, may hold spaces
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def identity(pid: int) -> dict:
    started = started_at(pid)
    if started is None:
        raise FleetError(f"there is no process {pid}")
    return {"pid": pid, "started": started}


def lives(process: dict) -> bool:
    return started_at(process["pid"]) == process["started"]


# Mounts

def mounts() -> list[tuple[str, Path]]:
    """Type and mount point of everything mounted."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _dash, after = line.partition(" - ")
        # octal escapes: spaces and the like in mount points
        found.append((after.split()[0], Path(before.split()[4].encode().decode("unicode_escape"))))
    return found


def is_mount_point(path: Path) -> bool:
    """os.path.ismount does not see a mount of a directory onto itself."""
    return any(point == path for _type, point in mounts())


# Cgroups

def cgroup2_mount() -> Path:
    """Where the machine has cgroup2: /sys/fs/cgroup, or below it on a hybrid one."""
    for kind, point in mounts():
        if kind == "cgroup2":
            return point
    raise FleetError("cgroup2 is not mounted on this machine")


def hand_down_controllers(path: Path) -> None:
    """Lets the children of `path` have memory, cpu and pids; a hybrid machine has none of them to give."""
    offered = (path / "cgroup.controllers").read_text().split()
    for controller in {"memory", "cpu", "pids"}.intersection(offered):
        try:
            (path / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:
            pass    # the machine's own manager decides; the fleet works without


def _processes_below(cgroup: Path) -> list[int]:
    pids = []
    for directory, _subdirectories, _files in os.walk(cgroup):
        try:
            pids += map(int, (Path(directory) / "cgroup.procs").read_text().split())
        except OSError:
            pass    # removed meanwhile
    return pids


def _kill_below(cgroup: Path) -> None:
    switch = cgroup / KILL_SWITCH
    if switch.exists():
        switch.write_text("1")
        return
    for pid in _processes_below(cgroup):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _remove_tree(cgroup: Path) -> bool:
    for directory, _subdirectories, _files in os.walk(cgroup, topdown=False):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return True


def remove_cgroup(cgroup: Path) -> None:
    """Ends every process in it and below, then removes it with everything nested in it."""
    deadline = time.monotonic() + END_WITHIN
    while cgroup.exists():
        _kill_below(cgroup)     # again each time: something may have been forked, or joined, meanwhile
        if _remove_tree(cgroup):
            return
        if time.monotonic() > deadline:
            raise FleetError(f"cgroup {cgroup} is still busy after {END_WITHIN} s: processes "
                             f"{_processes_below(cgroup)}")
        time.sleep(0.01)


# Network namespaces

def add_netns(names: list[str]) -> None:
    run("ip", "-batch", "-", input="".join(f"netns add {name}\n" for name in names))


def remove_netns(names: list[str]) -> None:
    if names:
        run("ip", "-batch", "-", input="".join(f"netns delete {name}\n" for name in names))


def list_netns() -> list[str]:
    return [entry.name for entry in NETNS.iterdir()] if NETNS.is_dir() else []


def in_netns(name: str, *command: str) -> list[str]:
    return ["nsenter", f"--net={NETNS / name}", *command]


def remove_netns_mount() -> None:
    """Undoes what `ip netns add` does once on a machine: a mount of /run/netns onto itself."""
    try:
        if not list_netns():
            run("umount", str(NETNS))
            NETNS.rmdir()
    except (FleetError, OSError):
        pass    # somebody else's namespace appeared meanwhile: then the mount is theirs too
