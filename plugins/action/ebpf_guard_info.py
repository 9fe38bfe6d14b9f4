# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of M(loopbreak.deploy.ebpf_guard_info).

Sends the BPF objects along where they are to be tried, and hides the commands of tasks with no_log. Follows a guard by call
after call, and prints what each brings.
"""

from __future__ import annotations

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.loopbreak.deploy.plugins.module_utils import _sent
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import objects
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _github, _no_log, _shell, _told, _way_in
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import text


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = _sent.of_user(self._task.args)
        if boolean(arguments.get('capabilities'), strict=False):
            arguments[_sent.SENT] = {'objects': objects.packed('auto')}
        _shell.step_out(self, task_vars or {})
        host = self._task.delegate_to or (task_vars or {}).get('inventory_hostname')
        if boolean(arguments.get('follow'), strict=False):
            if self._task.async_val:
                return dict(result, failed=True, msg='follow prints what happens while the task runs, so it can not run with async. '
                                                     'Leave out one of both.')
            return dict(result, **self._follow(host, arguments, task_vars))
        result.update(_way_in.explained(self, self._execute_module(
            module_name='loopbreak.deploy.ebpf_guard_info', module_args=arguments, task_vars=task_vars,
            wrap_async=self._task.async_val)))
        for guard in result.get('guards') or []:
            _told.add_tasks(host, guard)
            _no_log.conceal(host, guard, None)
        return result

    def _follow(self, host, arguments, task_vars):
        """What the last call returned, without what is printed."""
        printed, since = 0, {}
        while True:
            found = _way_in.explained(self, self._execute_module(
                module_name='loopbreak.deploy.ebpf_guard_info', task_vars=task_vars,
                module_args={**arguments, _sent.SENT: {'since': since}}))
            if found.get('failed') or found.get('unreachable'):
                return found
            _no_log.conceal(host, found, None)
            lines = text.followed(host, found, not since)
            if lines:
                Display().display(_github.harmless('\n'.join(lines)))
            printed, since = printed + len(lines), found['since']
            if not found['up']:
                return {'changed': False, 'followed': printed}
