# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every format of the report: valid whatever a target says, the same numbers in all, and whole or not there."""

from __future__ import annotations

import json
import os
import resource
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
import report_formats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reports import question, record, report

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import document, findings, model

RUN = {'id': '0123abcd', 'playbooks': ['site.yml'], 'directory': '/ci/project/deploy', 'repository': '/ci/project',
       'controller': 'ci-7', 'user': 'deploy', 'check': False, 'ansible': '2.19.14', 'collection': '1.0.0'}
REST = {'class': 'direct', 'path': None, 'evidence': None, 'entered': None}
INSTALL = model.Task('Install', 'roles/mysql/tasks/main.yml', 7)
GUARD = {'service': 'mysql', 'started_at': '1970-01-01T00:00:01.500000Z', 'loader': 'libbpf', 'observes': True}
FORMATS = list(document.WRITERS)
HOSTILE = ['<script>alert(1)</script>', 'a|b\\|c', '```` `x` ```', '\n::error::x', '##[error]x', '\x1b[2Jx\x9b', 'x\0y', '\u202egnp',
           'x' * 10_000, '\udcff\ud800', '[a](http://x/ "y")', '![a](b)', '@admin #1 :smile: ~~x~~ $x$ {{x}} {+ x +}', ']]>&amp;&#9;',
           'www.example.com http://example.com a@example.com', '"; rm -rf / #', "'\\", '\ufffe\uffff\U0010ffff', '# EOF\n', '--\n---|---',
           '\u2028\u2029\x85', '%0A::error::', '\\', '{0}', '__init__ **x** <!-- -->']


def begun(directory, *formats, **changes):
    warnings = []
    made = document.Document(warnings.append)
    made.directory, made.formats = directory and str(directory), list(formats)
    for name, value in changes.items():
        setattr(made, name, value)
    made.begin(RUN, 0)
    return made, warnings


def one(*denied, observed=(), tasks=(INSTALL,), **changes):
    made = report(*(dict(each, **{**REST, **each}) for each in denied), guard=GUARD, **changes)
    return dict(made, observed=[dict(each, **{**REST, **each}) for each in observed],
                tasks=[model.Window(99, 110, task, False) for task in tasks])


def tell(made, *reports):
    fleet = model.Fleet()
    for each in reports:
        made.came_down(each, fleet.add(each, True))
    return fleet


def everything(made):
    """Denied, would-be denied, expected, earlier, new, observed, outside, a drill, a broken guard, one that nobody entered, one
    that never told, and lost records.
    """
    new = record(new=True, count=2, rule='any', name='api.example')
    fleet = tell(
        made,
        one(record(count=3), record(pid=8, address='192.0.2.11'), question(count=2), record(rule='pypi', expected=True, count=4),
            record(earlier=True, count=5, last_seen='1970-01-01T00:00:05Z'), observed=[new, record(name='ok.example', rule='any')],
            counters={'connect': {'denied': 15, 'allowed': 9}, 'dns': {'denied': 2}, 'lost': 7}, outside=[('raw', INSTALL)],
            baseline={'file': 'deps.yml', 'on_new': 'report'}, earlier={'since': 'x', 'by': 'y', 'fails': False}),
        one(record(count=2), host='web2', counters={'connect': {'denied': 2}}, outside=[('raw', INSTALL)]),
        one(record(mode='monitor', count=6), host='web3', mode='monitor', counters={'connect': {'would_deny': 8}, 'lost': 1}),
        one(record(mode='drill'), host='web4', mode='drill', observed=[dict(new, count=1)],
            baseline={'file': 'deps.yml', 'on_new': 'fail'}),
        one(host='web5', faults=['The agent was gone for 3 s.', 'And | again.']),
        one(host='web6', nobody=True),
        one(host='web7', observed=[new], baseline={'file': 'deps.yml', 'on_new': 'fail'}))
    made.untold('web8', SimpleNamespace(name='deploy', mode='enforce', guard=GUARD), 'left up', ['a stopped run'], [])
    fleet.miss('LEFT UP', 'web8', 'deploy', 'enforce', [])
    made.judged(fleet)
    paths = [Path(path) for path in made.end(9, True, ['the callback itself failed'])]
    return {form: next(path for path in paths if path.name.endswith(f'.{document.ENDS.get(form, form)}')) for form in FORMATS
            } if made.directory and paths else {}


@pytest.fixture(scope='module')
def told(tmp_path_factory):
    made, warnings = begun(tmp_path_factory.mktemp('reports'), *FORMATS)
    found = everything(made)
    assert not warnings
    return found


@pytest.mark.parametrize('form', FORMATS)
def test_all_formats_have_the_same_numbers(told, form):
    # of web1: 3 + 1 + 2 recorded, and 7 more that the counters alone know; 2 of web2
    sums = {'denied': 6 + 7 + 2, 'expected': 4, 'earlier': 5, 'would_deny': 8, 'drill': 1, 'new': 5, 'lost': 8}
    if form == 'html':
        sums['denied'] += sums.pop('drill')
        del sums['earlier']
    assert report_formats.READERS[form](told[form]) == sums


def test_all_formats_say_that_the_run_was_cut_off(told, tmp_path):
    made, _warnings = begun(tmp_path, *FORMATS)
    made.judged(tell(made, one()))
    whole = dict(zip(FORMATS, map(Path, made.end(9, False, []))))
    assert report_formats.of_a_cut_off_run(told) == set(FORMATS) and not report_formats.of_a_cut_off_run(whole)


def test_one_name_is_the_format_s(told):
    assert sorted(path.name.partition('.')[2] for path in told.values() if 'html' not in path.name) == sorted(
        ['json', 'json.gz', 'md', 'junit.xml', 'sarif', 'codequality.json', 'prom'])
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in told.values())


def test_markdown(told):
    text = told['markdown'].read_text()
    assert text.startswith('## Guards of <code>site.yml</code>: FAILED\n\n- accesses were denied on web1, web2\n')
    assert ('| <code>github.com</code> | **denied** | 8 | web1, web2 | Install (<code>deploy/roles/mysql/tasks/main.yml</code>:7) '
            '| <code>github</code>: github.com runs on mysql |' in text)


def test_junit_has_a_case_for_each_rule_and_host(told):
    cases = {(case.classname, case.name): case.result for suite in report_formats.junitparser.JUnitXml.fromfile(str(told['junit']))
             for case in suite}
    results = {key: type(result[0]).__name__ if result else None for key, result in cases.items()}
    whole = 'the guard was up and whole'
    assert results == {
        ('loopbreak', 'the run came to its end'): 'Error',
        ('web1.deploy', whole): 'Skipped', ('web1.deploy', 'github'): 'Failure', ('web1.deploy', 'pypi'): 'Skipped',
        ('web1.deploy', 'loopbreak/new'): 'Skipped', ('web1.deploy', 'loopbreak/no-rule'): 'Failure',
        ('web2.deploy', whole): None, ('web2.deploy', 'github'): 'Failure',
        ('web3.deploy', whole): 'Skipped', ('web3.deploy', 'github'): 'Skipped', ('web3.deploy', 'loopbreak/no-rule'): 'Skipped',
        ('web4.deploy', whole): None, ('web4.deploy', 'github'): 'Skipped', ('web4.deploy', 'loopbreak/new'): 'Skipped',
        ('web5.deploy', whole): 'Error', ('web6.deploy', whole): 'Error',
        ('web7.deploy', whole): None, ('web7.deploy', 'loopbreak/new'): 'Failure', ('web8.deploy', whole): 'Error'}


def test_sarif_has_the_place_and_the_runbook(told):
    run, = json.loads(told['sarif'].read_text())['runs']
    first = run['results'][0]
    assert (first['ruleId'], first['level'], first['occurrenceCount']) == ('github', 'error', 8)
    assert first['locations'][0]['physicalLocation'] == {
        'artifactLocation': {'uri': 'deploy/roles/mysql/tasks/main.yml', 'uriBaseId': '%SRCROOT%'}, 'region': {'startLine': 7}}
    assert first['message']['text'] == (
        'github.com: denied, 8x on web1, web2. Rule github: github.com runs on mysql. Endpoints: 192.0.2.10:443/tcp, '
        '192.0.2.11:443/tcp, github.com (DNS question). Task: Install. Command: curl https://github.com. Owner: db-team. '
        'Runbook: https://wiki.example/x.')
    assert run['tool']['driver']['rules'][0]['helpUri'] == 'https://wiki.example/x'
    notes = [note['message']['text'] for note in run['invocations'][0]['toolExecutionNotifications']]
    assert 'Guard deploy on web8: left up: a stopped run' in notes and 'Guard deploy on web5: not whole: And | again.' in notes


def _results(directory, *reports, **run):
    made, _warnings = begun(directory, 'sarif')
    made.run.update(run)
    made.judged(tell(made, *reports))
    path, = made.end(1, False, [])
    return json.loads(Path(path).read_text())['runs'][0]['results']


def test_what_a_guard_cost(tmp_path):
    made, warnings = begun(tmp_path, 'openmetrics')
    stats = {'measured': True, 'programs': {'ebg_egress': {'runs': 4, 'nanoseconds': 2_500_000}, 'odd': {'runs': 'x'}, 'none': None},
             'tables': {'ebg_denied': {'entries': 3, 'size': 16384}}, 'agent': {'cpu_seconds': 0.21, 'memory': 1 << 20}}
    tell(made, one(stats=stats), one(host='web2', stats=None), one(host='web3', stats=[1]), one(host='web4', stats={'agent': None}))
    path, = made.end(1, False, [])
    lines = [line.partition('{host="web1",guard="deploy"')[::2] for line in Path(path).read_text().splitlines() if 'web' in line]
    assert not warnings and sorted(line for line in lines if line[0].startswith(('ebpf_guard_program', 'ebpf_guard_t', 'ebpf_guard_a'))) == [
        ('ebpf_guard_agent_cpu_seconds_total', '} 0.21'), ('ebpf_guard_agent_memory_bytes', '} 1048576.0'),
        ('ebpf_guard_program_run_time_seconds_total', ',program="ebg_egress"} 0.0025'),
        ('ebpf_guard_program_runs_total', ',program="ebg_egress"} 4.0'),
        ('ebpf_guard_table_entries', ',table="ebg_denied"} 3.0'), ('ebpf_guard_table_max_entries', ',table="ebg_denied"} 16384.0')]
    report_formats.READERS['openmetrics'](Path(path))


def test_a_remedy_stands_beside_a_hidden_access(tmp_path):
    """Whatever command of the finding has it; and a target has no say in it."""
    made, _warnings = begun(tmp_path, 'html', 'markdown', 'codequality', annotates=True)
    hidden = {'class': 'hidden', 'remedy': {'tool': 'x', 'switch': 'EVIL=1', 'ends': 'x', 'url': 'https://evil.example'}}
    made.judged(tell(made, one(record(command='./x', **hidden), record(command='npm install', pid=8, **hidden))))
    html, markdown, issues = (Path(path).read_text() for path in made.end(1, False, []))
    switch, url = 'npm_config_update_notifier=false', 'https://docs.npmjs.com/cli/using-npm/config#update-notifier'
    assert html.count(f'<dt>remedy</dt><dd><code>{switch}</code> keeps npm from asking for updates: <a href="{url}"') == 1
    assert f'<code>./x</code> [remedy]({url}): <code>npm&#95;config&#95;update&#95;notifier=false</code> keeps npm from' in markdown
    said = f'Remedy: {switch} keeps npm from asking for updates ({url}).'
    assert said in json.loads(issues)[0]['description'] and said in made.annotations[0]
    assert 'evil' not in html + markdown + issues


def test_a_fingerprint_is_the_same_in_the_next_run(tmp_path):
    moved = INSTALL._replace(line=70)
    before, after = (_results(tmp_path, *reports) for reports in (
        [one(record())], [one(record(pid=9, address='192.0.2.99', command='curl -o /tmp/x https://github.com', count=8), tasks=[moved]),
                          one(record(), host='web9', tasks=[moved])]))
    other = _results(tmp_path, one(record(name='gitlab.com')))
    assert len(before) == len(after) == 1 and before[0]['partialFingerprints'] == after[0]['partialFingerprints']
    assert before[0]['partialFingerprints'] != other[0]['partialFingerprints']


# the task's file, the run, the place
PLACES = [('site.yml', {}, ('deploy/site.yml', 7)),
          ('/ci/project/roles/a b/tasks/main.yml', {}, ('roles/a b/tasks/main.yml', 7)),
          ('/usr/share/ansible/collections/x/tasks/main.yml', {}, ('deploy/site.yml', 1)),
          ('/ci/project2/x.yml', {'playbooks': ['/tmp/x.yml', '../site.yml']}, ('site.yml', 1)),
          ('/ci/project2/x.yml', {'playbooks': ['loopbreak.deploy.run']}, (None, None)),
          (None, {'playbooks': []}, (None, None))]


@pytest.mark.parametrize('file, run, place', PLACES)
def test_a_place_is_relative_to_the_repository(file, run, place):
    assert findings.where({**RUN, **run}, {'name': 'x', 'file': file, 'line': 7}) == place


@pytest.mark.parametrize('runbook, link', [
    ('https://wiki.example/x y"<>\u00fc%', 'https://wiki.example/x%20y%22%3C%3E%C3%BC%25'),
    ('http://x/(a)|b%2F', 'http://x/%28a%29%7Cb%2F'), ('javascript:alert(1)', None),
    ('see the wiki', None), ('https://', None), ('http://[', None), ('http://x:y/', None), ('http://[::1]/', 'http://[::1]/')])
def test_a_runbook_is_a_link_where_a_browser_opens_it(tmp_path, runbook, link):
    made, _warnings = begun(tmp_path, 'sarif')
    made.judged(tell(made, one(record(runbook=runbook))))
    path, = made.end(1, False, [])
    assert json.loads(Path(path).read_text())['runs'][0]['tool']['driver']['rules'][0].get('helpUri') == link


def test_more_than_code_scanning_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(findings, 'ROOM', 3)
    made, _warnings = begun(tmp_path, *FORMATS)
    names = [record(name=f'{number}.example', rule='pypi', expected=True) for number in range(5)]
    made.judged(tell(made, one(*names, *(record(name=f'd{number}.example') for number in range(4)))))
    paths = {Path(path).name.partition('.')[2]: Path(path) for path in made.end(1, False, [])}
    run, = json.loads(paths['sarif'].read_text())['runs']
    assert [result['level'] for result in run['results']] == ['error'] * 3
    assert 'There was no room for more: ' in json.dumps(run['invocations'])
    for form, end in (('sarif', 'sarif'), ('codequality', 'codequality.json'), ('markdown', 'md'), ('junit', 'junit.xml')):
        assert report_formats.READERS[form](paths[end]) == {'denied': 4, 'expected': 5}


def test_markdown_has_as_many_rows_as_are_wanted(tmp_path):
    made, _warnings = begun(tmp_path, 'markdown', max_rows=3)
    made.judged(tell(made, *(one(record(name=f'{number}.example'), host=f'web{number}', outside=[('raw', INSTALL)])
                             for number in range(5))))
    path, = made.end(1, False, [])
    assert report_formats.as_markdown(Path(path)) == {'denied': 5}
    assert Path(path).read_text().count('\n2 more not shown (max_rows)\n') == 3


@pytest.mark.parametrize('before', [0, 10, 1_000_000, 1_023_970, 1_024_000, 2_000_000])
def test_a_step_summary_has_its_bounds(tmp_path, before):
    path = tmp_path / 'summary.md'
    path.write_bytes(b'x' * before)
    made, warnings = begun(None, summary=str(path), max_rows=100_000)
    made.judged(tell(made, one(*(record(name=f'{number}.example', reason='|' * 300) for number in range(4000)))))
    assert not made.end(1, False, []) and not warnings
    text = path.read_text()
    assert text.startswith('x' * before) and (len(text.encode()) <= 1_024_000 or len(text) == before)
    assert text.endswith(report_formats.CUT) or before >= 1_023_970
    if before < 100:
        path.write_text(text[before:])
        report_formats.as_markdown(path)


def test_a_step_summary_that_can_not_be_written_is_a_warning(tmp_path):
    made, warnings = begun(None, summary=str(tmp_path / 'nowhere' / 'summary.md'))
    made.judged(tell(made, one(record())))
    assert not made.end(1, False, []) and made.outcome['status'] == 2
    assert warnings == [f"The report of this run (step summary) can't be written to {tmp_path}/nowhere/summary.md: No such file or "
                        'directory. Nothing else changes.']


def test_a_run_without_a_guard_adds_nothing_to_the_summary(tmp_path):
    made, _warnings = begun(None, summary=str(tmp_path / 'summary.md'))
    made.judged(model.Fleet())
    assert not made.end(1, False, []) and not list(tmp_path.iterdir())


@pytest.mark.parametrize('form', FORMATS)
def test_an_empty_run_is_valid(tmp_path, form):
    made, _warnings = begun(tmp_path, form)
    made.judged(model.Fleet())
    path, = made.end(1, False, [])
    assert not report_formats.READERS[form](Path(path))


TEXT = st.sampled_from(HOSTILE) | st.text(st.characters(codec=None)) | st.lists(
    st.sampled_from(HOSTILE), min_size=2, max_size=3).map(' '.join)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(TEXT, min_size=16, max_size=16))
def test_every_file_is_valid_whatever_a_target_says(tmp_path_factory, texts):
    directory = tmp_path_factory.mktemp('fuzz')
    names = dict(zip(('name', 'command', 'rule', 'reason', 'owner', 'runbook', 'class'), texts))
    task = model.Task(texts[7], texts[8], 7, texts[9])
    ancestry = [{'pid': 1, 'command': texts[10]}]
    made, warnings = begun(directory, *FORMATS, annotates=True)
    each = one(record(**names, ancestry=ancestry), record(kind='file', path=texts[11], name=None, address=None, ancestry=ancestry),
               question(**names), observed=[record(**names, new=True)], tasks=[task], host=texts[12], outside=[(texts[13], task)],
               faults=[texts[14]], left_running=[{'pid': 1, 'command': texts[15]}], counters={'lost': 2},
               baseline={'file': texts[15], 'on_new': 'fail'})
    made.judged(tell(made, each))
    paths = made.end(1, False, [texts[15]])
    assert not warnings and len(paths) == len(FORMATS)
    for form, path in zip(FORMATS, paths):
        found = report_formats.READERS[form](Path(path))
        assert found == {'denied': 3, 'new': 1, 'lost': 2}
        os.unlink(path)
    for line in made.annotations:
        assert line.startswith('::error ') and line.isprintable()


def test_a_record_can_not_say_that_it_is_of_another_host(tmp_path):
    made, _warnings = begun(tmp_path, 'json', 'junit')
    made.judged(tell(made, one(record(host='web9', guard='other'))))
    plain, junit = map(Path, made.end(1, False, []))
    assert json.loads(plain.read_text())['denied'][0]['host'] == 'web1' and 'web9' not in junit.read_text()


@pytest.mark.parametrize('form', FORMATS)
def test_a_full_disk_leaves_no_half_file(tmp_path, form):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    summary = tmp_path / 'summary.md'
    summary.write_text('as it was\n' * 50)
    made, warnings = begun(tmp_path, form, summary=str(summary))
    fleet = tell(made, one(record(), record(rule='pypi', expected=True)))
    made.judged(fleet)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600 if form != 'json.gz' else 300, before[1]))
    try:
        assert not made.end(1, False, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert warnings == [f"The report of this run ({what}) can't be written to {where}: File too large. Nothing else changes."
                        for what, where in ((form, tmp_path), ('step summary', summary))]
    assert made.outcome['status'] == 2 and [path.name for path in tmp_path.iterdir()] == ['summary.md']
    assert summary.read_text() == 'as it was\n' * 50


def test_a_directory_that_can_not_be_made_is_one_warning(tmp_path):
    (tmp_path / 'file').write_text('')
    made, warnings = begun(tmp_path / 'file' / 'reports', *FORMATS, annotates=True)
    assert not made.end(1, False, []) and len(warnings) == 1
    assert warnings[0].startswith(f'The report of this run ({", ".join(FORMATS)}, annotations) ')
