# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Tasks and their results, as ansible-core hands them to a callback: what they are, where they are written, whether they ran."""

from __future__ import annotations

import os

from ansible_collections.loopbreak.deploy.plugins.module_utils import _said
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import words
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _run
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model

OURS = 'loopbreak.deploy.ebpf_guard'
OUR_TASKS = '/ansible_collections/loopbreak/deploy/roles/ebpf_guard/tasks/'
OUR_PREFIX = f'{OURS} : '  # also before the names of the tasks that are wrapped
# Actions that start no process on any host: nobody expects them to enter a guard.
CONTROLLER_ONLY = frozenset((
    'add_host', 'assert', 'debug', 'fail', 'group_by', 'import_role', 'import_tasks', 'include_role',
    'include_tasks', 'include_vars', 'meta', 'pause', 'set_fact', 'set_stats', 'validate_argument_spec',
))
RAN = ('rc', 'stdout', 'module_stdout')  # in the result of a task that failed on the host, and not before
# Of these, what gathers facts is no part of a deployment that a guard could have been meant for.
HARMLESS = CONTROLLER_ONLY | {'gather_facts', 'setup'}


def action_of(task):
    """Return the action's full name, of ansible-core's own the short one."""
    name = getattr(task, 'resolved_action', None) or task.action
    for prefix in ('ansible.builtin.', 'ansible.legacy.'):
        name = name[len(prefix):] if name.startswith(prefix) else name
    return name


def has_run(data, outside):
    """Did something that failed run on some host? What the launcher refused did not."""
    signs = (*RAN, 'invocation') if outside else RAN  # a module's arguments are there also where a plugin failed before
    items = [item for item in [data, *(data.get('results') or [])] if isinstance(item, dict)]
    return any(key in item and item.get('rc') != _said.REFUSED for item in items for key in signs)


def told(task):
    """A task as the reports have it: its name with its role, and where it is written; a task of our own needs neither."""
    path, name = task.get_path() or '', words.clean(task.get_name())
    name = name[len(OUR_PREFIX):] if name.startswith(OUR_PREFIX) else name
    if not path or OUR_TASKS in path or _run.PLAYBOOK in path:
        return model.Task(name)
    file, colon, line = place(task).rpartition(':')
    return model.Task(name, file, int(line)) if colon and line.isdigit() else model.Task(name, place(task))


def describe(task):
    """The same for people."""
    return str(told(task))


def place(task):
    """Where a task is written, from the working directory on."""
    path, here = task.get_path() or '', os.path.join(os.getcwd(), '')
    return path[len(here):] if path.startswith(here) else path
