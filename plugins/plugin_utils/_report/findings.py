# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What the lists of a report come to: each access with what it means, and the same folded over hosts and processes, for formats
that have a row for what was reached in a task and not one for each record. Whatever came from a target is one printable line.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections import Counter
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import (
    asked_name, clean, endpoint, known_name, spoken)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model, remedies
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.spool import encoded
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.text import amount

# what became of an access, as the totals of a guard have it, the worst first: how it is said
WORDS = {'denied': 'denied', 'new': 'new to the baseline', 'drill': 'denied in a drill', 'would_deny': 'would be denied',
         'expected': 'denied as expected', 'earlier': 'denied before this run'}
HARMLESS = ('expected', 'earlier')
VERDICTS = {outcome.DENIED: 'denied', outcome.DRILL: 'drill', outcome.WOULD_DENY: 'would_deny',
            outcome.EXPECTED: 'expected', outcome.EARLIER: 'earlier'}
NEW_RULE, NO_RULE = 'loopbreak/new', 'loopbreak/no-rule'  # stand for a rule where none spoke
MISSING = ('left up', 'report lost', 'gone', model.NEVER_UP.lower())  # outcomes of a guard whose report never came
UNRECORDED = 'accesses whose details did not fit'
ROOM = 5000  # rows that code scanning and the like show; a person reads fewer
URI = "%/:=&?~#+!$,;'@*"  # stays as it is in a link, beside letters, digits and _.-
BARE = re.compile('%(?![0-9A-Fa-f]{2})')
SHOWN = 5  # hosts and endpoints that a row names
TEXTS = ('rule', 'reason', 'owner', 'runbook', 'command')
ALIKE = ('rule', 'kind', 'name', 'address', 'port', 'protocol', 'path', 'reason', 'stands_for')
KEPT = 1024  # records that were alike
TEXT_ROOM = 400  # characters of a text in a row


def clip(text, room=TEXT_ROOM):
    text = clean('' if text is None else text)
    return text if len(text) <= room else text[:room - 1] + '…'


def link(text):
    """A link that a browser opens; None for any other text."""
    text = clip(text, 2000)
    try:
        parts = urlsplit(text)
        if parts.scheme in ('http', 'https') and parts.hostname and parts.port != 0:
            return quote(BARE.sub('%25', text), safe=URI + '[]' * (':' in parts.hostname))
    except ValueError:
        pass
    return None


def rule_of(verdict, rule):
    """What a row names as its rule."""
    return NEW_RULE if verdict == 'new' else clip(rule) or NO_RULE


class Finding:
    """Accesses that have in common what was reached, in which task, by which rule, and what became of them."""

    def __init__(self, key, record):
        self._key = key
        self.verdict, self.fails, self.rule, self.what, _file, _task = key
        self.record = {name: clip(record.get(name), 2000) for name in TEXTS}  # of the first, so much as is shown
        self.record['task'] = record.get('task')
        self.remedy = None  # as remedies.remedy_of() has it: of the first record that has one
        self.guards = {}  # (host, guard) -> accesses
        self.endpoints = {}  # an ordered set, the first of them

    def add(self, record, where):
        guard = record['host'], record['guard']
        self.guards[guard] = self.guards.get(guard, 0) + record.get('count', 1)
        self.remedy = self.remedy or record.get('remedy')
        if len(self.endpoints) <= SHOWN:
            self.endpoints[where] = None

    @property
    def count(self):
        return sum(self.guards.values())

    @property
    def hosts(self):
        return list(dict.fromkeys(host for host, _guard in self.guards))

    @property
    def title(self):
        return f'{self.what}: {WORDS[self.verdict]}'

    @property
    def message(self):
        """All that a person needs, in sentences."""
        record, parts = self.record, [f'{self.title}, {self.count}x on {some(self.hosts)}.']
        if self.verdict != 'new' and (record['rule'] or record['reason']):
            rule = f'Rule {clip(record["rule"])}: ' if record['rule'] else ''
            parts.append(f'{rule}{clip(record["reason"]).rstrip(".")}.')
        if list(self.endpoints) != [self.what]:
            parts.append(f'Endpoints: {some(self.endpoints, " and others")}.')
        for label, text in (('Task', (record['task'] or {}).get('name')), ('Command', spoken(record['command'])),
                            ('Remedy', self.remedy and remedies.told(self.remedy)),
                            ('Owner', record['owner']), ('Runbook', record['runbook'])):
            parts += [f'{label}: {clip(text)}.'] if text else []
        return ' '.join(parts)

    @property
    def fingerprint(self):
        """The same in the next run: lines move, and hosts, processes and addresses come and go."""
        return hashlib.sha256(encoded(self._key).encode()).hexdigest()


class Problem(NamedTuple):
    """What keeps a report from being whole."""

    host: str | None  # None: of the whole run
    guard: str | None
    fails: bool
    sort: str
    text: str

    @property
    def message(self):
        where = f'Guard {clip(self.guard)} on {clip(self.host)}: ' if self.host is not None else ''
        return f'{where}{self.sort}: {clip(self.text)}'


def some(texts, others=None):
    """The first of several, and how many more there are."""
    shown, more = ', '.join(map(clip, list(texts)[:SHOWN])), len(texts) - SHOWN
    return shown if more <= 0 else shown + (others or f' and {more} more')


def accesses(guard, denied, observed):
    """(verdict, whether the run fails for it, record) of each record of a guard that is no plain observation. `guard`: as the
    report has it. At the end comes what its totals have and no record tells, so all formats have the same sums.
    """
    left = Counter({verdict: guard['totals'][verdict] for verdict in WORDS})
    mode, earlier_fails, new_fails = guard['mode'], (guard.get('earlier') or {}).get('fails', False), news_fail(guard)
    for record in denied:
        verdict = VERDICTS[outcome.of_record(record, mode, earlier_fails)]
        left[verdict] -= record.get('count', 1)
        yield verdict, verdict == 'denied', record
    for record in observed:
        if record.get('new') and not record.get('earlier'):
            left['new'] -= record.get('count', 1)
            yield 'new', new_fails, record
    for verdict, number in left.items():
        if number > 0:
            yield verdict, verdict == 'denied', {
                'host': guard['host'], 'guard': guard['name'], 'path': UNRECORDED, 'count': number}


def news_fail(guard):
    """Does the run fail for what is new to the baseline of this guard?"""
    return guard.get('on_new') == 'fail' and guard['mode'] != 'drill'


class Folded(NamedTuple):
    """What a run comes to."""

    findings: list  # the worst first
    left_out: Counter  # accesses of those that had no room, by verdict
    counts: Counter  # all accesses, by host, guard, kind, verdict and rule


class Fold:
    """Takes what the guards tell, and keeps of it what has room."""

    def __init__(self):
        self._found = {}  # by verdict, so that the worst do not go without room for the harmless ones
        self._left_out, self._counts = Counter(), Counter()
        self._alike = {}  # what records have in common is made once

    def add(self, *told):
        """A guard is down. `told`: as for accesses()."""
        for verdict, fails, record in accesses(*told):
            count, task = record.get('count', 1), record.get('task') or {}
            self._counts[record['host'], record['guard'], record.get('kind'), verdict, record.get('rule')] += count
            rule, what, where = self._about(verdict, record)
            key = verdict, fails, rule, what, task.get('file'), task.get('name')
            rows = self._found.setdefault((not fails, verdict), {})
            finding = rows.get(key)
            if finding is None and len(rows) < ROOM:
                finding = rows[key] = Finding(key, record)
            if finding is None:
                self._left_out[verdict] += count
            else:
                finding.add(record, where)

    def _about(self, verdict, record):
        """The rule, what was reached (the name, if it has one, because addresses change), and the endpoint."""
        alike = verdict, *map(record.get, ALIKE)
        if alike not in self._alike:
            if len(self._alike) >= KEPT:
                self._alike.clear()
            where = clip(endpoint(record))
            self._alike[alike] = (rule_of(verdict, record.get('rule')),
                                  clip(asked_name(record) or known_name(record)) or where, where)
        return self._alike[alike]

    def ended(self):
        """Folded: the run is over."""
        worst = sorted(self._found, key=lambda sort: (sort[0], list(WORDS).index(sort[1])))
        findings = [finding for sort in worst for finding in self._found[sort].values()]
        left_out = Counter(self._left_out)
        for finding in findings[ROOM:]:
            left_out[finding.verdict] += finding.count
        return Folded(findings[:ROOM], left_out, self._counts)


def left_out_of(counts):
    """What folded() had no room for, in a sentence."""
    told = ', '.join(f'{number}x {WORDS[verdict]}' for verdict, number in counts.items())
    return f'There was no room for more: {told}. The JSON report has all.'


def sums(document):
    """Counter of all accesses of the run by verdict, and of what else the guards count."""
    total = Counter(dict.fromkeys((*WORDS, 'seen', 'outside', 'lost', 'guards'), 0))
    for guard in document.rows('guards'):
        total.update(guard['totals'] or {})
        total['lost'] += lost(guard)
        total['guards'] += 1
    return total


def lost(guard):
    return (guard.get('counters') or {}).get('lost') or 0


def problems(document):
    """Problem of each guard that was not whole, or never told; and of the run."""
    if document.run['cut_off']:
        yield Problem(None, None, False, 'cut off', 'the run ended before its last playbook was over')
    told = tuple(model.REASONS.values())  # those of guards, which come below
    for reason in document.outcome['reasons']:
        if not reason.startswith(told):
            yield Problem(None, None, True, 'the run fails', reason)
    for guard in document.rows('guards'):
        yield from of_guard(guard)


def of_guard(guard):
    """Problem of each thing that is wrong with one guard."""
    def problem(fails, sort, text):
        return Problem(guard['host'], guard['name'], fails, sort, text)
    if guard['totals'] is None:
        if guard['outcome'] != 'up':  # which an ad-hoc call leaves up on purpose
            yield problem(guard['outcome'] in MISSING, guard['outcome'], ', '.join(guard['faults']))
        return
    if guard['nobody']:
        yield problem(guard['mode'] == 'enforce', model.NOBODY, 'its tasks ran outside')
    for fault in guard['faults']:
        yield problem(outcome.is_broken(guard['faults'], guard['mode']), 'not whole', fault)
    if lost(guard):
        yield problem(False, 'lost', f'the details of {amount(lost(guard), "access")} did not fit; the totals are exact')


def where(run, task):
    """(path, line) of a task from the root of the repository on. For one that is written elsewhere, or that nobody knows, the
    first playbook of the run that lies there. (None, None) where there is none.
    """
    task = task or {}
    files = [(task.get('file'), task.get('line') or 1)] + [
        (playbook, 1) for playbook in run['playbooks'] if playbook.endswith(('.yml', '.yaml', '.json'))]
    root = run.get('repository', '/')
    for file, line in files:
        path = file and posixpath.relpath(posixpath.join(root, run.get('directory', '/'), file), root)
        if path and path.split('/')[0] != '..':
            return clip(path, 4096), line
    return None, None
