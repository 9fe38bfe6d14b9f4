# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Guards that should have been up and were not, and the tasks that ran without them."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _brackets
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._tasks import (
    HARMLESS, OUR_TASKS, OURS, action_of, describe, told)

OF_START = ('start.yml', 'present.yml', 'nested.yml', 'install.yml')  # files of the role


class Unguarded:
    """`up`: the guards that are."""

    def __init__(self, up):
        self._up = up
        self._watch = _brackets.Watch()
        self._been = set()  # (host, guard's name): was up in this run, or failed to come up
        self._ran = {}  # host -> the first tasks that ran there in this play with no guard up
        self._never = {}  # (host, guard's name) -> (because, tasks)
        self._foretold = {}  # host -> {guard's name: tasks that ran for real}, in check mode
        self.room = 0  # for the tasks that are told

    def begin(self, play):
        self._ran = {}
        self._watch.begin(play)

    def came_up(self, host, name, task):
        self._been.add((host, name))
        self._watch.note(host, task, _brackets.UP)

    def skipped(self, host, task):
        """A start that its `when` leaves out is left out on purpose: no `absent` is to miss it."""
        self._watch.note(host, task, _brackets.SKIPPED)
        name = _brackets.started(task)
        if name:
            self._been.add((host, name))

    def failed(self, host, task, how):
        """Where the failure of a task that brings a guard up is ignored, the play goes on without it."""
        role = (task.get_path() or '').partition(OUR_TASKS)[2].startswith(OF_START)
        if not role and (action_of(task) != OURS or task.args.get('state') == 'absent'):
            return
        self._watch.note(host.name, task, how)
        name = _brackets.name_of(task, self._up.vars_of(host, task))
        self._been.add((host.name, name))
        if not role and name in self._up.hosts.get(host.name, ()):
            return  # the module did not exchange the rules, and those of before are in force
        # Of a bracket that is written in the play, the tasks that run without a guard are told one by one.
        if how == _brackets.IGNORED and (self._up.on(host.name) or not self._watch.started_by(task)):
            because = f'its start failed in {describe(task)}, and the error is ignored'
            if role and not _brackets.is_of_entry(task):
                because += ': what it was to guard was not run'
            self._never.setdefault((host.name, name), (because, []))

    def ran(self, host, task):
        """A task ran while no guard was up on the host. Was one meant to be?"""
        if (action_of(task) in HARMLESS or action_of(task) == OURS or task.delegate_to not in (None, host.name)
                or task.check_mode is True or OUR_TASKS in (task.get_path() or '')):
            return
        tasks = self._ran.setdefault(host.name, [])
        if len(tasks) < self.room:
            tasks.append(told(task))
        found = self._watch.unguarded(host.name, task)
        if found:
            name, because = found
            self._note(host.name, _brackets.written(name, self._up.vars_of(host, task)),
                       f'{because}: what it was to guard ran outside the guard, unguarded', [told(task)])

    def missed(self, host, name):
        """state=absent has found no guard."""
        before = self._ran.get(host)
        if before and (host, name) not in self._been and not self._watch.knows(name):
            self._note(host, name, 'state=absent found no guard, and this run brought none up: the tasks before this '
                       'ran unguarded', list(before))

    def _note(self, host, name, because, tasks):
        dummy, known = self._never.setdefault((host, name), (because, []))
        if not known:
            self._never[host, name] = because, known
        known += tasks

    def foretell(self, host, task):
        """In check mode nothing is up. Returns (guard's name, [(how, task)]) where one would have come down, of what ran for
        real all the same; None elsewhere.
        """
        if action_of(task) == OURS:
            name, up = task.args.get('name') or 'deploy', self._foretold.setdefault(host, {})
            self._watch.note(host, task, _brackets.UP)
            if task.args.get('state') == 'absent':
                return name, up.pop(name, [])
            up.setdefault(name, [])
        elif task.check_mode is False and action_of(task) not in HARMLESS:
            for tasks in self._foretold.get(host, {}).values():
                tasks.append(('ran for real in check mode, outside any guard', told(task)))
        return None

    def collect(self):
        """[(host, guard's name, because, the first tasks that ran without it)], once."""
        found = [(host, name, because, tasks[:self.room])
                 for (host, name), (because, tasks) in sorted(self._never.items())]
        self._never = {}
        return found
