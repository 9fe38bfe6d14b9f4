# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The way into a guard, tried from the controller as the tasks will take it: as the login user, and by become.

What a host's sudoers allow, say, is known to nobody before it is tried. A command that does nothing goes that way once.
"""

from __future__ import annotations

import re

from ansible.errors import AnsibleConnectionFailure, AnsibleError

ROOT = 'root'
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
                other, name, become.name.rpartition('.')[2], login, launcher, refused, _remedy(become, login, other, launcher)))


def _remedy(become, login, other, launcher):
    if become.name.rpartition('.')[2] != 'sudo':
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
