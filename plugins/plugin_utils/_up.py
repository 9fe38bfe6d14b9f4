# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The guards of a run that are up, and what runs on their hosts meanwhile: when, where, and whether it goes around the guard."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _brackets, _gone, _no_log, _reboot, _seen, _told
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._core import host_of, hosts_of, key_of
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import entries, model, waits
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._shell import SHELL, Variables, short
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._tasks import (
    CONTROLLER_ONLY, OUR_TASKS, action_of, describe, has_run, place, told)

SYNCHRONIZE = ('synchronize', 'ansible.posix.synchronize')
ENDINGS = ('end_batch', 'end_host', 'end_play', 'end_role')  # what leaves out the `always` of a block


@dataclass
class Guard:
    """A guard that is up on a host, and what ran on the host since."""

    name: str
    guard: dict
    args: dict
    brought_by: str
    become: bool
    shell: str | None = None  # what a fact says that tasks run through; None: no fact was seen
    windows: list = field(default_factory=list)
    ran: list = field(default_factory=list)  # entries.Ran of each task that was to start something on the host
    jobs: dict = field(default_factory=dict)  # id of what ran in the background -> when a task saw its end, and its outcome
    others: list = field(default_factory=list)  # (start, end) of what else may have entered
    elsewhere: list = field(default_factory=list)  # (how, machine, task) of what ran inside the guard of another host
    endings: dict = field(default_factory=dict)  # uuid of a meta task -> what it ended, since the guard is up
    broke_off: str | None = None  # in which task the guard could no longer be reached
    gone: dict | None = None  # what a task was told that came after the guard's end

    @property
    def mode(self):
        return self.guard.get('mode') or model.UNKNOWN

    @property
    def launches(self):
        """Is it a guard that tasks enter?"""
        return not self.args.get('cgroup') and self.args.get('scope') != 'user'

    @property
    def because(self):
        """Why it is left up."""
        if self.broke_off:
            return self.broke_off
        ended = ', '.join(dict.fromkeys(self.endings.values()))
        return f'no state=absent task ran after it ({ended or "a stopped run"})'

    def outside(self):
        """(how, task) of what ran outside, as far as that is known without the report."""
        return list(dict.fromkeys(entries.compare(self.ran, self.others, None, None).outside))

    def report(self, host, data):
        """The last report of the guard with all that the controller knows of it, as the model has it."""
        guard = data['guard']
        missed = entries.compare(self.ran, self.others, data.get('entries') if self.launches else None,
                                 _between(self.guard, guard))
        return dict(data, host=host, name=self.name, mode=guard.get('mode') or self.mode,
                    offset=guard.get('clock_offset', self.guard.get('clock_offset')) or 0.0,
                    denied=data.get('denied') or [], observed=data.get('observed') or [], tasks=self.windows,
                    elsewhere=self.elsewhere, launched=self.launches, **missed._asdict())


def _between(*guards):
    """The least and the greatest offset of the clocks, by the calls that brought the guard up and down; the last one's
    where a clock was set in the meantime.
    """
    found = [guard['clock_between'] for guard in guards if guard.get('clock_between')]
    if not found:
        return None
    least, greatest = max(low for low, dummy in found), min(high for dummy, high in found)
    return (least, greatest) if least <= greatest else tuple(found[-1])


class Up:
    """The guards that are up, by host and name."""

    def __init__(self, fault, tell):
        """`tell`: gets each task that ran beside a guard, as document.Document.ran() does."""
        self.hosts = _seen.tasks
        self.play = None
        self._variables, self._fault, self._tell = None, fault, tell

    def __bool__(self):
        return bool(self.hosts)

    def on(self, *hosts):
        return [guard for host in hosts for guard in self.hosts.get(host, {}).values()]

    def vars_of(self, host, task):
        """The variables that a task sees."""
        return self.play.get_variable_manager().get_vars(play=self.play, host=host, task=task)

    def came_up(self, host, name, guard, args, task):
        known = self.hosts.setdefault(host, {}).setdefault(name, Guard(name, guard, args, describe(task), task.become))
        known.guard = guard
        manager = self.play.get_variable_manager()
        if self._variables is None or self._variables.manager is not manager:
            self._variables = Variables(manager, self._fault)
        if host_of(self.play, host):
            self._variables.begin(host_of(self.play, host), self.play, task)

    def came_down(self, host, name):
        """Returns what is known of a guard that is down; None where it was not known to be up."""
        return self.hosts.get(host, {}).pop(name, None)

    def tidy(self, host, task, launcher):
        """After the host's last guard: the task that took it down, and whether it had a launcher."""
        if self.hosts.get(host):
            return
        self.hosts.pop(host, None)
        _seen.arguments.pop(host, None)
        if self._variables:
            self._variables.end(host, restore=launcher and OUR_TASKS in (task.get_path() or ''))

    def ending(self, task):
        """A meta task that may leave out what takes a guard down is about to run."""
        if self.hosts and action_of(task) == 'meta' and task.args.get('_raw_params') in ENDINGS:
            for guard in self.on(*hosts_of(self.play)):
                guard.endings[key_of(task)] = f'meta: {task.args["_raw_params"]} in {place(task)}'

    def skipped(self, host, task):
        for guard in self.on(host):
            guard.endings.pop(key_of(task), None)

    def ends_by_reboot(self, host, task):
        """The name of a guard that this task would end by a reboot; None where there is none."""
        if not self.hosts or task.action not in _reboot.ACTIONS or task.check_mode is True:
            return None
        return next(iter(self.hosts.get(self._machines(host, task, {})[0], ())), None)

    def ran(self, host, task, arguments, data, failed, start, end):
        """A task of somebody else ran."""
        for machine in self._machines(host, task, data):
            if failed:
                self._note_gone(machine, data)
            if task.no_log is True or 'censored' in data:
                _no_log.note(machine, task, start, end)
            _told.note(machine, describe(task), arguments, data.get('results') or [])
            self._note(host, machine, task, data, failed, start, end)
        if self._variables:
            self._variables.seen.pop((host.name, key_of(task)), None)

    def _note_gone(self, host, data):
        """Remember what the task tells of a guard that has ended under it."""
        gone = _gone.seen(data) if host in self.hosts else None
        for guard in self.on(host) if gone else ():
            if gone['name'] in (guard.name, None):
                guard.gone = gone

    def _machines(self, host, task, data):
        """The hosts on which a task ran that was meant for `host`: in a loop, each item can be delegated to another."""
        if not task.delegate_to:
            return [host.name]
        if '{{' not in task.delegate_to:
            return [task.delegate_to]
        seen = self.vars_of(host, task)
        items = [{item['ansible_loop_var']: item.get(item['ansible_loop_var'])} for item in data.get('results') or []
                 if 'ansible_loop_var' in item]
        return list(dict.fromkeys(_brackets.written(task.delegate_to, {**seen, **item}) for item in items or [{}]))

    def _note(self, host, machine, task, data, failed, start, end):
        """Remember when the task ran, on its own host and on the one it was delegated to."""
        title, starts = told(task), action_of(task) not in CONTROLLER_ONLY
        window = model.Window(start, end, title, False, self._outcome(task, data, failed),
                              self._jobs(host, machine, task, data, end))
        inside = action_of(task) != 'raw' and any(other.guard.get('launcher') for other in self.on(machine))
        idle = []
        for guard in self.on(host.name):
            guard.shell = (data.get('ansible_facts') or {}).get(SHELL, guard.shell)
            outside = self._why_outside(host, machine, task, guard) if starts else None
            idle.append(bool(outside) or not starts)
            guard.windows.append(window._replace(idle=idle[-1]))
            if not starts or failed and not has_run(data, outside):
                continue
            if outside and machine != host.name and inside:
                guard.elsewhere.append((outside, machine, title))
            elif guard.launches or outside and not guard.args.get('cgroup'):
                transfers = not outside and self._transfers(host, task, data)
                guard.ran.append(entries.Ran(start, end, title, 'file transfer' if transfers else outside, transfers))
        if idle:
            self._tell(host.name, window._replace(idle=all(idle)))
        if machine != host.name and self.on(machine):
            self._tell(machine, window._replace(task=title._replace(host=host.name)))
        for guard in self.on(machine) if machine != host.name else ():
            guard.windows.append(window)
            if inside and starts and not failed:  # then it has to have entered
                guard.ran.append(entries.Ran(start, end, title._replace(host=host.name)))
            else:
                guard.others.append((start, end))

    @staticmethod
    def _outcome(task, data, failed):
        """What became of it, as waits.py has it. No rescue is for a host that can't be reached."""
        if not failed:
            return waits.PASSED
        if failed == _brackets.IGNORED:
            return waits.IGNORED
        return waits.RESCUED if _brackets.is_rescued(task) and not data.get('unreachable') else waits.FAILED

    def _jobs(self, host, machine, task, data, end):
        """The ids of what it has left to run in the background. Remembers which of others it has seen to be over."""
        left = []
        for item in [data, *(data.get('results') or [])]:
            job = item.get('ansible_job_id') if isinstance(item, dict) else None
            if job and item.get('finished'):
                for guard in self.on(host.name, machine):
                    guard.jobs.setdefault(job, (end, waits.FAILED if item.get('failed') else waits.PASSED))
            elif job and task.async_val and not task.poll:
                left.append(job)
        return tuple(left)

    def _transfers(self, host, task, data):
        """Did it read a file by the connection itself (sftp), with no process that could enter?"""
        fetched = any(item.get('changed') for item in data.get('results', [data]) if isinstance(item, dict))
        return action_of(task) == 'fetch' and fetched and not self._becomes(task, self.vars_of(host, task))

    @staticmethod
    def _becomes(task, seen):
        return boolean(seen.get('ansible_become', task.become), strict=False)

    def _why_outside(self, host, machine, task, guard):
        """Tell how a task went around the guard's launcher, or None when it did not."""
        if machine != host.name:
            return f'delegated to {machine}'
        # by what it ran, where that is known
        shell, connection = self._variables.seen.get((host.name, key_of(task)), (None, None)) if self._variables else (None, None)
        if connection and self._variables.leads_elsewhere(host.name, connection):
            return f'{"on the controller" if short(connection) == "local" else "elsewhere"} (connection: {connection})'
        if guard.args.get('scope') == 'user':
            return None
        if action_of(task) in SYNCHRONIZE:
            return 'rsync, which ssh itself starts'
        if action_of(task) == 'raw':
            return self._why_raw_is_outside(task, self.vars_of(host, task))
        # A later fact takes the launcher's place, and the variables of an include beat every fact.
        if not shell or '{{' in shell:
            shell = task.get_include_params().get(SHELL, guard.shell)
        return f'through {shell}' if shell not in (None, guard.guard.get('launcher')) else None

    def _why_raw_is_outside(self, task, seen):
        """Only a change of user puts `raw` through the launcher; become to the login user is none."""
        if task.args.get('executable'):
            return 'raw with executable'
        if not self._becomes(task, seen):
            return 'raw'
        login = seen.get('ansible_user', seen.get('ansible_ssh_user', task.remote_user))
        user = seen.get('ansible_become_user', task.become_user) or 'root'
        if login and login != user and '{{' not in f'{login}{user}':
            return None
        return 'raw' if login == user else f'raw, where {user} logs in'
