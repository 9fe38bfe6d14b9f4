# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Last stage, reports to text: what the guards returned goes in, lines of at most 80 columns come out.

A report is a mapping: host, name, mode, denied, observed, counters, limits, left_running, refused and faults as the
module returned them, tasks (a list of Window), launched (the launcher started what runs inside), offset (target clock
minus controller clock, seconds), outside (pairs of how and task). A line is a pair of tone (bad, warn, good, plain)
and text. Knows nothing of Ansible.
"""

from __future__ import annotations

import itertools
import math
import re
import textwrap
from collections import Counter
from datetime import datetime, timezone
from typing import NamedTuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _ledger

WIDTH = 80
NEAR = 2.0  # seconds that a denial may lie outside every task and still belong to the nearest
SLACK = 0.2  # seconds within which the two clocks can't be told apart
UNKNOWN = 'unknown'
SORTS = ('denied', 'drill', 'faulty', 'would deny', 'expected')  # outcomes of a guard, the worst first
TASK_DIRECTORY = re.compile(r'/\S*/ansible-tmp-(\d+\.\d+)?[^/\s]*/')  # with the controller's time
BECOMES = 'BECOME-SUCCESS-'  # in what Ansible runs to become another user
ANCESTORS = 8  # that a row shows
PRESENTED = {'dns': 'DNS question', 'tls': 'TLS', 'http': 'HTTP'}  # what has a name in it, by kind
FILES = {'unix': '', 'file': '', 'exec': ' (executed)'}  # what has a path in it, by kind
ROOM = WIDTH - 13  # for the text of a detail, behind its label
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


def clean(text):
    """One printable line: what a process on the target called itself must not steer this terminal."""
    text = ' '.join(str(text).split())
    return text if text.isprintable() else ''.join(char if char.isprintable() else '?' for char in text)


def clip(text, width):
    text = clean(text)
    return text if len(text) <= width else text[:width - 1] + '…'


def amount(number, noun):
    return f'{number} {noun}' if number == 1 else f'{number} {noun}{"es" if noun.endswith("s") else "s"}'


def address(record):
    if record.get('address'):
        return _ledger.endpoint(record)
    return clean(record.get('path') or record.get('name') or UNKNOWN)


def asked_name(record):
    """The name that a DNS question, a ClientHello or a request had in it; '' where there was none, or no such message.

    A message without one, or that could not be read, is recorded with the names of its address, as any connection is.
    """
    name = record.get('name') or ''
    unread = ', ' in name or record.get('reason') == _ledger.UNREADABLE['reason']
    return clean(name) if record.get('kind') in PRESENTED and not unread else ''


def short_path(path):
    """A long path without its front, from one of its slashes on if it can be: the end says more."""
    if len(path) <= PATH_ROOM:
        return path
    end = path[1 - PATH_ROOM:]
    return '…' + end[max(0, end.find('/')):]


def endpoint(record, path=str):
    """What an access was about: the path; the name, where it said one; else the address. `path` may shorten paths."""
    if record.get('kind') in FILES:
        return path(clean(record.get('path') or _ledger.NO_PATH)) + FILES[record['kind']]
    way, name, port = PRESENTED.get(record.get('kind')), asked_name(record), record.get('port')
    if not way:
        return address(record)
    if not name:
        return f'{address(record)} ({way})'
    if record['kind'] == 'dns' or not port:  # which resolver was asked, and how, is not the news
        return f'{name} ({way})'
    return f'{name}:{port}/{record.get("protocol")} ({way})'


def outcome(record, mode):
    """Sort a denial by what it means for the run; only `denied` fails it."""
    mode = record.get('mode') or mode
    if mode == 'monitor':
        return 'would deny'
    if record.get('expected'):
        return 'expected'
    return 'drill' if mode == 'drill' else 'denied'


def verdict(record, mode):
    """Return the tone and the word for one denial."""
    mode = record.get('mode') or mode
    notes = ['drill'] if mode == 'drill' else []
    notes += ['expected'] if record.get('expected') else []
    word = 'WOULD DENY' if mode == 'monitor' else 'DENIED'
    tone = 'bad' if word == 'DENIED' and not record.get('expected') else 'warn'
    return tone, f'{word} ({", ".join(notes)})' if notes else word


def totals(report):
    """Count accesses by outcome. The kernel's counters also know those whose details were lost."""
    counters, sums = report.get('counters') or {}, Counter()
    for record in report['denied']:
        sums[outcome(record, report['mode'])] += record.get('count', 1)
    recorded = {'would_deny': sums['would deny'], 'denied': sum(sums.values()) - sums['would deny']}
    sort = {'would_deny': 'would deny', 'denied': 'drill' if report['mode'] == 'drill' else 'denied'}
    for verb, known in recorded.items():
        counted = sum(kind.get(verb, 0) for kind in counters.values() if isinstance(kind, dict))
        sums[sort[verb]] += min(counters.get('lost', 0), max(0, counted - known))
    return sums


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
               *map(record.get, ('rule', 'kind', 'class', 'expected', 'mode')))
        first = record.get('first_seen') or ''
        last = record.get('last_seen') or first
        row = merged.setdefault(key, dict(record, count=0, first_seen=first, last_seen=last, last=record,
                                          endpoints=[], addresses=[]))
        row['count'] += record.get('count', 1)
        row['first_seen'] = min(row['first_seen'], first)
        if last > row['last_seen']:
            row['last_seen'], row['last'] = last, record
        for places, place in ((row['endpoints'], where), (row['addresses'], address(record))):
            if place not in places:
                places.append(place)
    for row in merged.values():  # resolver libraries try each address by a UDP connect: that is not the news
        row['endpoints'].sort(key=lambda where: not where.endswith('/tcp'))
    return sorted(merged.values(), key=lambda row: (bool(row.get('expected')), row['first_seen']))


def detail(label, text):
    return 'plain', f'    {label:<8} {text}'


def short(command):
    """Drop the directories of the program, which say less than its arguments do."""
    program, space, arguments = command.partition(' ')
    return program.rsplit('/', 1)[-1] + space + arguments


def spoken(command):
    """Drop the directory that Ansible made for the task: it says nothing, and takes the room."""
    return TASK_DIRECTORY.sub('', command) if 'ansible-tmp-' in command else command


def known_name(record):
    """Return the names that led to the record's address, where endpoint() does not show them already."""
    return '' if asked_name(record) else clean(record.get('address') and record.get('name') or '')


def row_head(word, row):
    """The line that tells a row, and whether it had room for the names of the address."""
    kind = row.get('kind')
    said = kind in PRESENTED or FILES.get(kind)  # by endpoint()
    what = ' '.join(filter(None, (row.get('class'), None if said else kind)))
    where = endpoint(row, short_path) if kind in FILES else row['endpoints'][0]

    def line(name):
        return '  '.join(filter(None, ('  ' + word, where, name, f'{row["count"]}x', what)))
    head = line(known_name(row))
    return (head, True) if len(head) <= WIDTH or ', ' not in known_name(row) else (line(''), False)


def wrapped(label, text):
    """A detail, on as many lines as it takes."""
    parts = textwrap.wrap(text, ROOM) if len(text) > ROOM else filter(None, [text])
    return [detail('' if number else label, part) for number, part in enumerate(parts)]


def evidence(row):
    """What makes the access a direct or a hidden one."""
    naming = row.get('evidence')
    if not naming:
        return 'no command line names it'
    if naming['pid'] == row.get('pid'):
        return 'its command line names it'
    return 'named by ' + clean(spoken(naming['command']))


def ancestors(row):
    """What the process descends from, nearest first, a line each; copies of a process are told once."""
    parents = [short(parent) for parent, _same in itertools.groupby(lineage(row)[1:])]
    lines = [clip(parent, ROOM) for parent in parents[:ANCESTORS]]
    lines += [f'… {len(parents) - ANCESTORS} more'] if parents[ANCESTORS:] else []
    return [detail('' if number else 'ancestry', parent) for number, parent in enumerate(lines)]


def row_lines(row, report):
    """Tell one denial: what, why, during which task, by whom, and who to ask."""
    tone, word = verdict(row, report['mode'])
    rule = row.get('rule')
    head, named = row_head(word, row)
    fits = rule and len(head) + len(rule) + 9 <= WIDTH
    lines = [(tone, f'{head}  (rule {rule})' if fits else head)]
    if rule and not fits:
        lines.append(detail('rule', rule))
    if endpoint(row, short_path) != endpoint(row):
        lines += wrapped('path', clean(row['path']))
    if not named:
        lines += wrapped('names', known_name(row))
    if asked_name(row) and row.get('kind') != 'dns':
        lines += wrapped('at', ', '.join(row['addresses']))
    elif row['endpoints'][1:]:
        lines += wrapped('also', ', '.join(row['endpoints'][1:]))
    lines += wrapped('why', clean(row.get('reason') or ''))
    task = task_of(row, row['first_seen'], report)
    last_task = task_of(row['last'], row['last_seen'], report)
    lines += wrapped('task', task)
    if last_task not in (task, UNKNOWN):
        lines += wrapped('until', last_task)
    if row.get('command'):
        lines.append(detail('command', clip(spoken(row['command']), ROOM)))
    if row.get('class'):
        lines += wrapped('evidence', evidence(row))
    lines += ancestors(row)
    owner, runbook = clean(row.get('owner') or ''), clean(row.get('runbook') or '')
    if owner:
        lines.append(detail('owner', f'{owner}   runbook {runbook}' if runbook else owner))
    elif runbook:
        lines.append(detail('runbook', runbook))
    return lines


def seen_line(row):
    """Tell one observation in one line, its command as far as it fits."""
    head = row_head('seen', row)[0]
    room = WIDTH - len(head) - 2
    command = clip(spoken(row.get('command') or ''), room) if room > 8 else ''
    return 'plain', f'{head}  {command}' if command else head


def asked_line(row):
    """Tell one way out in one line: who was asked, and by which command."""
    head = f'    {endpoint(row, short_path)}  {row["count"]}x'
    room = WIDTH - len(head) - 2
    command = clip(short(spoken(row.get('command') or '')), room) if room > 8 else ''
    return 'plain', f'{head}  {command}' if command else head


def headline(report, sums):
    denied = sums['denied'] + sums['drill'] + sums['expected']
    said = []
    if denied:
        said.append(f'{amount(denied, "access")} denied')
    if sums['expected']:
        said.append(f'{sums["expected"]} of them expected')
    if sums['would deny']:
        said.append(f'{amount(sums["would deny"], "access")} would be denied')
    if denied > sums['expected']:
        tone = 'bad'
    else:
        doubts = (report.get('counters') or {}).get('lost') or report.get('faults') or limit_lines(report)
        tone = 'warn' if said or doubts else 'good'
    text = ', '.join(said) or ('clean, nothing denied' if tone == 'good' else 'nothing denied')
    return tone, f'GUARD {report["name"]} on {report["host"]} [{report["mode"]}]: {text}'


def block(report, show_observed, max_rows):
    """Tell one guard on one host, as soon as it is down."""
    lines = [headline(report, totals(report))]
    denied, observed = merge(report['denied']), merge(report['observed'])
    seen = [row for row in observed if show_observed and row.get('kind') != 'unix']
    seen.sort(key=lambda row: row.get('kind') == 'exec')  # every deployment executes a lot: that comes last
    lines += [line for row in denied[:max_rows] for line in row_lines(row, report)]
    lines += [seen_line(row) for row in seen[:max(0, max_rows - len(denied))]]
    lines += left_out(len(denied) + len(seen) - max_rows)
    lost = (report.get('counters') or {}).get('lost')
    if lost:
        lines.append(('warn', f'  details of {amount(lost, "access")} did not fit; the totals are exact'))
    if report.get('faults'):
        lines.append(('warn', '  the guard was not whole all the time:'))
        lines += [('plain', '    ' + part) for fault in report['faults']
                  for part in textwrap.wrap(clean(fault), WIDTH - 4)]
    asked = [row for row in observed if row.get('kind') == 'unix']
    if asked:
        lines.append(('warn', '  asked outside the guard to act (not watched there):'))
        lines += [asked_line(row) for row in asked[:max_rows]]
        lines += left_out(len(asked) - max_rows)
    lines += limit_lines(report)
    outside = list(dict.fromkeys(report['outside']))
    if outside:
        lines.append(('warn', '  outside the guard (not watched, not stopped):'))
        lines += [detail(how if len(how) <= 8 else how + ':', task) for how, task in outside[:max_rows]]
        lines += left_out(len(outside) - max_rows)
    refused = report.get('refused') or []
    if refused:
        lines.append(('warn', "  refused at the door (somebody else's process was to be brought in):"))
        lines += [detail(f'uid {one["uid"]}', clip(f'pid {one["pid"]} of uid {one["owner"]}: {one["command"]}', ROOM))
                  for one in refused[:max_rows]]
        lines += left_out(len(refused) - max_rows)
    running = report.get('left_running') or []
    if running:
        lines.append(('warn', '  left running (moved out when the guard came down):'))
        lines += [detail(one['pid'], clip(one['command'], ROOM)) for one in running[:max_rows]]
        lines += left_out(len(running) - max_rows)
    return lines


def limit_lines(report):
    """Tell which limits of the policy were hit; a processor limit slows down, which is its purpose."""
    limits = report.get('limits') or {}
    kills, refused = ((limits.get(key) or {}).get(count) or 0 for key, count in (('memory', 'oom_kills'), ('pids', 'refused')))
    lines = []
    if kills:
        lines.append(detail('memory', f'limit of {size(limits["memory"]["limit"])}: {amount(kills, "process")} killed'
                                      ' for lack of memory'))
    if refused:
        lines.append(detail('pids', f'limit of {limits["pids"]["limit"]}: no process could be started, {refused}x'))
    return [('warn', '  limits were hit:'), *lines] if lines else []


def size(number):
    """Bytes as policies write them: 2G."""
    for unit, factor in (('T', 2 ** 40), ('G', 2 ** 30), ('M', 2 ** 20), ('K', 2 ** 10)):
        if number % factor == 0:
            return f'{number // factor}{unit}'
    return str(number)


def left_out(number):
    return [('plain', f'    … {number} more not shown (max_rows)')] if number > 0 else []


def table(heads, rows):
    """Align columns: numbers to the right, words to the left."""
    cells = [heads] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    numbers = [all(isinstance(row[column], int) for row in rows) for column in range(len(heads))]
    return ['  '.join(cell.rjust(width) if number else cell.ljust(width)
                      for cell, width, number in zip(row, widths, numbers)).rstrip() for row in cells]


class Fleet:
    """Every guard of the run, kept small: one row per guard and one per distinct endpoint."""

    def __init__(self):
        self.guards = {}  # (host, name, mode) -> Counter of accesses by outcome
        self.endpoints = {}  # (endpoint, rule, verdict) -> [name, hosts, accesses, the endpoint as it is shown]
        self.notes = {}  # (host, name, mode) -> outcome that no report tells
        self.missing = []  # (title, host, name, mode, details): guards whose report never came

    def add(self, report, show_observed):
        row = self.guards.setdefault((report['host'], report['name'], report['mode']), Counter())
        row.update(totals(report))
        row['faulty'] += len(report.get('faults') or [])
        row['seen'] += len({endpoint(record) for record in report['observed']})
        row['outside'] += len(set(report['outside']))
        told = [(record, verdict(record, report['mode'])[1]) for record in report['denied']]
        for record, word in told + [(record, 'seen') for record in report['observed'] if show_observed]:
            key = endpoint(record), record.get('rule') or '-', word
            place = self.endpoints.get(key)
            if not place:
                place = self.endpoints[key] = ['', set(), 0, endpoint(record, short_path)]
            place[0] = place[0] or known_name(record)
            place[1].add(report['host'])
            place[2] += record.get('count', 1)

    def note(self, host, name, mode, outcome_word, outside=0):
        """Add a guard that no report tells about."""
        self.guards.setdefault((host, name, mode), Counter())['outside'] += outside
        self.notes[host, name, mode] = outcome_word

    def miss(self, title, host, name, mode, details, outside=0):
        """Add a guard whose report never came, with (label, text) details for the reader."""
        self.note(host, name, mode, title.lower(), outside)
        self.missing.append((f'GUARD {title}: {name} on {host} [{mode}]', host, details))

    def denying_hosts(self):
        return sorted({host for (host, dummy, dummy), row in self.guards.items() if row['denied']})

    def broken_hosts(self):
        return sorted({host for (host, dummy, mode), row in self.guards.items() if row['faulty'] and mode == 'enforce'})

    def missing_hosts(self):
        return sorted({host for dummy, host, dummy in self.missing})

    def _outcome(self, key):
        words = [(self.notes.get(key), self.notes.get(key))]
        words += [(self.guards[key][sort], sort) for sort in SORTS]
        return next((word for true, word in words if true), 'clean')

    def lines(self, max_rows):
        """Tell the whole run: the guards, the distinct endpoints, the guards whose report is missing."""
        if not self.guards:
            return []
        tones = {'denied': 'bad', 'drill': 'bad', 'clean': 'good', 'would deny': 'warn', 'expected': 'warn'}
        outcomes = {key: self._outcome(key) for key in sorted(self.guards)}
        rows = [[*key, row['denied'] + row['drill'], row['expected'], row['would deny'], row['seen'],
                 row['outside'], outcomes[key]] for key, row in sorted(self.guards.items())]
        heads = ['host', 'guard', 'mode', 'denied', 'expected', 'would', 'seen', 'outside', 'outcome']
        texts = table(heads, rows)
        lines = [('plain', 'GUARDS'), ('plain', '  ' + texts[0])]
        lines += [(tones.get(word, 'warn'), '  ' + text) for word, text in zip(outcomes.values(), texts[1:])]
        places = sorted(self.endpoints.items(),
                        key=lambda item: (item[0][2] == 'seen' and 1 + item[0][0].endswith(FILES['exec']),
                                          -len(item[1][1]), -item[1][2], item[0]))
        if places:
            lines += [('plain', ''), ('plain', 'ENDPOINTS')]
            rows = [[where, clip(name or '-', 32), rule, word, len(hosts), count]
                    for (dummy, rule, word), (name, hosts, count, where) in places[:max_rows]]
            lines += [('plain', '  ' + text)
                      for text in table(['endpoint', 'name', 'rule', 'verdict', 'hosts', 'accesses'], rows)]
            lines += left_out(len(places) - max_rows)
        for title, dummy, details in self.missing:
            lines += [('plain', ''), ('bad', title)] + [detail(label, text) for label, text in details]
        return lines
