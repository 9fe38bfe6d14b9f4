# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callback noted, and a report, in; the records with their tasks, and the message, out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from reports import WINDOWS, record

from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _seen, _told

TASK = {'pid': None, 'command': None, 'task': 'during'}
HIDDEN = {'class': 'hidden', 'evidence': None, 'path': None}


@pytest.fixture(autouse=True)
def seen(monkeypatch):
    monkeypatch.setattr(_seen, 'tasks', {'web1': {'deploy': SimpleNamespace(windows=WINDOWS, jobs={})}})
    monkeypatch.setattr(_seen, 'arguments', {})


def told(*records, host='web1', name='deploy'):
    report = {'guard': {'name': name, 'launcher': '/x', 'mode': 'enforce'}, 'denied': list(records), 'observed': []}
    _told.add_tasks(host, report)
    return [(one['task'], one['class'], one['evidence']) for one in report['denied']]


# the arguments, the results of a loop, whether they name github.com
ARGUMENTS = [
    ({'url': 'https://github.com/x', 'force': True}, [], True), ({'a': {'b': ['github.com', None]}}, [], True),
    ({'url': '{{ item }}'}, [{'item': 'github.com'}], True),
    ({'url': '{{ x }}'}, [{'host': 'github.com', 'ansible_loop_var': 'host'}], True),
    ({'url': '{{ x }}'}, [{'invocation': {'module_args': {'url': 'http://github.com'}}}, 'no mapping'], True),
    ({'url': 'https://mirror.example'}, [], False), (None, [], False), ({'content': 'x' * 5000 + ' github.com'}, [], False),
]


@pytest.mark.parametrize('arguments, items, direct', ARGUMENTS)
def test_the_arguments_of_its_task(arguments, items, direct):
    _told.note('web1', 'during', arguments, items)
    assert told(record(**HIDDEN)) == [('during', 'direct', TASK) if direct else ('during', 'hidden', None)]


def test_no_other_task_and_no_other_host():
    _told.note('web1', 'before', {'a': 'github.com'}, [])
    _told.note('web2', 'during', {'a': 'github.com'}, [])
    assert told(record(**HIDDEN)) == [('during', 'hidden', None)]
    later = record(**HIDDEN, first_seen='1970-01-01T00:01:35Z')
    assert told(later) == [('before', 'direct', dict(TASK, task='before'))]


def test_what_a_command_line_names_keeps_its_evidence():
    _told.note('web1', 'during', {'a': 'github.com'}, [])
    line = {'class': 'direct', 'evidence': {'pid': 7, 'command': 'curl github.com'}, 'path': None}
    assert told(record(**line)) == [('during', 'direct', line['evidence'])]


def test_where_nobody_saw_the_tasks():
    assert told(record(**HIDDEN), host='web2') == told(record(**HIDDEN), name='other') == [(None, 'hidden', None)]
    report = {'guard': None, 'denied': [], 'msg': 'unreachable'}
    _told.add_tasks('web1', report)
    _told.judge(report, SimpleNamespace(register=None, no_log=False, check_mode=False, args={}))
    assert report == {'guard': None, 'denied': [], 'msg': 'unreachable'}


def judged(no_log=False, register=None, check_mode=False, args=None, **changes):
    result = dict({'guard': {'name': 'deploy', 'mode': 'enforce'}, 'denied': [record(task='Fetch (x.yml:1)')], 'counters': {},
                   'faults': [], 'verdict': 'before', 'msg': 'before', 'exception': 'before', 'failed': True}, **changes)
    _told.judge(result, SimpleNamespace(register=register, no_log=no_log, check_mode=check_mode, args=args or {}))
    return result


def test_the_message_is_said_again_with_the_task():
    result = judged()
    assert "in the task 'Fetch': curl https://github.com\n" in result['msg'] and result['msg'] == result['verdict']
    assert 'exception' not in result
    assert judged(msg='another failure')['msg'] == 'another failure'
    assert judged(failed=False, msg='')['verdict'] == result['verdict']


def test_a_command_can_not_command_github(monkeypatch):
    monkeypatch.setenv('GITHUB_ACTIONS', 'true')
    result = judged(denied=[record(command='x ::error::y ##[set-output name=z;]1')])
    assert 'x : :error::y ## [set-output name=z;]1' in result['msg'] and result['msg'] == result['verdict']


def test_no_log_leaves_the_failure_alone():
    result = judged(no_log=True)
    assert result['verdict'] is None and 'curl' not in result['msg'] and "in the task 'Fetch'" in result['msg']


@pytest.mark.parametrize('fails, changes', [
    (True, {}), (False, {'args': {'fail_on_denied': 'no'}}), (False, {'check_mode': True}),
    (False, {'observed': [record(new=True, earlier=True)]}), (False, {'observed': [record()]}),
    (False, {'baseline': {'file': 'b.yml', 'on_new': 'report'}}), (False, {'guard': {'name': 'deploy', 'mode': 'drill'}}),
    (True, {'guard': {'name': 'deploy', 'mode': 'monitor'}})])
def test_what_the_baseline_does_not_have_fails_the_task(fails, changes):
    result = judged(**{**dict(denied=[], observed=[record(new=True, task='Fetch (x.yml:1)')], verdict=None, msg='', failed=False,
                              baseline={'file': 'b.yml', 'on_new': 'fail'}), **changes})
    assert result['failed'] is fails and ("in the task 'Fetch': curl" in result['msg']) is fails
