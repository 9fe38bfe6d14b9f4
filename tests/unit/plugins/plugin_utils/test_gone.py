# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a task's result tells that its guard is gone: the launcher's answer comes in many wrappings."""

from __future__ import annotations

import json
import types

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._said import GONE as KEY
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _gone, _reboot

GONE = {'name': 'deploy', 'by': "state=absent of o'neil on c (ad-hoc)", 'at': '2026-11-22T15:51:18Z', 'report': '/run/x'}
ANSWER = json.dumps({KEY: GONE, 'failed': True, 'msg': 'It ended.'})


@pytest.mark.parametrize('result, told', [
    ({'msg': 'It ended.', KEY: GONE}, GONE), ({'results': [{'msg': 'ok'}, {KEY: GONE}]}, GONE),
    ({'msg': 'non-zero return code', 'stdout': ANSWER}, GONE), ({'msg': 'Failed (rc 97, %s' % ANSWER}, GONE),
    ({'module_stdout': 'x\n' + ANSWER + '\ny'}, GONE), ({'msg': 'ebpf_guard_gone'}, None), ({'rc': 1}, None),
    ({'msg': '{"ebpf_guard_gone": {"na'}, None)])
def test_the_answer_is_found(result, told):
    assert _gone.seen(result) == told


@pytest.mark.parametrize('text', ['sh: 1: /run/ebpf_guard/deploy/launcher: not found',
                                  'bash: /run/ebpf_guard/deploy/launcher: No such file or directory'])
def test_a_launcher_that_is_lost_tells_as_well(text):
    assert _gone.seen({'msg': 'Failed to create temporary directory. stderr: ' + text})['name'] == 'deploy'


def test_ansible_does_not_always_tell_which_launcher():
    text = 'Task failed: Failed to create temporary directory. In some cases, ... Failed command was: ( umask 77 ), exited with result %d'
    assert _gone.seen({'msg': text % 127})['name'] is None and _gone.seen({'msg': text % 1}) is None


def test_a_worker_gets_another_task_where_it_would_reboot():
    refusal = _reboot.Refusal()
    for guard, action in ((None, 'reboot'), ('deploy', _reboot.FAIL)):
        task = types.SimpleNamespace(action='reboot', args={}, async_val=0)
        refusal.expect(task, guard)
        refusal._exchange()
        assert task.action == action
    assert "'deploy' does not survive" in task.args['msg']
