# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The report as GitLab's code quality: a list of what tasks reached and should not have, each at the task's place."""

from __future__ import annotations

import hashlib
import itertools

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import findings
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.spool import encoded

NOWHERE = 'unknown'  # GitLab shows nothing that has no place


def write(document, output):
    output.write(b'[')
    between = b'\n'
    for issue in _issues(document):
        output.write(between + encoded(issue).encode())
        between = b',\n'
    output.write(b'\n]\n')


def _issues(document):
    run, (found, left_out, _counts) = document.run, document.folded
    for one in found:
        severity = 'critical' if one.fails else 'info' if one.verdict in findings.HARMLESS else 'major'
        yield _issue(run, one.record['task'], one.message, one.rule, one.fingerprint, severity)
    if left_out:
        yield _issue(run, None, findings.left_out_of(left_out), 'loopbreak/left-out', 'loopbreak/left-out', 'info')
    for one in itertools.islice(findings.problems(document), findings.ROOM):
        yield _issue(run, None, one.message, 'loopbreak/not-whole', hashlib.sha256(encoded(one).encode()).hexdigest(),
                     'blocker' if one.fails else 'minor')


def _issue(run, task, description, check, fingerprint, severity):
    path, line = findings.where(run, task)
    return {'description': description, 'check_name': check, 'fingerprint': fingerprint, 'severity': severity,
            'location': {'path': path or NOWHERE, 'lines': {'begin': line or 1}}}
