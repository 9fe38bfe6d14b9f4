# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What only the controller can tell of a record: its task, and whether the arguments of the task name what was reached. And what
it tells of the whole.
"""

from __future__ import annotations

import sys

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import classes, verdict, words
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _clock, _github, _seen
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import brief, model, waits

WORDS, ROOM = 200, 2000  # of one task that are kept, and characters of each


def note(host, task, arguments, items):
    """The callback saw that a task ran, with these arguments; `items`: the results of its loop."""
    known = _seen.arguments.setdefault(host, {}).setdefault(task, [])
    given = [arguments]
    for item in items:
        if isinstance(item, dict):
            given += [(item.get('invocation') or {}).get('module_args'), item.get(item.get('ansible_loop_var', 'item'))]
    known += list(_strings(given))[:WORDS - len(known)]


def _strings(given):
    if isinstance(given, dict):
        given = given.values()
    if isinstance(given, str):
        yield sys.intern(given[:ROOM])  # hosts have most of them in common
    elif hasattr(given, '__iter__'):
        for part in given:
            yield from _strings(part)


def add_tasks(host, report):
    """Give each record its task, and tell what the denials of each task cost. Where a module reached what the arguments of the
    task name, nobody hid anything.
    """
    guard = report.get('guard')
    seen = guard and _seen.tasks.get(host, {}).get(guard['name'])
    about = seen and {'tasks': seen.windows, 'offset': guard.get('clock_offset') or 0.0,
                      'launched': guard['launcher'] is not None}
    denied, windows = report.get('denied') or [], []
    for record in denied + (report.get('observed') or []):
        window = model.window_of(record, record['first_seen'], about) if about else None
        windows.append(window)
        record['task'] = str(window.task) if window else None
        arguments = _seen.arguments.get(host, {}).get(record['task'])
        if record['class'] == classes.HIDDEN and arguments \
                and classes.is_named_by(record, arguments, bool(words.asked_name(record))):
            record['class'], record['evidence'] = classes.DIRECT, {'pid': None, 'command': None, 'task': record['task']}
    if guard:
        report.update(waits.of(zip(denied, windows), seen, about['offset'], report, _clock.now()) if about else waits.UNKNOWN)


def judge(result, task):
    """Say again why the host has to fail, now with the tasks, with what is new, and with no command that no_log hides.

    With no_log of its own, the result is for nobody to see: then it has no verdict, with which the role fails the host in a
    task of its own, and the failure of this task is all there is.
    """
    if 'verdict' not in result or task.check_mode:
        return
    before = result['verdict']
    after = verdict.of(result, '%s.denied' % task.register if task.register else 'denied', commands=not task.no_log)
    after = after and _github.harmless(after)  # which Ansible prints
    if result.get('failed') and result['msg'] == before:
        result['msg'] = after
        result.pop('exception', None)  # where Ansible keeps the first message, and prints it whatever no_log says
    elif after and not before and not result.get('failed') and boolean(task.args.get('fail_on_denied', True), strict=False):
        result.update(failed=True, msg=after)
    result['verdict'] = None if task.no_log else after


def sum_up(result, task):
    """Put the report in brief into Ansible's statistics, as ansible.builtin.set_stats does. Not what nobody is to see."""
    told = brief.of_report(result) if 'verdict' in result else None
    if told and not task.no_log and not task.check_mode:
        result['ansible_stats'] = {'data': {brief.KEY: told}, 'per_host': True, 'aggregate': False}
