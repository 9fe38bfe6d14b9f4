# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callbacks beside ours, anywhere in the list: each sees the end of the run, and the exit status is right all the same."""

from __future__ import annotations

import json
import re

import pytest
from ansible.executor.stats import AggregateStats
from ansible.executor.task_queue_manager import TaskQueueManager
from sandbox import DENIED, MOVE, OURS, SWALLOWED, UP, Sandbox, down, play

from ansible_collections.loopbreak.deploy.plugins.callback import ebpf_guard
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _ending

BESIDE = """
from __future__ import annotations
import json
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_TYPE, CALLBACK_NAME, CALLBACK_VERSION, CALLBACK_NEEDS_ENABLED = 'aggregate', 'beside', 2.0, True

    def v2_playbook_on_stats(self, stats):
        self._display.display('BESIDE SAW %%s' %% sorted(stats.processed))
        self._display.display('CUSTOM %%s' %% json.dumps(stats.custom))
        %s
"""
SAW = "BESIDE SAW ['web1']\n"
EXIT = f'\n{OURS}: exit status 2: accesses were denied on web1\n'
FIRST, LAST = f'{OURS},beside', f'beside,{OURS}'


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(tmp_path)


def run(sandbox, text, *arguments, enabled=FIRST, does='', **settings):
    (sandbox.path / 'callbacks').mkdir(exist_ok=True)
    (sandbox.path / 'callbacks' / 'beside.py').write_text(BESIDE % does)
    return sandbox.play(text, *arguments, ANSIBLE_CALLBACKS_ENABLED=enabled,
                        ANSIBLE_CALLBACK_PLUGINS=str(sandbox.path / 'callbacks'), **settings)


@pytest.mark.parametrize('enabled', [FIRST, LAST])
def test_wherever_ours_stands(sandbox, enabled):
    code, out = run(sandbox, play(UP, SWALLOWED), enabled=enabled)
    assert code == 2 and out.count(SAW) == 1 and out.count('\nGUARDS\n') == 1 and out.endswith(EXIT), out


@pytest.mark.parametrize('does', ['raise SystemExit(0)', 'raise SystemExit(7)', 'raise KeyboardInterrupt'])
def test_an_exit_of_another_callback_hides_no_denial(sandbox, does):
    code, out = run(sandbox, play(UP, SWALLOWED), enabled=LAST, does=does)
    assert code == 2 and SAW in out and 'GUARDS\n' in out and out.endswith(EXIT), out


def test_where_nothing_was_denied_another_callback_may_exit(sandbox):
    code, out = run(sandbox, play(UP, down()), enabled=LAST, does='raise SystemExit(7)')
    assert code == 7 and '  clean\n' in out and 'exit status' not in out


def test_of_several_playbooks_the_first_that_fails_is_the_last(sandbox):
    (sandbox.path / 'later.yml').write_text(play(MOVE))
    assert run(sandbox, play(UP, down()), 'later.yml')[0] == 0
    code, out = run(sandbox, play(UP, SWALLOWED), 'later.yml')
    assert code == 2 and out.count(SAW) == 1 and out.count('PLAY RECAP') == 1 and out.endswith(EXIT)


def test_the_outcome_is_in_the_statistics_of_all_callbacks(sandbox):
    """Of a task that failed, too, of which Ansible itself takes no statistics; over all playbooks, and before any sees them."""
    (sandbox.path / 'later.yml').write_text(play(UP, down(), hosts='web2'))
    swallowed = down(DENIED, keywords='ignore_errors: true')
    code, out = run(sandbox, play(UP, swallowed), 'later.yml', enabled=LAST,
                    EBPF_GUARD_FAIL='false', ANSIBLE_SHOW_CUSTOM_STATS='true')
    denied = {'outcome': 'denied', 'denied': 3, 'new': 0, 'endpoints': ['192.0.2.10:443/tcp (github.com)']}
    clean = {'outcome': 'clean', 'denied': 0, 'new': 0, 'endpoints': []}
    first, last = ({host: one['ebpf_guard'] for host, one in json.loads(line).items()}
                   for line in re.findall(r'^CUSTOM ({.*)$', out, re.MULTILINE))
    assert code == 0 and first == {'web1': denied, '_run': denied} and last == {'web1': denied, 'web2': clean, '_run': denied}
    assert out.index('CUSTOM STATS: ') < out.index('CUSTOM {')


def test_as_the_stdout_callback_it_judges_and_complains(sandbox):
    code, out = run(sandbox, play(UP, SWALLOWED), enabled='beside', ANSIBLE_STDOUT_CALLBACK=OURS)
    assert code == 2 and f'{OURS} is the stdout callback, so nothing else' in ' '.join(out.split()) and out.endswith(EXIT)
    assert out.index(SAW) > out.index('GUARDS\n')


def test_where_ansible_core_has_no_such_call(monkeypatch):
    """Then the exit is in our turn, and whoever stands later is named."""
    monkeypatch.delattr(TaskQueueManager, _ending.CALL)
    monkeypatch.setattr(_ending.C, 'CALLBACKS_ENABLED', ['one', OURS, 'two', 'three'])
    callback = ebpf_guard.CallbackModule()
    assert 'ends before two, three can see it' in callback._ending.complaint()
    callback._judge.fleet.guards['web1', 'deploy', 'enforce'] = {'denied': 1, 'faulty': 0}
    monkeypatch.setattr(_ending.C, 'CALLBACKS_ENABLED', ['one', OURS])
    assert callback._ending.complaint() is None
    with pytest.raises(SystemExit) as end:
        callback.v2_playbook_on_stats(AggregateStats())
    assert end.value.code == 2
