# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event log: what is written, what is read again, and where it ends."""

from __future__ import annotations

import json
import os

from records import EXEC, denial, path_of

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log, records


def report(**lists):
    return dict({'guard': {'loader': 'bcc'}, 'denied': [], 'observed': [], 'counters': {'lost': 0}, 'limits': {},
                 'entries': {'count': 0}, 'left': [], 'left_running': []}, **lists)


def test_the_event_log(tmp_path):
    path = tmp_path / 'new' / 'deploy.jsonl'
    denied = [dict(denial(), mode=mode, command='tw\no "\xf6"') for mode in ('enforce', 'drill', 'monitor')]
    log.append(str(path), 'deploy', report(denied=denied))
    log.append(str(path), 'deploy', report(observed=[denial(endpoint=EXEC, name=path_of(b'/mnt/\xff'))]))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line['event'] for line in lines] == ['denied', 'denied', 'would_deny', 'down', 'observed', 'down']
    assert lines[5]['loader'] == 'bcc' and {line['version'] for line in lines} == {log.VERSION}
    assert (lines[4]['kind'], lines[4]['path'], lines[4]['address']) == ('exec', r'/mnt/\xff', None)
    assert {line['guard'] for line in lines} == {'deploy'} and lines[0]['command'] == 'tw\no "\xf6"'
    assert [os.stat(one).st_mode & 0o777 for one in (path, path.parent)] == [0o600, 0o700]


def test_refusals_are_read_again_from_the_log(tmp_path):
    path = str(tmp_path / 'deploy.jsonl')
    assert log.refusals(path, '') == []
    log.append_refusal(path, 'deploy', 1000, 17, 0, 'one')
    log.append(path, 'deploy', report(denied=[dict(denial(), mode='enforce', command='"event": "refused"')]))
    since = records.now()
    log.append_refusal(path, 'deploy', 1001, 18, 0, 'two')
    [found] = log.refusals(path, since)
    assert found == {'time': found['time'], 'uid': 1001, 'pid': 18, 'owner': 0, 'command': 'two'}
    assert [one['uid'] for one in log.refusals(path, '')] == [1000, 1001]


def test_a_full_log_is_put_aside_once(tmp_path):
    path = tmp_path / 'deploy.jsonl'
    for content in ('older', 'old'):
        path.write_text(content)
        os.truncate(path, log.LIMIT + 1)
        log.append(str(path), 'deploy', report())
    assert path.stat().st_size < 1000 and (tmp_path / 'deploy.jsonl.1').read_bytes().startswith(b'old\0')
    assert sorted(os.listdir(tmp_path)) == ['deploy.jsonl', 'deploy.jsonl.1']
