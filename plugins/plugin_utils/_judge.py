# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What the guards of a run told, what never came, and what the run has to do for it."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _brackets, _gone, _run
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._core import hosts_of, key_of
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import allow, brief, model, tables
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._tasks import OURS
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._up import Guard


class Judge:
    """`up`: the guards that are. `unguarded`: those that should have been. `document`: gets all that is told."""

    def __init__(self, up, unguarded, document):
        self._up, self._unguarded, self._document = up, unguarded, document
        self._briefs = brief.Briefs()
        self._failed = set()  # hosts on which a task failed
        self._fatal = {}  # key of a task -> (the hosts on which it failed, those that it may have stopped)
        self.faults = []  # errors of the callback itself
        self.runs_command = False  # is it the playbook loopbreak.deploy.run?
        self._begin()

    def _begin(self):
        """Each playbook is judged for itself."""
        self.fleet, self._tried, self.commands = model.Fleet(), allow.Tried(), _run.Commands()

    def came_down(self, report, show_observed):
        self._document.came_down(report, self.fleet.add(report, show_observed))
        self._tried.add(report['name'], report['denied'])

    def pass_unseen(self, host, guard, because):
        """The report of a guard is hidden, and nothing unexpected is in it."""
        self.fleet.note(host, guard.name, guard.mode, 'no_log', len(guard.outside()))
        self._document.untold(host, guard, 'no_log', [because], guard.outside())

    def miss(self, title, host, guard, because):
        """The report of a guard never came."""
        details = [('up since', guard.brought_by)] if guard.brought_by else []
        gone = _gone.details(guard.gone) if guard.gone else []
        title = 'GONE' if gone else title
        details += [*gone, ('because', because)]
        asked = 'state=absent' if guard.name == 'deploy' else f'state=absent name={guard.name}'
        remedy = f"ansible HOSTS {'-b ' if guard.become else ''}-m {OURS} -a '{asked}'" if title == 'LEFT UP' else None
        self.fleet.miss(title, host, guard.name, guard.mode, details, len(guard.outside()), remedy)
        self._document.untold(host, guard, title.lower(), [f'{label} {said}' for label, said in gone] + [because],
                              guard.outside())

    def failed(self, host, task, play):
        """A task failed on a host, and the others may have to stop for it."""
        if task.any_errors_fatal and not _brackets.is_last(task, play):
            here, others = self._fatal.setdefault(key_of(task), (set(), set(hosts_of(play)) - self._failed))
            here.add(host)
            others.discard(host)
        self._failed.add(host)

    def is_cut_off(self, failed, unreachable):
        """Did a host stop that had not failed by then? It may have failed later: for what its guard told at last.

        `failed`: without those that a rescue saved.
        """
        return any(here.intersection({*failed, *unreachable}) and others for here, others in self._fatal.values())

    def collect(self, final, adhoc):
        """What is known when a playbook is over of guards whose report has not come. `final`: no other playbook follows."""
        for host, name, because, tasks in self._unguarded.collect():
            details = [('because', because), *(('' if number else 'tasks', str(task)) for number, task in enumerate(tasks))]
            self.fleet.miss(model.NEVER_UP, host, name, model.UNKNOWN, details)
            self._document.untold(host, Guard(name, {}, {}, '', False), model.NEVER_UP.lower(), [because],
                                  [('no guard was up', task) for task in tasks])
        for host, guards in sorted(self._up.hosts.items()):
            for guard in guards.values():
                if final and not adhoc:
                    self.miss('LEFT UP', host, guard, guard.because)
                else:
                    self.fleet.note(host, guard.name, guard.mode, 'up', len(guard.outside()))
        self._document.judged(self.fleet)
        self._briefs.add(self.fleet)

    def in_brief(self):
        """As Ansible's statistics take it."""
        return self._briefs.of_hosts()

    def lines(self, max_rows):
        """The tables of a playbook."""
        told = [('plain', ''), *tables.fleet_lines(self.fleet, max_rows)] if self.fleet.guards else []
        return told + self._tried.lines(max_rows)

    def own_failure(self):
        """A sentence for each error of the callback, by which denials may be missing."""
        return [f'the callback itself failed, denials may be missing ({fault})' for fault in self.faults]

    def verdict(self, failed, unreachable, fail):
        """(exit status, why); 0 where the run may end as it does. `fail`: do denials fail the run?"""
        reasons = model.reasons(self.fleet.failing())
        if self.runs_command and not (self.commands.ended or failed or unreachable):
            self._document.reasons.append('the command was run on no host')  # Ansible says 0 where no host is meant
            reasons += self._document.reasons
        reasons += self.own_failure()
        status, hosts = self.commands.verdict(failed, unreachable)
        self._begin()
        if reasons and fail:
            # Whether the run would fail by itself can't be known here: `meta: clear_host_errors`
            # leaves failures in the statistics and exits with 0. So exit in any case.
            return 2, '; '.join(reasons)
        return status, f'that of the command on {", ".join(hosts)}'
