# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Results of our modules without the command lines of tasks with no_log.

The callback notes when such tasks ran. The processes in which action plugins run are forks of the one in which the
callback runs, so they know of it, and hide the commands before anybody gets to see the result. Where the callback is
not enabled, nobody notes anything, and nothing is hidden.
"""

from __future__ import annotations

import math

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model

HIDDEN = 'hidden (no_log)'
_spans = {}  # host -> [(start, end)] of its tasks with no_log, on the controller's clock


def note(host, task, start, end):
    """A task has run. What it did not wait for goes on while others run."""
    _spans.setdefault(host, []).append((start, math.inf if task.async_val and not task.poll else end))


def conceal(host, report, offset):
    """Hide in a report the commands of what ran during such a task. `offset`: as in the model; None: hide them all."""
    spans = _spans.get(host)
    if not spans:
        return
    records = (report.get('denied') or []) + (report.get('observed') or [])
    hidden = [record for record in records if _began_in(record, spans, offset)]
    pids = {record['pid'] for record in hidden} - {0, None}  # None: of a row that stands for others
    hidden += [record for record in records if pids.intersection(_lineage(record))]
    for record in hidden:
        record['command'], record['ancestry'] = HIDDEN, []
        if record['evidence'] and record['evidence']['command']:
            record['evidence'] = dict(record['evidence'], command=HIDDEN)
    for process in (report.get('left_running') or []) + (report.get('left') or []):  # when it was started, nobody knows
        process['command'] = HIDDEN


def _began_in(record, spans, offset):
    """Was the access made then, or the first of its processes started? That may be long before."""
    moments = [offset is not None and model.moment_of(record.get(key), offset) for key in ('first_seen', 'entered')]
    if not moments[0]:
        return True
    margin = model.SLACK if abs(offset) < model.SLACK else model.NEAR  # clocks are compared only roughly
    return any(start - margin <= moment <= end + margin for start, end in spans for moment in moments if moment)


def _lineage(record):
    return [record['pid']] + [parent['pid'] for parent in record['ancestry']]
