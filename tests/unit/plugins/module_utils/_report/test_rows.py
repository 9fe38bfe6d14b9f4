# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More rows than a result has room for: which ones stay, and that nothing that counts is lost."""

from __future__ import annotations

import json

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import earlier, outcome, rows

EARLY, LATE = '2026-11-30T01:00:00.000000Z', '2026-11-30T03:00:00.000000Z'
BETWEEN = '2026-11-30T02:00:00.000000Z'


def row(number=0, **changes):
    return dict({'rule': 'a', 'reason': 'b', 'owner': None, 'runbook': None, 'expected': False, 'kind': 'connect',
                 'class': 'hidden', 'name': None, 'address': '192.0.2.%d' % (number % 256), 'port': number, 'protocol': 'tcp',
                 'path': None, 'count': 3, 'first_seen': EARLY, 'last_seen': EARLY, 'pid': 7, 'uid': 0, 'command': 'curl',
                 'ancestry': [{'pid': 6, 'command': 'x' * 200}] * 3, 'evidence': None, 'entered': EARLY, 'mode': 'enforce',
                 'processes': 1}, **changes)


def bounded(denied, observed=(), moments=()):
    counters = {'connect': {'denied': sum(one['count'] for one in denied)}}
    report = {'guard': {'mode': 'enforce'}, 'denied': denied, 'observed': list(observed), 'counters': counters,
              'entries': {'count': 0, 'times': []}}
    return rows.bounded(report, moments)


def test_what_has_room_stays_as_it_is():
    denied, observed = [row(number) for number in range(30)], [row(kind='exec', mode='monitor')]
    found = bounded(denied, observed)
    assert (found['denied'], found['observed'], found['rows_left_out']) == (denied, observed, {'denied': 0, 'observed': 0})


def test_a_full_table_is_small_and_sums_are_exact():
    denied = ([row(number, expected=True) for number in range(8000)] + [row(number) for number in range(8000)]
              + [row(port=1, command='wget', mode='drill'), row(port=2, command='wget')])
    found = bounded(denied, [row(number, kind='exec') for number in range(5000)] + [row(kind='unix', path='/run/x.sock')])
    assert len(json.dumps(found)) < 10 ** 6
    told = found['denied']
    assert sum(one['count'] for one in told) == 3 * len(denied)
    assert sum(one.get('stands_for', 1) for one in told) == len(denied)
    assert found['rows_left_out']['denied'] == len(denied) - sum('stands_for' not in one for one in told)
    assert outcome.totals(told, found['counters'], 'enforce') == outcome.totals(denied, found['counters'], 'enforce')
    first = [one for one in told if 'stands_for' not in one]
    assert not any(one['expected'] for one in first)  # what fails the host goes first
    assert [one['command'] for one in first if one['command'] == 'wget'] == ['wget']  # one command does not crowd out others
    assert first == [one for one in denied if one in first]  # in their order
    assert any(one['kind'] == 'unix' for one in found['observed'] if 'stands_for' not in one)


def test_a_row_that_stands_for_others_has_what_they_have_in_common():
    found = bounded([row(number, owner='x' if number % 2 else 'y') for number in range(9000)])['denied'][-1]
    assert {key: found[key] for key in ('rule', 'reason', 'protocol', 'class', 'kind', 'mode', 'expected')} == {
        'rule': 'a', 'reason': 'b', 'protocol': 'tcp', 'class': 'hidden', 'kind': 'connect', 'mode': 'enforce',
        'expected': False}
    assert [found[key] for key in ('owner', 'address', 'port', 'command', 'pid', 'evidence')] == [None] * 6


@pytest.mark.parametrize('before', [None, {'counters': {'connect': {'denied': 13500}}, 'entries': 0}])
def test_what_was_before_a_run_is_told_apart_all_the_same(before):
    denied = [row(number, last_seen=LATE if number % 2 else EARLY) for number in range(9000)]
    found = earlier.told_apart(bounded(denied, moments=[BETWEEN]), BETWEEN, before)
    assert sum(one['count'] for one in found['denied'] if one.get('earlier')) == (13500 if before else 0)
    assert outcome.unrecorded(found['denied'], found['counters'], 'enforce') == (0, 0)
