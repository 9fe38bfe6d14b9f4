# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What the launcher says on the target and the callback has to know on the controller."""

from __future__ import annotations

GONE = 'ebpf_guard_gone'  # the key of {name, by, at, report}, in the answer to a task that came after the guard's end
REBOOT = ("Guard '%s' does not survive a reboot, so the host was not rebooted: what came after it would not be guarded. Stop "
          'the guard before the reboot, and start it again after it (tasks_from: stop and tasks_from: start of the role).')
REFUSED = 97  # the exit status of a task that was not run
