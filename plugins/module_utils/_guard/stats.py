# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What a guard costs the host: how often and how long its programs run, how full its tables are, what its agent takes.

The kernel measures the run time of programs, of the whole host, as long as somebody asks for that: the agent holds the file
descriptor. Earlier programs, which an exchange of rules has replaced, are not in the figures.
"""

from __future__ import annotations

import contextlib
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import notes
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import processes
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, pinned, programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import KernelError


class Meter:
    """The agent's end: the kernel measures while this is on."""

    def __init__(self):
        self.held = None

    def turn(self, on):
        if on and self.held is None:
            with contextlib.suppress(KernelError):  # programs have no figures then, which the report shows
                self.held = bpf.kernel().measure()
        elif not on and self.held is not None:
            os.close(self.held)
            self.held = None


def wanted(place, state):
    """The figures, for a report of a guard that was to measure; else None."""
    return told(place, state) if state.get('stats') else None


def told(place, state):
    """{measured, programs: {name: {runs, nanoseconds}}, tables: {name: {entries, size}}, agent: {cpu_seconds, memory}}.

    `agent` is None where none serves. A table of the objects for files or ways out has that object in front of its name.
    """
    kernel, ran, tables = bpf.kernel(), {}, {}
    for name in state['programs']:
        with contextlib.suppress(KernelError):  # health tells of what is gone
            link = kernel.open(pinned.path(place.pins, name))
            try:
                program = kernel.link_info(link).prog_id
            finally:
                os.close(link)
            ran[name] = kernel.run_stats(program)
            _count_tables(kernel, program, programs.PROGRAMS[name].object, tables)
    return {'measured': bool(state.get('stats')), 'programs': ran,
            'tables': {name: {'entries': entries, 'size': size} for name, (_id, entries, size) in sorted(tables.items())},
            'agent': processes.usage(notes.read(place)['pid'])}


def _count_tables(kernel, program, owner, tables):
    """Add the tables of a program that are not there yet. `tables`: {name: (the map's id, entries, size)}."""
    maps = kernel.maps_of_program(program)
    try:
        known = {identity for identity, _entries, _size in tables.values()}
        for name, fd in maps.items():
            info = kernel.map_info(fd)
            if info.id not in known and info.type in bpf.TABLES:
                named = name if owner == programs.GUARD else f'{owner}/{name}'
                tables[named] = info.id, kernel.count(fd, info.key_size, info.max_entries), info.max_entries
    finally:
        bpf.close(maps.values())
