# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What of a guard's report was before a run took the guard over, told apart. Pure."""

from __future__ import annotations

import datetime


def base(report):
    """What has to be known of a report to tell later ones apart from it."""
    return {'counters': report['counters'], 'entries': report['entries']['count']}


def told_apart(report, since, before):
    """The report with the counts since then, and `earlier` on each record that was last seen before.

    `since`: when the run took the guard over. `before`: the base of that time; None where it brought the guard up.
    """
    if before is None:
        return report
    began = datetime.datetime.fromisoformat(since.replace('Z', '+00:00')).timestamp()
    times = [time for time in report['entries']['times'] if time >= began]
    entries = {'count': max(0, report['entries']['count'] - before['entries']), 'times': times,
               'first': times[0] if times else None, 'last': times[-1] if times else None}
    return dict(report, counters=difference(report['counters'], before['counters']), entries=entries,
                **{part: [dict(record, earlier=True) if record['last_seen'] < since else record for record in report[part]]
                   for part in ('denied', 'observed')})


def difference(now, before):
    """Of counters, which may be in groups. A table that was lost since counts from zero again."""
    return {key: difference(value, before.get(key, {})) if isinstance(value, dict) else max(0, value - before.get(key, 0))
            for key, value in now.items()}
