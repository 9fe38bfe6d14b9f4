# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody sets the clock while a guard is up: no ttl is over by that, and what was before or after something stays so."""

from __future__ import annotations

import datetime
import time
from types import SimpleNamespace

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import holders, ttl
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import clock
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import earlier


@pytest.fixture(params=[7 * 3600, -7 * 3600])
def set_clock(request, monkeypatch):
    return lambda: monkeypatch.setattr(time, 'time', lambda real=time.time: real() + request.param)


def test_a_ttl(set_clock, monkeypatch):
    state = {'expires_at': ttl.deadline(6 * 3600)}
    until = ttl.told(state)['expires_at']
    set_clock()
    assert not ttl.is_over(state) and ttl.damages(state) == [] and ttl.told(state)['expires_at'] != until
    monkeypatch.setattr(clock, 'now', lambda real=clock.now: real() + 6 * 3600)
    assert ttl.is_over(state) and 'The ttl of the guard was over at 20' in ttl.damages(state)[0]
    assert not ttl.is_over({'expires_at': ttl.deadline(0)}) and not ttl.is_over(None)


def test_only_what_is_inside_a_cgroup_of_the_guards_own_keeps_it_up():
    assert ttl.inside(SimpleNamespace(own='/one', cgroup='/other')) == []


def test_what_a_run_that_takes_a_guard_over_is_told(set_clock):
    """Records that were made before it took over are earlier ones, and later ones are not."""
    before, run = clock.moment(), {'id': 1, 'host': 'web1'}
    recorded = [time.clock_gettime(time.CLOCK_MONOTONIC) + by for by in (-1, 1)]
    one = holders.holder(run, before, {}, {'since': before, 'by': 'somebody', 'until': before})
    for _time in range(2):
        zero = clock.zero(time.CLOCK_MONOTONIC)
        report = {'counters': {}, 'entries': {'count': 0, 'times': []}, 'observed': [],
                  'denied': [{'last_seen': clock.stamp(zero + moment)} for moment in recorded]}
        told = holders.as_told(one)
        found = earlier.told_apart(report, told['since'], {'counters': {}, 'entries': 0})
        assert ['earlier' in record for record in found['denied']] == [True, False]
        since = datetime.datetime.fromisoformat(told['earlier']['since'].replace('Z', '+00:00')).timestamp()
        assert since == pytest.approx(clock.wall(before), abs=1)
        set_clock()
