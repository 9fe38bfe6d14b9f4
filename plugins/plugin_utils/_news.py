# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What a guard recorded that the baseline of its policy does not have. Decided here, and nowhere else."""

from __future__ import annotations

import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _baseline, _files


def find(name, beside):
    """The path of the baseline that a policy names; None where it names none. GuardError where it can't be read.

    `beside`: the directory of the policy. Nothing is brought up whose records could not be compared in the end.
    """
    if name is None:
        return None
    path = os.path.abspath(os.path.join(beside, os.path.expanduser(name)))
    _read(path)
    return path


def _read(path):
    text = _files.read(path)
    if text is None:
        raise GuardError('There is no baseline %s. The policy names it, by a path from its own directory on. '
                         'ansible-playbook loopbreak.deploy.learn writes one; without it, take baseline out.' % path)
    return _baseline.parse(text, path)


def mark(report, path):
    """Mark the records of what is new, and count them. `path`: where this run found the baseline; None: where the guard's run did.

    What could not be compared is a fault.
    """
    known = report.get('baseline')
    if not known or not report.get('guard'):
        return
    known['file'] = path or known['file']
    try:
        baseline = _read(known['file'])
    except GuardError as error:
        report['faults'] = [*(report.get('faults') or ()), 'Nothing was compared with the baseline. %s' % error]
        return
    for record in report['denied'] + report['observed']:
        if not baseline.knows(record):
            record['new'] = True
    report['new'] = sum(bool(record.get('new')) for record in report['observed'])
    unseen = sum(record['stands_for'] for record in report['observed']
                 if record.get('stands_for') and _baseline.OF_PATHS.get(record['kind'], 'host') in baseline.kinds)
    lost = (report.get('counters') or {}).get('lost')
    if lost and known['on_new'] == 'fail':
        report['faults'] = [*(report.get('faults') or ()), 'The details of %d accesses did not fit, so nobody can tell whether the '
                            'baseline has them.' % lost]
    if unseen:
        report['faults'] = [*(report.get('faults') or ()), '%d records of what was allowed had no room in the report, so they '
                            'were not compared with the baseline. The event log on the host has them.' % unseen]
