# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What denials cost: for how long each task went on after its first one, and what became of it. Knows nothing of Ansible.

A task waits from its first denial to its end: with all its retries, and with all items of its loop from there on. What it
started in the background goes on until a task sees that it is over. Where none does, it is known to have waited until its last
denial, or until now where its process still runs.
"""

from __future__ import annotations

from datetime import datetime, timezone

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model

# what became of a task, the worst first
FAILED, RUNNING, RESCUED, IGNORED, PASSED = ENDS = 'failed', 'running', 'rescued', 'ignored', 'passed'
SURVIVED = {FAILED: 'no', RUNNING: 'still running', RESCUED: 'rescued', IGNORED: 'ignored', PASSED: 'yes'}
UNKNOWN = {'waited': None, 'survived': None, 'denied_tasks': []}  # of a run whose tasks nobody has followed


class _Wait:
    """From the first denial in one run of a task to its end."""

    def __init__(self, window):
        self.window, self.first, self.last, self.pids = window, window.end, window.start, set()

    def add(self, record, offset):
        first, last = (model.moment_of(record.get(key), offset) for key in ('first_seen', 'last_seen'))
        self.first = min(self.first, max(self.window.start, first or 0.0))
        self.last = max(self.last, last or 0.0)
        self.pids.update(record.get('pids') or (), (one['pid'] for one in record['ancestry']))

    def ended(self, jobs, running, now):
        """(when, what became of it). Of several jobs, the one that took longest."""
        if not self.window.jobs:
            return self.window.end, self.window.outcome
        known = [jobs[one] for one in self.window.jobs if one in jobs]
        # Ansible has a process that looks after a job, and it stays for some seconds after the end
        if len(known) < len(self.window.jobs) and self.pids & running:
            return now, RUNNING
        until = max((moment for moment, _outcome in known), default=self.last)
        return max(until, self.window.end), min((one for _moment, one in known), key=ENDS.index, default=self.window.outcome)


def of(found, seen, offset, report, now):
    """{waited, survived, denied_tasks} of a guard, as its report has them.

    `found`: pairs of a denial and the window of its task. `seen`: what has `windows` and `jobs` of all that ran.
    """
    waits = {}
    for record, window in found:
        if window and outcome.of_record(record, report['guard'].get('mode')) not in (outcome.WOULD_DENY, outcome.EARLIER):
            waits.setdefault(window, _Wait(window)).add(record, offset)
    running = {one['pid'] for one in report.get('left_running') or ()}
    rows = {}
    for window, wait in sorted(waits.items(), key=lambda item: item[0].start):
        until, became = wait.ended(seen.jobs, running, now)
        row = rows.setdefault(str(window.task), {
            'task': str(window.task), 'runs': 0, 'first_denied': _stamp(wait.first), 'outcome': became, 'waited': 0.0})
        row.update(runs=row['runs'] + 1, until=_stamp(until), outcome=min(row['outcome'], became, key=ENDS.index),
                   waited=round(row['waited'] + max(0.0, until - wait.first), 3))
    failed = [window for window in seen.windows if window.outcome == FAILED]
    return {'waited': round(sum(row['waited'] for row in rows.values()), 3), 'survived': not failed if rows else None,
            'denied_tasks': list(rows.values())}


def _stamp(moment):
    return datetime.fromtimestamp(moment, timezone.utc).strftime('%Y-%m-%dT%H:%M:%S.%fZ')


def seconds(number):
    """For people."""
    return f'{number:.1f} s'
