# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fleets are on this machine, and whose; and how one is removed, whole or half."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from pathlib import Path

import fleet_kernel as kernel
import fleet_plan as plan
from fleet_kernel import FleetError

REGISTRY = Path("/run/loopbreak-fleet")     # one directory for each fleet that is up
_NETNS_MARKER = REGISTRY / "made-netns-mount"


def cgroup_of(name: str) -> Path:
    try:
        plan.check_name(name)
    except ValueError as error:
        raise FleetError(str(error)) from None
    return kernel.cgroup2_mount() / "loopbreak-fleet" / name


@contextlib.contextmanager
def lock():
    """Ups and downs of the machine's fleets, one at a time; removes the registry when it is empty."""
    while True:
        REGISTRY.mkdir(exist_ok=True)
        descriptor = os.open(REGISTRY, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), REGISTRY.stat()):
                break
        os.close(descriptor)    # the last fleet went, and took the directory with it, while we waited
    try:
        yield
    finally:
        _remove_empty()
        os.close(descriptor)


def _remove_empty() -> None:
    if [entry for entry in REGISTRY.iterdir() if entry.is_dir()]:
        return
    with contextlib.suppress(OSError):
        cgroup_of("any").parent.rmdir()
    if _NETNS_MARKER.exists():
        kernel.remove_netns_mount()
        _NETNS_MARKER.unlink()
    REGISTRY.rmdir()


def read_state(name: str) -> dict:
    """Empty when no such fleet is up."""
    try:
        return json.loads((REGISTRY / name / "state.json").read_text())
    except FileNotFoundError:
        return {}


def write_state(name: str, state: dict) -> None:
    """Whole or not at all: a killed `up` must leave a state that the next one can read."""
    entry = REGISTRY / name
    entry.mkdir(exist_ok=True)
    fresh = entry / "state.json.new"
    fresh.write_text(json.dumps(state))
    fresh.replace(entry / "state.json")


def remember_netns_mount() -> None:
    """The first `ip netns add` on a machine leaves a mount. If it is to be ours, the last fleet
    removes it."""
    if not kernel.is_mount_point(kernel.NETNS):
        _NETNS_MARKER.touch()


def orphans() -> list[str]:
    """Fleets whose owner is dead, or whose `up` was killed before it could say whose it is."""
    states = {entry.name: read_state(entry.name) for entry in REGISTRY.iterdir() if entry.is_dir()}
    return [name for name, state in states.items()
            if not state or state.get("owner") and not kernel.lives(state["owner"])]


def refuse_if_in_use(name: str, owner_pid: int) -> None:
    owner = read_state(name).get("owner")
    if owner and owner["pid"] != owner_pid and kernel.lives(owner):
        raise FleetError(f"fleet {name} is in use by process {owner['pid']}; choose another name, "
                         f"or take it down: fleet.py down --name {name}")


def remove(name: str) -> None:
    """Removes whatever there is of a fleet, whole or half; needs only its name."""
    kernel.remove_cgroup(cgroup_of(name))
    kernel.remove_netns([found for found in kernel.list_netns() if plan.is_netns_of(name, found)])
    state = read_state(name)
    if state.get("temporary"):
        shutil.rmtree(state["directory"], ignore_errors=True)
    shutil.rmtree(REGISTRY / name, ignore_errors=True)
