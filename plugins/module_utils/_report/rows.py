# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The records that a result has room for. What stands for the others counts exactly what they count. Pure.

A row that stands for others has their number in `stands_for`. Of what a record tells it has what they all have in common,
and no command.
"""

from __future__ import annotations

import json
from collections import Counter

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome

ROOM = {'denied': 640 * 1024, 'observed': 256 * 1024}  # bytes of JSON
COMPARED = 4 * 1024 * 1024  # of what is observed, where a baseline is to be compared with each of them
OUTCOMES = (outcome.DENIED, outcome.DRILL, outcome.WOULD_DENY, outcome.EXPECTED)  # what a reader has to see first
KINDS = {'unix': 0, 'exec': 2}  # of observations: ways out first; every deployment executes a lot
ALIKE = ('rule', 'reason', 'owner', 'runbook', 'class', 'name', 'address', 'port', 'protocol', 'path', 'uid', 'outage')


def bounded(report, moments=()):
    """The report with as many rows as there is room for, and `rows_left_out`: how many are not there, by list.

    `moments`: when runs took the guard over. A row does not stand for what was last seen before one and for what was not.
    """
    mode = report['guard']['mode'] if report['guard'] else None
    rooms = dict(ROOM, observed=COMPARED) if report.get('baseline') else ROOM
    found = {part: _bounded(report[part], room, mode, moments) for part, room in rooms.items()}
    return dict(report, **found, rows_left_out={part: sum(row.get('stands_for', 0) for row in rows)
                                                for part, rows in found.items()})


def _bounded(rows, room, mode, moments):
    left = dict.fromkeys(_by_importance(rows, mode))
    for number in list(left):
        room -= len(json.dumps(rows[number])) + 2
        if room < 0:
            break
        del left[number]
    groups = {}
    for number in sorted(left):
        row = rows[number]
        groups.setdefault((row['kind'], row['mode'], row['expected'], tuple(row['last_seen'] < moment for moment in moments)),
                          []).append(row)
    return [row for number, row in enumerate(rows) if number not in left] + [_standing_for(group) for group in groups.values()]


def _by_importance(rows, mode):
    """The numbers of the rows: first what fails a host, and of that first one row of each command and rule."""
    seen = Counter()

    def rank(number):
        row = rows[number]
        like = row['rule'], row['kind'], row['command']
        seen[like] += 1
        return OUTCOMES.index(outcome.of_record(row, mode)), KINDS.get(row['kind'], 1), seen[like], number
    return sorted(range(len(rows)), key=rank)


def _standing_for(rows):
    first = rows[0]
    row = {key: first[key] if all(other[key] == first[key] for other in rows) else None for key in ALIKE if key in first}
    row.update({key: first[key] for key in ('kind', 'mode', 'expected')}, pid=None, command=None, ancestry=[], evidence=None,
               count=sum(other['count'] for other in rows), first_seen=min(other['first_seen'] for other in rows),
               last_seen=max(other['last_seen'] for other in rows), entered=None, stands_for=len(rows))
    return row
