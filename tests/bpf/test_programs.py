# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of programs, against the objects that are shipped."""

from __future__ import annotations

import ctypes

import pytest
from workbench import OBJECT

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import libbpf, objects, programs

OBJECTS = {name: OBJECT.with_name(file) for name, file in objects.SHIPPED.items()}
KEPT = 15  # bytes of a name that the kernel keeps


def shipped(name):
    """({program: section}, maps) of an object, as libbpf reads them."""
    library = libbpf.Library()
    lib, opened = library.lib, libbpf.Object(library, OBJECTS[name].read_bytes())
    for function in (lib.bpf_object__next_program, lib.bpf_object__next_map):
        function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_void_p]
    for function in (lib.bpf_program__name, lib.bpf_program__section_name, lib.bpf_map__name):
        function.restype, function.argtypes = ctypes.c_char_p, [ctypes.c_void_p]

    def walk(following):
        one = following(opened._object, None)
        while one:
            yield one
            one = following(opened._object, one)
    try:
        return ({lib.bpf_program__name(one).decode(): lib.bpf_program__section_name(one).decode()
                 for one in walk(lib.bpf_object__next_program)},
                {lib.bpf_map__name(one).decode() for one in walk(lib.bpf_object__next_map)})
    finally:
        opened.close()


@pytest.mark.parametrize('name', OBJECTS)
def test_the_table_has_every_program_of_an_object(name):
    found, _maps = shipped(name)
    found.pop(programs.IDENTIFY, None)
    assert found == {program: programs.PROGRAMS[program].section for program in programs.of_object(name)}


@pytest.mark.parametrize('name', OBJECTS)
def test_the_kernel_keeps_every_name_whole(name):
    found, maps = shipped(name)
    assert not [one for one in {*found, *maps} if len(one) > KEPT and one.startswith('ebg_')]


@pytest.mark.parametrize('name', OBJECTS)
def test_every_map_of_the_table_is_there(name):
    _programs, maps = shipped(name)
    wanted = (*programs.LEDGER, *programs.RULES, *programs.ANSWERS, programs.CURRENT) if name == programs.GUARD else programs.SHARED
    assert set(wanted) <= maps


def test_each_counter_of_a_hook_is_met_by_one_canary():
    """Two programs may have it, where the host has one or the other."""
    numbers = [row.counter for row in programs.TABLE if row.counter is not None and row.object != programs.UNIX_CGROUP]
    assert sorted(numbers) == list(range(_abi.HOOKS))
    assert all(row.attempt for row in programs.TABLE if row.counter is not None)
