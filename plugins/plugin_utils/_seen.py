# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What the callback has seen of the run, for the action plugins, and whether it follows the run at all.

The processes in which action plugins run are forks of the one in which the callback runs, so they have what is here when
their task begins. Where the callback is not enabled, all of it is empty.
"""

from __future__ import annotations

from ansible import context

tasks = {}  # host -> {guard's name: what has `windows`, the tasks that ran since the guard came up}
arguments = {}  # host -> {task: the words that its arguments are made of}
_followed = False

ABSENT = ('The callback loopbreak.deploy.ebpf_guard does not follow this run, so nobody prints the report, tells which tasks '
          'ran outside the guard, or fails the run for a guard that is left up. Add loopbreak.deploy.ebpf_guard to '
          'callbacks_enabled in ansible.cfg, or to ANSIBLE_CALLBACKS_ENABLED, which takes the place of that setting.')


def follow():
    global _followed  # pylint: disable=global-statement
    _followed = True


def is_missed():
    """Is this a playbook that the callback does not follow? An ad-hoc call needs none."""
    return not _followed and 'start_at_task' in context.CLIARGS
