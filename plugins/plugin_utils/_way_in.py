# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The way to a host's Python and into a guard, tried from the controller as the tasks will take it: as the login user, and by
become.

What a host's sudoers allow, say, is known to nobody before it is tried. A command that does nothing goes that way once.
"""

from __future__ import annotations

import re

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _core

ROOT = 'root'
OLDEST_PYTHON = (3, 8)
VERSION = "%s -c 'import sys; print(\"Python %%d.%%d\" %% sys.version_info[:2])'"
PASSWORD = re.compile(r'(Missing|Incorrect) \S+ password')  # Ansible's words
NOT_RUN = (126, 127)  # the shell's, for a program that is not there or may not be run
OF_SSH = re.compile('Shared connection to|Connection to .* closed|Warning: Permanently added')  # says nothing of the host


def complaint(action, name, launcher):
    """Why tasks could not go through the launcher of this guard, and what to change; None where they can.

    `action`: the action plugin of the task that brought the guard up. Its become is that of the play's tasks.
    """
    connection = action._connection
    become, login = connection.become, action._get_remote_user()
    other = become and (become.get_option('become_user', playcontext=action._play_context) or ROOT)
    if not getattr(connection, 'allow_executable', False) or (login == ROOT and other in (None, ROOT)):
        return None  # the guard proved that root can
    refused = _refusal(action, launcher, sudoable=True)  # the login user's shell runs the other one's: both go through it
    if not refused:
        return None
    own = _refusal(action, launcher, sudoable=False)
    if own or not become:
        return "Tasks could not enter guard '%s' by the launcher %s as the login user%s: %s" % (
            name, launcher, " '%s'" % login if login else '', own or refused)
    login = login or '(the login user)'
    return ("Tasks that become '%s' could not enter guard '%s', because %s does not let user '%s' run its launcher %s, which "
            "takes the place of their shell (%s). %s" % (
                other, name, _word(become), login, launcher, refused, _remedy(become, login, other, launcher)))


def call(action, arguments, task_vars):
    """The result of our module. Where it could not begin as root, that is said in one sentence."""
    become = action._connection.become
    try:
        result = action._execute_module(module_name='loopbreak.deploy.ebpf_guard', module_args=arguments, task_vars=task_vars)
    except AnsibleError as error:
        said = become and PASSWORD.search(str(error))
        if not said:
            raise
        return _without_root(action, said[0], 'Give the password with --ask-become-pass (-K), or let this user do that without one.')
    said = (result.get('module_stderr') or '').strip().rpartition('\n')[2]
    if become and result.get('rc') in NOT_RUN and (become.get_option('become_exe') or _word(become)) in said:
        return _without_root(action, said, 'Set ansible_become_method to what this host has, or log in as root.')
    return explained(action, result)


def explained(action, result):
    """The result of our module, which the action has just run. Where the host's Python is too old for it, there is none, and
    ansible-core can only tell that: this says why.
    """
    interpreter = _core.interpreter_of(action)
    if 'module_stdout' not in result or not interpreter:
        return result
    said = action._low_level_execute_command(VERSION % interpreter)['stdout']
    version = re.search(r'^Python (\d+)\.(\d+)\s*$', said, re.M)
    if not version or tuple(map(int, version.groups())) >= OLDEST_PYTHON:
        return result
    return {'failed': True, 'msg': 'The Python of this host, %s, is %s.%s, and the guard needs Python 3.8 or later. Install a newer one '
                                   'there, and set ansible_python_interpreter to it.' % (interpreter, *version.groups())}


def _without_root(action, said, remedy):
    login = action._get_remote_user()
    return {'failed': True, 'msg': "A guard needs root, and %s can't become root on this host by %s: %s. %s" % (
        "user '%s'" % login if login else 'the login user', _word(action._connection.become), said, remedy)}


def _word(become):
    return become.name.rpartition('.')[2]


def _remedy(become, login, other, launcher):
    if _word(become) != 'sudo':
        return 'Allow that there as you allow a shell.'
    free = '' if become.get_option('become_pass') else 'NOPASSWD: '
    return 'Add to sudoers: %s ALL=(%s) %s%s' % (login, other, free, launcher)


def _refusal(action, launcher, sudoable):
    """What was said in the way, in one line; None where nothing is."""
    shell = action._connection._shell
    usual = shell.executable
    try:
        done = action._low_level_execute_command('true', sudoable=sudoable, executable=launcher)
    except AnsibleConnectionFailure:
        raise
    except AnsibleError as error:
        return str(error).strip().partition('\n')[0]
    finally:
        shell.executable = usual  # the connection remembers the last one
    if not done['rc']:
        return None
    said = [line.strip() for line in (done['stdout'] + '\n' + done['stderr']).splitlines()
            if line.strip() and not OF_SSH.match(line)]
    return said[-1] if said else 'it ended with %d' % done['rc']
