# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A guard's event log: one JSON object a line, each with the version of its form."""

from __future__ import annotations

import json
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._report.records import now

VERSION = 1  # of a line; a field that is there keeps its name and meaning
REFUSED = 'refused'
LIMIT = 10 * 1024 * 1024  # bytes; then the log is put aside, once


def append(path, name, report):
    """Write a guard's records to its event log."""
    lines = [dict(record, event='denied' if record['mode'] != 'monitor' else 'would_deny', guard=name)
             for record in report['denied']]
    lines += [dict(record, event='observed', guard=name) for record in report['observed']]
    lines.append({'event': 'down', 'guard': name, 'ended': report.get('ended'), 'loader': report['guard']['loader'], 'counters': report['counters'],
                  'limits': report['limits'], 'entries': report['entries']['count'], 'left': report['left'],
                  'left_running': report['left_running']})
    _append(path, lines)


def append_refusal(path, name, uid, pid, owner, command):
    """Write to the event log that a user tried to bring somebody else's process in."""
    _append(path, [{'event': REFUSED, 'guard': name, 'time': now(), 'uid': uid, 'pid': pid, 'owner': owner,
                    'command': command}])


def refusals(path, since):
    """What the event log has of such attempts since a moment."""
    try:
        with open(path) as log:
            found = [json.loads(line) for line in log if '"event": "%s"' % REFUSED in line]
    except FileNotFoundError:
        return []
    return [{key: one[key] for key in ('time', 'uid', 'pid', 'owner', 'command')} for one in found
            if one['time'] >= since]


def _append(path, lines):
    """One JSON object a line."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    if os.path.exists(path) and os.path.getsize(path) > LIMIT:
        os.replace(path, path + '.1')
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, 'w') as log:
        log.write(''.join(json.dumps(dict(line, version=VERSION), sort_keys=True) + '\n' for line in lines))
