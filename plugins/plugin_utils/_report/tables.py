# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The run as text, when it is over: the tables of its guards, of the endpoints and of a drill, and the guards that never told.
Lines as text.py has them.
"""

from __future__ import annotations

import textwrap
from collections import Counter

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import FILES, UNKNOWN
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.model import FEW, NEW, NOBODY, SORTS, natural
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.text import (
    TAKEN, WIDTH, amount, clip, detail, left_out, survival, wrapped)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.waits import FAILED, SURVIVED, seconds

LONGEST = 300  # characters of what is told of a guard that never reported
TONES = {outcome.DENIED: 'bad', outcome.DRILL: 'bad', NOBODY: 'bad', 'clean': 'good'}
BEST = (*SORTS, 'no_log', 'up', 'clean')  # outcomes, the worst first; still worse is a report that never came


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
    return (guard_lines(fleet, max_rows) + endpoint_lines(fleet, max_rows) + drill_lines(fleet, max_rows)
            + missing_lines(fleet, max_rows))


def guard_lines(fleet, max_rows):
    """Of few hosts each guard has a row. Of many, what is not clean comes first; what has no room is a row with its sums."""
    found = []  # (host, or how many there are; name; mode; outcome; sums; how long a drill waited, in seconds)
    for key, sums in sorted(fleet.guards.items()):
        found.append((*key, fleet.outcome(key), sums, fleet.drills.get(key, (None, None))[0]))
    if has_many_hosts(fleet):
        found = _folded(found, max_rows)
    heads = ['host', 'guard', 'mode', 'denied', 'expected', 'would', 'seen', 'outside', 'outcome']
    rows = [[where, name, mode, sums[outcome.DENIED] + sums[outcome.DRILL], sums[outcome.EXPECTED], sums[outcome.WOULD_DENY],
             sums['seen'], sums['outside'], verdict] for where, name, mode, verdict, sums, dummy in found]
    if any(NEW in sums for sums in fleet.guards.values()):  # some guard has a baseline
        heads.insert(7, NEW)
        for row, one in zip(rows, found):
            row.insert(7, one[4][NEW])
    if any(one[5] is not None for one in found):
        heads.insert(-1, 'waited')
        for row, one in zip(rows, found):
            row.insert(-1, '-' if one[5] is None else seconds(one[5]))
    head, *texts = table(heads, rows)
    return [('plain', 'GUARDS'), *(('plain', line) for line in head)] + [
        (TONES.get(one[3], 'warn'), line) for one, text in zip(found, texts) for line in text]


def _folded(found, max_rows):
    found = sorted(found, key=lambda one: (BEST.index(one[3]) if one[3] in BEST else -1, natural(one[0]), *one[1:3]))
    shown, rest = [], {}
    for host, name, mode, verdict, sums, waited in found:
        if verdict != 'clean' and len(shown) < max_rows:
            shown.append((host, name, mode, verdict, sums, waited))
            continue
        hosts, all_sums, longest = rest.setdefault((name, mode, verdict), ([], Counter(), []))
        hosts.append(host)
        all_sums.update(sums)
        longest += [] if waited is None else [waited]
    for (name, mode, verdict), (hosts, sums, waited) in rest.items():
        where = hosts[0] if len(hosts) == 1 else f'{len(hosts)} {"" if verdict == "clean" else "more "}hosts'
        shown.append((where, name, mode, verdict, sums, max(waited, default=None)))
    return shown


def has_many_hosts(fleet):
    return len({host for host, *dummy in fleet.guards}) > FEW


def missing_lines(fleet, max_rows):
    """Guards whose report never came; of many hosts, alike ones together."""
    alike, many = {}, has_many_hosts(fleet)
    for one in fleet.missing:
        alike.setdefault(one._replace(host=None) if many else one, []).append(one.host)
    lines = []
    for one, hosts in list(alike.items())[:max_rows]:
        where = hosts[0] if len(hosts) == 1 else amount(len(hosts), 'host')
        lines += [('plain', ''), ('bad', f'GUARD {one.title}: {one.name} on {where} [{one.mode}]')]
        if hosts[1:]:
            lines += wrapped('hosts', ', '.join(sorted(hosts, key=natural)[:max_rows])) + left_out(len(hosts) - max_rows)
        lines += [detail(label, clip(text, LONGEST)) for label, text in one.details]
        lines += [detail('remedy', remedy(one.remedy, hosts))] if one.remedy else []
    return lines + left_out(sum(map(len, list(alike.values())[max_rows:])))


def remedy(command, hosts):
    if hosts[1:]:
        return f'run `{command}`, with their names for HOSTS, separated by commas'
    return f'run `{command.replace("HOSTS", hosts[0], 1)}`'


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
