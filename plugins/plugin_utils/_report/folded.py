# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The lists of a run's report, folded over its hosts and bounded: what one page has room for. Read once, a line at a time.

What had no room is counted, so that the page can say how much that is. Knows nothing of Ansible.
"""

from __future__ import annotations

import itertools
import json
from array import array
from collections import Counter
from typing import NamedTuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import asked_name, endpoint, known_name
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.model import NEW, lineage, moment_of, natural, word
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.text import evidence, short

SEEN, WAY_OUT = 'seen', 'way out'  # beside the outcomes of denials, and what is new
FINDINGS = 100  # of each sort
WAYS, ALL_WAYS = 6, 200  # of a finding, and of all of a sort
ENDPOINTS, ANCESTORS = 8, 8  # of a way
ROOM, LONGEST = 700_000, 400  # characters of all findings and their ways, and of one text in them
TASKS, SAID = 200, 100  # tasks, and different things said of guards or of tasks that ran outside
ALIKE = ('rule', 'kind', 'class', 'name', 'address', 'port', 'protocol', 'path', 'command', 'mode', 'expected', 'earlier',
         'new', 'reason')
KEPT = 1024  # records that were alike, so that what they have in common is made once


class Guard(NamedTuple):
    host: str
    name: str
    mode: str
    outcome: str
    service: str | None
    totals: dict | None
    earlier_fails: bool
    observes: bool | None
    waited: float | None
    survived: bool | None


class Finding:
    """What was reached for, a name, an address or a path, and the rule that spoke of it: once, on however many hosts."""

    def __init__(self, what, record, sort, said):
        self.what, self.sort, self.word = what, sort, said
        self.kind, self.rule, self.reason, self.owner, self.runbook = map(record.get, (
            'kind', 'rule', 'reason', 'owner', 'runbook'))
        self.accesses, self.hosts, self.ways, self.unshown = 0, set(), {}, 0
        self.size = _size(what, self.rule, self.reason, self.owner, self.runbook)


class Way:
    """How it came to that: a command of a task."""

    def __init__(self, record, service):
        own, *above = lineage(record)
        ancestry = [short(one) for one, _same in itertools.groupby(above)]
        self.task, self.sort, self.service = record.get('task'), record.get('class'), service
        self.command, self.ancestry, self.older = own, ancestry[:ANCESTORS], len(ancestry[ANCESTORS:])
        self.evidence = evidence(record) if self.sort else None
        self.remedy = record.get('remedy')
        self.path = _path(record, service)
        self.endpoints, self.accesses, self.hosts = {}, 0, set()
        self.first = self.last = record.get('first_seen') or ''
        task = self.task or {}
        self.size = _size(own, self.evidence, task.get('name'), task.get('file'), *self.ancestry,
                          *(self.remedy or {}).values()) + ENDPOINTS * _size(endpoint(record))

    def add(self, record, where):
        self.accesses += record['count']
        self.hosts.add(record['host'])
        self.first = min(self.first, record.get('first_seen') or self.first)
        self.last = max(self.last, record.get('last_seen') or '')
        if where in self.endpoints or len(self.endpoints) < ENDPOINTS:
            self.endpoints[where] = self.endpoints.get(where, 0) + record['count']


def _size(*texts):
    return sum(min(len(one or ''), LONGEST) for one in texts)


def _path(record, service):
    """The services from the one that was reached to the deployed one, as the service map has them. None without a map."""
    known = (record.get('evidence') or {}).get('path')
    if known:
        return known
    rule = record.get('rule') or ''
    return [rule.partition(':')[2].split('+')[0], service] if rule.startswith('service:') and service else None


class Task:
    """A task on all hosts, and when it ran there."""

    def __init__(self, row):
        self.name, self.where = row['name'], place(row)
        self.idle = True
        self.spans = array('d')  # start and end of each run

    def add(self, row):
        start, end = moment_of(row['started'], 0.0), moment_of(row['ended'], 0.0)
        if start is not None and end is not None:
            self.spans.extend((start, max(start, end)))
        self.idle = self.idle and row['idle']

    def merged(self):
        """(start, end) of the times in which it ran on any host, in order."""
        found = []
        for start, end in sorted(zip(self.spans[::2], self.spans[1::2])):
            if found and start <= found[-1][1]:
                found[-1][1] = max(found[-1][1], end)
            else:
                found.append([start, end])
        return found


class Marks:
    """When in a task something had one outcome, by the clocks of the hosts."""

    def __init__(self):
        self.moments, self.accesses = array('d'), 0

    def add(self, record):
        self.accesses += record['count']
        moment = moment_of(record.get('first_seen'), 0.0)
        if moment is not None:
            self.moments.append(moment)


def place(task):
    """file:line of a task, as far as it is known."""
    return ':'.join(str(part) for part in (task.get('file'), task.get('line')) if part is not None)


def _key(task):
    """A name can be another one on every host, the place is not."""
    return (task['file'], task['line']) if task.get('file') else task['name']


class Table:
    """{key: hosts and a sum} with room for so many keys."""

    def __init__(self, room):
        self.rows, self.left, self._room = {}, 0, room

    def add(self, key, host, number=1):
        if key in self.rows or len(self.rows) < self._room:
            row = self.rows.setdefault(key, [set(), 0])
            row[0].add(host)
            row[1] += number
        else:
            self.left += 1

    def __iter__(self):
        """(key, hosts, sum), those of most hosts first."""
        return ((key, *row) for key, row in sorted(self.rows.items(), key=lambda item: -len(item[1][0])))

    def __bool__(self):
        return bool(self.rows)


class Folded:
    def __init__(self, lists):
        self.guards, self.tasks, self.tasks_left = [], {}, 0
        self.drill, self.drill_left, self.waited = [], 0, {}  # rows of the drill; key of a task -> the longest that it waited
        self.marks = {}  # key of a task -> {outcome: Marks of its denials}
        self.findings, self.unshown = {}, Counter()  # outcome -> {key: Finding}; outcome -> accesses that had no room
        self.outside, self.doubts, self.absent = Table(SAID), Table(SAID), Table(SAID)
        self.in_force, self.news = Counter(), Counter()  # capability -> guards; (host, guard) -> accesses
        self._of, self._alike, self._names, self._ways, self._room = {}, {}, {}, Counter(), ROOM
        readers = {'guards': self._guard, 'denied': self._denied, 'observed': self._observed,
                   'outside': self._outside, 'tasks': self._task, 'drill': self._drilled}
        for name, lines in lists:
            if name in readers:
                for line in lines:
                    readers[name](json.loads(line))
        self._alike.clear()

    def shown(self, *sorts):
        """The findings of these sorts, those of most hosts first."""
        found = [(sort, one) for sort in sorts for one in self.findings.get(sort, {}).values()]
        return [one for sort, one in sorted(found, key=lambda item: (
            sorts.index(item[0]), -len(item[1].hosts), -item[1].accesses, natural(item[1].what)))]

    def drills(self):
        """(seconds that its tasks waited, whether all of them survived) of each guard that a drill denied something."""
        return [(guard.waited, guard.survived) for guard in self.guards if (guard.totals or {}).get('drill')]

    def left(self, *sorts):
        """How many accesses of these sorts had no room."""
        return sum(self.unshown[sort] for sort in sorts)

    def _guard(self, row):
        host = self._names.setdefault(row['host'], row['host'])
        guard = Guard(host, row['name'], row['mode'], row['outcome'], row['service'], row['totals'],
                      bool((row.get('earlier') or {}).get('fails')), row['observes'], row.get('waited'), row.get('survived'))
        self.guards.append(guard)
        self._of[host, row['name']] = guard
        for what, state in (row['enforced'] or {}).items():
            if state is True:
                self.in_force[what] += 1
            else:
                self.absent.add((what, str(state)), host)
        for sentence in [*row['faults'], *(row.get('damages') or ())]:
            self.doubts.add((sentence if row['totals'] else f'{row["outcome"]}: {sentence}', False), host)
        for sentence, number in _numbers(row):
            if number:
                self.doubts.add((sentence, True), host, number)

    def _denied(self, record):
        self._record(record, None)

    def _observed(self, record):
        if record.get('new') and not record.get('earlier'):
            self.news[record['host'], record['guard']] += record['count']
            self._record(record, NEW)
        else:
            self._record(record, WAY_OUT if record.get('kind') == 'unix' else SEEN)

    def _record(self, record, sort):
        """`sort`: None for a denial, whose outcome it is."""
        if record.get('stands_for'):  # how many are left out is told by itself
            return
        record['host'] = host = self._names.setdefault(record['host'], record['host'])
        guard = self._of.get((host, record['guard']))
        task = record['task'] or {}
        key = (sort, *map(record.get, ALIKE),
               task.get('name'), task.get('file'), task.get('line'), guard and guard[2:5],
               tuple(one.get('command') for one in record['ancestry'] or ()))
        known = self._alike.get(key)
        if not known:
            if len(self._alike) >= KEPT:
                self._alike.clear()
            known = self._alike[key] = self._found(record, sort, guard)
        sort, finding, way, where, marks = known
        if finding:
            finding.accesses += record['count']
            finding.hosts.add(host)
        else:
            self.unshown[sort] += record['count']
        if way:
            way.add(record, where)
        elif finding:
            finding.unshown += record['count']
        if marks:
            marks.add(record)

    def _found(self, record, sort, guard):
        """(sort, finding, way, endpoint, marks) of a record that is not like those before."""
        mode = guard.mode if guard else ''
        is_denial, where = sort is None, endpoint(record)
        sort = sort or outcome.of_record(record, mode, bool(guard and guard.earlier_fails))
        what = asked_name(record) or known_name(record) or where
        findings = self.findings.setdefault(sort, {})
        key = what, record.get('rule'), word(record, mode) if is_denial else sort
        finding, way = findings.get(key), None
        if not finding and len(findings) < FINDINGS and self._room > 0:
            finding = findings[key] = Finding(what, record, sort, key[2])
            self._room -= finding.size
        if finding:
            service = guard.service if guard else None
            key = record['task'] and _key(record['task']), tuple(lineage(record)), record.get('class'), service
            way = finding.ways.get(key)
            if not way and len(finding.ways) < WAYS and self._ways[sort] < ALL_WAYS and self._room > 0:
                way = finding.ways[key] = Way(record, service)
                self._ways[sort] += 1
                self._room -= way.size
        return sort, finding, way, where, self._marks(record['task'], sort) if is_denial and record['task'] else None

    def _marks(self, task, sort):
        key = _key(task)
        if key in self.marks or len(self.marks) < TASKS:
            return self.marks.setdefault(key, {}).setdefault(sort, Marks())
        return None

    def _outside(self, row):
        task = row['task']
        self.outside.add((row['how'], task['name'], place(task)), row['host'])

    def _drilled(self, row):
        if len(self.drill) < TASKS:
            self.drill.append(row)
        else:
            self.drill_left += 1
        if row['task'] and row['waited'] is not None:
            key = _key(row['task'])
            self.waited[key] = max(row['waited'], self.waited.get(key, 0.0))

    def _task(self, row):
        key = _key(row)
        if key not in self.tasks:
            if len(self.tasks) >= TASKS:
                self.tasks_left += 1
                return
            self.tasks[key] = Task(row)
        self.tasks[key].add(row)


def _numbers(row):
    """(sentence, number) of what the totals of a guard do not tell; the page puts the number before the sentence."""
    counters, limits = row.get('counters') or {}, row.get('limits') or {}
    yield 'accesses have no details: the kernel had no room for them; the totals are exact', counters.get('lost')
    yield 'records are in the event log on the host alone; the totals are exact', sum((row.get('rows_left_out') or {}).values())
    yield 'processes were killed at the memory limit', (limits.get('memory') or {}).get('oom_kills')
    yield 'times no process could be started, at the limit of processes', (limits.get('pids') or {}).get('refused')
    yield 'processes were still inside when the guard came down, and go on outside', len(row.get('left_running') or ())
    yield 'processes left the guard', len(row.get('left') or ())
    yield 'times a process of somebody else was to be brought in, and was refused', len(row.get('refused') or ())
    yield 'others share the guard, so what was denied may be of any of them', len(row.get('shared_with') or ())
    yield 'guard was gone before the run took it down; tasks that came later were not run', int(bool(row.get('ended')))
