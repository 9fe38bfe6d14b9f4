# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of M(loopbreak.deploy.ebpf_guard).

Reads and checks the policy before the target is touched, sends the BPF object along, compares the clocks, and hides
the commands of tasks with no_log.
"""

from __future__ import annotations

import os
import time

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import objects
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _no_log, _policy_file, _way_in

LAUNCHERS = '/run/ebpf_guard/'
INTERNAL = ('_objects', '_shell', '_remote_user')


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = {key: value for key, value in self._task.args.items() if key not in INTERNAL}
        if arguments.get('state', 'present') == 'present':
            try:
                arguments.update(self._policy(arguments), _shell=self._shell(arguments.get('name', 'deploy')))
            except GuardError as error:
                result.update(failed=True, msg=str(error), **error.facts)
                return result
            arguments.update(_objects=objects.packed(arguments.get('loader', 'auto')),
                             _remote_user=self._play_context.remote_user)
        began = time.time()
        result.update(self._execute_module(module_name='loopbreak.deploy.ebpf_guard', module_args=arguments,
                                           task_vars=task_vars))
        self._compare_clocks(result, began, time.time())
        self._try_the_way_in(result, task_vars)
        _no_log.conceal(self._task.delegate_to or task_vars.get('inventory_hostname'), result,
                        (result.get('guard') or {}).get('clock_offset'))
        return result

    def _policy(self, arguments):
        """The checked policy in its canonical form, as the module's `policy`; it needs no `policy_file` then."""
        given, path = arguments.get('policy'), arguments.get('policy_file')
        if bool(given) == bool(path):
            raise GuardError('A guard needs a policy: give either policy_file or policy.')
        if path:
            path, text = self._read(path)
            mapping, lines = _policy_file.parse(text, path)
            policy = check(mapping, path, lines)
        else:
            policy = check(given)
        return {'policy': policy.as_mapping(), 'policy_file': None}

    def _read(self, path):
        """(where the policy file is, its text), decrypted where it is encrypted."""
        try:
            path = self._find_needle('files', path)
        except AnsibleError:
            if not os.path.isfile(path):
                raise GuardError("There is no policy file '%s' on the controller. A relative path is looked up in files/ "
                                 'of the role, then beside the playbook, then in the working directory.' % path)
            path = os.path.abspath(path)  # beside a playbook of a collection nobody has policies
        try:
            plain = self._loader.get_real_file(path)
            with open(plain, encoding='utf-8') as content:
                return path, content.read()
        except (AnsibleError, OSError, UnicodeDecodeError) as error:
            raise GuardError("The policy file '%s' can't be read: %s" % (path, error))
        finally:
            self._loader.cleanup_all_tmp_files()

    def _shell(self, name):
        """The shell that the launcher leads to: what tasks of this host use now. None: this guard's launcher."""
        shell = self._play_context.executable
        if not shell or not shell.startswith(LAUNCHERS):
            return shell
        around = shell[len(LAUNCHERS):].split('/')[0]
        if around != name:
            raise GuardError("Guard '%s' can't be brought up by a task that runs inside guard '%s': a process is in one "
                             "of them at a time, so the tasks would leave '%s'. Take that one down first, or write one "
                             'policy with the rules of both.' % (name, around, around))
        return None

    def _try_the_way_in(self, result, task_vars):
        """Fails where no task could take it. A guard that this call has brought up goes again: nobody could use it."""
        is_new, guard = result.pop('brought_up', False), result.get('guard') or {}
        if result.get('failed') or self._task.check_mode or not guard.get('launcher') or (
                self._task.args.get('state', 'present') != 'present'):
            return
        why = _way_in.complaint(self, guard['name'], guard['launcher'])
        if not why:
            return
        if is_new:
            self._execute_module(module_name='loopbreak.deploy.ebpf_guard', task_vars=task_vars, module_args={
                'state': 'absent', 'name': guard['name'], 'fail_on_denied': False})
        result.clear()
        result.update(failed=True, changed=not is_new, msg=why)

    def _compare_clocks(self, result, began, ended):
        """How far the target's clock is ahead. Within the time of the call nothing can be told: then it is 0."""
        clock = result.pop('clock', None)
        if not clock or not result.get('guard'):
            return
        earliest, latest = clock[1] - ended, clock[0] - began
        result['guard']['clock_offset'] = 0.0 if earliest <= 0 <= latest else (earliest + latest) / 2
