# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The brackets of a play, from a start to its stop, as they are written; and on which hosts their tasks run without a start.

--tags, --start-at-task and --step choose among tasks, and may leave out a start that stands before what it is to guard.
A start that its own `when` skips is left out on purpose.
"""

from __future__ import annotations

import contextlib
import itertools

from ansible import context
from ansible.template import Templar

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._core import (
    compiled_play_of, included_role, is_meant, key_of, parent_of, role_of)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._tasks import OUR_TASKS, OURS, action_of

ROLES = (OURS, 'ebpf_guard')
NOT_RUN, SKIPPED, FAILED, IGNORED, UP = 'not run', 'skipped', 'failed', 'ignored', 'up'


class Bracket:
    """One bracket of a play."""

    def __init__(self, name):
        self.name = name  # the guard's, as it is written
        self.starts = {}  # uuid of each task that brings the guard up -> the task
        self.stop = None  # uuid of the task that takes it down
        self.tasks = {}  # uuid of each task in between -> whether it stands in a rescue or always
        self.states = {}  # host -> what became of the start

    def end(self, stop):
        self.stop = key_of(stop)
        if any(role_of(start) is not None and role_of(start) is role_of(stop) for start in self.starts.values()):
            self.starts, self.tasks = {}, {}  # both are in one inclusion of the role: that is `main`

    def note(self, host, state):
        if self.states.get(host) != UP:
            self.states[host] = state


def brackets_of(blocks):
    """The brackets in these blocks of compiled tasks, in the order in which they are written."""
    found, is_open = [], {}
    for task, late in _tasks(blocks):
        what, name = _role_in(task)
        if what == 'main':
            found.append(Bracket(name))  # it sees to itself
        elif what == 'present':
            if name not in is_open:
                is_open[name] = Bracket(name)
                found.append(is_open[name])
            is_open[name].starts[key_of(task)] = task
        elif what == 'absent':
            if name in is_open:
                is_open.pop(name).end(task)
        else:
            for bracket in is_open.values():
                bracket.tasks[key_of(task)] = late
    return found


def _tasks(blocks, late=False):
    """Each task, and whether it stands in a rescue or always."""
    for one in blocks:
        if hasattr(one, 'block'):
            yield from _tasks(one.block, late)
            yield from _tasks(one.rescue + one.always, True)
        else:
            yield one, late


def _role_in(task):
    """What a task does for a bracket (present, absent, or both: main), and the name of the guard; (None, None): nothing."""
    action = action_of(task)
    if action in (OURS, 'ebpf_guard'):
        if task.args.get('cgroup') or task.args.get('state', 'present') not in ('present', 'absent'):
            return None, None  # tasks are outside a guard of another cgroup in any case
        return task.args.get('state', 'present'), task.args.get('name', 'deploy')
    role, entry = included_role(task)
    if action in ('include_role', 'import_role') and role in ROLES:
        variables = task.vars or {}
        does = {'start': 'present', 'stop': 'absent', 'main': 'main'}.get(entry)
        if does and not variables.get('ebpf_guard_cgroup'):
            return does, variables.get('ebpf_guard_name', 'deploy')
    return None, None


def around(task):
    """A task, and everything that it stands in."""
    while task is not None:
        yield task
        task = parent_of(task)


def lineage(task):
    return (key_of(one) for one in around(task))


def is_last(task, play):
    """Does nothing of the play come after this task, whose hosts all stood there? A task of our role stands for the role, and
    so does the last one that it wraps.
    """
    written_down = [one for one, _late in _tasks(play.compile()) if action_of(one) != 'meta']
    return bool(written_down) and key_of(written_down[-1]) in (
        lineage(task) if is_ours(task) and _is_last_inside(task) else [key_of(task)])


def _is_last_inside(task):
    """Is it one of our role, or the last of those that this wraps? Of a file it is enough to be the last of its block."""
    below = None
    for one in around(task):
        if hasattr(one, 'action') and OUR_TASKS in (one.get_path() or ''):
            break
        keys = [key_of(inner) for inner in getattr(one, 'block', ())]
        if below in keys[:-1]:
            return False
        below = key_of(one)
    return True


def is_rescued(task):
    """Does a rescue come after this task where it fails? A role or a file of tasks may stand in the block that has it."""
    for inner, outer in itertools.pairwise(around(task)):
        if getattr(outer, 'rescue', None) and key_of(inner) in map(key_of, outer.block):
            return True
    return False


def is_ours(task):
    return role_of(task) is not None and role_of(task).get_name() == OURS


def is_of_entry(task):
    """Is this a task of start or stop, and not of `main`?"""
    return any(action_of(one) in ('include_role', 'import_role') and _role_in(one)[0] in ('present', 'absent')
               for one in around(task) if hasattr(one, 'action'))


def start_is_left_out(stop, variables):
    """Does this task, which ran, end a bracket whose start was to run, by its `when`? For one that found no guard."""
    found, outermost = set(lineage(stop)), list(around(stop))[-1]
    return any(is_meant(task, variables) for bracket in brackets_of(compiled_play_of(outermost)) if bracket.stop in found
               for task in bracket.starts.values())


def written(name, variables):
    """A name as it is meant, where it is a template."""
    if '{{' in str(name):
        with contextlib.suppress(Exception):
            return str(Templar(loader=None, variables=variables).template(name))
    return str(name)


def started(task):
    """The name, as it is written, of the guard that this task would bring up; None for any other task."""
    what, name = _role_in(task)
    return name if what in ('present', 'main') else None


def name_of(task, variables):
    """The name of the guard that this task of ours starts."""
    own = task.args.get('name') if action_of(task) == OURS else variables.get('ebpf_guard_name')
    return written(own or 'deploy', variables)


class Watch:
    """What became of each start of a play on each host."""

    def __init__(self):
        self.brackets, self.read = [], set()

    def begin(self, play):
        self.brackets, self.read = brackets_of(play.compile()), set()

    def _read_on(self, task):
        """Find the brackets of what was included while the play runs: a block has its tasks, also those that are left out."""
        outermost = None  # of the blocks of one file
        for one in around(task):
            if getattr(one, 'block', None):
                outermost = one
            elif outermost and getattr(one, 'statically_loaded', True) is False:
                if key_of(outermost) not in self.read and not is_ours(outermost):
                    self.read.add(key_of(outermost))
                    self.brackets += brackets_of([outermost])
                outermost = None

    def started_by(self, task):
        """The brackets that this task, or something that it stands in, starts."""
        self._read_on(task)
        found = set(lineage(task)) if self.brackets else set()
        return [bracket for bracket in self.brackets if not found.isdisjoint(bracket.starts)]

    def note(self, host, task, state):
        """A start, or a task below it, ended like this. Of those below it, a skipped one that is not the module says nothing."""
        for bracket in self.started_by(task):
            if state != SKIPPED or key_of(task) in bracket.starts or action_of(task) == OURS:
                bracket.note(host, state)

    def knows(self, name):
        """Is a guard of this name started anywhere in the play, as far as it is written down before it runs?"""
        return any(bracket.name == name or '{{' in str(bracket.name) for bracket in self.brackets)

    def unguarded(self, host, task):
        """(name of the guard, why) for a task that ran without the start of its bracket; None for any other."""
        self._read_on(task)
        found = list(lineage(task))
        for bracket in self.brackets:
            late = next((bracket.tasks[uuid] for uuid in found if uuid in bracket.tasks), None)
            state = bracket.states.get(host, NOT_RUN)
            if late is None or state in (SKIPPED, UP) or state == FAILED and late:
                continue
            return bracket.name, not_run() if state == NOT_RUN else 'the start of its guard failed'
        return None


def not_run():
    options = [said for key, said in (('tags', '--tags'), ('skip_tags', '--skip-tags'), ('start_at_task', '--start-at-task'),
                                      ('step', '--step'))
               if context.CLIARGS.get(key) and list(context.CLIARGS[key] if key == 'tags' else [key]) != ['all']]
    return 'the start of its guard was not run' + (f' ({", ".join(options)})' if options else '')
