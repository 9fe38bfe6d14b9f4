# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON report of a run, under the real ansible-playbook and ansible."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import time

import documents
import pytest
from sandbox import BIN, MOVE, OURS, SWALLOWED, UP, Sandbox, down, play

# What the stand-in for the module leaves out of a record
REST = '{"class": "direct", "expected": false, "path": none, "pid": 7, "uid": 0, "evidence": none, "entered": none, "mode": "enforce"}'
WHOLE = "'{{ denial | combine(%s, %s) }}'" % (REST, '%s')
DENIED = 'denied: [%s]' % WHOLE % '{}'
RAW = "    - {name: Raw, ansible.builtin.raw: 'true'}\n"
HOSTS = {'denied': [], 'broken': [], 'never_up': [], 'deserted': [], 'missing': [], 'new': []}


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(tmp_path)


@pytest.fixture
def reports(sandbox):
    return sandbox.path / 'made' / 'reports'


def run(sandbox, text, *arguments, **settings):
    return sandbox.play(text, *arguments, EBPF_GUARD_REPORT_DIR='made/reports', **settings)


def test_a_run(sandbox, reports):
    seen = 'observed: [%s, %s]' % (WHOLE % '{"rule": none, "new": true}', WHOLE % '{"rule": none, "address": "192.0.2.11"}')
    code, out = run(sandbox, play(UP, MOVE, RAW, down(DENIED, keywords='when: inventory_hostname == "web1"'),
                                  down('mode: monitor', seen, keywords='when: inventory_hostname == "web2"'), hosts='web1,web2'))
    assert code == 2, out
    found = documents.only(reports)
    path, = reports.iterdir()
    assert f'\nREPORT {path}\n' in out and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert found['run']['playbooks'] == ['play.yml'] and not found['run']['check'] and not found['run']['cut_off']
    assert sorted((one['host'], one['mode'], one['outcome'], one['totals']['denied'], one['totals']['seen'])
                  for one in found['guards']) == [('web1', 'enforce', 'denied', 3, 0), ('web2', 'monitor', 'clean', 0, 2)]
    move = {'name': 'Move', 'file': 'play.yml', 'line': 23}
    record, = found['denied']
    assert (record['host'], record['guard'], record['task'], record['command']) == (
        'web1', 'deploy', move, 'curl -fsS https://github.com/install.sh')
    assert [(one['address'], one['task']) for one in found['observed']] == [('192.0.2.10', move), ('192.0.2.11', move)]
    assert found['new'] == found['observed'][:1]
    raw = {'name': 'Raw', 'file': 'play.yml', 'line': 24}
    assert sorted(found['outside'], key=lambda one: one['host']) == [{'host': host, 'guard': 'deploy', 'how': 'raw', 'task': raw} for host in ('web1', 'web2')]
    tasks = {(one['host'], one['name']): one for one in found['tasks']}
    assert len(tasks) == len(found['tasks']) == 4 and not tasks['web1', 'Move']['idle'] and tasks['web2', 'Raw']['idle']
    assert all(found['run']['started'] < one['started'] < one['ended'] < found['run']['ended'] for one in found['tasks'])
    assert found['endpoints'] == [
        {'endpoint': '192.0.2.10:443/tcp', 'name': 'github.com', 'rule': None, 'verdict': 'new', 'hosts': 1, 'accesses': 3},
        {'endpoint': '192.0.2.10:443/tcp', 'name': 'github.com', 'rule': 'github', 'verdict': 'denied', 'hosts': 1, 'accesses': 3},
        {'endpoint': '192.0.2.11:443/tcp', 'name': 'github.com', 'rule': None, 'verdict': 'seen', 'hosts': 1, 'accesses': 3}]
    assert found['outcome'] == {'status': 2, 'reasons': ['accesses were denied on web1'],
                                'hosts': {**HOSTS, 'denied': ['web1'], 'new': ['web2']}}


DELEGATED = "    - {name: Ask, ansible.builtin.command: 'true', delegate_to: web3, when: inventory_hostname == 'web1'}\n"
TWO = (UP.replace('{}', '{name: one}') + UP.replace('{}', '{name: two}') + MOVE + DELEGATED
       + down('name: one') + down('name: two'))


def test_a_task_is_told_once_however_many_guards_are_up(sandbox, reports):
    assert run(sandbox, play(TWO, hosts='web1,web3'))[0] == 0
    tasks = [(one['host'], one['name'], one['idle'], one.get('for')) for one in documents.only(reports)['tasks']]
    assert sorted(tasks, key=str) == [('web1', 'Ask', True, None), ('web1', 'Move', False, None), ('web3', 'Ask', False, 'web1'),
                                      ('web3', 'Move', False, None)]


NEVER_STARTED = '    - {name: Start, loopbreak.deploy.ebpf_guard: {broken: true}, ignore_errors: true}\n' + MOVE + down('gone: true')

# name, play, outcome, a reason of the guard, of the run
UNTOLD = [
    ('left up', play(UP, MOVE), 'left up', 'no state=absent task ran after it (a stopped run)', 'reports are missing from web1'),
    ('lost', play(UP, down('gone: true')), 'report lost', 'it was already gone when state=absent ran',
     'reports are missing from web1'),
    ('no_log', play(UP, down(keywords='no_log: true')), 'no_log', 'no_log hides the report in Stop (play.yml:23)', None),
    ('never up', play(NEVER_STARTED), 'never up', 'the start of its guard failed: what it was to guard ran outside the guard',
     'guards never came up on web1'),
]


@pytest.mark.parametrize('text, outcome, because, reason', [row[1:] for row in UNTOLD], ids=[row[0] for row in UNTOLD])
def test_a_guard_whose_report_never_came(sandbox, reports, text, outcome, because, reason):
    run(sandbox, text)
    found = documents.only(reports)
    guard, = found['guards']
    assert (guard['outcome'], guard['totals']) == (outcome, None) and because in guard['faults'][0]
    assert found['outcome']['reasons'] == ([reason] if reason else [])
    assert [(one['how'], one['task']['name']) for one in found['outside']] == (
        [('no guard was up', 'Move')] if outcome == 'never up' else [])


def test_runs_with_nothing_to_tell(sandbox, reports):
    """Nothing guarded, check mode, and an ad-hoc call that leaves its guard up."""
    assert run(sandbox, play(MOVE))[0] == 0
    assert run(sandbox, play(UP, '    - {name: Real, ansible.builtin.command: id, check_mode: false}\n', down()), '--check')[0] == 0
    assert sandbox.run('ansible', 'web1', '-m', OURS, EBPF_GUARD_REPORT_DIR='made/reports')[0] == 0
    plain, check, adhoc = sorted(documents.all_in(reports), key=lambda one: one['run']['started'])
    for one in (plain, check, adhoc):
        assert one['outcome'] == {'status': 0, 'reasons': [], 'hosts': HOSTS} and not one['run']['cut_off'] and not one['denied']
    assert not plain['guards'] and not plain['tasks'] and not plain['run']['check']
    assert check['run']['check'] and not check['guards'] and [one['task']['name'] for one in check['outside']] == ['Real']
    assert not adhoc['run']['playbooks'] and [one['outcome'] for one in adhoc['guards']] == ['up']


def test_playbooks_of_one_command_line_are_one_run(sandbox, reports):
    (sandbox.path / 'later.yml').write_text(play(MOVE, SWALLOWED.replace('{{ denial }}', WHOLE.strip("'") % '{}')))
    (sandbox.path / 'bad.yml').write_text('- hosts: [\n')
    assert run(sandbox, play(UP), 'later.yml', 'bad.yml', EBPF_GUARD_FAIL='false')[0] == 4
    found = documents.only(reports)
    assert found['run']['playbooks'] == ['play.yml', 'later.yml', 'bad.yml'] and found['run']['cut_off']
    assert [one['outcome'] for one in found['guards']] == ['denied'] and found['denied'][0]['task']['file'] == 'later.yml'
    assert found['outcome']['hosts'] == {**HOSTS, 'denied': ['web1']} and found['outcome']['status'] == 2
    assert [one['accesses'] for one in found['endpoints']] == [3]


def test_a_run_that_is_interrupted(sandbox, reports):
    """The host that was over has told all; the guard of the other one is left up."""
    (sandbox.path / 'play.yml').write_text(play(
        UP, MOVE, down(DENIED, 'fail_on_denied: false', keywords='when: inventory_hostname == "web1"'),
        "    - {name: Long, ansible.builtin.command: \"sh -c 'touch long.{{ inventory_hostname }}; sleep 60'\"}\n", hosts='web1,web2'))
    env = {**os.environ, 'HOME': str(sandbox.path), 'ANSIBLE_COLLECTIONS_PATH': str(sandbox.path / 'collections'),
           'ANSIBLE_CALLBACKS_ENABLED': OURS, 'EBPF_GUARD_REPORT_DIR': str(reports)}
    with subprocess.Popen([str(BIN / 'ansible-playbook'), '-i', 'inventory.ini', 'play.yml'], cwd=sandbox.path, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as playbook:
        deadline = time.monotonic() + 60
        # on both, so that Ansible is not interrupted while it starts one
        while len(list(sandbox.path.glob('long.*'))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(playbook.pid, signal.SIGINT)
        assert playbook.wait(60) != 0
    found = documents.only(reports)
    assert found['run']['cut_off'] and found['outcome']['hosts'] == {**HOSTS, 'denied': ['web1'], 'missing': ['web2']}
    assert [(one['host'], one['outcome']) for one in found['guards']] == [('web1', 'denied'), ('web2', 'left up')]


FAIL = "    - {name: Fail, ansible.builtin.command: 'false', when: inventory_hostname == 'web1', any_errors_fatal: true}\n"
ALWAYS = '    - block:\n  %s      always:\n  %s'
RESCUED = '    - block:\n  %s      rescue: [{ansible.builtin.debug: }]\n' % FAIL

# after both guards are up: the rest of the play, whether web2 was stopped in it, the outcome of both guards
STOPPED = [
    ('stopped', [FAIL, MOVE, down()], True, ['left up'] * 2),
    ('rescued', [RESCUED, MOVE, down()], False, ['clean'] * 2),
    ('with always', [ALWAYS % (FAIL, down())], True, ['clean'] * 2),
    ('with always, that fails both', [ALWAYS % (FAIL, down(DENIED))], True, ['denied'] * 2),
    ('that had failed', [FAIL.replace('web1', 'web2').replace('true', 'false'), FAIL, MOVE], False, ['left up'] * 2),
    ('at the end', [down(), FAIL], False, ['clean'] * 2),
]


@pytest.mark.parametrize('tasks, cut_off, outcomes', [row[1:] for row in STOPPED], ids=[row[0] for row in STOPPED])
def test_a_run_that_any_errors_fatal_stops(sandbox, reports, tasks, cut_off, outcomes):
    run(sandbox, play(UP, *tasks, hosts='web1,web2'))
    found = documents.only(reports)
    assert found['run']['cut_off'] == cut_off and [one['outcome'] for one in found['guards']] == outcomes
    assert found['outcome']['hosts']['missing'] == (['web1', 'web2'] if 'left up' in outcomes else [])


def test_where_it_can_not_be_written_the_verdict_is_the_same(sandbox):
    (sandbox.path / 'made').write_text('a file')
    code, out = run(sandbox, play(UP, MOVE, SWALLOWED))
    told = re.sub(r'\s+', ' ', out)
    assert code == 2 and out.endswith('exit status 2: accesses were denied on web1\n') and 'REPORT' not in out
    assert "[WARNING]: The report of this run (json) can't be written to " in told and '/made/reports: Not a directory.' in told
