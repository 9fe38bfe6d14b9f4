# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The report of a guard as text: lines of at most 80 columns. A line is a pair of tone and text. Tones are bad, warn, good, plain,
and `more` of a line that tells how much is not shown.
"""

from __future__ import annotations

import itertools
import textwrap
from collections import Counter
from functools import partial
from typing import Any, Callable, NamedTuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import (
    FILES, PRESENTED, UNKNOWN, asked_name, clean, endpoint, known_name, spoken, telling)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import remedies
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.entries import DID_NOT_ENTER
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.model import (
    lineage, merge, news, short_path, task_of, totals, word)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.waits import (
    FAILED, IGNORED, PASSED, RESCUED, RUNNING, seconds)

WIDTH = 80
ANCESTORS = 8  # that a row shows
PLACES = 20  # addresses, names or users that a detail has room for
FAULT = 400  # characters of what was wrong with a guard
TAKEN = 5  # things that a row of the drill names
DESERTED = ('Something starts the tasks without the shell that Ansible is told to use: a strategy such as that of Mitogen, '
            'or a connection plugin of another kind. Run the play with `strategy: linear` over ssh.')
WENT_AROUND = ('What did not enter started nothing on this host, or went around the launcher: a connection or an action plugin '
               'that needs no shell there.')
ROOM = WIDTH - 13  # for the text of a detail, behind its label
ENDED = {FAILED: 'the task failed', RUNNING: 'it is still running', RESCUED: 'the task failed, and was rescued',
         IGNORED: 'the task failed, and its error is ignored', PASSED: 'the task passed'}


class Item(NamedTuple):
    """One thing that a guard tells."""

    key: tuple  # the same on every host where it is alike
    about: Any  # what its lines are made of; a mapping with a count, where it has one
    made: Callable  # the lines of that
    fails: bool = False  # does the run fail for it?


class Section(NamedTuple):
    """Things of one sort."""

    title: list  # of lines
    items: list
    is_list: bool = True  # does max_rows hold for it?

    def lines(self, max_rows):
        room = max_rows if self.is_list else len(self.items)
        if not self.items:
            return []
        shown = [line for item in self.items[:room] for line in item.made(item.about)]
        return [*self.title, *shown, *left_out(len(self.items) - room)]


def clip(text, width):
    text = clean(text)
    return text if len(text) <= width else text[:width - 1] + '…'


def amount(number, noun):
    return f'{number} {noun}' if number == 1 else f'{number} {noun}{"es" if noun.endswith("s") else "s"}'


def detail(label, text):
    return 'plain', f'    {label:<8} {text}'


def short(command):
    """Drop the directories of the program, which say less than its arguments do."""
    program, space, arguments = command.partition(' ')
    return program.rsplit('/', 1)[-1] + space + arguments


def row_head(verdict, row):
    """The line that tells a row, and whether it had room for the names of the address."""
    kind = row.get('kind')
    is_shown = kind in PRESENTED or FILES.get(kind)  # by endpoint()
    what = ' '.join(filter(None, (row.get('class'), None if is_shown else kind)))
    where = endpoint(row, short_path) if kind in FILES else row['endpoints'][0]

    def line(name):
        return '  '.join(filter(None, ('  ' + verdict, where, name, f'{row["count"]}x', what)))
    head = line(known_name(row))
    return (head, True) if len(head) <= WIDTH or ', ' not in known_name(row) else (line(''), False)


def joined(texts):
    """The first of several, and how many more there are."""
    texts = list(texts)
    return ', '.join(texts[:PLACES]) + (f' and {len(texts) - PLACES} more' if texts[PLACES:] else '')


def wrapped(label, text):
    """A detail, on as many lines as it takes."""
    parts = textwrap.wrap(text, ROOM) if len(text) > ROOM else filter(None, [text])
    return [detail('' if number else label, part) for number, part in enumerate(parts)]


def evidence(row):
    """What makes the access a direct, a hidden or a transient one."""
    naming = row.get('evidence')
    if not naming:
        return 'no command line names it that a person wrote'
    if naming.get('path'):
        own, *between, deployed = naming['path']
        return clean(f'{own} depends on {deployed} through {", ".join(between)}')
    if naming.get('task'):
        return 'the arguments of its task name it'
    if naming['pid'] == row.get('pid'):
        return 'its command line names it'
    return 'named by ' + clean(spoken(naming['command']))


def ancestors(row):
    """What the process descends from, nearest first, a line each; copies of a process are told once."""
    parents = [short(parent) for parent, _same in itertools.groupby(lineage(row)[1:])]
    lines = [clip(parent, ROOM) for parent in parents[:ANCESTORS]]
    lines += [f'… {len(parents) - ANCESTORS} more'] if parents[ANCESTORS:] else []
    return [detail('' if number else 'ancestry', parent) for number, parent in enumerate(lines)]


def remedy_lines(row):
    """What ends it, where a tool that is known for it reached out by itself. The link stays whole."""
    remedy = remedies.remedy_of(row)
    if not remedy:
        return []
    lines = textwrap.wrap(remedies.told(remedy), ROOM, break_long_words=False, break_on_hyphens=False)
    return [detail('' if number else 'remedy', line) for number, line in enumerate(lines)]


def row_lines(row, report, verdict=None):
    """Tell one denial: what, why, during which task, by whom, and who to ask. `verdict`: what it is, where it is none."""
    lines = head_lines(row, report, verdict)
    lines += wrapped('why', clean(row.get('reason') or ''))
    task = task_of(row, row['first_seen'], report)
    last_task = task_of(row['last'], row['last_seen'], report)
    lines += wrapped('task', str(task))
    if last_task not in (task, UNKNOWN):
        lines += wrapped('until', str(last_task))
    if row.get('mode') == 'drill':
        lines += [detail('waited', cost(one)) for one in report.get('denied_tasks') or () if one['task'] == str(task)]
    if row.get('command'):
        lines.append(detail('command', clip(spoken(row['command']), ROOM)))
    if row.get('class'):
        lines += wrapped('evidence', evidence(row))
    lines += ancestors(row)
    lines += remedy_lines(row)
    owner, runbook = clean(row.get('owner') or ''), clean(row.get('runbook') or '')
    if owner:
        lines.append(detail('owner', f'{owner}   runbook {runbook}' if runbook else owner))
    elif runbook:
        lines.append(detail('runbook', runbook))
    return lines


def cost(one):
    """What its denials cost a task."""
    runs = f' in {one["runs"]} runs' if one['runs'] > 1 else ''
    return f'{seconds(one["waited"])}{runs}; {ENDED[one["outcome"]]}'


def is_bad(row, report, verdict):
    denied = verdict.startswith('DENIED') or verdict == 'NEW' and outcome.must_fail_for_news(report, report['mode'])
    return bool(denied) and not row.get('expected') and not row.get('earlier')


def head_lines(row, report, verdict=None):
    """What was denied, and by which rule; what of it did not fit the first line."""
    verdict, rule = verdict or word(row, report['mode']), row.get('rule')
    tone = 'bad' if is_bad(row, report, verdict) else 'warn'
    head, named = row_head(verdict, row)
    fits = rule and len(head) + len(rule) + 9 <= WIDTH
    lines = [(tone, f'{head}  (rule {rule})' if fits else head)]
    if rule and not fits:
        lines.append(detail('rule', rule))
    if endpoint(row, short_path) != endpoint(row):
        lines += wrapped('path', clean(row['path']))
    if not named:
        lines += wrapped('names', joined(known_name(row).split(', ')))
    if asked_name(row) and row.get('kind') != 'dns':
        lines += wrapped('at', joined(row['addresses']))
    elif row['endpoints'][1:]:
        lines += wrapped('also', joined(row['endpoints'][1:]))
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


def in_force(guard):
    return ', '.join(key for key, state in dict(guard.get('enforced') or {}).items() if state is True)


def up_line(where, name, guard):
    """Tell in one line that a guard came up, and what is in force there. `where`: a host, or how many there are."""
    line = f'GUARD UP: {name} on {where} [{clean(guard.get("mode") or UNKNOWN)}]'
    room, what = WIDTH - len(line) - 2, in_force(guard)
    return 'good', f'{line}  {clip(what, room)}' if what and room > 8 else line


def figures(report):
    """Counter of what the headline says, by outcome. New accesses are `new`."""
    return totals(report) + Counter(new=sum(record.get('count', 1) for record in news(report)))


def tone_of(report, sums):
    if sums[outcome.DENIED] or sums[outcome.DRILL] or outcome.must_fail_for_news(report, report['mode']):
        return 'bad'
    doubts = (report.get('counters') or {}).get('lost') or report.get('faults') or limits(report).items or report['nobody']
    return 'warn' if any(sums.values()) or doubts else 'good'


def headline(report):
    sums, waited = figures(report), report.get('waited')
    return heading(report['name'], report['mode'], tone_of(report, sums), report['host'], sums,
                   None if waited is None else seconds(waited))


def heading(name, mode, tone, where, sums, waited=None):
    """`where`: a host, or how many there are. `waited`: how long the tasks of a drill did, in words."""
    denied = sums[outcome.DENIED] + sums[outcome.DRILL] + sums[outcome.EXPECTED]
    parts = []
    if denied:
        parts.append(f'{amount(denied, "access")} denied')
    if sums[outcome.EXPECTED]:
        parts.append(f'{sums[outcome.EXPECTED]} of them expected')
    if sums[outcome.EARLIER]:
        parts.append(f'{amount(sums[outcome.EARLIER], "access")} denied before this run')
    if sums[outcome.WOULD_DENY]:
        parts.append(f'{amount(sums[outcome.WOULD_DENY], "access")} would be denied')
    if sums['new']:
        parts.append(f'{amount(sums["new"], "access")} new to the baseline')
    if sums[outcome.DRILL] and waited:
        parts.append(f'waited {waited}')
    text = ', '.join(parts) or ('clean, nothing denied' if tone == 'good' else 'nothing denied')
    return tone, f'GUARD {name} on {where} [{mode}]: {text}'


def block(report, show_observed, max_rows):
    """Tell one guard on one host."""
    return [headline(report), *(line for one in sections(report, show_observed) for line in one.lines(max_rows))]


def sections(report, show_observed):
    """All that there is to tell of a guard that is down, in an order that is the same for every guard."""
    earlier, denied = (merge(record for record in told(report['denied']) if bool(record.get('earlier')) is before)
                       for before in (True, False))
    observed = merge(told(report['observed']))
    seen = [row for row in observed if show_observed and row.get('kind') != 'unix' and not row.get('new')]
    seen.sort(key=lambda row: row.get('kind') == 'exec')  # every deployment executes a lot: that comes last
    return [
        gone(report),
        Section([], [row_item(row, report) for row in denied]
                + [Item(('seen', row.get('kind'), endpoint(row)), row, lambda row: [seen_line(row)]) for row in seen]),
        Section([], [row_item(row, report, 'NEW') for row in telling(merge(told(news(report))))]),
        Section(earlier_title(report), [row_item(row, report) for row in earlier if report.get('earlier')]),
        *doubts(report),
        listed('ways out, asked to act outside the guard (not watched there):', asked_line,
               [(endpoint(row), row) for row in observed if row.get('kind') == 'unix']),
        limits(report),
        outside(report['outside']),
        Section([], outside_notes(report), False),
        listed('in the guard of another host:', elsewhere_line,
               [(one, one) for one in dict.fromkeys(report.get('elsewhere') or ())]),
        listed("refused at the door (somebody else's process was to be brought in):", refused_line,
               [((one['uid'], one['owner'], one['command']), one) for one in report.get('refused') or ()]),
        listed('left running (moved out when the guard came down):', lambda one: detail(one['pid'], clip(one['command'], ROOM)),
               [(one['command'], one) for one in report.get('left_running') or ()]),
    ]


def row_item(row, report, verdict=None):
    """It is alike where the same task did the same, whatever the arguments of a command, which often name the host."""
    said = verdict or word(row, report['mode'])
    what = asked_name(row) or known_name(row) or endpoint(row)
    key = (said, row.get('rule'), row.get('kind'), row.get('class'), what, str(task_of(row, row['first_seen'], report)))
    return Item(key, row, partial(row_lines, report=report, verdict=verdict), is_bad(row, report, said))


def listed(title, line, things):
    """A line for each thing. `things`: pairs of what is alike on other hosts, and the thing."""
    return Section([('warn', '  ' + title)], [Item((title, key), one, lambda one: [line(one)]) for key, one in things])


def followed(host, found, is_first):
    """A line for each thing that a guard tells which is followed, in the order in which they happened. `is_first`: of its calls."""
    lines = [(record['last_seen'], outcome.of_record(record, record['mode']).upper(), record) for record in found['denied']]
    lines += [(record['first_seen'], 'REACHED', record) for record in found['observed']]
    end = [] if found['up'] else [f'{host} has no such guard' if is_first else f'{host} the guard is down']
    more = [f"{host} … and {amount(found['more'], 'thing')} before"] if found['more'] else []
    return more + [f"{_clock_of(moment)} {host} {word:<10} {endpoint(record)}  {amount(record['count'], 'time')}  "
                   f"{clip(short(record['command']), WIDTH)}" + (f"  (rule {record['rule']})" if record['rule'] else '')
                   for moment, word, record in sorted(lines, key=lambda line: line[0])] + end


def _clock_of(moment):
    """The time of day, in UTC, of a moment as records have it."""
    return moment.partition('T')[2].partition('.')[0]


def told(records):
    """But for those that stand for others: how many these are is told by itself, and their accesses are in the totals."""
    return [record for record in records if not record.get('stands_for')]


def gone(report):
    """Whether the guard was there until its end, and for this run alone."""
    items = []
    if report.get('ended'):
        line = ('bad', '  GUARD GONE before state=absent: tasks that came later were not run')
        items.append(Item(('gone',), None, lambda _none: [line], True))
    shared = joined(f'{one["host"]} ({one["user"]} on {one["controller"]})' for one in report.get('shared_with') or ())
    if shared:
        lines = [('warn', '  it stays up, shared with others: what is denied may be of any of them'), *wrapped('shared', clean(shared))]
        items.append(Item(('shared',), None, lambda _none: lines))
    return Section([], items, False)


def earlier_title(report):
    """Of what was denied before this run took the guard over."""
    story = report.get('earlier')
    return [('warn', '  before this run:'), *wrapped('since', story['since']), *wrapped('by', clean(story['by']))] if story else []


def outside(tasks):
    """`tasks`: pairs of how and task."""
    return listed('outside the guard (not watched, not stopped):', outside_line,
                  [(one, one) for one in dict.fromkeys(tasks)])


def outside_line(outside):
    how, task = outside
    return detail(how if len(how) <= 8 else how + ':', task)


def elsewhere_line(elsewhere):
    how, machine, task = elsewhere
    return outside_line((how, f'inside the guard of {machine}: {task}'))


def outside_notes(report):
    """What a task that did not enter means, and what nobody knows."""
    items = []
    if report['nobody']:
        lines = [('bad', '  nobody entered the guard: its tasks ran outside'), *paragraph(DESERTED)]
        items.append(Item(('nobody',), None, lambda _none: lines, report['mode'] == 'enforce'))
    elif any(how == DID_NOT_ENTER for how, _task in report['outside']):
        items.append(Item(('around',), None, lambda _none: paragraph(WENT_AROUND)))
    if report['unknown']:
        items.append(counted('unknown', report['unknown'], lambda number: f'whether {amount(number, "earlier task")} entered is not known'))
    return items


def paragraph(text):
    return [('plain', '    ' + part) for part in textwrap.wrap(text, WIDTH - 4)]


def counted(key, number, sentence):
    """A line with a number in it, which adds up over hosts."""
    return Item((key,), {'count': number}, lambda about: [('warn', '  ' + sentence(about['count']))])


def refused_line(one):
    return detail(f'uid {one["uid"]}', clip(f'pid {one["pid"]} of uid {one["owner"]}: {one["command"]}', ROOM))


def doubts(report):
    """What keeps the rest from being the whole truth."""
    items, lost = [], (report.get('counters') or {}).get('lost')
    if lost:
        items.append(counted('lost', lost, lambda number: f'details of {amount(number, "access")} did not fit; the totals are exact'))
    left = sum((report.get('rows_left_out') or {}).values())
    if left:
        items.append(counted('left out', left, lambda number: f'{amount(number, "row")} more {"is" if number == 1 else "are"} in the '
                             'event log on the host; the totals are exact'))
    faults = report.get('faults') or []
    fails = outcome.is_broken(faults, report['mode'])
    return [Section([], items, False),
            Section([('warn', '  the guard was not whole all the time:')],
                    [Item(('fault', fault), clip(fault, FAULT), paragraph, bool(fails)) for fault in faults])]


def limits(report):
    """Tell which limits of the policy were hit; a processor limit slows down, which is its purpose."""
    known = report.get('limits') or {}
    kills, refused = ((known.get(key) or {}).get(count) or 0 for key, count in (('memory', 'oom_kills'), ('pids', 'refused')))
    items = []
    if kills:
        items.append(Item(('memory',), {'count': kills}, lambda about: [detail('memory', (
            f'limit of {size(known["memory"]["limit"])}: {amount(about["count"], "process")} killed for lack of memory'))]))
    if refused:
        items.append(Item(('pids',), {'count': refused}, lambda about: [detail('pids', (
            f'limit of {known["pids"]["limit"]}: no process could be started, {about["count"]}x'))]))
    return Section([('warn', '  limits were hit:')], items, False)


def size(number):
    """Bytes as policies write them: 2G."""
    for unit, factor in (('T', 2 ** 40), ('G', 2 ** 30), ('M', 2 ** 20), ('K', 2 ** 10)):
        if number % factor == 0:
            return f'{number // factor}{unit}'
    return str(number)


def left_out(number):
    return [('more', f'    … {number} more not shown (max_rows)')] if number > 0 else []


def survival(drills):
    """Whether the deployment survived, in sentences. `drills`: pairs as model.Fleet has them of each guard."""
    drills = list(drills)
    survived, failed = (sum(end is state for _waited, end in drills) for state in (True, False))
    if not survived and not failed:
        return 'Whether the deployment survived is not known.'
    longest = seconds(max(waited or 0.0 for waited, _end in drills))
    if len(drills) == 1:
        return f'The deployment {"survived." if survived else "did not survive: a task failed."} Its tasks waited {longest}.'
    where = f'all {len(drills)}' if survived == len(drills) else f'{survived or "none"} of {len(drills)}'
    return (f'The deployment survived on {where} hosts.{f" A task failed on {failed}." if failed else ""} '
            f'Its tasks waited up to {longest}.')
