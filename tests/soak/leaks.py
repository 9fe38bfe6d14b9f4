# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left behind: in the kernel, in the file system, as processes. Each look says what it found, in words."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path

import host

BPFFS, RUN = Path("/sys/fs/bpf"), Path("/run/ebpf_guard")
PREFIX = "ebg_"
PLACES = "ebg_places"   # the map in which a guard's programs have the ids of its cgroups


def of_guard(name):
    """What there is of a guard that is down: files, pins, cgroups, agents."""
    cgroups = host.cgroup2() / "ebpf_guard"
    paths = [path for path in (RUN / name, BPFFS / "ebpf_guard" / name, cgroups / name, cgroups / f"{name}.agent")
             if path.exists()]
    return [str(path) for path in paths] + [f"the agent {pid}" for pid in agents(name)]


def agents(name):
    """Pids of a guard's agents."""
    words = [b"ebpf_guard", b"agent", name.encode()]
    return [pid for pid, command in host.processes().items()
            if any(command[at:at + 3] == words for at in range(len(command) - 2))]


def of_host():
    """What of all guards is on this host when none is up."""
    left = [str(path) for path in (RUN, *BPFFS.iterdir()) if path.exists() and path.suffix != ".debug"]
    left += [str(path) for path in host.cgroup2().iterdir() if path.is_dir() and path.name not in host.CGROUPS]
    return left + [f"process {pid}: {b' '.join(command).decode(errors='replace')[:200]}"
                   for pid, command in host.processes().items() if not command[-1].endswith(b"/world.py")]


def _bpftool(*words):
    done = subprocess.run(["bpftool", "--json", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return []   # it was freed while it was read


def in_kernel(cgroup_ids):
    """{maps, programs, links: ids} of all guards whose cgroups had these ids. Other guards of this kernel are none of ours.

    A guard's map of places names its cgroups; programs and maps that belong together are found from there.
    """
    cgroup_ids = set(cgroup_ids)
    programs = {one["id"]: set(one.get("map_ids", ())) for one in _bpftool("prog", "show")
                if one.get("name", "").startswith(PREFIX)}
    known = _bpftool("map", "show")
    maps = {one["id"] for one in known if one.get("name", "") == PLACES and cgroup_ids & set(_numbers(one["id"]))}
    ours, before = set(), -1
    while before != len(maps):
        before = len(maps)
        ours = {number for number, some in programs.items() if some & maps}
        maps = maps.union(*(programs[number] for number in ours))
    alive = {one["id"] for one in known}
    links = {one["id"] for one in _bpftool("link", "show")
             if one.get("prog_id") in ours or one.get("cgroup_id") in cgroup_ids}
    return {"maps": sorted(maps & alive), "programs": sorted(ours), "links": sorted(links)}


def map_memory(ids):
    """Bytes of kernel memory that these maps hold, as the kernel reckons."""
    return sum(one.get("bytes_memlock", 0) for one in _bpftool("map", "show") if one["id"] in set(ids))


def _numbers(number):
    """The values of a map of 64-bit numbers."""
    for entry in _bpftool("map", "dump", "id", str(number)) or ():
        value = entry.get("value") if isinstance(entry, dict) else None
        if isinstance(value, list):
            yield int.from_bytes(bytes(int(byte, 16) for byte in value), "little")


def descriptors():
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


def mounts():
    return len(Path("/proc/self/mountinfo").read_text().splitlines())


def resident(pid):
    """KiB of memory of a process; None where it has ended."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)
    return None


def slab():
    """KiB of slab of the whole machine: others have a share in it."""
    return int(re.search(r"Slab: +(\d+)", Path("/proc/meminfo").read_text())[1])
