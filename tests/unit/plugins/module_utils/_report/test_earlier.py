# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was before a run took a guard over: told apart, and no reason to fail."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import earlier, outcome

OLD = {'count': 3, 'mode': 'enforce', 'last_seen': '2026-11-22T15:51:18.123456Z'}
NEW = dict(OLD, count=1, last_seen='2026-11-22T16:00:00.000001Z')
NOW = {'connect': {'allowed': 9, 'denied': 4, 'would_deny': 0}, 'lost': 2, 'search_list': 0}
BEFORE = {'counters': {'connect': {'allowed': 5, 'denied': 3, 'would_deny': 0}, 'lost': 3}, 'entries': 2}
ENTRIES = {'count': 3, 'first': 1795359078.1, 'last': 1795363200.5, 'times': [1795359078.1, 1795359078.3, 1795363200.5]}
SINCE = '2026-11-22T16:00:00.000000Z'


def test_what_was_before_is_told_apart():
    report = earlier.told_apart({'denied': [OLD, NEW], 'observed': [OLD], 'counters': NOW, 'entries': ENTRIES,
                                 'guard': {}}, SINCE, BEFORE)
    assert report == {'denied': [dict(OLD, earlier=True), NEW], 'observed': [dict(OLD, earlier=True)], 'guard': {},
                      'entries': {'count': 1, 'first': 1795363200.5, 'last': 1795363200.5, 'times': [1795363200.5]},
                      'counters': {'connect': {'allowed': 4, 'denied': 1, 'would_deny': 0}, 'lost': 0, 'search_list': 0}}
    assert outcome.totals(report['denied'], report['counters'], 'enforce') == {
        outcome.EARLIER: 3, outcome.DENIED: 1, outcome.WOULD_DENY: 0}
    assert outcome.must_fail(report['denied'], 'enforce') == [NEW]
    assert len(outcome.must_fail(report['denied'], 'enforce', earlier_fails=True)) == 2


def test_who_brought_it_up_sees_it_all():
    report = {'denied': [OLD], 'observed': [], 'counters': NOW}
    assert earlier.told_apart(report, SINCE, None) == report
