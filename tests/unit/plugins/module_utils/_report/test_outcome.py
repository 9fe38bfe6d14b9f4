# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guard's report means for its host: one table for the module, which fails it, and the callback, which tells it."""

from __future__ import annotations

import pytest
from reports import RECORD, report

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome, records, verdict
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model, text

DENIED, DRILL, WOULD_DENY, EXPECTED = outcome.DENIED, outcome.DRILL, outcome.WOULD_DENY, outcome.EXPECTED
ONE = dict(RECORD, path=None)
MANY, DRILLED, WATCHED = dict(ONE, count=3), dict(ONE, mode='drill'), dict(ONE, mode='monitor')

# what it shows, the guard's mode, records, counters of DNS questions and more, how many had which outcome
CASES = [
    ('nothing happened', 'enforce', [], {}, {}),
    ('denied', 'enforce', [ONE, MANY], {'denied': 4}, {DENIED: 4}),
    ('expected', 'enforce', [dict(MANY, expected=True)], {'denied': 3}, {EXPECTED: 3}),
    ('denied in a drill', 'drill', [DRILLED], {'denied': 1}, {DRILL: 1}),
    ('expected in a drill', 'drill', [dict(DRILLED, expected=True)], {'denied': 1}, {EXPECTED: 1}),
    ('watched', 'monitor', [dict(WATCHED, count=9)], {'would_deny': 9}, {WOULD_DENY: 9}),
    ('watched, and it would be expected', 'monitor', [dict(WATCHED, expected=True)], {'would_deny': 1}, {WOULD_DENY: 1}),
    ('denied, and enforced no more', 'monitor', [ONE, WATCHED], {'denied': 1, 'would_deny': 1}, {DENIED: 1, WOULD_DENY: 1}),
    ('denied in a drill, and enforced since', 'enforce', [DRILLED], {'denied': 1}, {DRILL: 1}),
    ('allowed details did not fit', 'enforce', [], {'allowed': 9, 'lost': 9}, {}),
    ('details of denials did not fit', 'enforce', [ONE], {'denied': 5, 'lost': 9}, {DENIED: 5}),
    ('they did not fit in a drill', 'drill', [], {'denied': 2, 'lost': 2}, {DRILL: 2}),
    ('they did not fit in monitor mode', 'monitor', [], {'would_deny': 2, 'lost': 2}, {WOULD_DENY: 2}),
    ('they did not fit, and are enforced no more', 'monitor', [], {'denied': 2, 'lost': 2}, {DENIED: 2}),
    ('records are gone that had fit', 'enforce', [], {'denied': 1}, {DENIED: 1}),
    ('the search list made them up', 'enforce', [], {'denied': 4, 'search_list': 4}, {}),
    ('the search list made them up, and some did not fit', 'enforce', [], {'denied': 4, 'search_list': 4, 'lost': 5}, {}),
    ('the search list made up some of what did not fit', 'enforce', [ONE], {'denied': 5, 'search_list': 2, 'lost': 5},
     {DENIED: 3}),
    ('the search list in monitor mode', 'monitor', [WATCHED], {'would_deny': 5, 'search_list': 4}, {WOULD_DENY: 1}),
    ('the search list before monitor mode', 'monitor', [], {'denied': 4, 'search_list': 4}, {}),
    ('more of the search list than is left', 'enforce', [ONE], {'denied': 1, 'search_list': 4}, {DENIED: 1}),
]


@pytest.mark.parametrize('mode, fails', [('enforce', True), ('drill', False), ('monitor', False)])
def test_a_guard_that_had_to_forget_an_address_fails_its_host(mode, fails):
    counters = dict(records.counters([0] * _abi.COUNTERS), search_list=0)
    assert outcome.forgotten(counters) == []
    faults = outcome.forgotten(dict(counters, forgotten=3))
    assert len(faults) == 1 and 'no room for 3 addresses' in faults[0]
    assert bool(verdict.of({'guard': {'name': 'deploy', 'mode': mode}, 'denied': [], 'counters': counters, 'faults': faults})) == fails


@pytest.mark.parametrize('mode, denied, counted, sums', [case[1:] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize('kind', ['dns', 'exec'])
def test_the_module_and_the_callback_agree(mode, denied, counted, sums, kind):
    counters = dict(records.counters([0] * _abi.COUNTERS), search_list=0)
    for key, number in counted.items():
        (counters[kind] if key in counters[kind] else counters)[key] = number
    assert {sort: number for sort, number in outcome.totals(denied, counters, mode).items() if number} == sums
    failed = verdict.of({'guard': {'name': 'deploy', 'mode': mode}, 'denied': denied, 'counters': counters, 'faults': []})
    told, fleet = report(*denied, mode=mode, counters=counters), model.Fleet()
    fleet.add(told, False)
    assert bool(failed) == bool(fleet.denying_hosts()) == (DENIED in sums)
    [(tone, headline), *dummy] = text.block(told, False, 20)
    assert (tone == 'bad') == bool({DENIED, DRILL} & set(sums)), headline


@pytest.mark.parametrize('mode, faults, broken', [
    ('enforce', ['a fault'], True), ('enforce', [], False), ('drill', ['a fault'], False), ('monitor', ['a fault'], False)])
def test_a_guard_that_was_not_whole_fails_a_host_that_it_should_have_protected(mode, faults, broken):
    assert outcome.is_broken(faults, mode) is broken
