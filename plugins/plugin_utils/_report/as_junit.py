# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The report as JUnit's XML, as Jenkins describes it: a suite for each guard on a host, in it a case for the guard itself and
one for each rule that spoke.

A rule whose denials are expected is skipped. One that denied what nobody expects fails. What was not whole is an error. A suite
for the run itself stands first, so that a run without a guard is a valid file, too.
"""

from __future__ import annotations

from xml.sax.saxutils import XMLGenerator

from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import spoken
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import findings

LINES = 20  # of what was reached, in one case
WHOLE = 'the guard was up and whole'


class Case:
    """The accesses of one rule on one host."""

    def __init__(self):
        self.counts, self.lines, self.fails, self.reason = {}, [], False, ''

    def add(self, number, verdict, fails):
        word = findings.WORDS[verdict]
        self.counts[word] = self.counts.get(word, 0) + number
        self.fails = self.fails or fails

    def tell(self, number, finding):
        """Say what was reached."""
        record = finding.record
        self.reason = self.reason or findings.clip(record['reason'] if finding.verdict != 'new' else None)
        if len(self.lines) < LINES:
            task, command = (record['task'] or {}).get('name'), spoken(record['command'])
            self.lines.append(' '.join([f'{finding.title}, {number}x', *[f'in {findings.clip(task)}'] * bool(task),
                                        *[f'by {findings.clip(command)}'] * bool(command)]))
        elif len(self.lines) == LINES:
            self.lines.append('…')

    def result(self):
        """(element, type, message, text)"""
        words = ', '.join(f'{number}x {word}' for word, number in self.counts.items())
        message = f'{words}: {self.reason}' if self.reason else words
        return 'failure' if self.fails else 'skipped', ' and '.join(self.counts), message, '\n'.join(self.lines)


class Suite:
    """A guard on a host. Of one that came up twice both are one."""

    def __init__(self):
        self.problems, self.cases, self.properties, self.news_fail = [], {}, {}, False

    def case(self, rule):
        return self.cases.setdefault(rule, Case())

    def add(self, guard):
        self.problems += findings.of_guard(guard)
        self.news_fail = self.news_fail or findings.news_fail(guard)
        for key in ('mode', 'outcome', 'service'):
            self.properties[key] = guard[key]
        for key, number in {**(guard['totals'] or {}), 'lost': findings.lost(guard)}.items():
            self.properties[key] = self.properties.get(key, 0) + number

    def results(self):
        """(name of the case, result; None where it passed)"""
        yield WHOLE, _whole(self.problems)
        for rule, case in self.cases.items():
            yield rule, case.result()


def _whole(problems):
    if not problems:
        return None
    sort = 'error' if any(one.fails for one in problems) else 'skipped'
    return sort, problems[0].sort, problems[0].message, '\n'.join(one.message for one in problems[:LINES])


def write(document, output):
    suites = {}
    for guard in document.rows('guards'):
        suites.setdefault((guard['host'], guard['name']), Suite()).add(guard)
    found, _left_out, counts = document.folded
    for (host, guard, _kind, verdict, rule), number in counts.items():
        suite = suites[host, guard]
        fails = verdict == 'denied' or verdict == 'new' and suite.news_fail
        suite.case(findings.rule_of(verdict, rule)).add(number, verdict, fails)
    for finding in found:
        for key, number in finding.guards.items():
            suites[key].case(finding.rule).tell(number, finding)
    run, started = document.run, document.run['started']
    of_run = [one for one in findings.problems(document) if one.host is None]
    whole = of_run and ('error', of_run[0].sort, of_run[0].message, '\n'.join(one.message for one in of_run)) or None
    xml = XMLGenerator(output, 'utf-8', short_empty_elements=True)
    xml.startDocument()
    xml.startElement('testsuites', {'name': 'loopbreak'})
    _suite(xml, 'run', {'id': run['id'], 'timestamp': started, 'hostname': run['controller']},
           {key: run[key] for key in ('user', 'ansible', 'collection', 'ended')}, [('the run came to its end', whole)],
           'loopbreak')
    for (host, name), suite in suites.items():
        _suite(xml, f'{host} {name}', {'timestamp': started, 'hostname': host}, suite.properties, list(suite.results()),
               f'{host}.{name}')
    xml.endElement('testsuites')
    xml.endDocument()


def _suite(xml, name, attributes, properties, results, classname):
    sorts = [result[0] for _name, result in results if result]
    counts = {'tests': len(results), 'failures': sorts.count('failure'), 'errors': sorts.count('error'),
              'skipped': sorts.count('skipped')}
    _start(xml, 'testsuite', {'name': name, **counts, **attributes})
    _start(xml, 'properties', {})
    for key, value in properties.items():
        if value is not None:
            _start(xml, 'property', {'name': key, 'value': value})
            xml.endElement('property')
    xml.endElement('properties')
    for case, result in results:
        _start(xml, 'testcase', {'name': case, 'classname': classname})
        if result:
            sort, kind, message, text = result
            _start(xml, sort, {'type': kind, 'message': message})
            xml.characters(text)
            xml.endElement(sort)
        xml.endElement('testcase')
        xml.ignorableWhitespace('\n')
    xml.endElement('testsuite')


def _start(xml, name, attributes):
    xml.startElement(name, {key: findings.clip(value, 2 * findings.TEXT_ROOM) for key, value in attributes.items()})
