# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The reports as text: lines of at most 80 columns. A line is a pair of tone (bad, warn, good, plain) and text."""

from __future__ import annotations

import itertools
import textwrap

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import (
    FILES, PRESENTED, UNKNOWN, asked_name, clean, endpoint, known_name, spoken, telling)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import remedies
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.entries import DID_NOT_ENTER
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.model import (
    NEW, NOBODY, lineage, merge, news, short_path, task_of, totals, word)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.waits import (
    FAILED, IGNORED, PASSED, RESCUED, RUNNING, SURVIVED, seconds)

WIDTH = 80
ANCESTORS = 8  # that a row shows
TAKEN = 5  # things that a row of the drill names
DESERTED = ('Something starts the tasks without the shell that Ansible is told to use: a strategy such as that of Mitogen, '
            'or a connection plugin of another kind. Run the play with `strategy: linear` over ssh.')
WENT_AROUND = ('What did not enter started nothing on this host, or went around the launcher: a connection or an action plugin '
               'that needs no shell there.')
ROOM = WIDTH - 13  # for the text of a detail, behind its label
ENDED = {FAILED: 'the task failed', RUNNING: 'it is still running', RESCUED: 'the task failed, and was rescued',
         IGNORED: 'the task failed, and its error is ignored', PASSED: 'the task passed'}


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


def head_lines(row, report, verdict=None):
    """What was denied, and by which rule; what of it did not fit the first line."""
    verdict, rule = verdict or word(row, report['mode']), row.get('rule')
    is_bad = verdict.startswith('DENIED') or verdict == 'NEW' and outcome.must_fail_for_news(report, report['mode'])
    tone = 'bad' if is_bad and not row.get('expected') and not row.get('earlier') else 'warn'
    head, named = row_head(verdict, row)
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


def up_line(host, name, guard):
    """Tell in one line that a guard came up, and what is in force there."""
    line = f'GUARD UP: {name} on {host} [{clean(guard.get("mode") or UNKNOWN)}]'
    room = WIDTH - len(line) - 2
    in_force = ', '.join(key for key, state in dict(guard.get('enforced') or {}).items() if state is True)
    return 'good', f'{line}  {clip(in_force, room)}' if in_force and room > 8 else line


def headline(report):
    sums = totals(report)
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
    new = sum(record.get('count', 1) for record in news(report))
    if new:
        parts.append(f'{amount(new, "access")} new to the baseline')
    if denied > sums[outcome.EXPECTED] or outcome.must_fail_for_news(report, report['mode']):
        tone = 'bad'
    else:
        doubts = ((report.get('counters') or {}).get('lost') or report.get('faults') or limit_lines(report)
                  or report['nobody'])
        tone = 'warn' if parts or doubts else 'good'
    if sums[outcome.DRILL] and report.get('waited') is not None:
        parts.append(f'waited {seconds(report["waited"])}')
    text = ', '.join(parts) or ('clean, nothing denied' if tone == 'good' else 'nothing denied')
    return tone, f'GUARD {report["name"]} on {report["host"]} [{report["mode"]}]: {text}'


def block(report, show_observed, max_rows):
    """Tell one guard on one host, as soon as it is down."""
    earlier, denied = (merge(record for record in told(report['denied']) if bool(record.get('earlier')) is before)
                       for before in (True, False))
    observed = merge(told(report['observed']))
    found = telling(merge(told(news(report))))
    seen = [row for row in observed if show_observed and row.get('kind') != 'unix' and not row.get('new')]
    seen.sort(key=lambda row: row.get('kind') == 'exec')  # every deployment executes a lot: that comes last
    return [
        headline(report),
        *gone_lines(report),
        *(line for row in denied[:max_rows] for line in row_lines(row, report)),
        *(seen_line(row) for row in seen[:max(0, max_rows - len(denied))]),
        *left_out(len(denied) + len(seen) - max_rows),
        *(line for row in found[:max_rows] for line in row_lines(row, report, 'NEW')),
        *left_out(len(found) - max_rows),
        *earlier_lines(report, earlier[:max_rows]),
        *left_out(len(earlier) - max_rows),
        *doubt_lines(report),
        *section('ways out, asked to act outside the guard (not watched there):', asked_line,
                 [row for row in observed if row.get('kind') == 'unix'], max_rows),
        *limit_lines(report),
        *outside_section(report['outside'], max_rows),
        *outside_notes(report),
        *section('in the guard of another host:', elsewhere_line, list(dict.fromkeys(report.get('elsewhere') or [])), max_rows),
        *section("refused at the door (somebody else's process was to be brought in):", refused_line,
                 report.get('refused') or [], max_rows),
        *section('left running (moved out when the guard came down):',
                 lambda one: detail(one['pid'], clip(one['command'], ROOM)), report.get('left_running') or [], max_rows),
    ]


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


def gone_lines(report):
    """Whether the guard was there until its end, and for this run alone."""
    lines = [('bad', '  GUARD GONE before state=absent: tasks that came later were not run')] if report.get('ended') else []
    shared = [f'{one["host"]} ({one["user"]} on {one["controller"]})' for one in report.get('shared_with') or ()]
    if shared:
        lines.append(('warn', '  it stays up, shared with others: what is denied may be of any of them'))
        lines += wrapped('shared', clean(', '.join(shared)))
    return lines


def earlier_lines(report, rows):
    """What was denied before this run took the guard over."""
    story = report.get('earlier')
    if not story or not rows:
        return []
    return [('warn', '  before this run:'), *wrapped('since', story['since']), *wrapped('by', clean(story['by'])),
            *(line for row in rows for line in row_lines(row, report))]


def section(title, line, items, max_rows):
    """A title and a line for each item; nothing where there are none."""
    if not items:
        return []
    return [('warn', '  ' + title), *map(line, items[:max_rows]), *left_out(len(items) - max_rows)]


def outside_section(outside, max_rows):
    return section('outside the guard (not watched, not stopped):', outside_line, list(dict.fromkeys(outside)), max_rows)


def outside_line(outside):
    how, task = outside
    return detail(how if len(how) <= 8 else how + ':', task)


def elsewhere_line(elsewhere):
    how, machine, task = elsewhere
    return outside_line((how, f'inside the guard of {machine}: {task}'))


def outside_notes(report):
    """What a task that did not enter means, and what nobody knows."""
    lines = []
    if report['nobody']:
        lines.append(('bad', '  nobody entered the guard: its tasks ran outside'))
        lines += [('plain', '    ' + part) for part in textwrap.wrap(DESERTED, WIDTH - 4)]
    elif any(how == DID_NOT_ENTER for how, _task in report['outside']):
        lines += [('plain', '    ' + part) for part in textwrap.wrap(WENT_AROUND, WIDTH - 4)]
    if report['unknown']:
        lines.append(('warn', f'  whether {amount(report["unknown"], "earlier task")} entered is not known'))
    return lines


def refused_line(one):
    return detail(f'uid {one["uid"]}', clip(f'pid {one["pid"]} of uid {one["owner"]}: {one["command"]}', ROOM))


def doubt_lines(report):
    """What keeps the rest from being the whole truth."""
    lines, lost = [], (report.get('counters') or {}).get('lost')
    if lost:
        lines.append(('warn', f'  details of {amount(lost, "access")} did not fit; the totals are exact'))
    left = sum((report.get('rows_left_out') or {}).values())
    if left:
        lines.append(('warn', f'  {amount(left, "row")} more {"is" if left == 1 else "are"} in the event log on the host; the '
                              'totals are exact'))
    if report.get('faults'):
        lines.append(('warn', '  the guard was not whole all the time:'))
        lines += [('plain', '    ' + part) for fault in report['faults']
                  for part in textwrap.wrap(clean(fault), WIDTH - 4)]
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


def table(heads, rows, subject=1):
    """The head and each row as a list of lines, in columns: numbers to the right, words to the left.

    Where it is wider than a terminal, the columns that say nothing are left out. Where that is not enough, what a row is of
    has a line of its own: so many columns, `subject`, where all of them are there.
    """
    cells = [heads] + [[str(cell) for cell in row] for row in rows]
    numbers = [all(isinstance(row[column], int) for row in rows) for column in range(len(heads))]
    texts = _aligned(cells, numbers)
    if max(map(len, texts)) > WIDTH - 2:
        kept = [column for column in range(len(heads)) if not column or any(row[column] not in ('0', '-') for row in cells[1:])]
        cells, numbers = [[row[column] for column in kept] for row in cells], [numbers[column] for column in kept]
        subject = sum(column < subject for column in kept)
        texts = _aligned(cells, numbers)
    if max(map(len, texts)) <= WIDTH - 2:
        return [['  ' + text] for text in texts]
    firsts, rests = (_aligned([row[part] for row in cells], numbers[part]) for part in (slice(subject), slice(subject, None)))
    return [['  ' + first, '    ' + rest] for first, rest in zip(firsts, rests)]


def _aligned(cells, numbers):
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ['  '.join(cell.rjust(width) if number else cell.ljust(width)
                      for cell, width, number in zip(row, widths, numbers)).rstrip() for row in cells]


def fleet_lines(fleet, max_rows):
    """Tell the whole run: the guards, the distinct endpoints, the guards whose report is missing."""
    if not fleet.guards:
        return []
    lines = guard_lines(fleet) + endpoint_lines(fleet, max_rows) + drill_lines(fleet, max_rows)
    for title, dummy, details in fleet.missing:
        lines += [('plain', ''), ('bad', title)] + [detail(label, text) for label, text in details]
    return lines


def guard_lines(fleet):
    tones = {outcome.DENIED: 'bad', outcome.DRILL: 'bad', NOBODY: 'bad', 'clean': 'good'}
    outcomes = {key: fleet.outcome(key) for key in sorted(fleet.guards)}
    rows = [[*key, sums[outcome.DENIED] + sums[outcome.DRILL], sums[outcome.EXPECTED], sums[outcome.WOULD_DENY],
             sums['seen'], sums['outside'], outcomes[key]] for key, sums in sorted(fleet.guards.items())]
    heads = ['host', 'guard', 'mode', 'denied', 'expected', 'would', 'seen', 'outside', 'outcome']
    if any(NEW in sums for sums in fleet.guards.values()):  # some guard has a baseline
        heads.insert(7, NEW)
        for row, key in zip(rows, sorted(fleet.guards)):
            row.insert(7, fleet.guards[key][NEW])
    waited = {key: seconds(number) for key, (number, _survived) in fleet.drills.items() if number is not None}
    if waited:
        heads.insert(-1, 'waited')
        for row, key in zip(rows, sorted(fleet.guards)):
            row.insert(-1, waited.get(key, '-'))
    head, *texts = table(heads, rows)
    return [('plain', 'GUARDS'), *(('plain', line) for line in head)] + [
        (tones.get(verdict, 'warn'), line) for verdict, text in zip(outcomes.values(), texts) for line in text]


def endpoint_lines(fleet, max_rows):
    """Those that were denied first, then those of most hosts."""
    found = sorted(fleet.endpoints.items(),
                   key=lambda item: (('NEW', 'seen').index(item[0][2]) + 1 + item[0][0].endswith(FILES['exec'])
                                     if item[0][2] in ('NEW', 'seen') else 0,
                                     -len(item[1][1]), -item[1][2], item[0]))
    if not found:
        return []
    rows = [[where, clip(name or '-', 32), rule, verdict, len(hosts), count]
            for (dummy, rule, verdict), (name, hosts, count, where) in found[:max_rows]]
    texts = table(['endpoint', 'name', 'rule', 'verdict', 'hosts', 'accesses'], rows, subject=2)
    return [('plain', ''), ('plain', 'ENDPOINTS'), *(('plain', line) for text in texts for line in text),
            *left_out(len(found) - max_rows)]


def drill_lines(fleet, max_rows):
    """What a drill took away from which task, how long the task went on without, and whether it survived that."""
    if not fleet.drill:
        return []
    rows, tones = [], []
    for one in list(fleet.drill.values())[:max_rows]:
        hosts = len(one.hosts)
        first = [str(one.task or UNKNOWN), None, None, next(iter(one.hosts)) if hosts == 1 else amount(hosts, 'host'),
                 '-' if one.waited is None else seconds(one.waited), SURVIVED.get(one.outcome, '-')]
        more = len(one.taken) - TAKEN
        shown = [(clip(what, 40), outage) for what, outage in one.taken[:TAKEN]] + [(f'and {more} more', '')] * (more > 0)
        for number, (what, outage) in enumerate(shown):
            rows.append([first[0], what, outage, *first[3:]] if not number else ['', what, outage, '', '', ''])
            tones.append('bad' if one.outcome == FAILED else 'plain')
    head, *texts = table(['task', 'endpoint', 'outage', 'host', 'waited', 'survived'], rows)
    lines = [('plain', ''), ('plain', 'DRILL'), *(('plain', line) for line in head)]
    lines += [(tone, line) for tone, text in zip(tones, texts) for line in text if line.strip()]
    return lines + left_out(len(fleet.drill) - max_rows) + [('plain', '  ' + part) for part in textwrap.wrap(
        survival(fleet.drills.values()), WIDTH - 2)]


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
