# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The reports of a run's guards, sorted for people: rows, tasks, hosts and endpoints. Each format is made of this.

A report is a mapping: host, name, mode, denied, observed, baseline, counters, limits, left_running, refused, faults, ended, earlier
and shared_with as the module returned them, tasks (a list of Window), launched (the launcher started what runs inside),
offset (target clock minus controller clock, seconds), outside (pairs of how and task) and elsewhere (how, host and task, inside
the guard of that host), unknown and nobody, as entries.Missed has them. Knows nothing of Ansible.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import datetime, timezone
from typing import NamedTuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import (
    TASK_DIRECTORY, UNKNOWN, address, asked_name, endpoint, known_name, spoken)

NEAR = 2.0  # seconds that a denial may lie outside every task and still belong to the nearest
SLACK = 0.2  # seconds within which the two clocks can't be told apart
NOBODY = 'nobody entered'
NEW, NEWS_FAIL = 'new', 'new, and fails'  # accesses that the baseline does not have
NEVER_UP = 'NEVER UP'  # the title of a guard that should have been there, and was not
# of a guard, the worst first
SORTS = (outcome.DENIED, outcome.DRILL, 'faulty', NOBODY, NEW, outcome.WOULD_DENY, outcome.EXPECTED, outcome.EARLIER)
BECOMES = 'BECOME-SUCCESS-'  # in what Ansible runs to become another user
# what a run fails for, and what is said of the hosts
REASONS = {'denied': 'accesses were denied on', 'new': 'what no baseline has was reached on',
           'broken': 'guards were not whole on', 'never_up': 'guards never came up on',
           'deserted': 'nobody entered the guards on', 'missing': 'reports are missing from'}
SOME = 10  # hosts that a sentence names
FEW = 3  # hosts of a run that are told one by one
PATH_ROOM = 40  # for a path among other things in a line
DIGITS = re.compile(r'([0-9]+)')


class Task(NamedTuple):
    """A task, and where it is written; the text reports have it in one string."""

    name: str
    file: str | None = None
    line: int | None = None
    host: str | None = None  # that it was meant for, where it ran on another one

    def __str__(self):
        where = '' if self.file is None else f' ({self.file})' if self.line is None else f' ({self.file}:{self.line})'
        return self.name + where + (f', for {self.host}' if self.host else '')


class Window(NamedTuple):
    """One task on one host, on the controller's clock."""

    start: float
    end: float
    task: Task
    idle: bool  # started nothing inside the guard: a task beside it is the likelier cause
    outcome: str = 'passed'  # what became of it, in a word of waits.py
    jobs: tuple = ()  # ids of what it started in the background, and did not wait for


def moment_of(stamp, offset):
    """When the target's clock showed `stamp` (ISO 8601), on the controller's. None where that is no moment."""
    try:
        seen = datetime.fromisoformat(str(stamp).replace('Z', '+00:00'))
    except ValueError:
        return None
    if seen.tzinfo is None:
        seen = seen.replace(tzinfo=timezone.utc)
    return seen.timestamp() - (offset if abs(offset) >= SLACK else 0.0)


def window_at(moment, windows):
    """That of the task that ran at a moment on the controller's clock; None where none did."""
    if moment is None:
        return None

    def distance(window):
        gap = max(window.start - moment, moment - window.end, 0.0)
        if window.idle:
            return math.inf if gap else SLACK
        return gap

    nearest = min(windows, key=distance, default=None)
    return nearest if nearest and distance(nearest) <= NEAR else None


def window_of(record, stamp, report):
    """That of the task that started the process, which may be over when the target's clock shows `stamp`; None: not known.

    The outermost directory that Ansible made for a task tells it exactly; there is none with pipelining. Then it
    is the one that ran when the first of the processes came in.
    """
    for command in reversed(commands(record)):
        made = 'ansible-tmp-' in command and TASK_DIRECTORY.search(command)
        window = window_at(float(made[1]), report['tasks']) if made and made[1] else None
        if window:
            return window
    moment = moment_of(stamp, report['offset'])
    entered = moment_of(record.get('entered'), report['offset']) if report['launched'] else None
    return window_at(moment if None in (moment, entered) else min(moment, entered), report['tasks'])


def task_of(record, stamp, report):
    window = window_of(record, stamp, report)
    return window.task if window else UNKNOWN


def natural(name):
    """web2 stands before web10."""
    return [(len(part.lstrip('0')) if number % 2 else -1, part.lstrip('0')) for number, part in enumerate(DIGITS.split(name))]


def short_path(path):
    """A long path without its front, from one of its slashes on if it can be: the end says more."""
    if len(path) <= PATH_ROOM:
        return path
    end = path[1 - PATH_ROOM:]
    return '…' + end[max(0, end.find('/')):]


def word(record, mode):
    """The word for one denial."""
    mode = record.get('mode') or mode
    notes = ['drill'] if mode == 'drill' else []
    notes += ['expected'] if record.get('expected') else []
    notes += ['earlier'] if record.get('earlier') else []
    notes += ['new'] if record.get('new') else []
    base = 'WOULD DENY' if mode == 'monitor' else 'DENIED'
    return f'{base} ({", ".join(notes)})' if notes else base


def totals(report):
    """Count accesses by outcome."""
    earlier_fails = (report.get('earlier') or {}).get('fails', False)
    return outcome.totals(report['denied'], report.get('counters') or {}, report['mode'], earlier_fails)


def news(report):
    """The records of accesses that the baseline does not have. A denial is none of them: its rule speaks of it."""
    return [record for record in report['observed'] if record.get('new') and not record.get('earlier')]


def commands(record):
    """The command lines of the process and of those that it descends from, nearest first."""
    return [record.get('command') or '', *(parent.get('command') or '' for parent in record.get('ancestry') or ())]


def lineage(record):
    """The same as people want them: without those by which Ansible becomes another user."""
    own, *parents = map(spoken, commands(record))
    return [own, *(parent for parent in parents if BECOMES not in parent)]


def merge(records):
    """Fold records that differ only by process and moment, or by the address behind the same name, into one."""
    merged = {}
    for record in records:
        where = endpoint(record)
        key = (known_name(record) or where, *lineage(record),
               *map(record.get, ('rule', 'kind', 'class', 'expected', 'mode', 'earlier', 'new')))
        first = record.get('first_seen') or ''
        last = record.get('last_seen') or first
        row = merged.setdefault(key, dict(record, count=0, first_seen=first, last_seen=last, last=record,
                                          endpoints=[], addresses=[]))
        row['count'] += record.get('count', 1)
        row['first_seen'] = min(row['first_seen'], first)
        if last > row['last_seen']:
            row['last_seen'], row['last'] = last, record
        for known, found in ((row['endpoints'], where), (row['addresses'], address(record))):
            if found not in known:
                known.append(found)
    for row in merged.values():  # resolver libraries try each address by a UDP connect: that is not the news
        row['endpoints'].sort(key=lambda where: not where.endswith('/tcp'))
    return sorted(merged.values(), key=lambda row: (bool(row.get('expected')), row['first_seen']))


def tally(report):
    """Counter of all that decides the word for a guard: accesses by outcome, and what keeps them from being the whole truth."""
    sums = Counter(totals(report))
    sums['faulty'] = len(report.get('faults') or [])
    sums['seen'] = len({endpoint(record) for record in report['observed']})
    sums['outside'] = len(set(report['outside']))
    sums[NOBODY] = int(report['nobody'])
    if report.get('baseline'):
        sums[NEW] = sum(record.get('count', 1) for record in news(report))
        sums[NEWS_FAIL] = len(outcome.must_fail_for_news(report, report['mode']))
    return sums


def verdict(sums):
    """The word for one guard."""
    return next((sort for sort in SORTS if sums[sort]), 'clean')


def reasons(failing):
    """Why a run fails, a sentence each. `failing`: {key of REASONS: hosts}"""
    return [f'{said} {_some(sorted(failing[sort]))}' for sort, said in REASONS.items() if failing.get(sort)]


def _some(hosts):
    """The table of the guards has all of them."""
    return ', '.join(hosts) if len(hosts) <= SOME else f'{", ".join(hosts[:SOME - 1])} and {len(hosts) - SOME + 1} more hosts'


def drilled(report):
    """What a drill denied: {task, or None where none is known: (what became of it, seconds that it waited, {(what was taken away,
    how): accesses})}. Tasks as text.
    """
    costs = {one['task']: one for one in report.get('denied_tasks') or ()}
    found = {}
    for record in report['denied']:
        if record.get('mode') != 'drill' or record.get('earlier') or record.get('stands_for'):
            continue
        cost = costs.get(record.get('task'))
        about = (cost['task'], cost['outcome'], cost['waited']) if cost else (None, None, None)
        dummy, dummy, taken = found.setdefault(about[0], (*about[1:], Counter()))
        what = asked_name(record) or known_name(record) or endpoint(record)
        taken[what, record.get('outage') or 'denied'] += record.get('count', 1)
    return found


class Drilled:
    """A task that a drill has taken the same away from on some hosts, with the same end."""

    def __init__(self, task, became, taken):
        self.task, self.outcome, self.taken = task, became, taken  # taken: (what, outage), sorted
        self.hosts, self.waited = set(), None  # by the host that waited longest

    def add(self, host, waited):
        self.hosts.add(host)
        self.waited = max((one for one in (self.waited, waited) if one is not None), default=None)


class Missing(NamedTuple):
    """A guard whose report never came."""

    title: str
    host: str
    name: str
    mode: str
    details: tuple  # (label, text) for the reader
    remedy: str | None


class Fleet:
    """Every guard of the run, kept small: one row per guard, one per distinct endpoint, and one per task of a drill."""

    def __init__(self):
        self.guards = {}  # (host, name, mode) -> Counter of accesses by outcome
        self.endpoints = {}  # (endpoint, rule, verdict) -> [name, hosts, accesses, the endpoint as it is shown]
        self.unshown = {}  # the same of observations that the text leaves out
        self.drill = {}  # (task, what became of it, what was taken away) -> Drilled, in the order in which they were told
        self.drills = {}  # (host, name, mode) -> (seconds that its tasks waited, whether all survived), of drills; None: not known
        self.notes = {}  # (host, name, mode) -> outcome that no report tells
        self.missing = []  # Missing

    def add(self, report, show_observed):
        """Returns the report's tally."""
        sums = tally(report)
        self.guards.setdefault((report['host'], report['name'], report['mode']), Counter()).update(sums)
        seen = self.endpoints if show_observed else self.unshown
        rows = [(record, word(record, report['mode']), self.endpoints) for record in report['denied']]
        for record in report['observed']:
            rows.append((record, 'NEW', self.endpoints) if record.get('new') else (record, 'seen', seen))
        for record, judged, table in rows:
            key = endpoint(record), record.get('rule') or '-', judged
            row = table.get(key)
            if not row:
                row = table[key] = ['', set(), 0, endpoint(record, short_path)]
            row[0] = row[0] or known_name(record)
            row[1].add(report['host'])
            row[2] += record.get('count', 1)
        self._add_drill(report)
        return sums

    def _add_drill(self, report):
        found = drilled(report)
        if not found:
            return
        known = {str(window.task): window.task for window in report.get('tasks') or ()}
        for task, (became, waited, taken) in found.items():
            key = task, became, tuple(sorted(taken))
            self.drill.setdefault(key, Drilled(known.get(task), *key[1:])).add(report['host'], waited)
        guard = report['host'], report['name'], report['mode']
        waited, survived = self.drills.get(guard, (None, True))
        if report.get('waited') is not None:
            waited = (waited or 0.0) + report['waited']
        self.drills[guard] = waited, survived and report.get('survived')

    def note(self, host, name, mode, outcome_word, outside=0):
        """Add a guard that no report tells about."""
        self.guards.setdefault((host, name, mode), Counter())['outside'] += outside
        self.notes[host, name, mode] = outcome_word

    def miss(self, title, host, name, mode, details, outside=0, remedy=None):
        """Add a guard whose report never came. `remedy`: a command for HOSTS."""
        self.note(host, name, mode, title.lower(), outside)
        self.missing.append(Missing(title, host, name, mode, tuple(details), remedy))

    def failing(self):
        """{key of REASONS: hosts}"""
        return {'denied': self.denying_hosts(), 'new': self.hosts_with_news(),
                'broken': self.broken_hosts(), 'never_up': self.missing_hosts(never=True),
                'deserted': self.deserted_hosts(), 'missing': self.missing_hosts()}

    def denying_hosts(self):
        return sorted({host for (host, dummy, dummy), sums in self.guards.items() if sums[outcome.DENIED]})

    def hosts_with_news(self):
        """Those that have to fail for what their baseline does not have."""
        return sorted({host for (host, dummy, dummy), sums in self.guards.items() if sums[NEWS_FAIL]})

    def broken_hosts(self):
        return sorted({host for (host, dummy, mode), sums in self.guards.items() if outcome.is_broken(sums['faulty'], mode)})

    def deserted_hosts(self):
        return sorted({host for (host, dummy, mode), sums in self.guards.items() if sums[NOBODY] and mode == 'enforce'})

    def missing_hosts(self, never=False):
        """Hosts with a guard that was up and never reported; `never`: whose guard never came up."""
        return sorted({one.host for one in self.missing if (one.title == NEVER_UP) == never})

    def outcome(self, key):
        """The word for one guard."""
        return self.notes.get(key) or verdict(self.guards[key])
