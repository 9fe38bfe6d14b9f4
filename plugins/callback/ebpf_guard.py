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
  - When a guard of M(loopbreak.deploy.ebpf_guard) comes up on a host, prints one line with its mode and with what is in force.
  - When it comes down, prints what it denied there, in which task, by which command, for which reason, and which tasks ran
    outside it.
  - What ran outside is known by the kernel of the host, which counts who enters the guard. A task during which nobody did
    started nothing on the host, or went around the guard. Files that M(ansible.builtin.fetch) reads by sftp are told, too.
  - Of more than three hosts, tells what is alike once. A denial that no host had before is told in full as soon as the guard of its
    host comes down. The other hosts that have it are named when the task has ended on all of them, and hosts on which nothing was
    denied are one line there. With the strategies C(free) and C(host_pinned), each further host with denials has a line at once, and
    all else comes when the play is over.
  - Hides the commands of tasks with C(no_log), here and in the results of the modules of this collection.
  - At the end of the run prints one table of all guards, the distinct endpoints of all hosts, and the guards
    that were brought up and never taken down. Of what was tried where no rule allows it, prints the allow rules
    that would let it pass, to be pasted into the policy.
  - Puts the outcome of each host, and of the run as a whole, into Ansible's statistics as C(ebpf_guard), for AWX, for
    other callbacks and for C(show_custom_stats). It has C(outcome), C(denied), C(new) and C(endpoints), and no command lines.
  - Ends the run with exit status 2 when a guard in mode V(enforce) denied something that its policy does not
    expect, when tasks ran under it and nobody entered it, or when the report of a guard never came. So an error that a
    script swallows, a rescued task or C(meta, end_host) can't hide a denial.
  - Does so as well when something was reached that the baseline of the policy does not have, and the policy says
    C(on_new=fail). What is new is told in any case, with its task and command.
  - Does so as well when tasks ran unguarded that a guard was meant for, because C(--tags), C(--start-at-task), C(--step) or
    an ignored error left out its start.
  - While a guard is up, sends tasks with C(connection=local), or another connection that leads elsewhere, their usual way,
    and lists them as outside.
  - For the playbook C(loopbreak.deploy.run) prints the command's output as it was, and ends the run with the command's
    exit status where nothing else ends it. Of several hosts, the highest exit status counts.
  - In a step of GitHub Actions (E(GITHUB_ACTIONS)), what the run fails for is also printed as C(::error) commands, which
    annotate the file and line of the task. Other lines can't be such commands, whatever names and commands are in them.
  - This exit comes when all other callbacks have seen the end of the run, wherever this one stands in their list.
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
      - How many rows each list shows at most, for every host and for the whole run. Of many hosts, it is also how many hosts are told
        one by one, how many names a line names, and how many rows the table of the guards has before it adds hosts up.
      - How many were left out is always told, and that the JSON report has them.
      - The tables of Markdown reports and annotations in GitHub Actions have so many rows, too.
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
  report_dir:
    description:
      - A directory on the controller that gets the report of each run as data, in the formats of O(reports). It is made where
        it does not exist. Without this option no report is written.
      - The report is written when the run ends, also where it breaks off. Several playbooks on one command line are one run.
        Its name is the time of the start in UTC and the random id of the run, such as C(20261130T081500Z-1f2e3d4c.json).
      - Only its owner can read it, because it has command lines in it. Secrets in them are masked, and those of tasks with
        C(no_log) are hidden.
      - Where the report can't be written, a warning says so. The exit status is the same.
    type: path
    ini:
      - section: callback_ebpf_guard
        key: report_dir
    env:
      - name: EBPF_GUARD_REPORT_DIR
  reports:
    description:
      - The formats in which the report is written to O(report_dir).
      - V(json) has all records of all hosts. Its schema is
        U(https://github.com/loopbreak/loopbreak.deploy/blob/main/docs/report.schema.json).
      - V(json.gz) is the same, compressed by gzip, for runs over very many hosts.
      - V(html) is one page for people, which asks nothing of anybody. It tells what alike accesses have in common once.
      - V(markdown) is for merge requests. Each of its tables has as many rows as O(max_rows) says.
      - V(junit), V(sarif), V(codequality) and V(openmetrics) are what CI systems, code scanning, GitLab and Prometheus read.
      - What each of them has is told in U(https://github.com/loopbreak/loopbreak.deploy/blob/main/docs/reports.md).
    type: list
    elements: str
    choices: [json, json.gz, html, markdown, junit, sarif, codequality, openmetrics]
    default: [json]
    ini:
      - section: callback_ebpf_guard
        key: reports
    env:
      - name: EBPF_GUARD_REPORTS
  step_summary:
    description:
      - A file to which the report is appended as Markdown, as for O(reports=markdown), also without O(report_dir).
      - V(auto) and V(true) are the file that the variable E(GITHUB_STEP_SUMMARY) names, where it is set. GitHub Actions shows
        that file as the summary of the job. V(false) is none. Anything else is a path, from the working directory on.
      - The file never gets more than 1,024,000 bytes, with what it has already, because GitHub refuses a larger one.
      - A run without a guard that has nothing to fail for adds nothing.
    type: str
    default: auto
    ini:
      - section: callback_ebpf_guard
        key: step_summary
    env:
      - name: EBPF_GUARD_STEP_SUMMARY
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
# What it prints when the guard on web1 comes up:
#
# GUARD UP: deploy on web1 [enforce]  connect, send, dns, payload
#
# And when it comes down:
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
import contextlib
import functools
import os
import sys

from ansible import context
from ansible.module_utils.common.text.converters import to_bytes
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.callback import CallbackBase

from ansible_collections.loopbreak.deploy.plugins.plugin_utils import (
    _brackets, _clock, _ending, _github, _judge, _output, _reboot, _run, _seen, _this_run)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._core import (
    ADHOC, arguments_of, data_of, file_of, hosts_of, key_of, part)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import brief, document, model, together
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._tasks import OURS, action_of, describe
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._unguarded import Unguarded
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._up import Guard, Up

ALL = {'json', 'json.gz'}  # formats in which a report leaves nothing out
ONE_BY_ONE = ('free', 'host_pinned')  # strategies in which a task has no end that hosts have in common


def _kept(event):
    """Remember what an event raises, so that a lost denial still fails the run: ansible-core only warns."""
    @functools.wraps(event)
    def wrapper(self, *args, **kwargs):
        try:
            return event(self, *args, **kwargs)
        except Exception as error:  # pylint: disable=broad-exception-caught
            return self._fault(event.__name__, error)
    return wrapper


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'aggregate'
    CALLBACK_NAME = OURS
    CALLBACK_NEEDS_ENABLED = True

    # Events of single loop items and of async polling come from another thread, where an exit hangs the
    # run for ever: none of them is handled here, and the only exit is at the end of a playbook.

    def __init__(self):
        super().__init__()
        self._fail, self._observed, self._max_rows, self._stdout = True, False, 20, None
        self._document = document.Document(self._warn)
        self._up = Up(self._fault, self._document.ran)
        self._unguarded = Unguarded(self._up)
        self._starts = {}  # (host, task's uuid) -> controller time
        self._judge = _judge.Judge(self._up, self._unguarded, self._document)
        self._together = together.Together()
        self._is_cut = False  # is there more than was printed?
        self._output = _output.Output(self._display)
        self._refusal = _reboot.Refusal()
        self._adhoc = False
        self._playbooks = 0
        self._ending = _ending.Ending(OURS, self._begins, self._sum_up, self._end, self._leave)
        self._running, self._pid = False, os.getpid()
        atexit.register(self._cut_off)

    def _fault(self, where, error):
        self._judge.faults.append(f'{where}: {type(error).__name__}: {error}')
        self._warn(f'{OURS} callback: {self._judge.faults[-1]}')

    def _warn(self, text):
        self._display.warning(_github.harmless(text, wraps=True))

    @_kept
    def set_options(self, *args, **kwargs):
        # Raising here would only unload the callback, and the run would go on unjudged.
        super().set_options(*args, **kwargs)
        self._fail, self._observed = self.get_option('fail'), self.get_option('observed')
        self._max_rows = self._unguarded.room = self._together.max_rows = max(0, self.get_option('max_rows'))
        self._stdout = self.get_option('command_stdout')
        self._output = _output.Output(self._display, self.get_option('output'))
        self._document.directory, self._document.formats = self.get_option('report_dir'), self.get_option('reports')
        self._document.summary, self._document.annotates = _github.summary(self.get_option('step_summary')), _github.is_step()
        self._document.max_rows = self._max_rows

    @_kept
    def v2_playbook_on_start(self, playbook):
        self._adhoc = file_of(playbook) == ADHOC
        self._judge.runs_command = file_of(playbook).endswith(_run.PLAYBOOK) and not context.CLIARGS.get('check')
        self._playbooks += 1
        self._running = True
        complaint = self._ending.complaint()
        if complaint and self._playbooks == 1:
            self._warn(complaint)
        self._document.begin(_this_run.described(), _clock.now())
        _seen.follow()

    @_kept
    def v2_playbook_on_play_start(self, play):
        self._begins('v2_playbook_on_play_start')
        self._up.play = play
        self._unguarded.begin(play)
        self._together.hosts.update(hosts_of(play))
        self._together.waits = play.strategy.rpartition('.')[2] not in ONE_BY_ONE

    @_kept
    def v2_playbook_on_task_start(self, task, is_conditional):
        self._begins('v2_playbook_on_task_start')
        self._up.ending(task)

    @_kept
    def v2_runner_on_start(self, host, task):
        if self._up:
            self._starts[host.name, key_of(task)] = _clock.now()
        self._refusal.expect(task, self._up.ends_by_reboot(host, task))

    @_kept
    def v2_runner_on_ok(self, result):
        self._ran(result)

    @_kept
    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._ran(result, _brackets.IGNORED if ignore_errors else _brackets.FAILED)

    @_kept
    def v2_runner_on_unreachable(self, result):
        host, task = part(result, 'host').name, part(result, 'task')
        self._ran(result, _brackets.IGNORED if task.ignore_unreachable else _brackets.FAILED)
        for guard in self._up.on(task.delegate_to or host):
            guard.broke_off = f'the host became unreachable in {describe(task)}'

    @_kept
    def v2_runner_on_skipped(self, result):
        host, task = part(result, 'host').name, part(result, 'task')
        self._starts.pop((host, key_of(task)), None)
        self._unguarded.skipped(host, task)
        self._up.skipped(host, task)

    def _ran(self, result, failed=None):
        """`failed`: whether it was ignored."""
        host, task, data = part(result, 'host'), part(result, 'task'), data_of(result)
        start, end = self._starts.pop((host.name, key_of(task)), None), _clock.now()
        if failed:
            self._unguarded.failed(host, task, failed)
        if failed == _brackets.FAILED:
            self._judge.failed(host.name, task, self._up.play)
        if context.CLIARGS.get('check'):
            self._foretold(host.name, task)
        elif not self._up.on(host.name):
            self._unguarded.ran(host, task)
        if action_of(task) == OURS:
            # In check mode nothing is up, whatever the result foretells.
            if task.check_mode is not True:
                self._guarded(task.delegate_to or host.name, task, data, failed)
        elif self._up:
            self._up.ran(host, task, arguments_of(result), data, failed, start or end, end)
        if _run.PLAYBOOK in (task.get_path() or '') and action_of(task) == 'shell':
            self._command_ended(host.name, data)

    def _foretold(self, host, task):
        name, for_real = self._unguarded.foretell(host, task) or (None, None)
        if for_real:
            self._document.ran_unguarded(host, name, for_real)
            self._print(self._together.is_not_up(host, name, for_real))

    def _guarded(self, host, task, data, failed):
        """Follow one result of our own module, or each item of its loop."""
        looped = task.loop is not None
        for item in data.get('results', [data]) if looped else [data]:
            # The arguments of a loop's task are still templates, those of its items may be there.
            args = (item.get('invocation') or {}).get('module_args') or {} if looped else task.args
            guard = item.get('guard')
            name = (guard or args).get('name') or ('deploy' if args or not looped else model.UNKNOWN)
            if 'left_running' in item:
                self._came_down(host, name, guard, item)
            elif guard:
                if item.get('changed') or name not in self._up.hosts.get(host, ()):
                    self._print(self._together.came_up(host, name, guard))
                self._came_up(host, name, guard, args, task)
            elif 'censored' in item:
                self._hidden(host, name, task, args, failed)
            elif failed and args.get('state') == 'absent' and name in self._up.hosts.get(host, ()):
                self._up.hosts[host][name].broke_off = f'state=absent failed in {describe(task)}'
            self._up.tidy(host, task, (guard or {}).get('launcher'))

    def _came_up(self, host, name, guard, args, task):
        self._unguarded.came_up(host, name, task)
        self._up.came_up(host, name, guard, args, task)

    def _came_down(self, host, name, guard, data):
        known = self._up.came_down(host, name)
        if guard is None:
            if not self._adhoc:
                self._unguarded.missed(host, name)
            if known:  # somebody else took it down
                self._judge.miss('REPORT LOST', host, known, 'it was already gone when state=absent ran')
            return
        report = (known or Guard(name, guard, {}, '', False)).report(host, data)
        show = self._observed or report['mode'] == 'monitor'
        self._judge.came_down(report, show)
        self._print(self._together.came_down(report, show))

    def _hidden(self, host, name, task, args, failed):
        """Judge a result that no_log hides by what the task asked for."""
        named = name != model.UNKNOWN
        if named and args.get('state', 'present') == 'present':
            if not failed:
                self._came_up(host, name, {}, args, task)
            return
        known = self._up.came_down(host, name) or Guard(name, {}, args, '', False)
        if failed or not named or not boolean(args.get('fail_on_denied', True), strict=False):
            self._judge.miss('REPORT LOST', host, known, f'no_log hides the report in {describe(task)}')
        else:
            # The task passed, so an enforcing guard denied nothing unexpected.
            because = f'no_log hides the report in {describe(task)}'
            self._judge.pass_unseen(host, known, because)
            self._print(self._together.is_hidden(host, name, because))

    def _command_ended(self, host, data):
        status = _run.exit_status(data)
        if status is None:
            return
        self._judge.commands.ended[host] = status
        self._print([self._judge.commands.headline(host)])
        if self._stdout:
            with open(self._stdout, 'ab') as output:
                output.write(to_bytes(data['stdout'], errors='surrogate_then_replace'))
        else:
            self._output.of_command(data['stdout'])
        self._output.of_command(data['stderr'], stderr=True)

    def _print(self, lines):
        self._is_cut = self._is_cut or any(tone == 'more' for tone, dummy in lines)
        self._output.lines(lines)

    def _begins(self, event):
        """Before any callback tells that something begins: what has ended is told above its headline."""
        if self._together.waits or event == 'v2_playbook_on_play_start':
            self._ended()

    @_kept
    def _ended(self):
        self._print(self._together.ended())

    @_kept
    def _collect(self, final):
        self._running = False
        self._judge.collect(final, self._adhoc)

    @_kept
    def _tell(self):
        self._print(self._judge.lines(self._max_rows))

    def _cut_off(self):
        """Tell what is left up after all when the run ends without statistics: a file that can't be parsed, Ctrl-C."""
        if os.getpid() != self._pid:  # a worker inherits this, and has nothing to tell
            return
        within = self._running  # a playbook; else a later one of the command line was not reached
        if within:
            self._ended()
            self._collect(final=True)
            if self._up:
                self._tell()
        self._write(final=within, cut_off=True)
        sys.stdout.flush()

    @_kept
    def _write(self, final, cut_off):
        """Write the report of the run, once."""
        for host, guards in self._up.hosts.items() if self._document and (self._adhoc or not final) else ():
            for guard in guards.values():
                self._document.untold(host, guard, 'up', [], guard.outside())
        has_all = ALL.intersection(self._document.formats)
        paths = self._document.end(_clock.now(), cut_off, self._judge.own_failure()) or []
        annotations, self._document.annotations = self._document.annotations, []
        self._output.annotations(annotations)
        told = [('plain', f'REPORT {path}') for path in paths]
        if self._is_cut:
            told.append(('plain', 'The JSON report has all that is not shown here.' if paths and has_all else
                         'Not all is shown here. Set report_dir, and a JSON report has all of it.'))
            self._is_cut = False
        self._print([('plain', ''), *told] if told else [])

    def v2_playbook_on_stats(self, stats):
        self._ending.turn(stats)

    @property
    def _final(self):
        """`ansible -m … state=present` is meant to leave its guard up, and of several playbooks on one command line a later one
        may take it down.
        """
        return self._adhoc or self._playbooks >= len(context.CLIARGS.get('args') or ())

    @_kept
    def _sum_up(self, stats):
        self._ended()
        self._collect(self._final)
        for host, told in self._judge.in_brief().items():
            stats.set_custom_stats(brief.KEY, told, host)

    def _end(self, stats):
        """(exit status, why) of a playbook; 0 where the run may go on, or end as it does."""
        self._tell()
        # ansible-core only warns of what is raised here: an error must not pass for a run in which nothing was denied
        status, because = self._verdict(stats) or (2 if self._fail else 0, '; '.join(self._judge.own_failure()))
        if self._final or status:
            self._write(self._final, not self._final or self._judge.is_cut_off(stats.failures, stats.dark))
        return status, because

    @_kept
    def _verdict(self, stats):
        return self._judge.verdict(stats.failures, stats.dark, self._fail)

    def _leave(self, verdict):
        status, because = verdict
        if status:
            with contextlib.suppress(Exception):  # nobody may read it any more
                self._output.last([('plain', ''), ('bad', f'{OURS}: exit status {status}: {because}')])
            raise SystemExit(status)
