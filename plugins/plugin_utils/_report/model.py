# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The reports of a run's guards, sorted for people: rows, tasks, hosts and endpoints. Each format is made of this.

A report is a mapping: host, name, mode, denied, observed, baseline, counters, limits, left_running, refused, faults, ended, earlier
and shared_with as the module returned them, tasks (a list of Window), launched (the launcher started what runs inside),
offset (target clock minus controller clock, seconds), outside and elsewhere (pairs of how and task; the latter inside the
guard of another host), unknown and nobody, as entries.Missed has them. Knows nothing of Ansible.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timezone
from typing import NamedTuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import (
    TASK_DIRECTORY, UNKNOWN, address, endpoint, known_name, spoken)

NEAR = 2.0  # seconds that a denial may lie outside every task and still belong to the nearest
SLACK = 0.2  # seconds within which the two clocks can't be told apart
NOBODY = 'nobody entered'
NEW, NEWS_FAIL = 'new', 'new, and fails'  # accesses that the baseline does not have
NEVER_UP = 'NEVER UP'  # the title of a guard that should have been there, and was not
# of a guard, the worst first
SORTS = (outcome.DENIED, outcome.DRILL, 'faulty', NOBODY, NEW, outcome.WOULD_DENY, outcome.EXPECTED, outcome.EARLIER)
BECOMES = 'BECOME-SUCCESS-'  # in what Ansible runs to become another user
PATH_ROOM = 40  # for a path among other things in a line


class Window(NamedTuple):
    """One task on one host, on the controller's clock."""

    start: float
    end: float
    task: str
    idle: bool  # started nothing inside the guard: a task beside it is the likelier cause


def moment_of(stamp, offset):
    """When the target's clock showed `stamp` (ISO 8601), on the controller's. None where that is no moment."""
    try:
        seen = datetime.fromisoformat(str(stamp).replace('Z', '+00:00'))
    except ValueError:
        return None
    if seen.tzinfo is None:
        seen = seen.replace(tzinfo=timezone.utc)
    return seen.timestamp() - (offset if abs(offset) >= SLACK else 0.0)


def task_at(moment, windows):
    """Name the task that ran at a moment on the controller's clock."""
    if moment is None:
        return UNKNOWN

    def distance(window):
        gap = max(window.start - moment, moment - window.end, 0.0)
        if window.idle:
            return math.inf if gap else SLACK
        return gap

    nearest = min(windows, key=distance, default=None)
    return nearest.task if nearest and distance(nearest) <= NEAR else UNKNOWN


def task_of(record, stamp, report):
    """Name the task that started the process, which may be over when the target's clock shows `stamp`.

    The outermost directory that Ansible made for a task tells it exactly; there is none with pipelining. Then it
    is the one that ran when the first of the processes came in.
    """
    for command in reversed(commands(record)):
        made = 'ansible-tmp-' in command and TASK_DIRECTORY.search(command)
        task = task_at(float(made[1]), report['tasks']) if made and made[1] else UNKNOWN
        if task != UNKNOWN:
            return task
    moment = moment_of(stamp, report['offset'])
    entered = moment_of(record.get('entered'), report['offset']) if report['launched'] else None
    return task_at(moment if None in (moment, entered) else min(moment, entered), report['tasks'])


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


class Fleet:
    """Every guard of the run, kept small: one row per guard and one per distinct endpoint."""

    def __init__(self):
        self.guards = {}  # (host, name, mode) -> Counter of accesses by outcome
        self.endpoints = {}  # (endpoint, rule, verdict) -> [name, hosts, accesses, the endpoint as it is shown]
        self.notes = {}  # (host, name, mode) -> outcome that no report tells
        self.missing = []  # (title, host, name, mode, details): guards whose report never came

    def add(self, report, show_observed):
        sums = self.guards.setdefault((report['host'], report['name'], report['mode']), Counter())
        sums.update(totals(report))
        sums['faulty'] += len(report.get('faults') or [])
        sums['seen'] += len({endpoint(record) for record in report['observed']})
        sums['outside'] += len(set(report['outside']))
        sums[NOBODY] += report['nobody']
        if report.get('baseline'):
            sums[NEW] += sum(record.get('count', 1) for record in news(report))
            sums[NEWS_FAIL] += len(outcome.must_fail_for_news(report, report['mode']))
        rows = [(record, word(record, report['mode'])) for record in report['denied']]
        rows += [(record, 'NEW' if record.get('new') else 'seen') for record in report['observed']
                 if show_observed or record.get('new')]
        for record, verdict in rows:
            key = endpoint(record), record.get('rule') or '-', verdict
            row = self.endpoints.get(key)
            if not row:
                row = self.endpoints[key] = ['', set(), 0, endpoint(record, short_path)]
            row[0] = row[0] or known_name(record)
            row[1].add(report['host'])
            row[2] += record.get('count', 1)

    def note(self, host, name, mode, outcome_word, outside=0):
        """Add a guard that no report tells about."""
        self.guards.setdefault((host, name, mode), Counter())['outside'] += outside
        self.notes[host, name, mode] = outcome_word

    def miss(self, title, host, name, mode, details, outside=0):
        """Add a guard whose report never came, with (label, text) details for the reader."""
        self.note(host, name, mode, title.lower(), outside)
        self.missing.append((f'GUARD {title}: {name} on {host} [{mode}]', host, details))

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
        return sorted({host for title, host, dummy in self.missing if title.startswith(f'GUARD {NEVER_UP}: ') == never})

    def outcome(self, key):
        """The word for one guard."""
        words = [(self.notes.get(key), self.notes.get(key))]
        words += [(self.guards[key][sort], sort) for sort in SORTS]
        return next((word for true, word in words if true), 'clean')
