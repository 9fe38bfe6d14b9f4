# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The end of a playbook: its verdict comes when all callbacks have seen it, wherever ours stands in their list.

ansible-core tells one callback after the other, and an exit in one of them ends the run before the others are told. So our
callback only judges in its turn, and the exit is put around the call that tells them all.
"""

from __future__ import annotations

import functools

from ansible import constants as C
from ansible.executor.task_queue_manager import TaskQueueManager

EVENT, CALL = 'v2_playbook_on_stats', 'send_callback'
BEGINS = ('v2_playbook_on_play_start', 'v2_playbook_on_task_start', 'v2_playbook_on_handler_task_start')


class Ending:
    def __init__(self, name, next_begins, begin, judge, leave):
        """`name`: our callback's. `next_begins` gets the event of a play or task before any callback does. `begin` gets the statistics
        so, and `judge` in our turn. What `judge` returns goes to `leave`, which may exit, after all of them.
        """
        self._name, self._next_begins, self._begin, self._judge, self._leave = name, next_begins, begin, judge, leave
        self._is_around = False  # around the event that is told now
        self._verdict = None  # what `judge` returned; None: our turn has not come
        self._comes_last = hasattr(TaskQueueManager, CALL)
        if self._comes_last:
            setattr(TaskQueueManager, CALL, self._around(getattr(TaskQueueManager, CALL)))

    def _around(self, tell_all):
        @functools.wraps(tell_all)
        def send_callback(manager, method_name, *args, **kwargs):
            if method_name in BEGINS:
                self._next_begins(method_name)
            if method_name != EVENT:
                return tell_all(manager, method_name, *args, **kwargs)
            self._verdict, self._is_around = None, True
            self._begin(*args)
            try:
                return tell_all(manager, method_name, *args, **kwargs)
            finally:
                self._is_around = False
                self._leave(self._verdict or self._judge(*args))  # another callback's exit may have come before our turn
        return send_callback

    def turn(self, stats):
        """The event has come to our callback."""
        if not self._is_around:
            self._begin(stats)
        self._verdict = self._judge(stats)
        if not self._is_around:
            self._leave(self._verdict)

    def complaint(self):
        """A sentence where our callback does not stand well; None where it does."""
        if C.DEFAULT_STDOUT_CALLBACK == self._name:
            return (f'{self._name} is the stdout callback, so nothing else of the run is printed. Put it into callbacks_enabled, '
                    'and take it out of stdout_callback.')
        enabled = list(C.CALLBACKS_ENABLED or ())
        later = enabled[enabled.index(self._name) + 1:] if self._name in enabled else []
        if later and not self._comes_last:
            return (f'With this ansible-core a run that {self._name} fails ends before {", ".join(later)} can see it. List '
                    f'{self._name} last in callbacks_enabled.')
        return None
