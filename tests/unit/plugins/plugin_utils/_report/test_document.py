# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as data: JSON whatever a target says, and a disk that is full."""

from __future__ import annotations

import gzip
import json
import resource

import documents
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import record, report

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import document, model, spool

RUN = {'id': '0123abcd', 'playbooks': ['site.yml'], 'controller': 'ci-7', 'user': 'deploy', 'check': False,
       'ansible': '2.19.14', 'collection': '1.0.0'}
REST = {'class': 'direct', 'path': None, 'evidence': None, 'entered': None}


def begun(directory, warnings):
    made = document.Document(warnings.append)
    made.directory, made.formats = str(directory), ['json']
    made.begin(RUN, 0)
    return made


def told(*denied):
    return report(*(dict(one, **REST) for one in denied), guard={}, tasks=[
        model.Window(99, 110, model.Task('Install', 'site.yml', 7), False)])


def add(made, one):
    fleet = model.Fleet()
    made.came_down(one, fleet.add(one, True))
    made.judged(fleet)


def _refuse(constant):
    raise AssertionError(constant)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None)),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner)))
def test_json_is_what_every_program_reads(value):
    text = spool.encoded(value)
    assert text.isascii() and text.isprintable()
    json.dumps(json.loads(text, parse_constant=_refuse), ensure_ascii=False).encode()  # no half of a character


def test_a_target_that_says_what_is_no_text(tmp_path):
    warnings, command = [], 'curl \udcff\x1b[2J\u202e\N{GRINNING FACE} \\ud800 "\n'
    made = begun(tmp_path, warnings)
    add(made, told(record(command=command, count=float('nan') and 1, uid=float('nan'))))
    assert made.end(1, False, []) == [str(tmp_path / '19700101T000000Z-0123abcd.json')] and not warnings
    found = documents.only(tmp_path)
    assert found['denied'][0]['command'] == command.replace('\udcff', '?') and found['denied'][0]['uid'] is None
    assert found['denied'][0]['task'] == {'name': 'Install', 'file': 'site.yml', 'line': 7}


def test_the_compressed_one_is_the_same(tmp_path):
    made = begun(tmp_path, [])
    made.formats = ['json', 'json.gz']
    add(made, told(record()))
    plain, packed = made.end(1, False, [])
    with open(plain, 'rb') as one, gzip.open(packed) as other:
        assert one.read() == other.read()


def test_the_action_plugin_has_told_the_task(tmp_path):
    made = begun(tmp_path, [])
    add(made, told(record(task='Install (site.yml:7)', first_seen='1970-01-01T00:00:00Z'), record(task=None)))
    made.end(1, False, [])
    assert [one['task'] and one['task']['name'] for one in documents.only(tmp_path)['denied']] == ['Install', None]


def test_a_hidden_access_of_a_known_tool_has_its_remedy(tmp_path):
    made, hidden = begun(tmp_path, []), {**record(command='gh pr list'), **REST, 'class': 'hidden'}
    add(made, dict(told(record()), denied=[hidden, dict(hidden, command='./x')], observed=[hidden]))
    made.end(1, False, [])
    found, remedy = documents.only(tmp_path), {
        'tool': 'gh', 'switch': 'GH_NO_UPDATE_NOTIFIER=1', 'ends': 'asking for updates',
        'url': 'https://cli.github.com/manual/gh_help_environment'}
    assert [one['remedy'] for one in found['denied'] + found['observed']] == [remedy, None, remedy]


@pytest.mark.parametrize('room', [2000, 8500], ids=['for the rows', 'for the file'])
def test_a_full_disk_is_a_warning_and_leaves_nothing(tmp_path, room):
    warnings, before = [], resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        made = begun(tmp_path, warnings)
        for _number in range(10):
            add(made, told(record(command='x' * 200)))
        assert bool(warnings) == (room == 2000)
        assert not made.end(1, False, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert warnings == [f"The report of this run (json) can't be written to {tmp_path}: File too large. Nothing else changes."]
    assert not list(tmp_path.iterdir())


def test_nothing_is_made_where_no_report_is_wanted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = document.Document(_refuse)
    made.begin(RUN, 0)
    add(made, told(record()))
    assert not made.end(1, False, []) and not list(tmp_path.iterdir())
