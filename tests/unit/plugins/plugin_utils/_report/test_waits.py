# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Denials and the tasks in which they were, in; what they cost, out: seconds, and what became of each task."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from reports import record, report, table

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model, tables, text, waits

TASK = model.Task('Deploy', 'site.yml', 3)
NOW = 200.0


def window(start=100, end=110, became='passed', jobs=(), task=TASK):
    return model.Window(start, end, task, False, became, jobs)


def denied(second=102, last=None, **more):
    def stamp(moment):
        return f'1970-01-01T00:{moment // 60:02}:{moment % 60:02}Z'
    return record(**{'mode': 'drill', 'first_seen': stamp(second), 'last_seen': stamp(last or second), 'pids': [7], **more})


def cost(*found, others=(), jobs=None, offset=0.0, running=(), mode='drill'):
    """`found`: pairs of a record and the window of its task."""
    seen = SimpleNamespace(windows=[one for _record, one in found if one] + list(others), jobs=jobs or {})
    return waits.of(found, seen, offset, {'guard': {'mode': mode}, 'left_running': [{'pid': pid} for pid in running]}, NOW)


@pytest.mark.parametrize('one, of, options, waited, became', **table([
    ('until its end', denied(), window(), {}, 8, 'passed'),
    ('in enforce mode', denied(mode='enforce'), window(), {'mode': 'enforce'}, 8, 'passed'),
    ('expected', denied(expected=True), window(), {}, 8, 'passed'),
    ('failed', denied(), window(became='failed'), {}, 8, 'failed'),
    ('by a clock that is ahead', denied(162), window(), {'offset': 60.0}, 8, 'passed'),
    ('by a clock that is wrong', denied(50), window(), {}, 10, 'passed'),
    ('after its end, in a process that it left', denied(150), window(), {}, 0, 'passed'),
    ('in the background, seen to be over', denied(), window(jobs=('j1',)), {'jobs': {'j1': (130.0, 'failed')}}, 28, 'failed'),
    ('in the background, of several', denied(), window(jobs=('j1', 'j2')),
     {'jobs': {'j1': (120.0, 'failed'), 'j2': (130.0, 'passed')}}, 28, 'failed'),
    ('in the background, and nobody looked', denied(last=140), window(jobs=('j1',)), {}, 38, 'passed'),
    ('in the background, over, and who looked after it is still there', denied(), window(jobs=('j1',)),
     {'jobs': {'j1': (130.0, 'passed')}, 'running': [7]}, 28, 'passed'),
    ('in the background, and still there', denied(), window(jobs=('j1',)), {'running': [7]}, 98, 'running'),
    ('the same of a child of it', denied(pids=[9], ancestry=[{'pid': 7, 'command': 'sh'}]), window(jobs=('j1',)),
     {'running': [7]}, 98, 'running'),
]))
def test_what_a_denial_costs_its_task(one, of, options, waited, became):
    told = cost((one, of), **options)
    row, = told['denied_tasks']
    assert (row['waited'], row['outcome'], row['task'], row['runs']) == (waited, became, 'Deploy (site.yml:3)', 1)
    assert told['waited'] == waited and told['survived'] is (of.outcome != 'failed')


def test_a_task_waits_once_however_much_it_is_denied_and_its_runs_are_one_row():
    first, second = window(), window(120, 125, 'ignored')
    told = cost((denied(104), first), (denied(102), first), (denied(121), second), (denied(), window(task=model.Task('Other'))))
    assert [(row['task'], row['runs'], row['waited'], row['outcome']) for row in told['denied_tasks']] == [
        ('Deploy (site.yml:3)', 2, 12, 'ignored'), ('Other', 1, 8, 'passed')]
    assert told['denied_tasks'][0]['first_denied'] == '1970-01-01T00:01:42.000000Z'
    assert told['denied_tasks'][0]['until'] == '1970-01-01T00:02:05.000000Z'
    assert told['waited'] == 20 and told['survived'] is True


def test_a_later_task_that_fails_is_no_survival():
    assert cost((denied(), window()), others=[window(120, 121, 'failed')])['survived'] is False
    assert cost((denied(), window()), others=[window(120, 121, 'rescued')])['survived'] is True


@pytest.mark.parametrize('one, of', [
    (denied(mode='monitor'), window()), (denied(earlier=True), window()), (denied(), None)],
    ids=['allowed', 'before this run', 'of no task'])
def test_what_costs_nobody_anything(one, of):
    assert cost((one, of), others=[window(became='failed')]) == {'waited': 0, 'survived': None, 'denied_tasks': []}


def told_by(host, *records, mode='drill', windows=(window(),), **more):
    """A report as the callback has it: each record is of the first of the windows."""
    found = [(dict(one, task=str(windows[0].task)), windows[0]) for one in records]
    seen = SimpleNamespace(windows=list(windows), jobs={})
    return report(*(one for one, _window in found), host=host, mode=mode, tasks=list(windows), **more,
                  **waits.of(found, seen, 0.0, {'guard': {'mode': mode}}, NOW))


def lines(*reports):
    fleet = model.Fleet()
    for one in reports:
        fleet.add(one, False)
    printed = [line for _tone, line in tables.fleet_lines(fleet, 20)]
    assert all(len(line) <= 80 for line in printed)
    return printed[printed.index('DRILL') + 1:] if 'DRILL' in printed else None


def test_the_table_of_a_drill():
    asked = denied(kind='dns', name='api.internal', outage='timeout')
    assert lines(told_by('web1', denied(outage='timeout'), asked),
                 told_by('web2', denied(outage='timeout'), asked, windows=[window(100, 150)]),
                 told_by('web3', denied(outage='timeout'), windows=[window(became='failed')])) == [
        '  task                 endpoint      outage   host     waited  survived',
        '  Deploy (site.yml:3)  api.internal  timeout  2 hosts  48.0 s  yes',
        '                       github.com    timeout',
        '  Deploy (site.yml:3)  github.com    timeout  web3     8.0 s   no',
        '  The deployment survived on 2 of 3 hosts. A task failed on 1. Its tasks waited',
        '  up to 48.0 s.']


@pytest.mark.parametrize('drills, said', [
    ([(6.0, True)], 'The deployment survived. Its tasks waited 6.0 s.'),
    ([(6.0, False)], 'The deployment did not survive: a task failed. Its tasks waited 6.0 s.'),
    ([(6.0, True), (7.04, True)], 'The deployment survived on all 2 hosts. Its tasks waited up to 7.0 s.'),
    ([(6.0, False), (None, None)], 'The deployment survived on none of 2 hosts. A task failed on 1. Its tasks waited up to 6.0 s.'),
    ([(None, None)], 'Whether the deployment survived is not known.'), ([], 'Whether the deployment survived is not known.')])
def test_whether_the_deployment_survived(drills, said):
    assert text.survival(drills) == said


def test_a_table_that_is_too_wide_gives_the_task_a_line_of_its_own():
    long = model.Task('mysql : Migrate the schema to the next version', 'roles/mysql/tasks/main.yml', 12)
    assert lines(told_by('web1', denied(name='x' * 50), denied(name='github.com'), windows=[window(task=long)])) == [
        '  task', '    endpoint                                  outage  host  waited  survived',
        '  mysql : Migrate the schema to the next version (roles/mysql/tasks/main.yml:12)',
        '    github.com                                denied  web1  8.0 s   yes',
        f'    {"x" * 39}…  denied',
        '  The deployment survived. Its tasks waited 8.0 s.']


def test_no_table_without_a_drill_and_a_row_for_what_is_of_no_task():
    assert lines(told_by('web1', denied(mode='enforce'), mode='enforce')) is None
    assert lines(report(denied(), mode='drill', **waits.UNKNOWN))[1:] == [
        '  unknown  github.com  denied  web1  -       -', '  Whether the deployment survived is not known.']


def test_what_a_row_says():
    one = told_by('web1', denied(), windows=[window(became='rescued')])
    said = [line for _tone, line in text.block(one, False, 20)]
    assert said[0] == 'GUARD deploy on web1 [drill]: 1 access denied, waited 8.0 s'
    assert '    waited   8.0 s; the task failed, and was rescued' in said
    enforced = text.block(told_by('web1', denied(mode='enforce'), mode='enforce'), False, 20)
    assert not any('waited' in line for _tone, line in enforced)
