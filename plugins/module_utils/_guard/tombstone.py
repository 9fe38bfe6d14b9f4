# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What stays of a guard that ended while tasks may still come: a launcher that says so, and the last report.

Without it such a task would not find its launcher, and Ansible would call the host unreachable. The next state=absent
returns the report and removes it, the next state=present removes it.
"""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import launcher
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records

TTL = 'its ttl'
REMOVED = 'the removal of its state'


def end(by):
    """`by`: who or what ended the guard, as words that follow 'by'."""
    return {'by': by, 'at': records.now()}


def stop_entry(place, state, ended):
    """From now on nobody enters: what comes is told that the guard has ended."""
    gone = dict(ended, name=place.name, report=place.last)
    place.make_run()  # somebody may have removed it
    if state['launcher']:
        place.write_launcher(launcher.tombstone(
            place.name, state['shell'], "ebpf_guard: this task was not run, because guard '%s' was ended by %s at %s. Its "
            'report is in %s on the host, and state=absent returns it.' % (place.name, ended['by'], ended['at'], place.last),
            gone))


def fault(ended):
    """For the last report: what came after this was not guarded."""
    return ('The guard was ended by %s at %s, before state=absent. What went on after that was not guarded.'
            % (ended['by'], ended['at']))
