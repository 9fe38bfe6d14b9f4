# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose command lines a report hides. Whole plays are in tests/integration/test_host_secrets.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _no_log

TASK = SimpleNamespace(async_val=0, poll=15)
LEFT = SimpleNamespace(async_val=60, poll=0)
HIDDEN = 'hidden (no_log)'


@pytest.fixture(autouse=True)
def noted(monkeypatch):
    """On web1 such a task ran from 100 to 110 by the controller's clock."""
    monkeypatch.setattr(_no_log, '_spans', {})
    _no_log.note('web1', TASK, 100, 110)


def record(second, pid=7, parents=(5,), **changes):
    stamp = '1970-01-01T00:%02d:%06.3fZ' % (second // 60, second % 60)
    return dict({'pid': pid, 'command': 'curl x', 'ancestry': [{'pid': parent, 'command': 'sh'} for parent in parents],
                 'evidence': {'pid': pid, 'command': 'curl x'}, 'first_seen': stamp}, **changes)


def hidden(*records, host='web1', offset=0.0, key='denied'):
    """Which of the records have no command any more."""
    report = {key: list(records)}
    _no_log.conceal(host, report, offset)
    for one in records:
        assert one['command'] in ('curl x', HIDDEN)
        if one['command'] == HIDDEN:
            assert 'curl' not in str(one) and 'sh' not in str(one), one
    return [one['command'] == HIDDEN for one in records]


# name, second by the target's clock, host, how far that clock is ahead, hidden
MOMENTS = [
    ('during', 105, 'web1', 0.0, True), ('before', 99.5, 'web1', 0.0, False), ('after', 110.5, 'web1', 0.0, False),
    ('at its edges', 99.9, 'web1', 0.0, True), ('on another host', 105, 'web2', 0.0, False),
    ('by a clock ahead', 205, 'web1', 100.0, True), ('by another clock, at its edges', 211, 'web1', 100.0, True),
    ('by a clock ahead, after', 213, 'web1', 100.0, False), ('by a clock that nobody knows', 500, 'web1', None, True)]


@pytest.mark.parametrize('second, host, offset, is_hidden', [row[1:] for row in MOMENTS], ids=[row[0] for row in MOMENTS])
@pytest.mark.parametrize('key', ['denied', 'observed'])
def test_by_the_moment(second, host, offset, is_hidden, key):
    assert hidden(record(second), host=host, offset=offset, key=key) == [is_hidden]


def test_a_process_goes_on_after_its_task():
    assert hidden(record(105), record(300), record(300, 8, (7, 5)), record(300, 9, (5,))) == [True, True, True, False]
    assert hidden(record(105, 0, ()), record(300, 0, ())) == [True, False]  # of nobody


def test_a_task_that_is_not_waited_for_goes_on():
    _no_log.note('web1', LEFT, 200, 201)
    assert hidden(record(199), record(1000, 8)) == [False, True]


def test_what_is_left_running_may_be_of_any_task():
    report = {'left_running': [{'pid': 4, 'command': 'sleep 9'}]}
    _no_log.conceal('web2', report, 0.0)
    assert report['left_running'] == [{'pid': 4, 'command': 'sleep 9'}]
    _no_log.conceal('web1', report, 0.0)
    assert report['left_running'] == [{'pid': 4, 'command': HIDDEN}]


def test_a_hidden_record_without_evidence():
    one = record(105, evidence=None)
    assert hidden(one) == [True] and one['evidence'] is None
