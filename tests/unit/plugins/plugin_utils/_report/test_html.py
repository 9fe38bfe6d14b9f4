# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a run, made from models by hand. How it looks and works is the browser's to say, in tests/page."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import jsonschema
import models
import pytest
from documents import SCHEMA
from models import Model, guard, record

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import as_html, circle, document, folded, headline, model

VOID = {'meta', 'input', 'br', 'img', 'link', 'path', 'rect', 'circle'}
LIMIT = 5_000_000


class Page(HTMLParser):
    """The text of each section, the links and the elements; fails where an element is not closed."""

    def __init__(self, made):
        super().__init__()
        self.made, self.text, self.links, self.tags, self._open, self._section = made, {}, [], [], [], 'header'
        self.feed(made.decode())
        assert not self._open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        assert not [name for name in attrs if name.startswith('on') or name in ('style', 'src')], attrs
        if tag == 'section':
            self._section = attrs['id']
        if tag == 'a':
            self.links.append(attrs['href'])
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1:] not in (['style'], ['script']):
            self.text[self._section] = ' '.join([self.text.get(self._section, ''), *data.split()]).strip()


def page(made):
    return Page(models.written(as_html.write, made))


def sentence(made, **run):
    made.run.update(run)
    found = headline.of(made.run, made.outcome, folded.Folded(made.lists()))
    return found.tone, found.sentence, ' '.join(found.beside)


@pytest.mark.parametrize('sample', models.SAMPLES)
def test_a_model_is_a_report(sample):
    """Else what is tested here could not happen."""
    made = models.SAMPLES[sample]()
    lists = {name: [json.loads(line) for line in lines] for name, lines in made.lists()}
    jsonschema.Draft202012Validator(SCHEMA).validate({
        'schema': 'loopbreak.report/1', 'run': made.run, **lists, 'outcome': made.outcome})


@pytest.mark.parametrize('sample', models.SAMPLES)
def test_every_page_is_whole_and_asks_nobody(sample):
    found = page(models.SAMPLES[sample]())
    assert found.made.startswith(b'<!DOCTYPE html>') and b"default-src 'none'" in found.made
    assert found.tags.count('script') == found.tags.count('style') == found.tags.count('h1') == 1
    assert not {'img', 'link', 'iframe', 'object', 'embed', 'form', 'base'} & set(found.tags)
    assert all(link.startswith(('#', 'https://', 'http://')) for link in found.links), found.links


def test_what_a_target_says_is_text():
    found = page(models.hostile())
    everything = ' '.join(found.text.values())
    for said in ('<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', '{{ 7 * 7 }}{% raw %}', '&lt;b&gt;&#x41;',
                 'nul?nul', '?gnp.exe?'):
        assert said in everything
    assert not any(mark in found.made.decode() for mark in '\x1b\0\u202e\u2066') and 'x' * 401 not in everything
    assert not [link for link in found.links if link.startswith('javascript') or link == 'https://[']


@pytest.mark.parametrize('address, followed', [
    ('https://wiki.example/x', True), ('http://wiki.example', True), ('javascript:alert(1)', False),
    ('JavaScript:alert(1)', False), ('data:text/html,x', False), ('//wiki.example', False), ('wiki page 7', False),
    ('https://[', False), ('https://x/\u202e', False),
    (' https://x', False), ('https:', False), (None, False), ('https://x/' + 'y' * 400, False)])
def test_links(address, followed):
    assert as_html._link(address) == (address if followed else None)


DENIED, TWO = {'denied': ['web1']}, [guard('web1', 'denied'), guard('web2')]
HEADLINES = [
    ('denied', Model(hosts=DENIED, status=2, guards=TWO, denied=[record()]),
     ('bad', '1 of 2 hosts might not survive an outage of github.com', 'The guards denied it. The run fails with exit status 2.')),
    ('denied, by the map', models.story(), ('bad', 'All 3 hosts might not survive an outage of api.internal or github.com',
                                            'New, because the baseline does not have it: registry.example.')),
    ('would be denied', models.watched(), ('warn', '2 of 4 hosts might not survive an outage of github.com',
                                           'In mode enforce this run would fail.')),
    ('one host', Model(guards=[guard(mode='monitor')], denied=[record(mode='monitor')]),
     ('warn', 'The host might not survive an outage of github.com', 'Nothing was denied')),
    ('drill', Model(guards=[guard(mode='drill', drill=2, waited=6.0, survived=False), guard('web2')],
                    denied=[record(mode='drill')]),
     ('warn', 'The drill took github.com away from 1 of 2 hosts',
      'The deployment did not survive: a task failed. Its tasks waited 6.0 s.')),
    ('executed', Model(hosts=DENIED, status=2, guards=TWO, denied=[
        record(kind='exec', name=None, address=None, port=0, path='/usr/bin/npm')]),
     ('bad', 'On 1 of 2 hosts the deployment did what the policy denies: /usr/bin/npm (executed)', '')),
    ('details did not fit', Model(hosts=DENIED, status=2, guards=TWO),
     ('bad', 'On 1 of 2 hosts the deployment reached for what the policy denies', '')),
    ('many names', Model(hosts=DENIED, status=2, guards=TWO, denied=[
        record(name=f'{letter}.example') for letter in 'abcde']),
     ('bad', '1 of 2 hosts might not survive an outage of a.example, b.example or 3 others', '')),
    ('expected', Model(guards=[guard('web1', 'expected', expected=2)], denied=[record(expected=True)]),
     ('good', 'The host needed nothing but what the policy expects', 'Denied, as expected: github.com.')),
    ('earlier', Model(guards=[guard('web1', 'earlier', earlier=None)], denied=[record(earlier=True)]),
     ('good', 'The host needed nothing that the policy denies', '')),
    ('new', Model(guards=[guard(), guard('web2')], observed=[record(rule=None, new=True)]),
     ('warn', 'Something new: the deployment reached github.com on 1 of 2 hosts', 'Somebody should look at it.')),
    ('new, and fails', Model(hosts={'new': ['web1']}, status=2, reasons=['what no baseline has was reached on web1'],
                             guards=[guard()], observed=[record(rule=None, new=True)]),
     ('bad', 'Something new: the deployment reached github.com on the host', 'The run fails with exit status 2.')),
    ('clean', models.clean(50), ('good', 'All 50 hosts needed nothing that the policy denies', '')),
    ('broken', Model(hosts={'broken': ['web2']}, status=2, guards=[guard(), guard('web2', 'faulty')]),
     ('bad', 'Nobody can say what the deployment needed on 1 of 2 hosts', 'On 1 of 2 hosts the guard was not whole all the time.')),
    ('denied and broken', models.everything(), ('bad', '1 of 5 hosts might not survive an outage of github.com',
                                                'Denied in a drill: registry.example. Only watched, and would be denied: github.com.')),
    ('outside', Model(guards=[guard()], outside=[{'host': 'web1', 'guard': 'deploy', 'how': 'raw', 'task': models.TASK}]),
     ('warn', 'The host needed nothing that the policy denies, as far as the guards saw', '1 task ran outside the guards, unwatched.')),
    ('still up', Model(guards=[guard('web1', 'up', told=False)]),
     ('plain', 'The guard has not told anything yet', 'On the host the guard is still up, and has not told yet.')),
    ('hidden', Model(guards=[guard(), guard('web2', 'no_log', told=False)]),
     ('warn', 'The host needed nothing that the policy denies', 'Of 2 guarded hosts, 1 told.')),
    ('nothing', Model(), ('plain', 'No guard was up in this run, so nothing was watched', 'loopbreak.deploy.ebpf_guard')),
    ('other reasons', Model(status=2, reasons=['the command was run on no host']),
     ('bad', 'The run failed, and no guard was up in it', 'the command was run on no host.')),
]


@pytest.mark.parametrize('made, expected', [row[1:] for row in HEADLINES], ids=[row[0] for row in HEADLINES])
def test_the_first_line(made, expected):
    tone, said, beside = sentence(made)
    assert (tone, said) == expected[:2] and expected[2] in beside
    found = page(made)
    assert f'{said}.' in found.text['header']


def test_the_first_line_of_a_run_that_was_cut_off_or_checked():
    assert sentence(Model(), cut_off=True)[:2] == ('warn', 'The run was cut off before any guard was up')
    assert sentence(models.clean(2), cut_off=True)[:2] == (
        'warn', 'All 2 hosts needed nothing that the policy denies until the run was cut off')
    assert 'not all that the deployment would have done' in sentence(models.story(), cut_off=True)[2]
    assert sentence(Model(), check=True)[1].startswith('This was a check')


def test_each_sort_has_its_place():
    text = page(models.everything()).text
    assert all(said in text['denied'] for said in (
        'denied github.com rule github · 1 host · 2 accesses', 'would deny', 'denied (drill)', 'sh -c deploy.sh && sleep 0',
        'python3 /usr/local/bin/schema-tool prepare', 'db-team', 'https://wiki.example/no-github-in-deploys',
        'tasks/deploy.yml:8', 'hidden'))
    assert 'updates.example' not in text['denied'] and 'old.example' not in text['denied']
    assert all(said in text['more'] for said in ('new.example', 'updates.example', 'old.example', 'mirror.example'))
    assert all(said in text['outside'] for said in ('Raw site.yml:24', 'raw', '/run/docker.sock', 'docker run mysql'))
    assert all(said in text['force'] for said in (
        'files this kernel has no BPF trampolines web2', 'ebg_connect4 was gone', '7 accesses have no details',
        'left up: no state=absent', '1 guard did not record'))
    assert all(said in text['time'] for said in ('2 denied', '2 would deny', 'Show what the script said'))
    places = [text['hosts'].index(f'web{number}') for number in range(1, 6)]
    assert places == sorted(places)


def test_the_circle():
    chains = circle.chains(folded.Folded(models.story().lists()).shown('denied'))
    assert [[box.title for box in chain.boxes] for chain in chains] == [
        ['mysql', 'Deploy mysql', 'curl --silent --max-time 2 http://api.internal/migrate', 'api.internal', 'api.internal',
         'github.com'],
        ['mysql', 'Deploy mysql', 'python3 /usr/local/bin/schema-tool prepare', 'github.com', 'github.com']]
    drawn = circle.across(chains)
    assert len(drawn.boxes) == 8  # shared: mysql, its task, the last service
    assert [line.kind for line in drawn.lines].count('cut') == 2 and [line.kind for line in drawn.lines].count('back') == 1
    assert drawn.told[0].endswith(
        'which reaches for api.internal and was denied; api.internal needs github.com; github.com needs mysql.')
    boxes = [(one.x, one.y, one.x + one.width, one.y + circle.HEIGHT) for one in drawn.boxes]
    assert not [(one, other) for one in boxes for other in boxes if one < other and one[0] < other[2] and other[0] < one[2]
                and one[1] < other[3] and other[1] < one[3]]
    assert all(0 <= box[0] and box[2] <= drawn.width and 0 <= box[1] and box[3] <= drawn.height for box in boxes)


def test_a_circle_that_nobody_knows_is_not_closed():
    made = Model(guards=[guard()], denied=[record(rule=None, reason='no rule allows it')])
    chains = circle.chains(folded.Folded(made.lists()).shown('denied'))
    assert not chains[0].closes and 'back' not in [line.kind for line in circle.across(chains).lines]


def test_many_of_a_kind_are_in_the_order_of_their_numbers():
    text = page(models.fleet(1200, 12)).text
    places = [text['denied'].index(f's{number}.github.com rule') for number in range(12)]
    assert places == sorted(places) and text['circle'].count('on 1,200 hosts') == 2 * circle.CHAINS  # wide, and narrow
    assert 's2.github.com' in text['circle'] and 's10.github.com' not in text['circle']


def test_alike_accesses_are_told_once_and_what_has_no_room_is_counted():
    found = page(models.fleet(30, 40))
    assert found.text['denied'].count('rule github · 30 hosts · 120 accesses') == 20
    assert 'web0, web1, web2' in found.text['denied'] and 'web10, web11 and 18 more' in found.text['denied']
    many = page(models.fleet(100, 40, alike=False))
    assert '7,800 accesses more of other things are not on this page. The JSON report of this run has' in many.text['denied']
    assert len(many.made) < LIMIT


def test_the_page_stays_small_whatever_the_number_of_hosts():
    """Whatever is bounded, at its bound, and each text as long as it can be."""
    names = [f'{number}{"<" * 60}' for number in range(2000)]
    made = Model(
        guards=[guard(name, 'faulty', faults=[f'{name}{number}' * 9 for number in range(3)], enforced={name: name})
                for name in names],
        outside=[{'host': name, 'guard': name, 'how': name, 'task': {'name': name, 'file': name, 'line': 1}} for name in names],
        tasks=[models.task(name, name * 9, number, 1, 59) for number, name in enumerate(names)],
        denied=[record(name, name, rule=name * 4, reason=name * 9, command=name * 4, mode=mode, ancestry=[
            {'pid': 1, 'command': f'{above}{name}' * 4} for above in range(16)])
            for name in names for mode in ('enforce', 'monitor')])
    made_page = page(made).made
    assert len(made_page) < LIMIT and b'500 guards more' in made_page


def test_the_writer_is_one_of_the_formats(tmp_path):
    warnings = []
    made = document.Document(warnings.append)
    made.directory, made.formats = str(tmp_path), ['html']
    made.begin(dict(Model().run), 0)
    made.judged(model.Fleet())
    path, = made.end(1, False, [])
    assert path.endswith('.html') and not warnings and b'No guard was up in this run' in (tmp_path / path).read_bytes()
