# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports in each format, read by the programs of others: is it valid, and how many accesses had which outcome?

A reader takes the path of a file, and returns its Counter: the totals of the model, by name.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import cmarkgfm
import documents
import jsonschema
import junitparser
import prometheus_client.openmetrics.parser
import prometheus_client.parser
from lxml import etree
from sarif import loader

SCHEMAS = Path(__file__).resolve().parent / 'schemas'
JUNIT = etree.XMLSchema(etree.parse(SCHEMAS / 'junit-10.xsd'))
SARIF = jsonschema.Draft4Validator(json.loads((SCHEMAS / 'sarif-schema-2.1.0.json').read_text()))
NAMES = {'denied': 'denied', 'denied in a drill': 'drill', 'denied as expected': 'expected', 'would be denied': 'would_deny',
         'denied before this run': 'earlier', 'new to the baseline': 'new'}
CUT = '\nThe rest is left out, because there is no room for it.\n'
SUMS = (*NAMES.values(), 'lost')
FIGURES = {'denied': 'denied', 'would be denied': 'would_deny', 'new': 'new', 'expected': 'expected'}
FIGURE = re.compile('<dt>([a-z ]+)</dt><dd>([0-9,]+)</dd></div>')
UNTOLD = re.compile('<li>([0-9,]+) accesses have no details')
ELEMENTS = set('h2 h3 p ul li code strong table thead tbody tr td th a'.split())
CELLS = ('td', 'th')
SEVERITIES = {'info', 'minor', 'major', 'critical', 'blocker'}


def _kept(sums):
    return Counter({name: int(sums.get(name, 0)) for name in SUMS if int(sums.get(name, 0))})


def as_json(path):
    return _of_json(path.read_bytes())


def as_json_gz(path):
    return _of_json(gzip.decompress(path.read_bytes()))


def _of_json(data):
    found = json.loads(data.decode('ascii'))
    jsonschema.Draft202012Validator(documents.SCHEMA).validate(found)
    sums = Counter()
    for guard in found['guards']:
        sums.update(guard['totals'] or {})
        sums['lost'] += (guard['counters'] or {}).get('lost', 0)
    return _kept(sums)


class Page(HTMLParser):
    """The tables of a page, each a list of rows of texts; and which elements and attributes it has."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.elements, self.attributes, self.in_cell = [], set(), set(), False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes.update(f'{name}={value.partition(":")[0]}' for name, value in attrs)
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in CELLS:
            self.tables[-1][-1].append('')
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in CELLS

    def handle_data(self, data):
        if self.in_cell:
            self.tables[-1][-1][-1] += data


def as_markdown(path):
    text = path.read_bytes().decode('utf-8')
    assert '\0' not in text and len(text.encode()) <= 1_024_000
    # As GitHub does, with raw HTML as it is: there may be nothing but <code>. It finds addresses of mail wherever they stand.
    page = Page(cmarkgfm.github_flavored_markdown_to_html(text, options=cmarkgfm.Options.CMARK_OPT_UNSAFE))
    assert page.elements <= ELEMENTS and page.attributes <= {'align=right', 'href=mailto', 'href=xmpp', 'href=http', 'href=https'}, (
        page.elements - ELEMENTS, page.attributes)
    for table in page.tables:
        assert len({len(row) for row in table}) == 1, table
    rows = sum(len(table) for table in page.tables)
    assert rows == sum(line.startswith('|') for line in text.split('\n')) - len(page.tables)  # but for the lines below heads
    names, numbers = page.tables[0]
    said = {**NAMES, 'without details': 'lost'}
    return _kept({said[name]: number for name, number in zip(names, numbers) if name in said})


def as_junit(path):
    JUNIT.assertValid(etree.parse(path))
    sums, found = Counter(), junitparser.JUnitXml.fromfile(str(path))
    for suite in found:
        cases = list(suite)
        results = [case.result[0] if case.result else None for case in cases]
        assert suite.tests == len(cases) and all(len(case.result) <= 1 for case in cases)
        for number, kind in ((suite.failures, junitparser.Failure), (suite.errors, junitparser.Error),
                             (suite.skipped, junitparser.Skipped)):
            assert number == sum(isinstance(one, kind) for one in results)
        sums.update({one.name: int(one.value) for one in suite.properties() if one.name in SUMS})
        for result in filter(None, results):  # the cases have the same
            sums.update({f'case {NAMES[word]}': int(number)
                         for number, word in re.findall('([0-9]+)x (%s)(?=[,:]|$)' % '|'.join(NAMES), result.message.split(': ')[0])})
    assert {name: sums[name] for name in NAMES.values()} == {name: sums[f'case {name}'] for name in NAMES.values()}
    return _kept(sums)


def as_sarif(path):
    found = json.loads(path.read_bytes().decode('ascii'))
    SARIF.validate(found)
    run, = found['runs']
    results = run['results']
    read = loader.load_sarif_file(str(path)).get_results()
    assert len(read) == len(results) <= 5000
    assert len({one['partialFingerprints']['loopbreakAccess/v1'] for one in results}) == len(results)
    assert all(run['tool']['driver']['rules'][one['ruleIndex']]['id'] == one['ruleId'] for one in results)
    sums, totals = Counter(run['properties']['leftOut']), run['properties']['totals']
    for one in results:
        sums[one['properties']['verdict']] += one['properties']['accesses']
        for place in one.get('locations', ()):
            assert re.fullmatch(r'[\w%./~-]+', place['physicalLocation']['artifactLocation']['uri'])
    assert sums == Counter({name: totals[name] for name in sums})
    return _kept({**sums, 'lost': totals['lost']})


def as_codequality(path):
    found = json.loads(path.read_bytes().decode('ascii'))
    sums = Counter()
    assert len({one['fingerprint'] for one in found}) == len(found)
    for one in found:
        assert all(isinstance(one[key], str) and one[key] for key in ('description', 'check_name', 'fingerprint', 'severity'))
        assert one['severity'] in SEVERITIES and isinstance(one['location']['path'], str)
        assert isinstance(one['location']['lines']['begin'], int) and one['location']['lines']['begin'] >= 1
        lost = re.search(r': lost: the details of (\d+) access', one['description'])
        if lost and one['check_name'] == 'loopbreak/not-whole':
            sums['lost'] += int(lost[1])
        elif one['check_name'] == 'loopbreak/left-out':
            sums.update({NAMES[word]: int(number) for number, word in re.findall(r'(\d+)x ([a-z ]+)', one['description'])})
        elif one['check_name'] != 'loopbreak/not-whole':
            word, number = re.search(r': (%s), (\d+)x on ' % '|'.join(NAMES), one['description']).groups()
            sums[NAMES[word]] += int(number)
    return _kept(sums)


def as_openmetrics(path):
    text = path.read_bytes().decode('utf-8')
    assert text.endswith('# EOF\n')
    families = list(prometheus_client.openmetrics.parser.text_fd_to_metric_families(io.StringIO(text, newline='\n')))
    older = list(prometheus_client.parser.text_fd_to_metric_families(io.StringIO(text, newline='\n')))
    samples = [sample for family in families for sample in family.samples]
    assert len(samples) == sum(len(family.samples) for family in older)
    sums = Counter()
    for sample in samples:
        if sample.name == 'ebpf_guard_accesses_total':
            sums[sample.labels['verdict']] += sample.value
        elif sample.name in ('ebpf_guard_new_accesses_total', 'ebpf_guard_lost_accesses_total'):
            sums[sample.name.split('_')[2]] += sample.value
    return _kept(sums)


def as_page(path):
    """By the figures at its top, where what a drill denied is denied and nothing is of an earlier run, and by its doubts."""
    text = path.read_bytes().decode('utf-8')
    assert '<script>alert' not in text and not re.search(r'[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]', text)
    sums = Counter({FIGURES[name]: int(number.replace(',', '')) for name, number in FIGURE.findall(text) if name in FIGURES})
    sums['lost'] = sum(int(number.replace(',', '')) for number in UNTOLD.findall(text))
    return _kept(sums)


READERS = {'json': as_json, 'json.gz': as_json_gz, 'markdown': as_markdown, 'junit': as_junit, 'sarif': as_sarif,
           'codequality': as_codequality, 'openmetrics': as_openmetrics, 'html': as_page}


def texts(found):
    """{format: its text} of {format: path}."""
    data = {form: path.read_bytes() for form, path in found.items()}
    return {form: (gzip.decompress(text) if form == 'json.gz' else text).decode() for form, text in data.items()}


# by format: what says that a run was cut off
CUT_OFF = {'json': '"cut_off":true', 'json.gz': '"cut_off":true', 'html': 'cut off', 'junit': '<error type="cut off"',
           'markdown': '\n- the run was cut off before its last playbook was over\n', 'sarif': '"executionSuccessful":false',
           'codequality': '"cut off: the run ended before its last playbook was over"',
           'openmetrics': '\nebpf_guard_run_cut_off 1\n'}


def of_a_cut_off_run(found):
    """The formats of {format: path} which say so."""
    return {form for form, text in texts(found).items() if CUT_OFF[form] in text}
