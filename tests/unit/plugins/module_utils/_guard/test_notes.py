# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent notes for the report, from one agent to the next, and what becomes of it where it is damaged."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import notes, standby
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import Place
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log


@pytest.fixture
def place(tmp_path):
    made = Place.__new__(Place)
    made.name, made.log = 'deploy', str(tmp_path / 'log' / 'deploy.jsonl')
    made.notes, made.serving = str(tmp_path / 'notes.json'), str(tmp_path / 'serving')
    return made


def serve(place, is_restart):
    lock = standby.take(place.serving)
    agent = notes.Notes(place)
    agent.begin(lock, is_restart)
    standby.beat(lock)
    return agent, lock


def test_what_one_agent_notes_the_next_one_goes_on_with(place):
    assert notes.read(place)['refused'] == [] and list(notes.damages(place)) == []
    first, lock = serve(place, False)
    assert standby.take(place.serving) is None and standby.is_held(place.serving)
    for _twice in range(2):
        first.refuse(1000, 1, 0)
    os.close(lock)
    os.utime(place.serving, (0, standby.clock() - 7.3))
    assert notes.watched(place) == {'restarts': 0, 'gone_seconds': 7.3}  # still gone
    second, lock = serve(place, True)
    second.refuse(1000, 1, 0)
    second.refuse(1001, 1, 0)
    assert notes.watched(place) == {'restarts': 1, 'gone_seconds': 7.3}
    assert [(one['uid'], one['pid'], one['owner']) for one in notes.read(place)['refused']] == [(1000, 1, 0), (1001, 1, 0)]
    with open(place.log) as lines:
        assert [json.loads(line)['uid'] for line in lines] == [1000, 1001]
    assert list(notes.damages(place)) == [
        "The guard's agent ended and was started again, once. It was gone for 7.3 seconds. The rules held."]
    os.close(lock)
    third, lock = serve(place, False)  # of an exchange
    for pid in range(2, 300):
        third.refuse(1000, pid, 0)
    assert len(notes.read(place)['refused']) == notes.SHOWN and notes.watched(place)['restarts'] == 1
    os.close(lock)


def test_what_the_log_has_no_room_for_is_told(place):
    agent, lock = serve(place, False)
    os.makedirs(place.log)
    agent.refuse(1000, 1, 0)
    os.rmdir(place.log)
    [told] = notes.damages(place)
    assert told.endswith('while the guard was up: it is a directory, and no file of its own. 1 line is lost.')
    os.close(lock)


def test_notes_that_can_not_be_written_are_kept(place):
    place.notes = os.path.join(os.path.dirname(place.notes), 'later', 'notes.json')
    agent, lock = serve(place, False)
    agent.refuse(1000, 1, 0)
    os.mkdir(os.path.dirname(place.notes))
    assert notes.read(place)['refused'] == []
    agent.write()
    assert len(notes.read(place)['refused']) == 1
    os.close(lock)


@pytest.mark.parametrize('content', [
    b'', b'[]', b'{}', b'null', b'\xff\xfe', b'[' * 100000, b'{"pid": 1', *(
        json.dumps(dict(notes.none(), **change)).encode() for change in (
            {'pid': 'x'}, {'restarts': None}, {'gone_seconds': []}, {'refused': {}}, {'refused': [1]}, {'refused': [{}]},
            {'unlogged': '1'}, {'why': 3}, {'gone_seconds': float('inf')},
            {'restarts': -1}, {'refused': [dict.fromkeys(log.ATTEMPT, 1)]}))], ids=lambda content: repr(content[:20]))
def test_damaged_notes_are_told_and_keep_nobody_from_anything(place, content):
    with open(place.notes, 'wb') as file:
        file.write(content)
    assert notes.watched(place) == {'restarts': 0, 'gone_seconds': 0.0}
    [told] = notes.damages(place)
    assert 'notes.json, were damaged' in told
    agent, lock = serve(place, True)
    agent.refuse(1000, 1, 0)
    assert notes.read(place)['damaged'] and len(notes.read(place)['refused']) == 1
    os.close(lock)
