# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What the callback has seen of the run, for the action plugins.

The processes in which action plugins run are forks of the one in which the callback runs, so they have what is here when
their task begins. Where the callback is not enabled, all of it is empty.
"""

from __future__ import annotations

tasks = {}  # host -> {guard's name: what has `windows`, the tasks that ran since the guard came up}
arguments = {}  # host -> {task: the words that its arguments are made of}
