# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The report of a run as data: what its guards told is collected here, and written in each format at the end.

Lists that grow with hosts and records are spooled, so memory does not. Knows nothing of Ansible.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tempfile
from datetime import datetime, timezone

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import UNKNOWN
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import (
    as_annotations, as_codequality, as_html, as_json, as_junit, as_markdown, as_openmetrics, as_sarif, findings, model)
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.remedies import remedy_of
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.spool import Spool, encoded, text

WRITERS = {'json': as_json.write, 'json.gz': as_json.write_compressed, 'html': as_html.write,
           'markdown': as_markdown.write, 'junit': as_junit.write,
           'sarif': as_sarif.write, 'codequality': as_codequality.write, 'openmetrics': as_openmetrics.write}
FOLDED = ('markdown', 'junit', 'sarif', 'codequality', 'openmetrics')  # are made of `folded`, as summary and annotations are
# of the file's name, where it is not the format's
ENDS = {'markdown': 'md', 'junit': 'junit.xml', 'codequality': 'codequality.json', 'openmetrics': 'prom'}
SPOOLED = ('guards', 'denied', 'new', 'observed', 'outside', 'tasks')
# of a guard: as the module tells it of the guard, of its report, and the accesses by outcome
OF_GUARD = ('service', 'policy_sha256', 'started_at', 'loader', 'enforced', 'observes')
OF_REPORT = ('counters', 'rows_left_out', 'damages', 'left_running', 'left', 'refused', 'limits', 'agent', 'stats', 'ended',
             'earlier', 'shared_with', 'nobody', 'waited', 'survived', 'denied_tasks')
TOTALS = {'denied': outcome.DENIED, 'drill': outcome.DRILL, 'expected': outcome.EXPECTED, 'would_deny': outcome.WOULD_DENY,
          'earlier': outcome.EARLIER, 'new': model.NEW, 'seen': 'seen', 'outside': 'outside'}


def _harmless(step):
    """Where the report can't be made, a warning says so, and all else goes on as it would."""
    @functools.wraps(step)
    def wrapper(self, *args, **kwargs):
        if not self:
            return None
        try:
            return step(self, *args, **kwargs)
        except Exception as error:  # pylint: disable=broad-exception-caught
            return self._give_up(error)
    return wrapper


class Document:
    def __init__(self, warn):
        self.directory, self.formats = None, ()
        self.summary = None  # a file to which Markdown is appended
        self.annotates = False  # are annotations wanted?
        self.annotations = []  # lines, once the run is over
        self.max_rows = 20  # of each list in Markdown, and of the annotations
        self.run = self.outcome = None
        self.reasons = []  # for which the run fails, and that are of no guard
        self.folded = None  # once the run is over: findings.Folded
        self._warn, self._spools, self._fold = warn, {}, None
        self._failing = {}  # key of model.REASONS -> hosts
        self._new = set()  # hosts
        self._endpoints, self._drill = {}, {}  # as model.Fleet has them

    def __bool__(self):
        """Is a report wanted, and can it be made until now?"""
        return bool(self.directory and self.formats or self.summary or self.annotates)

    def _give_up(self, error):
        wanted = [*(self.formats if self.directory else ()), *['step summary'] * bool(self.summary),
                  *['annotations'] * self.annotates]
        self._warn_of(error, ', '.join(wanted), self.directory or tempfile.gettempdir())
        self._forget()

    def _forget(self):
        self.formats, self.summary, self.annotates, self.folded, self._fold = (), None, False, None, None
        self._close()

    def _warn_of(self, error, what, where):
        because = error.strerror if isinstance(error, OSError) and error.strerror else f'{type(error).__name__}: {error}'
        self._warn(f"The report of this run ({what}) can't be written to {where}: {because}. Nothing else changes.")

    def _close(self):
        for spool in self._spools.values():
            with contextlib.suppress(OSError):  # a full disk, again
                spool.close()
        self._spools = {}

    @_harmless
    def begin(self, run, moment):
        """The run begins. `run`: what is known of it; `moment`: by the controller's clock."""
        if not self.run:
            self.run = dict(run, started=_iso(moment))
            if self.directory:
                os.makedirs(self.directory, exist_ok=True)
            self._spools = {name: Spool(self.directory) for name in SPOOLED}
            if self.summary or self.annotates or set(FOLDED).intersection(self.formats):
                self._fold = findings.Fold()

    @_harmless
    def ran(self, host, window):
        """A task ran on a host while a guard was up there."""
        self._spools['tasks'].add([{'host': host, **_task(window.task), 'started': _iso(window.start),
                                    'ended': _iso(window.end), 'idle': window.idle}])

    @_harmless
    def came_down(self, report, sums):
        """A guard told its last report. `report`: as the model has it; `sums`: its tally."""
        host, name = text(report['host']), text(report['name'])
        known = {str(window.task): window.task for window in report['tasks']}
        denied_tasks = report.get('denied_tasks')
        if denied_tasks:
            denied_tasks = [dict(one, task=_task(known[one['task']])) for one in denied_tasks if one['task'] in known]
        guard = self._guard(host, name, report['mode'], model.verdict(sums), report['guard'],
                            dict(report, denied_tasks=denied_tasks), report.get('faults') or [],
                            {key: sums[sort] for key, sort in TOTALS.items()})
        records = {}
        for kind in ('denied', 'observed'):
            rows = records[kind] = [dict({'host': None, 'guard': None, **record}, host=host, guard=name, remedy=remedy_of(record),
                                         task=_task_of(record, report, known)) for record in report[kind]]
            new = [row for row in rows if row.get('new') is True]
            if new:
                self._new.add(host)
                self._spools['new'].add(new)
            self._spools[kind].add(rows)
        if self._fold:
            self._fold.add(guard, records['denied'], records['observed'])
        self._outside(host, name, report['outside'])

    @_harmless
    def untold(self, host, guard, word, because, outside):
        """A guard whose report never came. `guard`: _up.Guard; `because`: sentences."""
        self._guard(host, guard.name, guard.mode, word, guard.guard, {}, because, None)
        self._outside(host, guard.name, outside)

    @_harmless
    def ran_unguarded(self, host, name, outside):
        """In check mode nothing is up, and some tasks run for real."""
        self._outside(host, name, outside)

    def _guard(self, host, name, mode, word, guard, report, faults, totals):
        row = {
            'host': host, 'name': name, 'mode': mode, 'outcome': word, **{key: guard.get(key) for key in OF_GUARD},
            'totals': totals, 'on_new': (report.get('baseline') or {}).get('on_new'), 'faults': faults,
            **{key: report.get(key) for key in OF_REPORT}}
        self._spools['guards'].add([row])
        return row

    def _outside(self, host, name, outside):
        self._spools['outside'].add({'host': host, 'guard': name, 'how': how, 'task': _task(task)}
                                    for how, task in dict.fromkeys(outside))

    @_harmless
    def judged(self, fleet):
        """A playbook is over. Of several on one command line, each has a fleet of its own."""
        for sort, hosts in fleet.failing().items():
            self._failing.setdefault(sort, set()).update(hosts)
        for table in (fleet.endpoints, fleet.unshown):
            for key, (name, hosts, accesses, dummy) in table.items():
                known = self._endpoints.setdefault(key, ['', set(), 0])
                known[0] = known[0] or name
                known[1] |= hosts
                known[2] += accesses
        for key, one in fleet.drill.items():
            known = self._drill.setdefault(key, one)
            for host in one.hosts if known is not one else ():
                known.add(host, one.waited)

    @_harmless
    def end(self, moment, cut_off, faults):
        """Write the report. Returns the paths of its files. `faults`: errors of the callback itself."""
        if not self.run:
            return []
        self.run.update(ended=_iso(moment), cut_off=cut_off)
        reasons = model.reasons(self._failing) + self.reasons + faults
        self.outcome = {'status': 2 if reasons else 0, 'reasons': reasons, 'hosts': {
            **{sort: sorted(self._failing.get(sort, ())) for sort in model.REASONS}, 'new': sorted(self._new)}}
        self.folded = self._fold and self._fold.ended()
        paths = [self._written(form) for form in dict.fromkeys(self.formats if self.directory else ())]
        self._summarize()
        self._annotate()
        self._forget()
        return [path for path in paths if path]

    def rows(self, name):
        """The rows of one list. Two lists can be read at a time, and not one twice."""
        return (json.loads(line.decode('ascii')) for line in dict(self.lists())[name])

    def lists(self):
        """(name, lines of JSON) of each list, in the order in which a file has them."""
        for name in SPOOLED:
            yield name, self._spools[name].lines()
        yield 'endpoints', (encoded({
            'endpoint': where, 'name': name or None, 'rule': None if rule == '-' else rule, 'verdict': verdict.lower(),
            'hosts': len(hosts), 'accesses': accesses}).encode()
            for (where, rule, verdict), (name, hosts, accesses) in sorted(self._endpoints.items()))
        yield 'drill', (encoded({
            'task': _task(one.task) if one.task else None, 'outcome': one.outcome, 'waited': one.waited,
            'hosts': sorted(one.hosts), 'taken': [{'what': what, 'outage': outage} for what, outage in one.taken]}).encode()
            for one in self._drill.values())

    def _written(self, form):
        """The path of the file, which has its name once it is whole. Only its owner reads it: it has command lines in it.

        None where it could not be written, which is no matter of other formats.
        """
        started = datetime.fromisoformat(self.run['started'].replace('Z', '+00:00'))
        path = os.path.join(self.directory, f'{started:%Y%m%dT%H%M%SZ}-{self.run["id"]}.{ENDS.get(form, form)}')
        try:
            with _renamed(self.directory, path) as output:
                WRITERS[form](self, output)
        except Exception as error:  # pylint: disable=broad-exception-caught
            return self._warn_of(error, form, self.directory)
        return path

    def _summarize(self):
        """Append to a file of others, which is as it was where that fails. A run without a guard has nothing to say there."""
        if not self.summary or not self.outcome['status'] and not any(True for _row in self.rows('guards')):
            return
        try:
            before = os.path.getsize(self.summary) if os.path.exists(self.summary) else 0
            try:
                with open(self.summary, 'ab') as output:
                    as_markdown.append(self, output, before)
            except OSError:
                if os.path.exists(self.summary):
                    os.truncate(self.summary, before)
                raise
        except Exception as error:  # pylint: disable=broad-exception-caught
            self._warn_of(error, 'step summary', self.summary)

    def _annotate(self):
        try:
            self.annotations = as_annotations.lines(self) if self.annotates else []
        except Exception as error:  # pylint: disable=broad-exception-caught
            self._warn_of(error, 'annotations', 'standard output')


@contextlib.contextmanager
def _renamed(directory, path):
    """A file that gets its name at the end, and is gone where there is none."""
    handle, half = tempfile.mkstemp(dir=directory, prefix='.', suffix='.half')
    try:
        with open(handle, 'wb') as output:
            yield output
        os.rename(half, path)
    except BaseException:  # Ctrl-C, too
        os.unlink(half)
        raise


def _iso(moment):
    return datetime.fromtimestamp(moment, timezone.utc).strftime('%Y-%m-%dT%H:%M:%S.%fZ')


def _task(task):
    found = {'name': task.name, 'file': task.file, 'line': task.line}
    return dict(found, **{'for': task.host}) if task.host else found


def _task_of(record, report, known):
    """By the text that the action plugin has put into the record; where it did not, as the action plugin finds it."""
    task = known.get(record['task']) if 'task' in record else model.task_of(record, record.get('first_seen'), report)
    return _task(task) if task and task != UNKNOWN else None
