# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that the plays of these tests have in common, and what a run of such a play found on each kernel."""

from __future__ import annotations

import os
import re

import pytest
from images import KERNELS

# What takes long is tried on the oldest and on the newest kernel; `make kernels` tries it on those between them, too.
TRIED = tuple(KERNELS) if os.environ.get("EVERY_KERNEL") else (next(iter(KERNELS)), next(reversed(KERNELS)))


def tell(mark, value):
    """Prints what a task has found, for `findings`."""
    return {"name": "Tell", "ansible.builtin.debug": {
        "msg": f"{mark} {{{{ {{'host': inventory_hostname, 'told': {value}}} | to_json }}}}"}}


def role(entry, **variables):
    return {"name": entry.capitalize(), "vars": variables, "ansible.builtin.include_role": {
        "name": "loopbreak.deploy.ebpf_guard", "tasks_from": entry}}


def findings(run):
    """{mark: {kernel: what was told there}}"""
    return {mark: {one["host"]: one["told"] for one in run.values(mark)}
            for mark in set(re.findall(r'"msg": "([A-Z_]+) ', run.output))}


def processes(record):
    """The process ids that a record names: those that did it, and those that began them."""
    return {*(record.get("pids") or [record["pid"]]), *(one["pid"] for one in record["ancestry"])}


def kernels(check):
    """A test for each kernel that is tried, each by its own id."""
    return pytest.mark.parametrize("kernel", TRIED)(check)
