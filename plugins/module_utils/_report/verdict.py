# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Why a host has to fail, in a few lines: the message of the module, and of the role. Pure.

The module knows no tasks. The action plugin does, and has the message written again.
"""

from __future__ import annotations

import re
from collections import Counter

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import clean, endpoint, spoken, telling

LINES = 4
ROOM = 400  # for the characters of a line
COMMAND_ROOM = 160
PLACE = re.compile(r' \([^()]*:\d+\)\Z')  # of a task: where it is written


def of(report, all_records='denied', commands=True):
    """At most four lines; None where the host has not to fail. `report`: what the module returns of a guard that is down.

    `all_records`: where the reader finds what has no room here. `commands`: whether they may be shown.
    """
    guard = report.get('guard')
    if not guard:
        return None
    last = _damage(report, guard)
    news = outcome.must_fail_for_news(report, guard['mode'])
    earlier_fails = (report.get('earlier') or {}).get('fails', False)
    denied = outcome.must_fail(report['denied'], guard['mode'], earlier_fails)
    if news and denied:
        last = ['%d more were reached that the baseline does not have: on_new: fail.' % len(news)] + last
    elif news:
        last = _of_news(news, report, all_records, commands, LINES - 2 - len(last)) + last
    if denied:
        rows, rules = _rows(denied, commands), list(_rules(denied))
        shown, left = rows[:LINES - 2 - len(last)], rows[LINES - 2 - len(last):]
        more_rows = len(left) + sum(record.get('stands_for', 0) for record in denied)
        more = ['and %d more: see the report of the guard, or %s.' % (more_rows, all_records)] if more_rows else []
        last = ["Guard '%s' denied what the policy does not expect:" % guard['name'], *shown, ' '.join(more + rules)] + last
    elif outcome.totals(report['denied'], report['counters'], guard['mode'], earlier_fails)[outcome.DENIED]:
        last = ["%d denials of guard '%s' did not fit into the records, so nobody can tell whether they were expected."
                % (outcome.unrecorded(report['denied'], report['counters'], guard['mode'])[0], guard['name'])] + last
    return '\n'.join(_cut(line, ROOM) for line in last) or None


def why_stopped(name, record):
    """What a task is told that comes after this denial, where the policy says on_denied: stop.

    Of the command it has the program alone: whoever sees this may not be allowed to see that task's arguments (no_log).
    """
    program = spoken(record['command']).partition(' ')[0].rpartition('/')[2] or 'a process'
    return _cut("ebpf_guard: this task was not run, because guard '%s' denied %s to %s (process %d), which its policy does not expect, "
                'and the policy says on_denied: stop. %s ebpf_guard_info tells more.' % (
                    name, endpoint(record), program, record['pid'], ' '.join(_rules([record]))), 2 * ROOM)


def _damage(report, guard):
    if not outcome.is_broken(report.get('faults'), guard['mode']):
        return []
    return ["Guard '%s' was not whole all the time, so accesses may have passed unseen: %s"
            % (guard['name'], ' '.join(report['faults']))]


def _of_news(news, report, all_records, commands, room):
    rows = _rows(telling(news), commands)
    more = ['And %d more: see the report of the guard, or %s.' % (
        len(rows) - room, re.sub(r'denied\Z', 'observed', all_records))] if rows[room:] else []
    return ["Guard '%s' saw what the baseline does not have, and the policy says on_new: fail:" % report['guard']['name'],
            *rows[:room], ' '.join(more + ['If the deployment needs it, learn it: ansible-playbook loopbreak.deploy.learn.'])]


def _rows(denied, commands):
    """A line for each thing that a command of a task was denied."""
    counts = Counter()
    for record in (record for record in denied if not record.get('stands_for')):
        command = spoken(record.get('command') or '') if commands else ''
        counts[endpoint(record), record.get('task'), command] += record['count']
    return [_row(*what, count) for what, count in counts.items()]


def _row(what, task, command, count):
    times = 'once' if count == 1 else '%d times' % count
    where = ", in the task '%s'" % PLACE.sub('', task) if task else ''
    return '%s, %s%s%s' % (what, times, where, command and ': ' + _cut(command, COMMAND_ROOM))


def _rules(denied):
    """Why, and whose each rule is."""
    rules = dict.fromkeys((record['rule'], record.get('owner'), (record['reason'] or 'no reason is known').rstrip('.'))
                          for record in denied)
    for rule, owner, reason in rules:
        if rule is None:
            yield '%s%s.' % (reason[0].upper(), reason[1:])
        else:
            yield "Rule '%s'%s: %s." % (rule, ' (%s)' % owner if owner else '', reason)


def _cut(text, room):
    text = clean(text)
    return text if len(text) <= room else text[:room - 1] + '…'
