# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An action that runs its command by the connection itself, without the shell that Ansible is told to use."""

from __future__ import annotations

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _supports_check_mode = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        status, output, _errors = self._connection.exec_command(self._task.args["cmd"], sudoable=False)
        return dict(result, changed=True, rc=status, stdout=output.decode())
