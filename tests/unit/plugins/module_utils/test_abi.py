# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Python knows of the kernel's side. tests/bpf/test_load.py compares it with the shipped object's BTF."""

from __future__ import annotations

import ctypes

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi

STRUCTURES = [value for value in vars(_abi).values() if isinstance(value, type) and issubclass(value, ctypes.Structure)]


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
    single = {_abi.COUNTER_LOST, _abi.COUNTER_FORGOTTEN, _abi.COUNTER_SERVICE, _abi.COUNTER_ENTERED, _abi.COUNTER_LEFT,
              _abi.COUNTER_BACK}
    assert totals | single | canaries == set(range(_abi.COUNTERS))
    assert len(totals) + len(single) + len(canaries) == _abi.COUNTERS


@pytest.mark.parametrize('prefix, count', [('MODE_', 3), ('KIND_', _abi.KINDS), ('HOOK_', _abi.HOOKS),
                                           ('VERDICT_', _abi.VERDICTS),
                                           ('OUTAGE_', _abi.OUTAGES)])
def test_numbers_have_one_meaning(prefix, count):
    numbers = sorted(value for name, value in vars(_abi).items() if name.startswith(prefix))
    assert numbers == list(range(count))


def test_rules_of_a_policy_never_get_a_number_that_is_taken():
    canaries = range(_abi.RULE_CANARY, _abi.RULE_CANARY + _abi.OUTAGES)
    taken = {_abi.RULE_DEFAULT, *canaries, _abi.RULE_UNREADABLE, _abi.RULE_LOCK, _abi.RULE_OUTWARD, _abi.RULE_SERVICE,
             _abi.RULE_OWN, _abi.RULE_INSIDE}
    assert taken == set(range(_abi.RULE_FIRST))
