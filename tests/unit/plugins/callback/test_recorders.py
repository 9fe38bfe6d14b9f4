# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that record runs: ARA as a callback beside ours, and ansible-runner around Ansible, as AWX has it."""

from __future__ import annotations

import json
import subprocess

import pytest
from sandbox import BIN, DENIED, MOVE, OURS, SWALLOWED, UP, Sandbox, down, play

BRIEF = {'outcome': 'denied', 'denied': 3, 'new': 0, 'endpoints': ['192.0.2.10:443/tcp (github.com)']}
RECORD = '''
    - {name: Stop, loopbreak.deploy.ebpf_guard: {state: absent, %s, fail_on_denied: false}, register: report}
    - ara_record: {key: ebpf_guard, value: "{{ report.denied }}", type: json}
''' % DENIED


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(tmp_path)


class Ara:
    """What it has recorded, by its own client."""

    def __init__(self, sandbox):
        plugins = {kind: self._said('python', '-m', f'ara.setup.{kind}_plugins').strip() for kind in ('callback', 'action')}
        self._environment = sandbox.environment({
            'ARA_BASE_DIR': str(sandbox.path / 'ara'), 'ANSIBLE_CALLBACK_PLUGINS': plugins['callback'],
            'ANSIBLE_ACTION_PLUGINS': plugins['action']})

    @staticmethod
    def _said(program, *arguments, **more):
        return subprocess.run([str(BIN / program), *arguments], check=True, capture_output=True, text=True, **more).stdout

    def play(self, sandbox, *tasks):
        return sandbox.play(play(UP, MOVE, *tasks), **self._environment)

    def asked(self, *arguments):
        return json.loads(self._said('ara', *arguments, '-f', 'json', env=self._environment))


def test_ara_records_the_result_and_how_the_run_ended(sandbox):
    """It calls a run failed that has a failed task; of one that only our exit fails it sees the end all the same."""
    ara = Ara(sandbox)
    code, out = ara.play(sandbox, down(DENIED))
    assert code == 2 and out.endswith('exit status 2: accesses were denied on web1\n'), out
    assert ara.play(sandbox, RECORD)[0] == 2
    runs = {one['id']: one for one in ara.asked('playbook', 'list')}
    assert [(runs[number]['status'], runs[number]['tasks']) for number in (1, 2)] == [('failed', 3), ('completed', 4)]
    of_stop, = (one for one in ara.asked('result', 'list', '--playbook', '1') if one['status'] == 'failed')
    content = ara.asked('result', 'show', str(of_stop['id']), '--with-content')['content']
    content = json.loads(content) if isinstance(content, str) else content
    assert content['guard']['name'] == 'deploy' and content['denied'][0]['rule'] == 'github'
    record, = ara.asked('record', 'list')
    assert record['key'] == 'ebpf_guard' and record['playbook'] == 2


def test_ansible_runner_has_the_status_the_lines_and_the_outcome(sandbox):
    (sandbox.path / 'project').mkdir()
    (sandbox.path / 'project' / 'play.yml').write_text(play(UP, MOVE, SWALLOWED))
    settings = sandbox.environment({'EBPF_GUARD_REPORT_DIR': 'reports'})
    job = subprocess.run(
        [BIN / 'ansible-runner', 'run', sandbox.path, '-p', 'play.yml', '--inventory', sandbox.path / 'inventory.ini', '--ident', '7'],
        env={**settings, 'PATH': f'{BIN}:{settings["PATH"]}'}, capture_output=True, text=True, timeout=120, check=False)
    artifacts = sandbox.path / 'artifacts' / '7'
    assert (job.returncode, (artifacts / 'rc').read_text(), (artifacts / 'status').read_text()) == (2, '2', 'failed'), job.stdout
    shown = (artifacts / 'stdout').read_text()
    assert 'GUARD UP: deploy on web1 [enforce]\n' in shown and '  DENIED  192.0.2.10:443/tcp  github.com' in shown
    report, = (sandbox.path / 'project' / 'reports').iterdir()
    assert shown.rstrip().endswith(f'REPORT {report}\n{OURS}: exit status 2: accesses were denied on web1')
    events = [json.loads(path.read_text()) for path in (artifacts / 'job_events').glob('*.json')]
    end, = (event for event in events if event['event'] == 'playbook_on_stats')
    assert end['event_data']['artifact_data'] == {'ebpf_guard': BRIEF}
    assert any('exit status 2' in event['stdout'] and event['counter'] > end['counter'] for event in events)
