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
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import (
    asked_name, clean, endpoint, known_name, spoken)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model
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
TEXT_ROOM = 400  # characters of a text in a row


def clip(text, room=TEXT_ROOM):
    text = clean('' if text is None else text)
    return text if len(text) <= room else text[:room - 1] + '…'


def link(text):
    """A link that a browser opens; None for any other text."""
    text = clip(text, 2000)
    try:
        parts = urlsplit(text)
        if parts.scheme in ('http', 'https') and parts.hostname and (parts.port or 1):
            return quote(BARE.sub('%25', text), safe=URI + '[]' * (':' in parts.hostname))
    except ValueError:
        pass
    return None


def rule_of(verdict, rule):
    """What a row names as its rule."""
    return NEW_RULE if verdict == 'new' else clip(rule) or NO_RULE


class Access(NamedTuple):
    """A record, and what it means."""

    verdict: str  # of WORDS
    fails: bool  # does the run fail for it?
    record: dict

    @property
    def count(self):
        return self.record.get('count', 1)

    @property
    def rule(self):
        return rule_of(self.verdict, self.record.get('rule'))

    @property
    def what(self):
        """What was reached: the name, if it has one, because addresses change."""
        return clip(asked_name(self.record) or known_name(self.record) or endpoint(self.record))


@dataclass
class Finding:
    """Accesses that have in common what was reached, in which task, by which rule, and what became of them."""

    first: Access
    guards: dict = field(default_factory=dict)  # (host, guard) -> accesses
    endpoints: dict = field(default_factory=dict)  # an ordered set, the first of them

    def __getattr__(self, name):
        return getattr(self.first, name)

    def add(self, access):
        guard = access.record['host'], access.record['guard']
        self.guards[guard] = self.guards.get(guard, 0) + access.count
        if len(self.endpoints) <= SHOWN:
            self.endpoints[endpoint(access.record)] = None

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
        if self.verdict != 'new' and (record.get('rule') or record.get('reason')):
            rule = f'Rule {clip(record["rule"])}: ' if record.get('rule') else ''
            parts.append(f'{rule}{clip(record.get("reason")).rstrip(".")}.')
        if list(self.endpoints) != [self.what]:
            parts.append(f'Endpoints: {some(self.endpoints, " and others")}.')
        for label, text in (('Task', (record.get('task') or {}).get('name')), ('Command', spoken(record.get('command') or '')),
                            ('Owner', record.get('owner')), ('Runbook', record.get('runbook'))):
            parts += [f'{label}: {clip(text)}.'] if text else []
        return ' '.join(parts)

    @property
    def fingerprint(self):
        """The same in the next run: lines move, and hosts, processes and addresses come and go."""
        return hashlib.sha256(encoded(_key(self.first)).encode()).hexdigest()


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


def accesses(document):
    """Each record that is no plain observation, as Access. At the end comes what the totals have and no record tells, so all
    formats have the same sums.
    """
    guards, left = {}, Counter()
    for guard in document.rows('guards'):
        key = guard['host'], guard['name']
        guards[key] = guard['mode'], (guard.get('earlier') or {}).get('fails', False), news_fail(guard)
        left.update({(*key, verdict): number for verdict, number in (guard['totals'] or {}).items() if verdict in WORDS})
    for record in document.rows('denied'):
        mode, earlier_fails, _fails = guards[record['host'], record['guard']]
        verdict = VERDICTS[outcome.of_record(record, mode, earlier_fails)]
        yield _taken(left, Access(verdict, verdict == 'denied', record))
    for record in document.rows('observed', b'"new":true'):  # most are not
        if record.get('new') and not record.get('earlier'):
            _mode, _earlier_fails, fails = guards[record['host'], record['guard']]
            yield _taken(left, Access('new', fails, record))
    for (host, name, verdict), number in left.items():
        if number > 0:
            yield Access(verdict, verdict == 'denied', {'host': host, 'guard': name, 'path': UNRECORDED, 'count': number})


def news_fail(guard):
    """Does the run fail for what is new to the baseline of this guard?"""
    return guard.get('on_new') == 'fail' and guard['mode'] != 'drill'


def _taken(left, access):
    left[access.record['host'], access.record['guard'], access.verdict] -= access.count
    return access


def _key(access):
    task = access.record.get('task') or {}
    return access.verdict, access.fails, access.rule, access.what, task.get('file'), task.get('name')


class Folded(NamedTuple):
    """What a run comes to."""

    findings: list  # the worst first
    left_out: Counter  # accesses of those that had no room, by verdict
    counts: Counter  # all accesses, by host, guard, kind, verdict and rule


def folded(document):
    room, found = ROOM, {}  # by verdict, so that the worst do not go without room for the harmless ones
    left_out, counts = Counter(), Counter()
    for access in accesses(document):
        record, key = access.record, _key(access)
        counts[record['host'], record['guard'], record.get('kind'), access.verdict, record.get('rule')] += access.count
        rows = found.setdefault((not access.fails, access.verdict), {})
        if key in rows or len(rows) < room:
            rows.setdefault(key, Finding(access)).add(access)
        else:
            left_out[access.verdict] += access.count
    worst = sorted(found, key=lambda sort: (sort[0], list(WORDS).index(sort[1])))
    findings = [finding for sort in worst for finding in found[sort].values()]
    for finding in findings[room:]:
        left_out[finding.verdict] += finding.count
    return Folded(findings[:room], left_out, counts)


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
