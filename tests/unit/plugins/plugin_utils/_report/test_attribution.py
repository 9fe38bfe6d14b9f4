# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which task a record is of: by the moment, by the clocks of two machines, and by what started the process."""

from __future__ import annotations

import pytest
from reports import MADE, RECORD, record, report, table

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model

# name, moment on the target, its clock's offset, task
MOMENTS = [
    ('inside', '1970-01-01T00:01:40+00:00', 0, 'during'),
    ('Zulu time', '1970-01-01T00:01:40.500000Z', 0, 'during'),
    ('no zone is UTC', '1970-01-01T00:01:40', 0, 'during'),
    ('an idle task is no cause beside a real one', '1970-01-01T00:01:39.900000Z', 0, 'during'),
    ('an idle task when there is no other', '1970-01-01T00:02:25Z', 0, 'pause'),
    ('nearest before', '1970-01-01T00:01:51Z', 0, 'during'),
    ('an idle task is never the nearest', '1970-01-01T00:02:41Z', 0, 'unknown'),
    ('nearest after', '1970-01-01T00:01:59Z', 0, 'later'),
    ('too far from any', '1970-01-01T00:01:55Z', 0, 'unknown'),
    ('clock ahead', '1970-01-01T01:01:40Z', 3600, 'during'),
    ('clock behind', '1970-01-01T00:01:30Z', -10, 'during'),
    ('too small an offset to believe', '1970-01-01T00:01:50.000000Z', -0.19, 'during'),
    ('no moment', None, 0, 'unknown'),
    ('nonsense', 'yesterday', 0, 'unknown'),
]


@pytest.mark.parametrize('stamp, offset, task', **table(MOMENTS))
def test_task_at(stamp, offset, task):
    assert model.task_of(record(), stamp, report(offset=offset)) == task


# name, record, stamp, how long the clock of the target is ahead, task; `before` ended at 99, `during` began at 99.95
LATER = '1970-01-01T00:02:05Z'
STARTERS = [
    ('its own time', {}, LATER, 0, 'later'),
    ('it came in earlier', {'entered': '1970-01-01T00:01:40Z'}, LATER, 0, 'during'),
    ('it came in at the end of one, as far as clocks tell', {'entered': '1970-01-01T00:01:39.800000Z'}, LATER, 0, 'during'),
    ('it was there before all tasks', {'entered': '1970-01-01T00:00:00Z'}, LATER, 0, 'unknown'),
    ('by the clock of the target', {'entered': '1970-01-01T01:01:40Z'}, '1970-01-01T01:02:05Z', 3600, 'during'),
    ('by the directory of its task', {'ancestry': [{'command': MADE % 100.5}], 'entered': LATER}, LATER, 3600, 'during'),
    ('by the directory in its own command', {'command': MADE % 100.5}, LATER, 0, 'during'),
    ('by the outermost of two', {'ancestry': [{'command': MADE % 125.0}, {'command': MADE % 100.5}]}, LATER, 0, 'during'),
    ('by a directory of no task here', {'ancestry': [{'command': MADE % 5.0}]}, LATER, 0, 'later'),
    ('by a directory without a time', {'command': 'sh /tmp/ansible-tmp-x/y'}, LATER, 0, 'later'),
]


@pytest.mark.parametrize('changes, stamp, offset, task', **table(STARTERS))
def test_a_process_is_of_the_task_that_started_it(changes, stamp, offset, task):
    assert model.task_of(record(**changes), stamp, report(offset=offset)) == task


def test_a_process_that_outlives_a_short_task_is_still_of_it():
    tasks = [model.Window(100, 100.15, 'short', False), model.Window(100.15, 130, 'next', False)]
    one = record(entered='1970-01-01T00:01:40.050000Z')
    assert model.task_of(one, LATER, report(tasks=tasks)) == 'short'


def test_what_no_launcher_started_was_there_before_its_task():
    one = record(entered='1970-01-01T00:00:00Z')
    assert model.task_of(one, LATER, report(launched=False)) == 'later'


def test_task_at_without_tasks():
    assert model.task_of(RECORD, RECORD['first_seen'], report(tasks=[])) == 'unknown'
