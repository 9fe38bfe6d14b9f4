# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What stands in a guard's place from the first step of its end: a launcher that says so, and the last report.

It stays where tasks may still come: one would not find its launcher, and Ansible would call the host unreachable. It stays as
well where the call was killed that took the guard down. The next state=absent returns the report and removes it, the next
state=present removes it.
"""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import launcher
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard.place import remove

TTL = 'its ttl'
REMOVED = 'the removal of its state'


def stop_entry(place, state):
    """From now on nobody enters: what comes is told that the guard has ended. Who knocks at a door is let in no more."""
    ended = {key: state['end'][key] for key in ('by', 'at')}
    try:
        place.make_run()  # somebody may have removed it
        if state['launcher']:
            place.write_launcher(launcher.tombstone(
                place.name, state['shell'], "ebpf_guard: this task was not run, because guard '%s' was ended by %s at %s. Its "
                'report is in %s on the host, and state=absent returns it.'
                % (place.name, ended['by'], ended['at'], place.last), dict(ended, name=place.name, report=place.last)))
    except OSError:  # no room for it
        place.close()
    remove(place.doors)


def fault(ended):
    """For the last report: what came after this was not guarded."""
    return ('The guard was ended by %s at %s, before state=absent. What went on after that was not guarded.'
            % (ended['by'], ended['at']))
