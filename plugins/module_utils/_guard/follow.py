# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A guard that is followed: what it denies, and what else is reached for the first time, soon after it happens.

A call waits until there is something, tells it, and where the next one has to go on. Changes nothing, and ends where nobody
listens any more.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import select
import sys
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import report
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import Place
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import log, records

PATIENCE = 20  # seconds of one call: then who follows sees that the host is there
OFTEN = 0.2  # seconds between two looks whether the kernel has counted more
SHARE = 10  # of the time between two readings of the records, one part is spent on reading
MOST = 100  # records of a call
SLACK = 1  # seconds: so much may the clocks of two calls differ about one moment
NOTHING = {'denied': [], 'observed': []}


def follow(name, since):
    """{denied, observed, more, since, up}: what happened after `since`, which is {} for the first call, then what the last one
    returned: {at: the latest moment that is told, told: {record: its count} of about that time}.

    A record of a denial is told again each time that it has happened again, one of what was allowed once. The newest are
    told; `more` is how many there are besides. `up`: whether there is a guard to be followed on.
    """
    place, end = Place(name), time.monotonic() + PATIENCE
    state, seen, counted = None, None, None
    while True:
        now = files.identity(place.state)
        if now != seen:
            state, seen = place.read(), now
        if not state:
            try:
                return dict(_since(_last(place, since), since), up=False)
            except (LookupError, TypeError):  # somebody else has written to the log
                return dict(_since(NOTHING, since), up=False)
        if 'end' in state:  # its last report is about to be written
            if time.monotonic() >= end or _is_left_in(OFTEN):
                return dict(_since(NOTHING, since), up=False)
            continue
        began, found = time.monotonic(), None
        with contextlib.suppress(GuardError, OSError):  # it is going down, or its rules are being exchanged
            totals = report.counted(place)
            if totals != counted:
                found, counted = _since(report.whole(place, state), since), totals
        took = time.monotonic() - began
        if found and (found['denied'] or found['observed'] or not since):
            return found
        if time.monotonic() >= end or _is_left_in(max(OFTEN, SHARE * took) if found else OFTEN):
            return _since(NOTHING, since)


def _is_left_in(seconds):
    """Waits so long. Or less, if the connection breaks by which this call's result would go: then there is nobody to tell."""
    waiting = select.poll()
    waiting.register(sys.stdout, 0)  # that it has ended is told unasked
    return bool(waiting.poll(seconds * 1000))


def _since(found, since):
    before, told = since.get('told', {}), {}
    begin = _earlier(since['at']) if since else ''
    news = {'denied': [], 'observed': []}
    for kind, key in (('denied', 'last_seen'), ('observed', 'first_seen')):
        for record in found[kind]:
            if record[key] > begin:
                name, count = _name(kind, record), record['count'] if kind == 'denied' else 0
                told[name] = [record[key], count]
                if name not in before or before[name][1] != count:
                    news[kind].append((record[key], record))
    moments = sorted(moment for some in news.values() for moment, _record in some)
    least = moments[-MOST:][0] if moments else ''
    kept = {kind: [record for moment, record in news[kind] if moment >= least] for kind in news}
    at = max(moments, default=since.get('at') or records.now())
    recent = {name: one for name, one in {**before, **told}.items() if one[0] > _earlier(at)}
    return dict(kept, more=len(moments) - sum(map(len, kept.values())), since={'at': at, 'told': recent}, up=True)


def _earlier(moment):
    begin = datetime.datetime.fromisoformat(moment.replace('Z', '+00:00')) - datetime.timedelta(seconds=SLACK)
    return begin.isoformat(timespec='microseconds').replace('+00:00', 'Z')


def _name(kind, record):
    """The same for each call that sees this record."""
    parts = [kind] + [record[key] for key in ('kind', 'rule', 'name', 'address', 'port', 'path', 'pid', 'command', 'mode')]
    return hashlib.sha256(repr(parts).encode('utf-8', 'surrogateescape')).hexdigest()[:16]


def _last(place, since):
    """What a guard that is down has recorded since then, as far as its event log tells."""
    kept = [record for record in log.tail(place.log) if record.get('guard') == place.name] if since else []
    return {'denied': [record for record in kept if record['event'] in ('denied', 'would_deny')],
            'observed': [record for record in kept if record['event'] == 'observed']}
