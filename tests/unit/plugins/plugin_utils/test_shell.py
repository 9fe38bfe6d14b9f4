# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who takes another way than the launcher. Whole plays are in tests/integration/test_shapes.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._shell import (
    LAUNCHERS, SHELL, Variables, guard_of, step_out, ways_around_root)

LAUNCHER = LAUNCHERS + 'deploy/launcher'
HOST = SimpleNamespace(name='web1')


class Manager:
    """As ansible-core's: a fact beats the variables of a task."""

    _loader = None

    def __init__(self, facts=None):
        self._nonpersistent_fact_cache = {'web1': facts} if facts is not None else {}

    def get_vars(self, play=None, host=None, task=None):
        return {**task.vars, **self._nonpersistent_fact_cache.get(host.name, {})}


def task(connection='ssh', **variables):
    return SimpleNamespace(_uuid='uuid', connection=connection, vars=variables)


def guarded(before=None, home='ssh'):
    """A manager while the fact leads through the launcher."""
    manager = Manager({SHELL: before} if before else {})
    variables = Variables(manager, pytest.fail)
    variables.begin(HOST, None, task(home))
    manager._nonpersistent_fact_cache['web1'][SHELL] = LAUNCHER
    return manager, variables


@pytest.mark.parametrize('home, connection, inside', [
    ('ssh', 'ssh', True), ('ssh', 'smart', True), ('ssh', 'paramiko_ssh', True), ('ssh', 'ansible.netcommon.libssh', True),
    ('ssh', 'local', False), ('ssh', 'ansible.builtin.local', False), ('ssh', 'community.docker.docker', False),
    ('local', 'local', True), ('local', 'ssh', False)])
def test_a_task_with_another_connection_does_not_see_the_launcher(home, connection, inside):
    manager, variables = guarded(home=home)
    for one in (task(connection), task(home, ansible_connection=connection)):
        assert manager.get_vars(play=None, host=HOST, task=one).get(SHELL) == (LAUNCHER if inside else None)
        assert variables.leads_elsewhere('web1', variables.seen['web1', 'uuid'][1]) != inside


def test_it_gets_the_shell_that_it_would_have_without_the_guard():
    manager = guarded()[0]
    assert manager.get_vars(host=HOST, task=task('local', **{SHELL: '/bin/bash'}))[SHELL] == '/bin/bash'
    manager = guarded(before='/bin/dash')[0]
    assert manager.get_vars(host=HOST, task=task('local', **{SHELL: '/bin/bash'}))[SHELL] == '/bin/dash'
    assert manager.get_vars(host=HOST, task=task())[SHELL] == LAUNCHER


@pytest.mark.parametrize('before', [None, '/bin/dash'])
def test_at_the_end_the_fact_is_as_it_was(before):
    manager, variables = guarded(before)
    variables.end('web1', restore=True)
    assert manager._nonpersistent_fact_cache['web1'] == ({SHELL: before} if before else {})
    manager, variables = guarded(before)
    variables.end('web1', restore=False)
    assert manager._nonpersistent_fact_cache['web1'] == {SHELL: LAUNCHER}


def test_a_manager_without_that_cache_is_left_alone():
    manager = Manager()
    del manager._nonpersistent_fact_cache
    manager.get_vars = lambda **_context: {SHELL: LAUNCHER}
    variables = Variables(manager, pytest.fail)
    variables.begin(HOST, None, task())
    assert manager.get_vars(host=HOST, task=task('local'))[SHELL] == LAUNCHER
    variables.end('web1', restore=True)


@pytest.mark.parametrize('facts, shell', [({}, '/bin/sh'), ({'deploy': {'shell': '/bin/bash'}}, '/bin/bash')])
def test_our_modules_step_out(facts, shell):
    action = SimpleNamespace(_play_context=SimpleNamespace(executable=LAUNCHER),
                             _connection=SimpleNamespace(_shell=SimpleNamespace(executable=LAUNCHER)))
    step_out(action, {'ebpf_guard_brackets': facts})
    assert action._play_context.executable == action._connection._shell.executable == shell
    assert guard_of(LAUNCHER) == 'deploy' and guard_of(shell) is None and guard_of(None) is None


def test_what_is_in_the_way_of_root():
    assert ways_around_root({'ansible_become': True, 'ansible_become_user': 'root'}) == []
    assert ways_around_root({'ansible_become': 'no', 'ansible_sudo_user': 'app'}) == [
        ('ansible_become', 'no'), ('ansible_sudo_user', 'app')]
