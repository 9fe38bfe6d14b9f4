# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What ansible-core has no public name for, in this place alone, and what holds where it is not there.

What plugins of a kind inherit is not here: ansible-core documents it for them.
"""

from __future__ import annotations

import contextlib

from ansible.template import Templar

ADHOC = '__adhoc_playbook__'


def part(result, name):
    """Read host or task, public since ansible-core 2.19 and underscored before."""
    return getattr(result, name) if hasattr(result, name) else getattr(result, '_' + name)


def data_of(result):
    """Read what the task returned. Since ansible-core 2.19 `result` is a copy of it, whose making costs more than all that
    is done with it here."""
    return result._return_data if hasattr(result, '_return_data') else part(result, 'result')


def interpreter_of(action):
    """The Python that ran the action's last module, as the shell of the host is told to; None where nobody knows."""
    return (getattr(action, '_used_interpreter', None) or '').lstrip('#!') or None


def arguments_of(result):
    """What the task was given. Since ansible-core 2.21 the task has that itself, with its templates filled."""
    fields = getattr(result, '_task_fields', None)
    return part(result, 'task').args if fields is None else fields.get('args')


def file_of(playbook):
    """The path of a playbook; ADHOC for a call without one."""
    if hasattr(playbook, '_file_name'):
        return playbook._file_name
    return next((play.get_path().rpartition(':')[0] for play in playbook.get_plays()), '') or ADHOC


def key_of(one):
    """The same for all copies of a task or block, and for none other; by where it is written, for none other there."""
    return getattr(one, '_uuid', None) or (one.get_path(), getattr(one, 'name', None))


def parent_of(one):
    """What a task or block stands in; None where nobody knows."""
    return getattr(one, '_parent', None)


def role_of(one):
    return getattr(one, '_role', None)


def included_role(task):
    """(the name of the role that a task includes, the name of the file of tasks) as far as they are known."""
    files = getattr(task, '_from_files', None) or {}
    return getattr(task, '_role_name', None), str(files.get('tasks', 'main')).partition('.')[0]


def compiled_play_of(outermost):
    """The blocks of the play that has this block; none where nobody knows."""
    play = getattr(outermost, '_play', None)
    return play.compile() if play else []


def host_of(play, name):
    """A host of the inventory; None where it has none of this name."""
    inventory = getattr(play.get_variable_manager(), '_inventory', None)
    return inventory and inventory.get_host(name)


def hosts_of(play):
    """The names of its hosts."""
    inventory = getattr(play.get_variable_manager(), '_inventory', None)
    return [host.name for host in inventory.get_hosts(play.hosts)] if inventory else []


def loader_of(manager):
    return getattr(manager, '_loader', None)


def facts_of(manager, host):
    """What set_fact has set on a host, to be changed."""
    return getattr(manager, '_nonpersistent_fact_cache', {}).get(host) or {}


def is_meant(task, variables):
    """Does its `when` let it run? Not where nobody can tell by now."""
    with contextlib.suppress(Exception):
        if hasattr(task, '_resolve_conditional'):  # since ansible-core 2.19
            return task._resolve_conditional(task.when, variables)
        return task.evaluate_conditional(Templar(loader=loader_of(task), variables=variables), variables)
    return False
