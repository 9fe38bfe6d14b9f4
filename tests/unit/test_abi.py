# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Python knows of the kernel's side. tests/bpf/test_load.py compares it with the shipped object's BTF."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = Path(_abi.__file__).parents[2]
STRUCTURES = [value for value in vars(_abi).values() if isinstance(value, type) and issubclass(value, ctypes.Structure)]


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """What `make bpf` makes of the sources, in a directory of its own."""
    directory = tmp_path_factory.mktemp('bpf')
    build = os.path.relpath(directory, ROOT)
    (directory / 'packages.stamp').touch()  # the packages are there, or these tests would not run
    subprocess.run(['make', '-s', 'BUILD=' + build, build + '/bpf/_abi.py', build + '/bpf/ebpf_guard.bpf.o',
                    build + '/bpf/ebpf_guard_unix.bpf.o'],
                   cwd=ROOT, check=True)
    return directory / 'bpf'


@pytest.mark.parametrize('made, shipped', [('_abi.py', 'plugins/module_utils/_abi.py'),
                                           ('ebpf_guard.bpf.o', 'plugins/ebpf_guard.bpf.o'),
                                           ('ebpf_guard_unix.bpf.o', 'plugins/ebpf_guard_unix.bpf.o')])
def test_what_is_shipped_is_what_the_sources_make(built, made, shipped):
    assert (built / made).read_bytes() == (SHIPPED / shipped).read_bytes(), 'run `make bpf`, and `make dist`'


@pytest.mark.parametrize('structure', STRUCTURES, ids=lambda structure: structure.__name__)
def test_nothing_hides_between_fields(structure):
    """The kernel compares keys byte by byte, so a hole that nobody fills would make two keys of one."""
    end = 0
    for name, _type in structure._fields_:
        field = getattr(structure, name)
        assert field.offset == end, name
        end += field.size
    assert end == ctypes.sizeof(structure)


def test_the_counters_have_a_slot_each():
    totals = {kind * _abi.VERDICTS + verdict for kind in range(_abi.KINDS) for verdict in range(_abi.VERDICTS)}
    canaries = {_abi.COUNTER_CANARY + hook for hook in range(_abi.HOOKS)}
    single = {_abi.COUNTER_LOST, _abi.COUNTER_SERVICE}
    assert totals | single | canaries == set(range(_abi.COUNTERS))
    assert len(totals) + len(single) + len(canaries) == _abi.COUNTERS


@pytest.mark.parametrize('prefix, count', [('MODE_', 3), ('KIND_', _abi.KINDS), ('HOOK_', _abi.HOOKS),
                                           ('VERDICT_', _abi.VERDICTS)])
def test_numbers_have_one_meaning(prefix, count):
    numbers = sorted(value for name, value in vars(_abi).items() if name.startswith(prefix))
    assert numbers == list(range(count))


def test_rules_of_a_policy_never_get_a_number_that_is_taken():
    assert {_abi.RULE_DEFAULT, _abi.RULE_CANARY, _abi.RULE_UNREADABLE} == set(range(_abi.RULE_FIRST))
