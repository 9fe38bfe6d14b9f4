# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of M(loopbreak.deploy.ebpf_guard).

Reads and checks the policy before the target is touched, sends the BPF object along, compares the clocks, finds the task
of each record, and hides the commands of tasks with no_log.
"""

from __future__ import annotations

import os.path

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.loopbreak.deploy.plugins.module_utils import _sent
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, failure
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import objects
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import (
    _brackets, _clock, _controller_file, _given, _news, _no_log, _policy_file, _seen, _services, _shell, _this_run, _told, _vault,
    _way_in)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._tasks import OURS


# Once for all hosts: Ansible forks a process for each task of a host, and has read this file by then.
objects.packed('auto')


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        try:
            return self._guarded(tmp, task_vars or {})
        except AnsibleError:
            raise
        except Exception as error:  # pylint: disable=broad-exception-caught
            doing = "The task for guard '%s'" % self._task.args.get('name', 'deploy'), 'finished'
            return dict(failed=True, **failure(error, doing))

    def _guarded(self, tmp, task_vars):
        result = super().run(tmp, task_vars)
        arguments, sent = _sent.of_user(self._task.args), {}
        host = self._task.delegate_to or task_vars.get('inventory_hostname')
        starts = arguments.get('state', 'present') == 'present'
        run = _this_run.of(host, arguments.get('name', 'deploy'), starts)
        try:
            self._check_host(task_vars)
            if starts:
                self._check_given(task_vars)
                self._check_callback(arguments)
                self._check_connection(arguments)
                sent = dict(self._policy(arguments, task_vars), shell=self._shell(arguments.get('name', 'deploy')))
                _this_run.keep(host, arguments.get('name', 'deploy'), sent['baseline'])
        except GuardError as error:
            result.update(failed=True, msg=str(error), **error.facts)
            return result
        if starts:
            arguments.update(policy=None, policy_file=None)  # the checked one is sent
            sent.update(objects=objects.packed(arguments.get('loader', 'auto')), remote_user=self._play_context.remote_user)
        _shell.step_out(self, task_vars)
        began, called = self._call(arguments, dict(sent, run=run), task_vars)
        result.update(called)
        self._compare_clocks(result, began, _clock.now())
        self._tell_who_is_not_root(result, task_vars)
        if starts:
            self._try_the_way_in(result, run, task_vars)
        else:
            self._check_start(result, task_vars)
            _news.mark(result, _this_run.kept(host, arguments.get('name', 'deploy')))
        _told.add_tasks(host, result)
        _no_log.conceal(host, result, (result.get('guard') or {}).get('clock_offset'))
        _told.judge(result, self._task)
        if not starts:
            _told.sum_up(result, self._task)
        return result

    def _call(self, arguments, sent, task_vars):
        """(when the module was called, its result). Where it asks whether other runs are over, it is called again."""
        for _attempt in range(2):
            began = _clock.now()
            result = _way_in.call(self, {**arguments, _sent.SENT: sent}, task_vars)
            if not result.get('ask_controller'):
                break
            sent['run'] = _this_run.answered(sent['run'], result['ask_controller'])
        return began, result

    def _check_host(self, task_vars):
        to, role = self._task.delegate_to, self._task._role
        if to and to != task_vars.get('inventory_hostname') and role and role.get_name() == OURS:
            raise GuardError("The role can't be delegated (delegate_to: %s): the tasks that it runs would be guarded on one "
                             'host and run on another. Write a play for that host, and use the role there.' % to)

    def _check_given(self, task_vars):
        warning = _given.check(self._task, task_vars, self._loader, self._templar.template)
        if warning:
            self._display.warning(warning)

    def _check_callback(self, arguments):
        if _seen.is_missed():
            if boolean(arguments.get('require_callback', False), strict=False):
                raise GuardError(_seen.ABSENT)
            self._display.warning(_seen.ABSENT)

    def _check_connection(self, arguments):
        """Tasks enter through the shell that starts them."""
        by_mitogen = any(base.__module__.startswith('ansible_mitogen') for base in type(self._connection).__mro__)
        if by_mitogen and not arguments.get('cgroup') and arguments.get('scope') != 'user':
            raise GuardError('Mitogen starts the tasks of this play without a shell, so none of them would enter the guard. '
                             'Run the play with `strategy: linear`.')

    def _check_start(self, result, task_vars):
        """A stop of the role that has nothing to take down fails where its start was left out. The callback knows more."""
        if (not _seen.is_missed() or 'ebpf_guard_started' in task_vars or result.get('guard', True) is not None
                or result.get('failed')):
            return
        name = self._task.args.get('name', 'deploy')
        if _brackets.start_is_left_out(self._task, task_vars):
            result.update(failed=True, msg="Guard '%s' was never up in this run, so the tasks before this ran unguarded: %s. "
                          'Give the inclusions of start and stop tags: [always].' % (name, _brackets.not_run()))
        elif _brackets.has_no_start(self._task) and 'ended' not in result:
            self._display.warning("Guard '%s' is not up on %s, and nothing in this run has started it, so no task before this stop "
                                  'was guarded. Include the role with tasks_from: start before the tasks.' % (
                                      name, task_vars.get('inventory_hostname')))

    @staticmethod
    def _tell_who_is_not_root(result, task_vars):
        ways = _shell.ways_around_root(task_vars)
        if ways and str(result.get('msg', '')).startswith('Only root '):
            result['msg'] += ' Here %s, which beats become: true. Take it away from this task.' % ' and '.join(
                '%s is %s' % way for way in ways)

    def _policy(self, arguments, task_vars):
        """The checked policy, in place of `policy` and `policy_file`.

        It is in no log and no output, which one that came from a vault must not be.
        """
        given, path = arguments.get('policy'), arguments.get('policy_file')
        if bool(given) == bool(path):
            raise GuardError('A guard needs a policy: give either policy_file or policy.')
        if path:
            path, text = _controller_file.read(self, path)
            mapping, lines = _policy_file.parse(text, path)
            is_secret = _vault.is_encrypted(path)
        else:
            path, mapping, lines = 'policy', _vault.decrypted(given), {}
            is_secret = _vault.Search(task_vars).finds([given, self._task.get_ds()])
        maps = []
        entries = _services.of_policy(mapping, Where(path, lines), lambda named: self._read_map(path, named, maps))
        policy = check(mapping, path, lines, entries)
        looks_on = boolean(arguments.get('observe', False), strict=False) or (arguments.get('mode') or policy.mode) == 'monitor'
        if policy.is_idle and not looks_on and 'services' not in mapping:
            raise Where(path, lines).error(
                'this policy denies nothing and limits nothing, so there is nothing to guard. Write rules under deny, or '
                'default: deny with rules under allow; mode: monitor shows what there is to deny.')
        return {'policy': packed.pack(policy), 'is_secret': is_secret or any(map(_vault.is_encrypted, maps)),
                'baseline': _news.find(policy.baseline, os.path.dirname(path) or self._loader.get_basedir())}

    def _read_map(self, policy, path, maps):
        """A file of the service map, by its path beside the policy file; of a policy that is no file, as a policy file."""
        found = _controller_file.read(self, os.path.join(os.path.dirname(policy), path), _services.WHAT)
        maps.append(found[0])
        return found

    def _shell(self, name):
        """The shell that the launcher leads to: what tasks of this host use now. None: this guard's launcher."""
        shell = self._play_context.executable
        around = _shell.guard_of(shell)
        if not around:
            return shell
        if around != name:
            raise GuardError("Guard '%s' can't be brought up by a task that runs inside guard '%s': a process is in one "
                             "of them at a time, so the tasks would leave '%s'. Take that one down first, or write one "
                             'policy with the rules of both.' % (name, around, around))
        return None

    def _try_the_way_in(self, result, run, task_vars):
        """Fails where no task could take it. A guard that this call has brought up goes again: nobody could use it."""
        is_new, guard = result.pop('brought_up', False), result.get('guard') or {}
        if result.get('failed') or self._task.check_mode or not guard.get('launcher'):
            return
        why = _way_in.complaint(self, guard['name'], guard['launcher'])
        if not why:
            return
        if is_new:
            self._execute_module(module_name='loopbreak.deploy.ebpf_guard', task_vars=task_vars, module_args={
                'state': 'absent', 'name': guard['name'], 'fail_on_denied': False, _sent.SENT: {'run': run}})
        result.clear()
        result.update(failed=True, changed=not is_new, msg=why)

    def _compare_clocks(self, result, began, ended):
        """How far the target's clock is ahead. Within the time of the call nothing can be told: then it is 0."""
        clock = result.pop('clock', None)
        if not clock or not result.get('guard'):
            return
        earliest, latest = clock[1] - ended, clock[0] - began
        result['guard']['clock_between'] = [earliest, latest]
        result['guard']['clock_offset'] = 0.0 if earliest <= 0 <= latest else (earliest + latest) / 2
