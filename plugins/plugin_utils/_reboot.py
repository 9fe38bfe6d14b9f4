# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Refuses ansible.builtin.reboot on a host whose guard is up. It would wait for a launcher that is gone until its timeout.

A task has a worker, a process that is forked right after the event of its start, and nothing but the event can be had
before. So the worker gets another task to do: one that fails with the sentence. The run's own copy of the task stays.
"""

from __future__ import annotations

import os

from ansible_collections.loopbreak.deploy.plugins.module_utils import _said

ACTIONS = ('reboot', 'ansible.builtin.reboot', 'ansible.legacy.reboot')
FAIL = 'ansible.builtin.fail'


class Refusal:
    """The worker of one task, which begins in a moment."""

    def __init__(self):
        self._task, self._guard = None, None
        os.register_at_fork(after_in_child=self._exchange)

    def expect(self, task, guard):
        """The next worker is for this task. `guard`: the name of one that the reboot would end; None: let the task be."""
        self._task, self._guard = task, guard

    def _exchange(self):
        if self._guard is not None:
            self._task.action = self._task._resolved_action = FAIL
            self._task.args = {'msg': _said.REBOOT % self._guard}
            self._task.async_val = 0
