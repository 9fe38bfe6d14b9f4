# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The variable that sends tasks through a guard's launcher: who is to take another way, and what is left of it at the end."""

from __future__ import annotations

import contextlib

from ansible import constants as C
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.template import Templar
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._core import facts_of, key_of, loader_of

SHELL = 'ansible_shell_executable'
LAUNCHERS = '/run/ebpf_guard/'
BRACKETS = 'ebpf_guard_brackets'  # the role's fact: {guard: {shell: what tasks used before}}
BY_SSH = ('smart', 'ssh', 'paramiko')  # and whatever has ssh in its name: they get to the same host
UNSET = object()


def guard_of(shell):
    """The guard that a shell is the launcher of; None where it is none."""
    return shell[len(LAUNCHERS):].split('/')[0] if str(shell).startswith(LAUNCHERS) else None


def step_out(action, task_vars):
    """What our own modules do is no deed of the deployment: run this action by the shell that was there before the guard."""
    name = guard_of(action._play_context.executable)
    if name:
        bracket = (task_vars.get(BRACKETS) or {}).get(name) or {}
        shell = bracket.get('shell') or C.DEFAULT_EXECUTABLE
        action._play_context.executable = action._connection._shell.executable = shell


def ways_around_root(task_vars):
    """The variables, and their values, because of which a task with `become: true` is not root's."""
    names = ('ansible_become_user', 'ansible_sudo_user', 'ansible_su_user', 'ansible_doas_user')
    users = [(name, task_vars[name]) for name in names if task_vars.get(name, 'root') != 'root']
    become = task_vars.get('ansible_become', True)
    return users if boolean(become, strict=False) else [('ansible_become', become), *users]


def short(connection):
    return str(connection).rpartition('.')[2]


class Variables:
    """Stands before a variable manager's get_vars(), while guards are up, to see by which shell and connection a task runs.

    A task that takes another way than SSH leads elsewhere, where the launcher is not. It gets the variables as they are
    without the fact. This is the one place that sees them before the task does.
    """

    def __init__(self, manager, fault):
        self.manager, self.fault = manager, fault
        self.homes = {}  # host with a guard -> (connection by which it was brought up, what the fact was before)
        self.seen = {}  # (host, task's uuid) -> (shell, connection), as far as they are no templates
        self._get_vars = manager.get_vars
        manager.get_vars = self.get_vars

    def get_vars(self, *args, **kwargs):
        found = self._get_vars(*args, **kwargs)
        host, task = kwargs.get('host'), kwargs.get('task')
        if host is None or task is None or host.name not in self.homes:
            return found
        try:
            connection = self.connection(found, task)
            if guard_of(found.get(SHELL)) and self.leads_elsewhere(host.name, connection):
                with self._fact_of_before(host.name):
                    found = self._get_vars(*args, **kwargs)
            self.seen[host.name, key_of(task)] = found.get(SHELL), connection
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.fault('get_vars', error)
        return found

    def begin(self, host, play, task):
        """A guard is up on the host, and no fact leads through it yet."""
        if host.name not in self.homes:
            found = self._get_vars(play=play, host=host, task=task)
            before = self._facts(host.name).get(SHELL, UNSET)
            self.homes[host.name] = self.connection(found, task), UNSET if guard_of(before) else before

    def end(self, host, restore):
        """The last guard of the host is down. `restore`: leave the fact as it was before, also where it was not there."""
        home, before = self.homes.pop(host, (None, UNSET))
        if home and restore:
            self._set_fact(host, before)
        self.seen = {key: found for key, found in self.seen.items() if key[0] != host}

    def leads_elsewhere(self, host, connection):
        """Does a task with this connection leave the host on which the guard was brought up by another one?"""
        ways = ['ssh' if way in BY_SSH or 'ssh' in way else way for way in map(short, (connection, self.homes[host][0]))]
        return ways[0] != ways[1]

    def connection(self, found, task):
        return self._read(found.get('ansible_connection', task.connection), found) or 'ssh'

    def _read(self, value, found):
        if isinstance(value, str) and '{{' in value:
            with contextlib.suppress(Exception):
                return Templar(loader=loader_of(self.manager), variables=found).template(value)
        return value

    def _facts(self, host):
        return facts_of(self.manager, host)

    def _set_fact(self, host, value):
        """As the module set_fact does; UNSET: as if it never had."""
        facts = self._facts(host)
        facts.pop(SHELL, None)
        if value is not UNSET:
            facts[SHELL] = value

    @contextlib.contextmanager
    def _fact_of_before(self, host):
        fact = self._facts(host).get(SHELL, UNSET)
        self._set_fact(host, self.homes[host][1])
        try:
            yield
        finally:
            self._set_fact(host, fact)
