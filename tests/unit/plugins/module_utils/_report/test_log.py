# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event log: what is written, where it ends, and what becomes of it where it can't be written. Needs root."""

from __future__ import annotations

import json
import os
import resource
import signal

import pytest
from records import EXEC, denial, path_of

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log

ATTEMPT = {'time': '2026-11-22T15:51:18.123456Z', 'uid': 1000, 'pid': 17, 'owner': 0, 'command': 'one'}


def report(**lists):
    return dict({'guard': {'loader': 'bcc'}, 'denied': [], 'observed': [], 'counters': {'lost': 0}, 'limits': {},
                 'entries': {'count': 0}, 'left': [], 'left_running': [], 'agent': {'restarts': 0, 'gone_seconds': 0}}, **lists)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_end_of_the_event_log(tmp_path, monkeypatch):
    path = tmp_path / 'deploy.jsonl'
    assert log.tail(str(path)) == []
    log.append(str(path), 'deploy', report(denied=[denial()]))
    with open(path, 'ab') as damaged:
        damaged.write(b'\n\xff{"event": 1\n[]\n{"version": 0, "event": "denied"}\n')
    log.append(str(path), 'deploy', report())
    assert [line['event'] for line in log.tail(str(path))] == ['denied', 'down', 'down']
    monkeypatch.setattr(log, 'END', os.path.getsize(path) - 9)  # of the first line, the end alone
    assert [line['event'] for line in log.tail(str(path))] == ['down', 'down']


def test_the_event_log(tmp_path):
    path = tmp_path / 'new' / 'deploy.jsonl'
    denied = [dict(denial(), mode=mode, command='tw\no "\xf6"') for mode in ('enforce', 'drill', 'monitor')]
    assert log.append(str(path), 'deploy', report(denied=denied)) == []
    log.append(str(path), 'deploy', report(observed=[denial(endpoint=EXEC, name=path_of(b'/mnt/\xff'))]))
    assert log.append_refusal(str(path), 'deploy', ATTEMPT) is None
    lines = lines_of(path)
    assert [line['event'] for line in lines] == ['denied', 'denied', 'would_deny', 'down', 'observed', 'down', 'refused']
    assert lines[5]['loader'] == 'bcc' and {line['version'] for line in lines} == {log.VERSION}
    assert (lines[4]['kind'], lines[4]['path'], lines[4]['address']) == ('exec', r'/mnt/\xff', None)
    assert {line['guard'] for line in lines} == {'deploy'} and lines[0]['command'] == 'tw\no "\xf6"'
    assert lines[6].items() >= ATTEMPT.items()
    assert [os.stat(one).st_mode & 0o777 for one in (path, path.parent)] == [0o600, 0o700]


@pytest.mark.parametrize('content', [b'{"event": "re', b'\xff\xfe\n\xc3', b'\0' * 5000, b'[]\n', b'\n'])
def test_what_is_in_the_log_keeps_nothing_from_being_added(tmp_path, content):
    """After half a line, the next one is whole."""
    path = tmp_path / 'deploy.jsonl'
    path.write_bytes(content)
    assert log.append(str(path), 'deploy', report()) == []
    *old, last, end = path.read_bytes().split(b'\n')
    assert json.loads(last)['event'] == 'down' and not end and b'\n'.join(old) == content.rstrip(b'\n')


@pytest.mark.parametrize('size, kept', [(log.LIMIT - 100, log.LIMIT - 100), (10 << 30, log.LIMIT - len(b'half of it'))])
def test_a_log_holds_its_size(tmp_path, size, kept):
    """Twice the limit, also where somebody else let it grow: then its end stays, from a whole line on."""
    path, aside = tmp_path / 'deploy.jsonl', tmp_path / 'deploy.jsonl.1'
    aside.write_text('older')
    path.touch()
    os.truncate(path, size)
    with path.open('r+b') as content:
        content.seek(max(0, size - log.LIMIT) + 9)
        content.write(b'\n')
    assert log.append(str(path), 'deploy', report()) == []
    assert [line['event'] for line in lines_of(path)] == ['down'] and aside.stat().st_size == kept
    assert sorted(os.listdir(tmp_path)) == ['deploy.jsonl', 'deploy.jsonl.1'] and aside.stat().st_blocks * 512 <= log.LIMIT


def test_a_report_that_is_too_large_is_cut_and_says_so(tmp_path):
    path = tmp_path / 'deploy.jsonl'
    records = [dict(denial(), mode='enforce', command='x' * 1024 * 1024)] * 40
    running = [{'pid': pid, 'command': 'sleep'} for pid in range(5000)]
    [told] = log.append(str(path), 'deploy', report(denied=records, left_running=running))
    lines = lines_of(path)
    assert path.stat().st_size <= log.LIMIT and 30 < len(lines) < 35 and lines[-1]['omitted'] == 41 - len(lines)
    assert 'the last %d of 40 records were left out' % lines[-1]['omitted'] in told
    assert (len(lines[-1]['left_running']), lines[-1]['left_running_count']) == (log.LISTED, 5000)


def _link(path):
    os.symlink('/nonexistent/target', path)


def _hard_link(path):
    (path.parent / 'other').touch()
    os.link(path.parent / 'other', path)


def _of_another_user(path):
    (path.parent.parent / 'elsewhere').mkdir()
    path.parent.rmdir()
    os.symlink(path.parent.parent / 'elsewhere', path.parent)
    os.lchown(path.parent, 65534, 65534)


def _no_directory(path):
    path.parent.rmdir()
    path.parent.touch()


def _full(path):
    path.touch()
    os.truncate(path, log.LIMIT)
    (path.parent / 'deploy.jsonl.1').mkdir()


@pytest.mark.parametrize('make, why', [
    (_link, 'a symbolic link'), (os.mkdir, 'a directory'), (os.mkfifo, 'a device or a pipe'), (_hard_link, 'a hard link'),
    (_of_another_user, "not root's"), (_no_directory, 'is no directory'), (_full, 'Is a directory')])
def test_what_is_no_log_is_not_written_to(tmp_path, make, why):
    path = tmp_path / 'log' / 'deploy.jsonl'
    path.parent.mkdir()
    make(path)
    before = sorted(os.walk(tmp_path))
    [told] = log.append(str(path), 'deploy', report(denied=[dict(denial(), mode='enforce')]))
    assert why in told and told.endswith('Of 2 lines, 2 are lost.'), told
    assert why in log.append_refusal(str(path), 'deploy', ATTEMPT)
    assert sorted(os.walk(tmp_path)) == before and not os.path.exists('/nonexistent')


def test_what_is_lost_is_counted(tmp_path):
    """As on a full disk, half of a line is written. The next one is whole."""
    path, limits = tmp_path / 'deploy.jsonl', resource.getrlimit(resource.RLIMIT_FSIZE)
    usual = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    records = [dict(denial(), mode='enforce', command='x' * 1000)] * 9
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
        [told] = log.append(str(path), 'deploy', report(denied=records))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, usual)
    whole = path.read_bytes().count(b'\n')
    assert 0 < whole < 9 and 'could not be written: File too large. Of 10 lines, %d are lost.' % (10 - whole) in told
    log.append(str(path), 'deploy', report())
    assert json.loads(path.read_bytes().splitlines()[-1])['event'] == 'down'
