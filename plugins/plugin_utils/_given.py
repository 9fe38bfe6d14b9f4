# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What a play gives to the role. Mistakes in it are told before anything on a host is touched.

A variable that nobody reads is no error to Ansible. The prefix says whose it is meant to be, so here it is one.
"""

from __future__ import annotations

import difflib
import os

import yaml

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._brackets import around, is_ours
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._core import included_role
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._plain_yaml import LOADER
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._tasks import OURS, place

PREFIX = 'ebpf_guard_'
ROLE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'roles', 'ebpf_guard')
# What the role, and the playbooks of this collection, keep or read besides
OTHERS = frozenset(PREFIX + word for word in (
    'bracket brackets by closes closes_last cold_environment cold_room comes_down compared inside is_nested is_up others report '
    'role shell_now started tasks_file wrapped '
    'baseline capabilities chdir command environment executions format found hosts info lacking learn learned map policy_out prune '
    'ran reports require required service services verdict').split())
_NONE = object()


def _options():
    """{variable: its default} of all entry points."""
    with open(os.path.join(ROLE, 'meta', 'argument_specs.yml'), encoding='utf-8') as specs:
        entries = yaml.load(specs, Loader=LOADER)['argument_specs'].values()  # noqa: S506: a safe one
    return {name: option.get('default', _NONE) for entry in entries for name, option in entry['options'].items()}


OPTIONS = _options()  # once for all hosts: the processes in which action plugins run are forks


def check(task, variables, loader, template):
    """Raises GuardError for the first mistake. Returns a warning about variables that nobody reads, if there are any.

    `task`: one that brings the guard up. `variables`: those of its host. `template` fills a value in.
    """
    if not is_ours(task):
        return None
    where = next((place(one) + ': ' for one in _includes(task) if included_role(one)[0]), '')
    own = _check_names(variables, where)
    if variables.get('ebpf_guard_by') != 'start':  # but `main`
        _check_inside(task, variables, loader, template, where)
    return own and ('%s%s %s nothing to the role %s. `ansible-doc -t role %s` lists its variables; give one of your own another '
                    'prefix.' % (where, ' and '.join(own), 'says' if len(own) == 1 else 'say', OURS, OURS))


def _check_names(variables, where):
    """Returns the names that are nobody's and like none of the role's."""
    own = []
    for name in sorted(variables):
        if not name.startswith(PREFIX) or name in OPTIONS or name in OTHERS or _is_result(variables[name]):
            continue
        near = difflib.get_close_matches(name[len(PREFIX):], [option[len(PREFIX):] for option in OPTIONS], 1)
        if near and not _is_given(PREFIX + near[0], variables):
            raise GuardError('%s%s is no variable of the role %s. Did you mean %s%s?' % (where, name, OURS, PREFIX, near[0]))
        own.append(name)  # who has found the right one means another thing by this
    return own


def _is_result(value):
    """Has a task registered it?"""
    return isinstance(value, dict) and ('failed' in value or 'changed' in value)


def _is_given(option, variables):
    value = variables.get(option)
    return bool(value) and str(value) != str(OPTIONS[option])


def _check_inside(task, variables, loader, template, where):
    wanted = template(variables.get('ebpf_guard_tasks_file') or '')
    if not wanted:
        if not template(variables.get('ebpf_guard_roles') or []):
            raise GuardError('%sthere is nothing to run inside the guard. Give ebpf_guard_tasks, a file of tasks, or '
                             'ebpf_guard_roles to the role %s.' % (where, OURS))
        return
    # What ansible-core would include. A file that this role happens to have is none of the play's; and what an included file
    # adds to the search, ansible-core alone knows.
    found = loader.path_dwim_relative(ROLE, 'tasks', wanted, is_role=True)
    searched_elsewhere = any(os.path.dirname(str(one.args.get('_raw_params', ''))) for one in _includes(task) if not is_ours(one))
    if (not os.path.isfile(found) or found.startswith(os.path.join(ROLE, ''))) and not searched_elsewhere:
        raise GuardError("%sebpf_guard_tasks: there is no file '%s' on the controller. A relative path is looked up in tasks/ of the "
                         'role that uses this one, and then beside the playbook.' % (where, wanted))


def _includes(task):
    return [one for one in around(task) if hasattr(one, 'statically_loaded')]
