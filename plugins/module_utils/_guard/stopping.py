# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. `on_denied: stop`: once something was denied that the policy does not expect, no further task starts on this host.

The agent looks for that, and raises a flag beside the launcher, which then refuses whoever comes. Without an agent, the end of
the guard judges as ever.
"""

from __future__ import annotations

import contextlib
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import launcher, report
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome, records, verdict

OFTEN = 0.2  # seconds between two looks whether more was denied
SHARE = 10  # of the time between two readings of the records, one part is spent on reading


def is_wanted(state):
    return state['mode'] == 'enforce' and state['policy'].get('on_denied') == 'stop'


def unexpected(denied, mode):
    """How many accesses were denied that the policy does not expect."""
    return sum(record['count'] for record in outcome.must_fail(denied, mode))


def tolerated(place, state):
    """How many such denials there are that keep no task of a run which takes the guard over now."""
    return unexpected(report.whole(place, state)['denied'], state['mode']) if is_wanted(state) else state['tolerated']


class Lookout:
    """The agent's end."""

    def __init__(self, place):
        self.place, self.counted, self.due = place, None, 0.0

    def look(self, state):
        """Raise the flag where it is time. Reads the records only where the kernel has counted more denials."""
        if not is_wanted(state) or self.place.is_stopped or time.monotonic() < self.due:
            return
        with contextlib.suppress(GuardError, OSError):  # the guard is going down, or is being mended
            counted = records.denials(report.counted(self.place))
            if counted != self.counted:
                self._read(state)
                self.counted = counted

    def _read(self, state):
        began = time.monotonic()
        denied = outcome.must_fail(report.whole(self.place, state)['denied'], state['mode'])
        if sum(record['count'] for record in denied) > (self.place.read() or state)['tolerated']:
            last = max(denied, key=lambda record: record['last_seen'])
            self.place.raise_flag(launcher.stopped(verdict.why_stopped(state['name'], last)))
        now = time.monotonic()
        self.due = now + max(OFTEN, SHARE * (now - began))
