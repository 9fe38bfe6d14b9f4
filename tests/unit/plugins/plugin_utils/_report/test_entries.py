# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tasks did not enter, by when the target's clock saw somebody enter."""

from __future__ import annotations

import random

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import entries
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.entries import DID_NOT_ENTER, Ran, compare

DELEGATED = 'delegated to web2'


def told(*times, count=None):
    return {'count': len(times) if count is None else count, 'first': None, 'last': None, 'times': sorted(times)}


def tasks(*spans, **why):
    return [Ran(start, end, name, why.get(name)) for start, end, name in spans]


THREE = ((10, 11, 'one'), (11.1, 12, 'two'), (12.1, 13, 'three'))
# name, tasks, others, when somebody entered, between, outside
TABLE = [
    ('all entered', tasks(*THREE), [], (10.1, 11.2, 12.2), (-.2, .2), []),
    ('one did not', tasks(*THREE), [], (10.1, 12.2), (-.2, .2), [(DID_NOT_ENTER, 'two')]),
    ('each several times', tasks(*THREE), [], (10.1, 10.2, 10.9, 11.2, 11.9, 12.2), (-.2, .2), []),
    ('nobody knows of the clocks', tasks(*THREE), [], (10.1, 12.2), None, [(DID_NOT_ENTER, 'two')]),
    ('none did', tasks(*THREE), [], (), (-.2, .2), [(DID_NOT_ENTER, name) for name in ('one', 'two', 'three')]),
    ('a kept moment stands for what follows', tasks((10, 10.5, 'one'), (10.501, 11, 'two')), [], (10.4995,), (0, 0), []),
    ('right behind another one', tasks((10, 10.157, 'one'), (10.16, 10.2, 'two'), (10.21, 11, 'three')), [], (10.15, 10.27), (0, 0),
     [(DID_NOT_ENTER, 'two')]),
    ('on its edges', tasks((10, 11, 'one')), [], (9.99,), (0, 0), []),
    ('far ahead', tasks(*THREE), [], (1010.1, 1012.2), (999.8, 1000.3), [(DID_NOT_ENTER, 'two')]),
    ('far behind', tasks(*THREE), [], (-989.9, -988.8), (-1000.2, -999.9), [(DID_NOT_ENTER, 'three')]),
    ('a little ahead, as no other offset explains', tasks((10, 10.2, 'one'), (11, 11.2, 'two'), (13, 13.2, 'three')), [],
     (10.35, 11.33, 13.34), (-.4, .4), []),
    ('at the same time', tasks((10, 20, 'long'), (11, 12, 'short')), [], (11.5,), (-.1, .1), []),
    ('what others do is no entry of its own', tasks((10, 11, 'one')), [(12, 13)], (12.5,), (-.1, .1), [(DID_NOT_ENTER, 'one')]),
    ('known to go around', tasks(*THREE, two=DELEGATED), [], (10.1, 12.2), (-.1, .1), [(DELEGATED, 'two')]),
    ('known to go around, and yet inside', tasks(*THREE, two=DELEGATED), [], (10.1, 11.5, 12.2), (-.1, .1), []),
    ('known to go around, while another host came in', tasks(*THREE, two=DELEGATED), [(11, 12)], (10.1, 11.5, 12.2), (-.1, .1),
     [(DELEGATED, 'two')]),
    ('part of it outside, for sure', [Ran(10, 11, 'one', 'file transfer', True)], [], (10.5,), (-.1, .1), [('file transfer', 'one')]),
]


@pytest.mark.parametrize('ran, others, times, between, outside', [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_who_did_not_enter(ran, others, times, between, outside):
    found = compare(ran, others, told(*times), between)
    assert (found.outside, found.unknown) == (outside, 0)


@pytest.mark.parametrize('ran, times, nobody', [
    (tasks(*THREE), (), True), (tasks(*THREE), (9,), True), (tasks(*THREE), (10.5,), False), ([], (), False),
    (tasks((10, 11, 'one'), one='raw'), (), False), (tasks(*THREE, one='raw'), (), True)])
def test_nobody_entered(ran, times, nobody):
    assert compare(ran, [], told(*times), (0, 0)).nobody is nobody


def test_without_a_report_only_the_known_is_told():
    assert compare(tasks(*THREE, two=DELEGATED), [], None, None) == ([(DELEGATED, 'two')], 0, False)


def test_what_came_before_the_oldest_moment_is_not_known():
    times = [100 + number / 100 for number in range(_abi.MAX_ENTRIES)]
    found = compare(tasks((10, 11, 'early'), (99, 101, 'half'), (2000, 2001, 'late')), [], told(*times), (0, 0))
    assert (found.outside, found.unknown) == ([(DID_NOT_ENTER, 'late')], 1)


@pytest.mark.parametrize('seed', range(20))
def test_any_clock(seed):
    """Many tasks, some of which go around, with the clocks apart by what the calls leave open."""
    dice = random.Random(seed)
    skew = dice.choice((0, 0, dice.uniform(-5000, 5000)))
    now, ran, times, outside = 1e9, [], [], []
    for number in range(dice.randint(3, 60)):
        length = dice.uniform(0.15, 3)
        ran.append(Ran(now, now + length, str(number)))
        if dice.random() < 0.2:
            outside.append((DID_NOT_ENTER, str(number)))
        else:
            times += [now + 0.06 + skew] + [now + dice.uniform(0.06, length - 0.02) + skew for _more in range(dice.randint(0, 5))]
        now += length + dice.choice((0.01, 0.03, 0.5))
    between = (skew - dice.uniform(0.01, 0.05), skew + dice.uniform(0.1, 0.5))
    found = compare(ran, [], told(*times), between)
    assert found.outside == outside
    assert found == compare(ran, [], told(*times), between), 'the same again'


def test_a_long_run_is_compared_soon():
    ran = [Ran(number, number + 0.9, str(number)) for number in range(5000)]
    times = [number / 10 + 0.05 for number in range(50000) if number % 10 < 8]
    assert compare(ran, [], told(*times), (-1, 1)) == ([], 0, False)


def test_the_likeliest_offset_is_none_where_it_can_be():
    assert entries._offset([(10, 11)], [10.5], (-.3, .3)) == 0
    assert entries._offset([(10, 11)], [15.5], (4.8, 5.3)) == pytest.approx(4.83)
