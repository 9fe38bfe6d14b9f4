# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports in; the text of a baseline, of a draft, and what is said of them, out."""

from __future__ import annotations

import gzip
import json
import threading

import pytest
import yaml
from json_reports import access, run_report, write
from reports import table

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import services
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.records import BY_DEFAULT
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _baseline, _baseline_text, _draft, _files, _learn, _news

THREE = [run_report('a', access(), access(kind='dns', port=53), access('tool.example', 'http', 3128, command='npm install')),
         run_report('b', access(task=None), access(port=22, command='/usr/bin/git clone x'), hosts=('web1', 'web2')),
         run_report('c', access(host='web2', first_seen='2026-11-29T01:00:00.000000Z'), hosts=('web2',))]
LEARNED = """\
version: 1
service: mysql
dependencies:
  - host: mirror.example
    ports: [22, 443]
    tasks:
      - Fetch
    commands:
      - /usr/bin/git clone x
      - curl https://mirror.example/
    first_seen: 2026-11-29
    runs: 3/3
    hosts: 2
  - host: tool.example
    tasks:
      - Fetch
    commands:
      - npm install
    first_seen: 2026-11-30
    runs: 1/3
    hosts: 1
"""


def learned(directory, *reports, text=None, service=None, **options):
    """(the text of the baseline, what is said of it, the files that were left out)"""
    read = _learn.Reports(service)
    read.read_all(write(directory / 'reports', *reports))
    known = _baseline.Baseline(read.service) if text is None else _baseline.parse(text, 'b.yml')
    merge = _learn.Merge(known, read, **options)
    if text is None:
        text = _baseline_text.new(read.service, merge.entries)
    else:
        text = _baseline_text.changed(text, 'b.yml', known, merge.entries)
    return text, _learn.lines(merge, read), read.left_out


def test_a_new_baseline(tmp_path):
    text, lines, left_out = learned(tmp_path, *THREE)
    assert text == _baseline_text.HEAD + LEARNED.partition('\n')[2] and not left_out
    assert lines[:2] == ['host mirror.example (22, 443)  in 3 of 3 runs, on 2 hosts, new',
                         'host tool.example              in 1 of 3 runs, on 1 host, weak: one run and one host, new']
    assert lines[2].startswith('1 of 2 stand on one run or one host: weak evidence.')
    # without news no byte changes, however many runs there are by now
    assert learned(tmp_path, *THREE, run_report('d', access(), access('tool.example', command='npm ci')), text=text)[0] == text


HAND = """\
# ours
version: 1
fold: [.cdn.example]
dependencies:
- {host: .example, reason: all of it}
- host: old.test
  reviewed: true  # yes
"""
NEWS = [
    ('known by a suffix', [access('a.b.example', task=None, command=None)], {}, HAND),
    ('another task', [access('x.example', task={'name': 'New'})], {}, HAND.replace(
        '- {host: .example, reason: all of it}\n', '- host: .example\n  reason: all of it\n  tasks:\n    - New\n  commands:\n'
        '    - curl https://mirror.example/\n  first_seen: 2026-11-30\n  runs: 1/1\n  hosts: 1\n')),
    ('dropped', [access('a.example', task=None, command=None)], {'prunes': True},
     '# ours\nversion: 1\nfold: [.cdn.example]\ndependencies:\n- host: .example\n  reason: all of it\n  first_seen: 2026-11-30\n'
     '  runs: 1/1\n  hosts: 1\n'),
]


@pytest.mark.parametrize('observed, options, wanted', **table(NEWS))
def test_a_baseline_of_people(tmp_path, observed, options, wanted):
    assert learned(tmp_path, run_report('a', *observed), text=HAND, **options)[0] == wanted


def test_tasks_and_programs_are_news_and_other_arguments_are_none(tmp_path):
    text = learned(tmp_path, run_report('a', access()))[0]
    assert learned(tmp_path, run_report('a', access(command='curl -s https://mirror.example/ -o /tmp/x.1234')), text=text)[0] == text
    more = learned(tmp_path, run_report('a', access(command='wget x', task={'name': 'Other'})), text=text)[0]
    assert yaml.safe_load(more)['dependencies'][0] == {
        **yaml.safe_load(text)['dependencies'][0], 'tasks': ['Fetch', 'Other'], 'commands': ['curl https://mirror.example/', 'wget x']}


def test_hosts_are_folded_where_people_say_so(tmp_path):
    first = learned(tmp_path, run_report('a', access('a.cdn.test'), access('b.x.cdn.test', port=80), access('c.cdn.test')))[0]
    first = first.replace('service: mysql', 'service: mysql\nfold: [.cdn.test, .x.cdn.test]').replace(
        'host: c.cdn.test', 'host: c.cdn.test\n    reason: kept')
    folded = learned(tmp_path, run_report('a', access('d.cdn.test', 'dns')), text=first)[0]
    assert [(one['host'], one['ports']) for one in yaml.safe_load(folded)['dependencies']] == [
        ('c.cdn.test', [443]), ('.cdn.test', [80, 443])]
    assert learned(tmp_path, run_report('a', access('e.cdn.test', 'dns')), text=folded)[0] == folded


def test_what_was_denied_is_no_dependency(tmp_path):
    denied = [access('github.com', rule='github', processes=1), access('new.example', reason=BY_DEFAULT['reason'], processes=1),
              access('shut.example', reason=BY_DEFAULT['reason'], processes=1, mode='enforce')]
    text, lines, _left_out = learned(tmp_path, run_report('a', denied=denied, new=denied[:1] + [access('found.example')]))
    assert [one['host'] for one in yaml.safe_load(text)['dependencies']] == ['found.example', 'new.example']
    assert [line for line in lines if line.startswith('no dependency')] == [
        'no dependency, as it was denied: github.com (github), 1x', 'no dependency, as it was denied: shut.example (default: deny), 1x']


def test_kinds_that_are_asked_for(tmp_path):
    seen = run_report('a', access(kind='exec', path='/usr/bin/id'), access(kind='unix', path='/run/docker.sock'))
    without = learned(tmp_path, seen)[0]
    assert 'socket: /run/docker.sock' in without and 'exec' not in without
    text = learned(tmp_path, seen, text=without, executions=True)[0]
    assert text.startswith(without) and '  - exec: /usr/bin/id\n' in text
    assert 'exec: /new' in learned(tmp_path, run_report('b', access(kind='exec', path='/new')), text=text)[0]


def test_runs_that_recorded_nothing_are_no_evidence(tmp_path):
    _text, lines, _left_out = learned(
        tmp_path, run_report('a', access()), run_report('b', observes=False), run_report('c', access('x'), check=True),
        run_report('d', access('other'), service='nginx'), service='mysql')
    assert lines[0] == 'host mirror.example (443)  in 1 of 1 runs, on 1 host, weak: one run and one host, new'
    assert '1 of 2 runs recorded denials alone' in lines[2] and len(lines) == 3


def test_reports_of_several_deployments(tmp_path):
    with pytest.raises(GuardError, match='The reports are of several deployments: mysql, nginx. .*-e ebpf_guard_service=mysql'):
        learned(tmp_path, run_report('a', access()), run_report('d', access('other'), service='nginx'))


UNUSABLE = [
    ('another schema', json.dumps(run_report('z', schema='loopbreak.report/2')), "its schema is 'loopbreak.report/2'"),
    ('something else', '[1, 2]', 'its schema is None'), ('no JSON', 'x', 'no JSON'),
    ('cut off', json.dumps(run_report('z', access()))[:-80], 'cut off in the middle'),
    ('without an outcome', json.dumps({key: part for key, part in run_report('z').items() if key != 'outcome'}),
     'cut off in the middle: it has no outcome'),
    ('another shape', json.dumps(run_report('z', observed=['x'])), 'are not what they have to be'),
    ('no text', b'\xff\xfe', 'no JSON'), ('very deep', '[' * 200000, 'nested too deep'),
]


@pytest.mark.parametrize('content, because', **table(UNUSABLE))
def test_a_file_that_is_no_report_is_named_and_the_rest_is_merged(tmp_path, content, because):
    directory = write(tmp_path / 'reports', *THREE)
    (directory / 'z.json').write_bytes(content if isinstance(content, bytes) else content.encode())
    text, _lines, left_out = learned(tmp_path)
    assert text.endswith(LEARNED) and len(left_out) == 1
    assert left_out[0].startswith('z.json: ') and because in left_out[0]


def test_compressed_reports_and_two_files_of_a_run(tmp_path):
    directory = write(tmp_path / 'reports', run_report('a', access(), denied=[access('x', rule='r')]))
    for name, content in (('a.json.gz', gzip.compress((directory / '20261130T081500Z-a.json').read_bytes())),
                          ('b.json.gz', gzip.compress(json.dumps(run_report('b', access(host='web2'), hosts=['web2'])).encode())),
                          ('c.json.gz', gzip.compress(b'{}' * 9999)[:-9]), ('d.json.gz', b'{}'),
                          ('a.codequality.json', b'[]'), ('a.junit.xml', b'<testsuites/>')):  # another format is none
        (directory / name).write_bytes(content)
    _text, lines, left_out = learned(tmp_path)
    assert [lines[0], lines[-1]] == ['host mirror.example (443)  in 2 of 2 runs, on 2 hosts, new',
                                     'no dependency, as it was denied: x (r), 1x']
    assert [line.partition(' (')[0] for line in left_out] == [
        'c.json.gz: cut off in the middle, or no JSON', 'd.json.gz: not compressed by gzip, as its name says']


def test_no_reports_at_all(tmp_path):
    with pytest.raises(GuardError, match='There is no report'):
        learned(tmp_path)
    with pytest.raises(GuardError, match="can't be read: .*nowhere"):
        _learn.Reports().read_all(str(tmp_path / 'nowhere'))


def test_the_draft_of_a_policy(tmp_path):
    text = learned(tmp_path, *THREE, run_report('e', access('asked.example', 'dns'), access(None), access(
        kind='unix', path='/run/docker.sock')))[0].replace('host: tool.example', 'host: tool.example\n    reason: "it: builds"')
    draft, circles = _draft.policy(_baseline.parse(text, 'b.yml'), 'p.yml')
    assert circles == []
    policy = check(yaml.safe_load(draft))
    assert (policy.mode, policy.default, policy.service) == ('enforce', 'deny', 'mysql')
    assert [(rule.hosts or rule.networks, list(map(str, rule.ports)), rule.reason) for rule in policy.rules] == [
        (('asked.example',), [], 'learned, not reviewed'), (('mirror.example',), ['22', '443'], 'learned, not reviewed'),
        (('tool.example',), [], 'it: builds'), (('203.0.113.20/32',), ['443'], 'learned, not reviewed')]
    assert '# 1 more of the baseline' in draft
    _draft.refuse(None, 'p.yml')
    _draft.refuse(draft, 'p.yml')
    with pytest.raises(GuardError, match='p.yml is a policy that learn has not written'):
        _draft.refuse('version: 1\n', 'p.yml')


def test_the_draft_of_a_policy_with_a_service_map():
    """What closes a circle has no rule that lets it pass, and is told with who would break."""
    baseline = _baseline.parse(yaml.safe_dump({'version': 1, 'service': 'mysql', 'dependencies': [
        {'host': 'api.github.com', 'ports': [443], 'tasks': ['Build (site.yml:3)']}, {'host': 'mirror.example'},
        {'host': 'wiki.example', 'ports': [22]}, {'network': '192.0.2.9/32'}, {'socket': '/run/wiki.sock'}]}), 'b.yml')
    found = services.entries({
        'github.com': {'endpoints': {'hosts': ['.github.com'], 'networks': ['192.0.2.0/24']}, 'depends_on': ['mysql']},
        'wiki': {'endpoints': {'hosts': ['wiki.example'], 'ports': [443]}, 'depends_on': ['github.com']},
        'chat': {'endpoints': {'sockets': ['/run/wiki.sock']}, 'depends_on': ['github.com']}}, Where('services', {}))
    draft, circles = _draft.policy(baseline, 'p.yml', 'map.yml', found)
    assert circles == [
        'host api.github.com: github.com → mysql (rule service:github.com). It is used by: Build (site.yml:3)',
        'network 192.0.2.9/32: github.com → mysql (rule service:github.com)',
        'socket /run/wiki.sock: chat → github.com → mysql (rule service:chat)']
    assert all('# - ' + sentence in draft for sentence in circles)
    policy = check(yaml.safe_load(draft), entries=found)
    assert [rule.hosts for rule in policy.rules if rule.action == 'allow'] == [('mirror.example',), ('wiki.example',)]
    baseline.service = None
    with pytest.raises(GuardError, match='ebpf_guard_service=mysql'):
        _draft.policy(baseline, 'p.yml', 'map.yml', found)


def test_news_are_marked_and_counted(tmp_path):
    baseline = tmp_path / 'b.yml'
    baseline.write_text(LEARNED)
    report = {'guard': {'name': 'deploy'}, 'baseline': {'file': '/gone', 'on_new': 'fail'}, 'denied': [access('denied.example')],
              'observed': [access(), access('new.example'), access(None, stands_for=3), access(None, kind='exec', stands_for=9)]}
    _news.mark(report, str(baseline))
    assert [record.get('new') for record in report['denied'] + report['observed']] == [True, None, True, None, None]
    assert report['new'] == 1 and report['baseline']['file'] == str(baseline)
    assert report['faults'] == ['3 records of what was allowed had no room in the report, so they were not compared with the '
                                'baseline. The event log on the host has them.']
    gone = {'guard': {'name': 'deploy'}, 'baseline': {'file': '/gone', 'on_new': 'fail'}, 'denied': [], 'observed': [], 'faults': ['before']}
    _news.mark(gone, None)
    assert gone['faults'][0] == 'before' and 'new' not in gone
    assert gone['faults'][1].startswith('Nothing was compared with the baseline. There is no baseline /gone.')


def test_a_baseline_is_found_beside_its_policy(tmp_path):
    (tmp_path / 'b.yml').write_text(LEARNED)
    assert _news.find('b.yml', str(tmp_path)) == str(tmp_path / 'b.yml') and _news.find(None, str(tmp_path)) is None
    with pytest.raises(GuardError, match='There is no baseline .*x.yml'):
        _news.find('x.yml', str(tmp_path))
    (tmp_path / 'c.yml').write_text('version: 3')
    with pytest.raises(PolicyError, match='c.yml:1: this is no baseline'):
        _news.find('c.yml', str(tmp_path))


def test_one_run_at_a_time_replaces_a_file_as_a_whole(tmp_path, monkeypatch):
    path, order = tmp_path / 'b.yml', []
    path.write_text('old')
    path.chmod(0o640)

    def second():
        with _files.alone(str(path)):
            order.append(_files.read(str(path)))

    with _files.alone(str(path)):
        thread = threading.Thread(target=second)
        thread.start()
        _files.replace(str(path), 'new')
        order.append('first')
    thread.join()
    assert order == ['first', 'new'] and path.stat().st_mode & 0o777 == 0o640 and [one.name for one in tmp_path.iterdir()] == ['b.yml']
    monkeypatch.setattr(_files, 'PATIENCE', 0)
    with _files.alone(str(path)), pytest.raises(GuardError, match='Another run has been changing files beside .*b.yml'):
        with _files.alone(str(path)):
            pass
