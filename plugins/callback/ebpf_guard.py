# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r'''
name: ebpf_guard
type: aggregate
short_description: Tells what the guards denied, and fails the run for it
version_added: 1.0.0
author:
  - The Loopbreak authors (@loopbreak)
description:
  - When a guard of M(loopbreak.deploy.ebpf_guard) comes down on a host, prints what it denied there,
    in which task, by which command, for which reason, and which tasks ran outside it.
  - What ran outside is known by the kernel of the host, which counts who enters the guard. A task during which nobody did
    started nothing on the host, or went around the guard. Files that M(ansible.builtin.fetch) reads by sftp are told, too.
  - Hides the commands of tasks with C(no_log), here and in the results of the modules of this collection.
  - At the end of the run prints one table of all guards, the distinct endpoints of all hosts, and the guards
    that were brought up and never taken down. Of what was tried where no rule allows it, prints the allow rules
    that would let it pass, to be pasted into the policy.
  - Ends the run with exit status 2 when a guard in mode V(enforce) denied something that its policy does not
    expect, when tasks ran under it and nobody entered it, or when the report of a guard never came. So an error that a
    script swallows, a rescued task or C(meta, end_host) can't hide a denial.
  - Does so as well when tasks ran unguarded that a guard was meant for, because C(--tags), C(--start-at-task), C(--step) or
    an ignored error left out its start.
  - While a guard is up, sends tasks with C(connection=local), or another connection that leads elsewhere, their usual way,
    and lists them as outside.
  - For the playbook C(loopbreak.deploy.run) prints the command's output as it was, and ends the run with the command's
    exit status where nothing else ends it. Of several hosts, the highest exit status counts.
  - This exit happens before callbacks that are listed later see the end of the run. List this one last.
requirements:
  - enable in configuration
options:
  fail:
    description:
      - Whether denials, missing reports and errors of this callback itself end the run with exit status 2.
      - When V(false), they are only printed.
    type: bool
    default: true
    ini:
      - section: callback_ebpf_guard
        key: fail
    env:
      - name: EBPF_GUARD_FAIL
  observed:
    description:
      - Whether to show the recorded endpoints that were allowed, too.
      - Guards in mode V(monitor) always show them.
    type: bool
    default: false
    ini:
      - section: callback_ebpf_guard
        key: observed
    env:
      - name: EBPF_GUARD_OBSERVED
  max_rows:
    description:
      - How many rows each list shows at most, for every host and for the endpoints of the whole run.
      - How many were left out is always told.
    type: int
    default: 20
    ini:
      - section: callback_ebpf_guard
        key: max_rows
    env:
      - name: EBPF_GUARD_MAX_ROWS
  output:
    description:
      - Where the lines of this callback go.
      - V(auto) is standard output, and standard error where a program reads standard output. That is so with a stdout
        callback whose name tells of JSON, JUnit, XML, CSV or SARIF, such as P(ansible.posix.json#callback), and with
        C(oneline) or C(ansible -o).
      - V(stdout) and V(stderr) are one of the two in any case.
      - Anything else is a file, by a path from the working directory. The lines are appended to it without colors. The one
        that tells why the run ends is also on standard error. Where the file can't be written, all are, with a warning.
      - On standard error this callback also puts what the command of C(loopbreak.deploy.run) wrote to its standard output.
    type: str
    default: auto
    ini:
      - section: callback_ebpf_guard
        key: output
    env:
      - name: EBPF_GUARD_OUTPUT
  command_stdout:
    description:
      - A file that gets what the command of C(loopbreak.deploy.run) wrote to its standard output, byte for byte,
        in place of the terminal.
    type: path
    ini:
      - section: callback_ebpf_guard
        key: command_stdout
    env:
      - name: EBPF_GUARD_COMMAND_STDOUT
seealso:
  - plugin: loopbreak.deploy.ebpf_guard
    plugin_type: module
'''

EXAMPLES = r'''
# ansible.cfg
# [defaults]
# callbacks_enabled = loopbreak.deploy.ebpf_guard
#
# [callback_ebpf_guard]
# observed = true
#
# What it prints when the guard on web1 comes down:
#
# GUARD deploy on web1 [enforce]: 5 accesses denied
#   DENIED  github.com (DNS question)  4x  direct  (rule github)
#     why      github.com runs on the database that this play deploys
#     task     mysql : Install the tool (roles/mysql/tasks/main.yml:12)
#     command  curl -fsS https://github.com/install.sh
#     evidence its command line names it
#     ancestry sh deploy.sh
#              python3
#     owner    db-team   runbook https://wiki.example/no-github-in-deploys
#   DENIED  github.com:3128/tcp (HTTP)  1x  hidden  (rule github)
#     at       203.0.113.70:3128/tcp
#     why      github.com runs on the database that this play deploys
#     task     mysql : Fetch the schema (roles/mysql/tasks/main.yml:20)
#     command  schema-tool --proxy http://proxy:3128 migrate
#     evidence no command line names it that a person wrote
#     ancestry sh deploy.sh
#              python3
#     owner    db-team   runbook https://wiki.example/no-github-in-deploys
#   outside the guard (not watched, not stopped):
#     raw      Check uptime (play.yml:20)
'''

import atexit
import functools
import os
import sys
import time
from dataclasses import dataclass, field

from ansible import context
from ansible.module_utils.common.text.converters import to_bytes
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.callback import CallbackBase

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import launcher
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import words
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import (
    _brackets, _gone, _no_log, _output, _reboot, _run, _seen, _told)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._brackets import OUR_TASKS, OURS
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._brackets import action_of as _action
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import allow, entries, model, text
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._shell import SHELL, Variables, short

OUR_PREFIX = f'{OURS} : '  # also before the names of the tasks that are wrapped
# Actions that start no process on any host: nobody expects them to enter a guard.
CONTROLLER_ONLY = frozenset((
    'add_host', 'assert', 'debug', 'fail', 'group_by', 'import_role', 'import_tasks', 'include_role',
    'include_tasks', 'include_vars', 'meta', 'pause', 'set_fact', 'set_stats', 'validate_argument_spec',
))
SYNCHRONIZE = ('synchronize', 'ansible.posix.synchronize')
RAN = ('rc', 'stdout', 'module_stdout')  # in the result of a task that failed on the host, and not before
# Of these, what gathers facts is no part of a deployment that a guard could have been meant for.
HARMLESS = CONTROLLER_ONLY | {'gather_facts', 'setup'}
ENDINGS = ('end_batch', 'end_host', 'end_play', 'end_role')  # what leaves out the `always` of a block


@dataclass
class Bracket:
    """A guard that is up on a host, and what ran on the host since."""

    name: str
    guard: dict
    args: dict
    brought_by: str
    become: bool
    shell: str | None = None  # what a fact says that tasks run through; None: no fact was seen
    windows: list = field(default_factory=list)
    ran: list = field(default_factory=list)  # entries.Ran of each task that was to start something on the host
    others: list = field(default_factory=list)  # (start, end) of what else may have entered
    elsewhere: list = field(default_factory=list)  # (how, task) of what ran inside the guard of another host
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

    def outside(self):
        """What ran outside, as far as that is known without the report."""
        return entries.compare(self.ran, self.others, None, None).outside
    @property
    def because(self):
        """Why it is left up."""
        if self.broke_off:
            return self.broke_off
        ended = ', '.join(dict.fromkeys(self.endings.values()))
        return f'no state=absent task ran after it ({ended or "a stopped run"})'


def _part(result, name):
    """Read host or task, public since ansible-core 2.19 and underscored before."""
    return getattr(result, name) if hasattr(result, name) else getattr(result, '_' + name)


def _data(result):
    """Read what the task returned. Since ansible-core 2.19 `result` is a copy of it, whose making costs more than all that
    is done with it here."""
    return result._return_data if hasattr(result, '_return_data') else result._result


def _has_run(data, outside):
    """Did something that failed run on some host? What the launcher refused did not."""
    signs = (*RAN, 'invocation') if outside else RAN  # a module's arguments are there also where a plugin failed before
    items = [item for item in [data, *(data.get('results') or [])] if isinstance(item, dict)]
    return any(key in item and item.get('rc') != launcher.REFUSED for item in items for key in signs)


def _describe(task):
    """Name a task with its role and the place where it is written; a task of our own needs neither."""
    path, name = task.get_path() or '', words.clean(task.get_name())
    name = name[len(OUR_PREFIX):] if name.startswith(OUR_PREFIX) else name
    if OUR_TASKS in path or _run.PLAYBOOK in path:
        return name
    return f'{name} ({_place(task)})' if path else name


def _place(task):
    """Where a task is written, from the working directory on."""
    path, here = task.get_path() or '', os.path.join(os.getcwd(), '')
    return path[len(here):] if path.startswith(here) else path


def _kept(event):
    """Remember what an event raises, so that a lost denial still fails the run: ansible-core only warns."""
    @functools.wraps(event)
    def wrapper(self, *args, **kwargs):
        try:
            return event(self, *args, **kwargs)
        except Exception as error:  # pylint: disable=broad-exception-caught
            return self._fault(event.__name__, error)
    return wrapper


def _between(*guards):
    """The least and the greatest offset of the clocks, by the calls that brought the guard up and down; the last one's
    where a clock was set in the meantime.
    """
    found = [guard['clock_between'] for guard in guards if guard.get('clock_between')]
    if not found:
        return None
    least, greatest = max(low for low, dummy in found), min(high for dummy, high in found)
    return (least, greatest) if least <= greatest else tuple(found[-1])


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'aggregate'
    CALLBACK_NAME = OURS
    CALLBACK_NEEDS_ENABLED = True

    # Events of single loop items and of async polling come from another thread, where an exit hangs the
    # run for ever: none of them is handled here, and the only exit is in v2_playbook_on_stats.

    def __init__(self):
        super().__init__()
        self._fail, self._observed, self._max_rows, self._stdout = True, False, 20, None
        self._up = _seen.tasks  # host -> {guard's name: Bracket}
        self._starts = {}  # (host, task's uuid) -> controller time
        self._watch = _brackets.Watch()
        self._variables = None
        self._been = set()  # (host, guard's name): was up in this run, or failed to come up
        self._ran_bare = {}  # host -> titles of the first tasks that ran there in this play with no guard up
        self._never = {}  # (host, guard's name) -> (because, titles of tasks): should have been up
        self._checked = {}  # host -> {guard's name: tasks that ran for real}, in check mode
        self._faults = []
        self._fleet = model.Fleet()
        self._tried = allow.Tried()
        self._commands = _run.Commands()
        self._output = _output.Output(self._display)
        self._refusal = _reboot.Refusal()
        self._runs_command = False
        self._play = None
        self._adhoc = False
        self._playbooks = 0
        self._running, self._pid = False, os.getpid()
        atexit.register(self._cut_off)

    def _fault(self, where, error):
        self._faults.append(f'{where}: {type(error).__name__}: {error}')
        self._display.warning(f'{OURS} callback: {self._faults[-1]}')

    @_kept
    def set_options(self, *args, **kwargs):
        # Raising here would only unload the callback, and the run would go on unjudged.
        super().set_options(*args, **kwargs)
        self._fail, self._observed = self.get_option('fail'), self.get_option('observed')
        self._max_rows = max(0, self.get_option('max_rows'))
        self._stdout = self.get_option('command_stdout')
        self._output = _output.Output(self._display, self.get_option('output'))

    @_kept
    def v2_playbook_on_start(self, playbook):
        self._adhoc = playbook._file_name == '__adhoc_playbook__'
        self._runs_command = playbook._file_name.endswith(_run.PLAYBOOK) and not context.CLIARGS.get('check')
        self._playbooks += 1
        self._running = True
        _seen.follow()

    @_kept
    def v2_playbook_on_play_start(self, play):
        self._play, self._ran_bare = play, {}
        self._watch.begin(play)

    @_kept
    def v2_playbook_on_task_start(self, task, is_conditional):
        if self._up and _action(task) == 'meta' and task.args.get('_raw_params') in ENDINGS:
            hosts = self._play.get_variable_manager()._inventory.get_hosts(self._play.hosts)
            for bracket in self._brackets_up(host.name for host in hosts):
                bracket.endings[task._uuid] = f'meta: {task.args["_raw_params"]} in {_place(task)}'

    def _brackets_up(self, hosts):
        return [bracket for host in hosts for bracket in self._up.get(host, {}).values()]

    @_kept
    def v2_runner_on_start(self, host, task):
        if self._up:
            self._starts[host.name, task._uuid] = time.time()
        self._refusal.expect(task, self._ends_by_reboot(host, task))

    @_kept
    def v2_runner_on_ok(self, result):
        self._ran(result)

    @_kept
    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._ran(result, _brackets.IGNORED if ignore_errors else _brackets.FAILED)

    @_kept
    def v2_runner_on_unreachable(self, result):
        host, task = _part(result, 'host').name, _part(result, 'task')
        self._ran(result, _brackets.IGNORED if task.ignore_unreachable else _brackets.FAILED)
        for bracket in self._brackets_up([task.delegate_to or host]):
            bracket.broke_off = f'the host became unreachable in {_describe(task)}'

    @_kept
    def v2_runner_on_skipped(self, result):
        host, task = _part(result, 'host').name, _part(result, 'task')
        self._starts.pop((host, task._uuid), None)
        self._watch.note(host, task, _brackets.SKIPPED)
        name = _brackets.started(task)
        if name:  # on purpose: no `absent` is to miss it
            self._been.add((host, name))
        for bracket in self._brackets_up([host]):
            bracket.endings.pop(task._uuid, None)

    def _ran(self, result, failed=None):
        """`failed`: whether it was ignored."""
        host, task = _part(result, 'host').name, _part(result, 'task')
        start, end = self._starts.pop((host, task._uuid), None), time.time()
        if failed:
            self._start_failed(_part(result, 'host'), task, failed)
        if context.CLIARGS.get('check'):
            self._foretold(host, task)
        elif not self._up.get(host):
            self._note_bare(_part(result, 'host'), task)
        if _action(task) == OURS:
            # In check mode nothing is up, whatever the result foretells.
            if task.check_mode is not True:
                self._guarded(task.delegate_to or host, task, _data(result), failed)
        elif self._up:
            data = _data(result)
            for machine in self._machines(_part(result, 'host'), task, data):
                if failed:
                    self._note_gone(machine, data)
                if task.no_log is True or 'censored' in data:
                    _no_log.note(machine, task, start or end, end)
                _told.note(machine, _describe(task), _part(result, 'task_fields').get('args'), data.get('results') or [])
                self._note_task(_part(result, 'host'), machine, task, data, failed, start or end, end)
            if self._variables:
                self._variables.seen.pop((host, task._uuid), None)
        if _run.PLAYBOOK in (task.get_path() or '') and _action(task) == 'shell':
            self._command_ended(host, _data(result))

    def _ends_by_reboot(self, host, task):
        """The name of a guard that this task would end by a reboot; None where there is none."""
        if not self._up or task.action not in _reboot.ACTIONS or task.check_mode is True:
            return None
        target = self._machines(host, task, {})[0]
        return next(iter(self._up.get(target, ())), None)

    def _note_gone(self, host, data):
        """Remember what the task tells of a guard that has ended under it."""
        gone = _gone.seen(data) if host in self._up else None
        for bracket in self._brackets_up([host]) if gone else ():
            if gone['name'] in (bracket.name, None):
                bracket.gone = gone

    def _machines(self, host, task, data):
        """The hosts on which a task ran that was meant for `host`: in a loop, each item can be delegated to another."""
        if not task.delegate_to:
            return [host.name]
        if '{{' not in task.delegate_to:
            return [task.delegate_to]
        seen = self._play.get_variable_manager().get_vars(play=self._play, host=host, task=task)
        items = [{item['ansible_loop_var']: item.get(item['ansible_loop_var'])} for item in data.get('results') or []
                 if 'ansible_loop_var' in item]
        return list(dict.fromkeys(_brackets.written(task.delegate_to, {**seen, **item}) for item in items or [{}]))

    def _note_task(self, host, machine, task, data, failed, start, end):
        """Remember when the task ran, on its own host and on the one it was delegated to."""
        title, starts = _describe(task), _action(task) not in CONTROLLER_ONLY
        inside = _action(task) != 'raw' and any(other.guard.get('launcher') for other in self._brackets_up([machine]))
        shell, connection = self._variables.seen.get((host.name, task._uuid), (None, None)) if self._variables else (None, None)
        for bracket in self._brackets_up([host.name]):
            bracket.shell = (data.get('ansible_facts') or {}).get(SHELL, bracket.shell)
            outside = self._why_outside(host, machine, task, bracket, shell, connection) if starts else None
            bracket.windows.append(model.Window(start, end, title, bool(outside) or not starts))
            if not starts or failed and not _has_run(data, outside):
                continue
            if outside and machine != host.name and inside:
                bracket.elsewhere.append((outside, f'inside the guard of {machine}: {title}'))
            elif bracket.launches or outside and not bracket.args.get('cgroup'):
                transfers = not outside and self._transfers(host, task, data)
                bracket.ran.append(entries.Ran(start, end, title, 'file transfer' if transfers else outside, transfers))
        if machine != host.name:
            for bracket in self._brackets_up([machine]):
                bracket.windows.append(model.Window(start, end, title, False))
                if inside and starts and not failed:  # then it has to have entered
                    bracket.ran.append(entries.Ran(start, end, f'{title}, for {host.name}'))
                else:
                    bracket.others.append((start, end))

    def _transfers(self, host, task, data):
        """Did it read a file by the connection itself (sftp), with no process that could enter?"""
        fetched = any(item.get('changed') for item in data.get('results', [data]) if isinstance(item, dict))
        return _action(task) == 'fetch' and fetched and not self._becomes(host, task)[0]

    def _becomes(self, host, task):
        """(does the task become another user, the variables that it sees)"""
        seen = self._play.get_variable_manager().get_vars(play=self._play, host=host, task=task)
        return boolean(seen.get('ansible_become', task.become), strict=False), seen

    def _why_outside(self, host, machine, task, bracket, shell, connection):
        """Tell how a task went around the guard's launcher, or None when it did not. `shell` and `connection`: by which it
        ran; None where that is not known."""
        action = _action(task)
        if machine != host.name:
            return f'delegated to {machine}'
        if connection and self._variables.leads_elsewhere(host.name, connection):
            return f'{"on the controller" if short(connection) == "local" else "elsewhere"} (connection: {connection})'
        if bracket.args.get('scope') == 'user':
            return None
        if action in SYNCHRONIZE:
            return 'rsync, which ssh itself starts'
        if action != 'raw':
            # A later fact takes the launcher's place, and the variables of an include beat every fact.
            if not shell or '{{' in shell:
                shell = task.get_include_params().get(SHELL, bracket.shell)
            return f'through {shell}' if shell not in (None, bracket.guard.get('launcher')) else None
        if task.args.get('executable'):
            return 'raw with executable'
        # Only a change of user puts `raw` through the launcher; become to the login user is none.
        becomes, seen = self._becomes(host, task)
        if not becomes:
            return 'raw'
        login = seen.get('ansible_user', seen.get('ansible_ssh_user', task.remote_user))
        user = seen.get('ansible_become_user', task.become_user) or 'root'
        if login and login != user and '{{' not in f'{login}{user}':
            return None
        return 'raw' if login == user else f'raw, where {user} logs in'

    def _guarded(self, host, task, data, failed):
        """Follow one result of our own module, or each item of its loop."""
        looped = task.loop is not None
        for item in data.get('results', [data]) if looped else [data]:
            # The arguments of a loop's task are still templates, those of its items may be there.
            args = (item.get('invocation') or {}).get('module_args') or {} if looped else task.args
            guard, up = item.get('guard'), self._up.setdefault(host, {})
            name = (guard or args).get('name') or ('deploy' if args or not looped else model.UNKNOWN)
            if 'left_running' in item:
                self._came_down(host, name, guard, item)
                if self._variables and not up:
                    self._variables.end(host, restore=OUR_TASKS in (task.get_path() or '') and (guard or {}).get('launcher'))
            elif guard:
                self._came_up(host, name, guard, args, task)
            elif 'censored' in item:
                self._hidden(host, name, task, args, failed)
            elif failed and args.get('state') == 'absent' and name in up:
                up[name].broke_off = f'state=absent failed in {_describe(task)}'
            if not up:
                del self._up[host]
                _seen.arguments.pop(host, None)

    def _came_up(self, host, name, guard, args, task):
        self._been.add((host, name))
        self._watch.note(host, task, _brackets.UP)
        bracket = self._up[host].setdefault(name, Bracket(name, guard, args, _describe(task), task.become))
        bracket.guard = guard
        manager = self._play.get_variable_manager()
        if self._variables is None or self._variables.manager is not manager:
            self._variables = Variables(manager, self._fault)
        if manager._inventory.get_host(host):
            self._variables.begin(manager._inventory.get_host(host), self._play, task)

    def _start_failed(self, host, task, failed):
        """A task that brings a guard up has failed; where that is ignored, the play goes on without it."""
        role = (task.get_path() or '').partition(OUR_TASKS)[2].startswith(('start.yml', 'present.yml', 'nested.yml', 'install.yml'))
        if not role and (_action(task) != OURS or task.args.get('state') == 'absent'):
            return
        self._watch.note(host.name, task, failed)
        name = _brackets.name_of(task, self._play.get_variable_manager().get_vars(play=self._play, host=host, task=task))
        self._been.add((host.name, name))
        # Of a bracket that is written in the play, the tasks that run without a guard are told one by one.
        if failed == _brackets.IGNORED and (self._up.get(host.name) or not self._watch.started_by(task)):
            because = f'its start failed in {_describe(task)}, and the error is ignored'
            if role and not _brackets.is_of_entry(task):
                because += ': what it was to guard was not run'
            self._never.setdefault((host.name, name), (because, []))

    def _note_bare(self, host, task):
        """A task ran while no guard was up on the host. Was one meant to be?"""
        if (_action(task) in HARMLESS or _action(task) == OURS or task.delegate_to not in (None, host.name)
                or task.check_mode is True or OUR_TASKS in (task.get_path() or '')):
            return
        titles = self._ran_bare.setdefault(host.name, [])
        if len(titles) < self._max_rows:
            titles.append(_describe(task))
        found = self._watch.unguarded(host.name, task)
        if found:
            name, because = found
            name = _brackets.written(name, self._play.get_variable_manager().get_vars(play=self._play, host=host, task=task))
            self._never_up(host.name, name, f'{because}: what it was to guard ran outside the guard, unguarded', [_describe(task)])

    def _never_up(self, host, name, because, titles):
        dummy, known = self._never.setdefault((host, name), (because, []))
        if not known:
            self._never[host, name] = because, known
        known += titles

    def _foretold(self, host, task):
        """In check mode nothing is up. What runs for real all the same is told where the guard would have come down."""
        if _action(task) == OURS:
            name, up = task.args.get('name') or 'deploy', self._checked.setdefault(host, {})
            self._watch.note(host, task, _brackets.UP)
            if task.args.get('state') != 'absent':
                up.setdefault(name, [])
            elif up.get(name):
                self._print([('warn', f'GUARD {name} on {host} [check mode]: not up'),
                             *text.outside_section(up[name], self._max_rows)])
                up[name] = []
        elif task.check_mode is False and _action(task) not in HARMLESS:
            for tasks in self._checked.get(host, {}).values():
                tasks.append(('ran for real in check mode, outside any guard', _describe(task)))

    def _came_down(self, host, name, guard, data):
        bracket = self._up[host].pop(name, None)
        if guard is None:
            before = self._ran_bare.get(host)
            if before and not self._adhoc and (host, name) not in self._been and not self._watch.knows(name):
                self._never_up(host, name, 'state=absent found no guard, and this run brought none up: the tasks before this '
                               'ran unguarded', list(before))
            if bracket:  # somebody else took it down
                self._miss('REPORT LOST', host, bracket, 'it was already gone when state=absent ran')
            return
        bracket = bracket or Bracket(name, guard, {}, '', False)
        offset = guard.get('clock_offset', bracket.guard.get('clock_offset'))
        report = dict(
            data, host=host, name=name, mode=guard.get('mode') or bracket.mode, offset=offset or 0.0,
            denied=data.get('denied') or [], observed=data.get('observed') or [], tasks=bracket.windows,
            elsewhere=bracket.elsewhere, launched=bracket.launches, **entries.compare(
                bracket.ran, bracket.others, data.get('entries') if bracket.launches else None,
                _between(bracket.guard, guard))._asdict())
        show = self._observed or report['mode'] == 'monitor'
        self._fleet.add(report, show)
        self._tried.add(name, report['denied'])
        self._print(text.block(report, show, self._max_rows))

    def _hidden(self, host, name, task, args, failed):
        """Judge a result that no_log hides by what the task asked for."""
        known = name != model.UNKNOWN
        if known and args.get('state', 'present') == 'present':
            if not failed:
                self._came_up(host, name, {}, args, task)
            return
        bracket = self._up[host].pop(name, None) or Bracket(name, {}, args, '', False)
        if failed or not known or not boolean(args.get('fail_on_denied', True), strict=False):
            self._miss('REPORT LOST', host, bracket, f'no_log hides the report in {_describe(task)}')
        else:
            # The task passed, so an enforcing guard denied nothing unexpected.
            self._fleet.note(host, name, bracket.mode, 'no_log', len(set(bracket.outside())))
            self._print([('warn', f'GUARD {name} on {host}: no_log hides the report in {_describe(task)}')])

    def _command_ended(self, host, data):
        status = _run.exit_status(data)
        if status is None:
            return
        self._commands.ended[host] = status
        self._print([self._commands.headline(host)])
        if self._stdout:
            with open(self._stdout, 'ab') as output:
                output.write(to_bytes(data['stdout'], errors='surrogate_then_replace'))
        else:
            self._output.of_command(data['stdout'])
        self._output.of_command(data['stderr'], stderr=True)

    def _miss(self, title, host, bracket, because):
        details = [('up since', bracket.brought_by)] if bracket.brought_by else []
        if bracket.gone:
            title = 'GONE'
            details += _gone.details(bracket.gone)
        details.append(('because', because))
        if title == 'LEFT UP':
            asked = 'state=absent' if bracket.name == 'deploy' else f'state=absent name={bracket.name}'
            become = '-b ' if bracket.become else ''
            details.append(('remedy', f"run `ansible {host} {become}-m {OURS} -a '{asked}'`"))
        self._fleet.miss(title, host, bracket.name, bracket.mode, details, len(set(bracket.outside())))

    def _print(self, lines):
        self._output.lines(lines)

    @_kept
    def _end(self, final):
        self._running = False
        for (host, name), (because, titles) in sorted(self._never.items()):
            details = [('because', because)] + [('' if number else 'tasks', title) for number, title in enumerate(titles)]
            self._fleet.miss(model.NEVER_UP, host, name, model.UNKNOWN, details[:self._max_rows + 1])
        self._never = {}
        for host, brackets in sorted(self._up.items()):
            for bracket in brackets.values():
                if final and not self._adhoc:
                    self._miss('LEFT UP', host, bracket, bracket.because)
                else:
                    self._fleet.note(host, bracket.name, bracket.mode, 'up', len(set(bracket.outside())))
        self._print([('plain', '')] + text.fleet_lines(self._fleet, self._max_rows) if self._fleet.guards else [])
        self._print(self._tried.lines(self._max_rows))

    def _cut_off(self):
        """Tell what is left up after all when the run ends without statistics: a file that can't be parsed, Ctrl-C."""
        if self._running and self._up and os.getpid() == self._pid:  # a worker inherits this, and has nothing to tell
            self._end(final=True)
            sys.stdout.flush()

    def v2_playbook_on_stats(self, stats):
        # `ansible -m … state=present` is meant to leave its guard up, and of several playbooks
        # on one command line a later one may take it down.
        self._end(final=self._playbooks >= len(context.CLIARGS.get('args') or ()))
        reasons = [f'{said} {", ".join(hosts)}' for said, hosts in (
            ('accesses were denied on', self._fleet.denying_hosts()),
            ('guards were not whole on', self._fleet.broken_hosts()),
            ('guards never came up on', self._fleet.missing_hosts(never=True)),
            ('nobody entered the guards on', self._fleet.deserted_hosts()),
            ('reports are missing from', self._fleet.missing_hosts())) if hosts]
        if self._runs_command and not (self._commands.ended or stats.failures or stats.dark):
            reasons.append('the command was run on no host')  # Ansible says 0 where no host is meant
        reasons += [f'the callback itself failed, denials may be missing ({fault})' for fault in self._faults]
        status, hosts = self._commands.verdict(stats.failures, stats.dark)
        self._fleet, self._tried, self._commands = model.Fleet(), allow.Tried(), _run.Commands()
        if reasons and self._fail:
            # Whether the run would fail by itself can't be known here: `meta: clear_host_errors`
            # leaves failures in the statistics and exits with 0. So exit in any case.
            self._exit(2, '; '.join(reasons))
        if status:
            self._exit(status, f'that of the command on {", ".join(hosts)}')

    def _exit(self, status, because):
        self._output.last([('plain', ''), ('bad', f'{OURS}: exit status {status}: {because}')])
        raise SystemExit(status)
