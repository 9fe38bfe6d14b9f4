# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What the reports of runs show of a deployment's dependencies, and what that changes in its baseline.

The reports are read one at a time, and of each only what counts is kept: one Evidence a dependency, however many records
speak of it.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections import Counter

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, PolicyError, reason
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import Ports
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.records import BY_DEFAULT
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import clean, spoken
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _baseline
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._baseline import Baseline, Dependency, Entry

SCHEMA = 'loopbreak.report/1'
ENDINGS = ('.json', '.json.gz')
ANOTHER = '.codequality.json'  # the end of a report in another format
MOST_TASKS, MOST_COMMANDS = 20, 10  # of a dependency: a person reads them
COMMAND_ROOM = 160  # characters
# What is kept of an object in a report: the ancestry of a record alone is more than all of this
KEPT = frozenset((
    'schema', 'run', 'guards', 'denied', 'new', 'observed', 'outcome', 'id', 'check', 'host', 'name', 'service', 'mode',
    'observes', 'guard', 'task', 'kind', 'address', 'port', 'protocol', 'path', 'rule', 'reason', 'stands_for', 'command',
    'first_seen', 'processes'))


class Unusable(Exception):
    """A file that is no report, or none that is whole: why, in a few words."""


class Evidence:
    """What the reports show of one dependency."""

    def __init__(self):
        self.ports, self.is_proxied = set(), False
        self.tasks, self.commands, self.first = set(), {}, None
        self.runs, self.hosts = set(), set()

    def add(self, record, port, run):
        if port:
            self.ports.add(port)
        self.is_proxied = self.is_proxied or _baseline.is_proxied(record)
        task = record.get('task')
        task = task.get('name') if isinstance(task, dict) else task
        if task:
            self.tasks.add(clean(task))
        if record.get('command'):
            self._add_command(_shortened(clean(spoken(record['command']))))
        self._add_moment(record.get('first_seen'))
        self.runs.add(run)
        self.hosts.add(record.get('host'))

    def join(self, other, ports=()):
        self.ports.update(ports)
        self.is_proxied = self.is_proxied or other.is_proxied
        self.tasks |= other.tasks
        for command in other.commands.values():
            self._add_command(command)
        self._add_moment(other.first)
        self.runs |= other.runs
        self.hosts |= other.hosts

    def _add_command(self, command):
        """One a program: the next run has other temporary files, and the same program."""
        known = self.commands.get(_program(command))
        self.commands[_program(command)] = command if known is None else min(known, command)

    def _add_moment(self, moment):
        if moment and (self.first is None or moment < self.first):
            self.first = moment

    @property
    def weakness(self):
        """What makes it weak, in words; '' where nothing does."""
        return ' and '.join(['one run'] * (len(self.runs) == 1) + ['one host'] * (len(self.hosts) == 1))


class Reports:
    """What all reports of a directory show."""

    def __init__(self, service=None):
        self.service = service  # of which deployment; None: of the only one that the reports tell
        self.evidence = {}  # (kind, names) -> Evidence
        self.denied = Counter()  # (what, rule) -> accesses: no dependencies
        self.left_out = []  # a sentence for each file that is no report, or no whole one
        self.runs, self.others = set(), set()  # that recorded what was allowed, and that did not
        self._services, self._taken = set(), set()

    def read_all(self, directory):
        try:
            names = sorted(name for name in os.listdir(directory) if name.endswith(ENDINGS) and not name.endswith(ANOTHER))
        except OSError as error:
            raise GuardError("The directory of the reports can't be read: %s" % reason(error)) from error
        if not names:
            raise GuardError('There is no report (*.json, *.json.gz) in %s. A run writes one with report_dir, an option of the callback.'
                             % directory)
        for name in names:
            try:
                self._take(_read(os.path.join(directory, name)))
            except Unusable as error:
                self.left_out.append('%s: %s' % (name, error))
        if self.service is None and len(self._services) > 1:
            raise GuardError('The reports are of several deployments: %s. Say which one the baseline is of: '
                             '-e ebpf_guard_service=%s.' % (', '.join(sorted(self._services)), sorted(self._services)[0]))
        if self.service is None and self._services:
            self.service = self._services.pop()

    def _take(self, report):
        run = report['run'].get('id')
        if report['run'].get('check') or run in self._taken:  # nothing has run; or there are two files of it
            return
        self._taken.add(run)
        guards = {}
        for guard in report.get('guards') or ():
            if self.service is not None and guard.get('service') not in (None, self.service):
                continue
            guards[guard.get('host'), guard.get('name')] = guard
            self._services.update(filter(None, [guard.get('service')]))
        if any(guard.get('observes', guard.get('mode') == 'monitor') for guard in guards.values()):
            self.runs.add(run)
        elif guards:
            self.others.add(run)
        for part in ('observed', 'new', 'denied'):
            for record in report.get(part) or ():
                if (record.get('host'), record.get('guard')) in guards:
                    self._add(record, run, part)

    def _add(self, record, run, part):
        dependency = _baseline.of(record)
        if dependency is None:
            return
        # What is new is listed twice. Of a denial, the number of processes is told.
        if part == 'denied' or part == 'new' and 'processes' in record:
            by_default = record.get('rule') is None and str(record.get('reason')).startswith(BY_DEFAULT['reason'])
            if record.get('mode') != 'monitor' or not by_default:
                if part == 'denied':
                    self.denied[', '.join(dependency.names), record.get('rule') or 'default: deny'] += record.get('count', 1)
                return
        self.evidence.setdefault(dependency[:2], Evidence()).add(record, dependency.port, run)


def _read(path):
    """A report as a mapping, without what nobody needs here."""
    try:
        with (gzip.open if path.endswith('.gz') else open)(path, 'rt', encoding='utf-8') as file:
            report = json.load(file, object_hook=_kept)
    except gzip.BadGzipFile as error:
        raise Unusable('not compressed by gzip, as its name says (%s)' % error) from error
    except OSError as error:
        raise Unusable("can't be read: %s" % reason(error)) from error
    except (ValueError, EOFError, zlib.error) as error:  # UnicodeDecodeError is one
        raise Unusable('cut off in the middle, or no JSON (%s)' % error) from error
    except RecursionError as error:
        raise Unusable('nested too deep for a report') from error
    schema = report.get('schema') if isinstance(report, dict) else None
    if schema != SCHEMA:
        raise Unusable('no report of this version: its schema is %r, and %s is read' % (schema, SCHEMA))
    if 'outcome' not in report:
        raise Unusable('cut off in the middle: it has no outcome')
    if not isinstance(report.get('run'), dict) or not all(
            isinstance(report.get(part) or [], list) and all(isinstance(one, dict) for one in report.get(part) or [])
            for part in ('guards', 'observed', 'new', 'denied')):
        raise Unusable('no report: run, guards, observed, new and denied are not what they have to be')
    return report


def _kept(found):
    return {key: found[key] for key in found.keys() & KEPT}


def _program(command):
    return command.partition(' ')[0].rpartition('/')[2]


def _shortened(command):
    return command if len(command) <= COMMAND_ROOM else command[:COMMAND_ROOM - 1] + '…'


class Merge:
    """What the reports make of a baseline. `entries`: those of the new one. `unnameable`: what no entry can name."""

    def __init__(self, baseline, reports, prunes=False, executions=False):
        self.unnameable = []
        self._total, self._prunes = len(reports.runs), prunes
        self._fold = _baseline.Index([Entry(kind, what, {}) for kind, what in baseline.fold])
        before = Baseline(baseline.service, baseline.fold, self._folded(baseline.entries))
        kinds = before.kinds | {'socket'} | ({'exec'} if executions else set())
        self.support = {}  # (kind, what) -> Evidence
        self._news = {}  # (kind, what) -> ports that the baseline does not have; None: the thing itself
        for (kind, names), evidence in sorted(reports.evidence.items()):
            if kind in kinds:
                self._note(before, kind, names, evidence)
        known = {(entry.kind, entry.what): entry for entry in before.entries}
        self.entries = [entry for entry in map(self._updated, before.entries) if entry]
        self.entries += [self._new(*key) for key in sorted(self._news) if key not in known]
        self.entries.sort(key=lambda entry: entry.sort_key)
        self.fresh = set(self._news) - set(known)

    def _note(self, before, kind, names, evidence):
        missing = set()
        for port in evidence.ports or {None}:
            covering = before.covering(Dependency(kind, names, port))
            for entry in covering[:1]:
                self.support.setdefault((kind, entry.what), Evidence()).join(evidence, {port} - {None})
            if not covering:
                missing.add(port)
        for name in names if missing else ():
            what = self._name(kind, name)
            if what:
                self._news.setdefault((kind, what), set()).update(missing)
                self.support.setdefault((kind, what), Evidence()).join(evidence, missing - {None})

    def _name(self, kind, name):
        """What a name stands as in the baseline; None where nothing can."""
        try:
            what = _baseline.KINDS[kind](name, Where('', {}))
        except PolicyError:
            self.unnameable.append('%s %s' % (kind, clean(name)))
            return None
        return self._wider(kind, what) or what

    def _wider(self, kind, what):
        """The widest that the baseline folds it to."""
        return min((entry.what for entry in self._fold.find(kind, what)), key=len, default=None)

    def _folded(self, entries):
        """The entries, those below what is listed under fold as one. What people have judged stays as it is."""
        kept, joined = [], {}
        for entry in entries:
            what = None if entry.is_of_people else self._wider(entry.kind, entry.what)
            if what in (None, entry.what):
                kept.append(entry)
            else:
                joined.setdefault((entry.kind, what), []).append(entry)
        for entry in kept:
            parts = joined.pop((entry.kind, entry.what), None)
            if parts:
                entry.data = _joined([entry, *parts])
        return kept + [Entry(kind, what, _joined(parts, {kind: what})) for (kind, what), parts in joined.items()]

    def _updated(self, entry):
        """An entry with what is new of it; None where it goes."""
        evidence = self.support.get((entry.kind, entry.what))
        if evidence is None:
            return None if self._prunes and entry.kind != 'filesystem' else entry  # no record tells a type of file systems
        data = dict(entry.data)
        ports = data.get('ports')
        if ports is not None:
            if self._prunes:
                ports = [port for port in ports if any(_baseline.is_among(seen, [port]) for seen in evidence.ports)]
            data['ports'] = _ports([*ports, *(self._news.get((entry.kind, entry.what), set()) - {None})])
        for key, found, most in (('tasks', {task: task for task in evidence.tasks}, MOST_TASKS),
                                 ('commands', evidence.commands, MOST_COMMANDS)):
            name_of = _program if key == 'commands' else str
            given = [text for text in data.get(key, ()) if not self._prunes or name_of(text) in found]
            names = set(map(name_of, given))
            texts = (given + sorted(text for name, text in found.items() if name not in names))[:max(most, len(given))]
            data.pop(key, None)
            data.update({key: texts} if texts else {})
        if data == entry.data and not self._prunes:
            return entry
        return Entry(entry.kind, entry.what, self._counted(data, evidence))

    def _new(self, kind, what):
        evidence, data = self.support[kind, what], {kind: what}
        if kind in _baseline.WITH_PORTS and (evidence.ports or not evidence.is_proxied):
            data['ports'] = _ports(evidence.ports)
        data.update({key: texts for key, texts in (('tasks', sorted(evidence.tasks)[:MOST_TASKS]),
                                                   ('commands', sorted(evidence.commands.values())[:MOST_COMMANDS])) if texts})
        return Entry(kind, what, self._counted(data, evidence))

    def _counted(self, data, evidence):
        """With the evidence as it is now. What fewer reports show by now was true at its time: only a prune takes it back."""
        had, total = map(int, data.get('runs', '0/0').split('/'))
        if self._prunes or len(evidence.runs) >= had:
            had, total = len(evidence.runs), max(self._total, len(evidence.runs))
        first = (evidence.first or '')[:10]
        known = data.get('first_seen')
        data.update({'first_seen': min(filter(None, (known, first)))} if known or first else {})
        data.update(runs='%d/%d' % (had, total), hosts=max(len(evidence.hosts), 0 if self._prunes else data.get('hosts', 0)))
        return data


def _ports(ports):
    """In their order, without what another one says as well: udp/443 beside 443."""
    found = {(Ports.of(port).low, Ports.of(port).high, str(Ports.of(port).protocol or '')): port for port in ports}
    return [port for (low, high, protocol), port in sorted(found.items()) if not protocol or (low, high, '') not in found]


def _joined(entries, data=None):
    """The data of one entry for several."""
    all_data = [entry.data for entry in entries]
    data = dict(all_data[0] if data is None else data)
    ports = [one.get('ports') for one in all_data]
    data.pop('ports', None)
    if entries[0].kind in _baseline.WITH_PORTS and None not in ports:
        data['ports'] = _ports([port for some in ports for port in some])
    data['tasks'] = list(dict.fromkeys(task for one in all_data for task in one.get('tasks', ())))[:MOST_TASKS]
    commands = {}
    for command in (command for one in all_data for command in one.get('commands', ())):
        commands.setdefault(_program(command), command)
    data['commands'] = list(commands.values())[:MOST_COMMANDS]
    known = [one for one in all_data if 'runs' in one]
    if known:
        data['runs'] = max((one['runs'] for one in known), key=lambda runs: [int(part) for part in runs.split('/')])
    for key, choose in (('first_seen', min), ('hosts', max)):
        values = [one[key] for one in all_data if key in one]
        data.update({key: choose(values)} if values else {})
    return {key: value for key, value in data.items() if value or key == 'ports'}


def lines(merge, reports):
    """What each entry of the baseline stands on, and what was not looked at, for people."""
    rows = [(_named(entry), _stands_on(entry, merge, reports)) for entry in merge.entries]
    width = max((len(name) for name, _rest in rows), default=0)
    told = ['%-*s  %s' % (width, name, rest) for name, rest in rows]
    weak = sum('weak' in rest for _name, rest in rows)
    if weak:
        told.append('%d of %d stand on one run or one host: weak evidence. What runs once a day, or on another host, is not '
                    'seen so. ebpf_guard_cold: true shows what a warm cache hides.' % (weak, len(rows)))
    if reports.others:
        told.append('%d of %d runs recorded denials alone (neither mode: monitor, nor observe, nor a baseline): they tell '
                    'nothing of what was allowed.' % (len(reports.others - reports.runs), len(reports.others | reports.runs)))
    told += ['no dependency, as it was denied: %s (%s), %dx' % (what, rule, count)
             for (what, rule), count in sorted(reports.denied.items())]
    told += ['no entry can name %s' % what for what in sorted(set(merge.unnameable))]
    return told


def _named(entry):
    ports = entry.data.get('ports')
    return ' '.join([entry.kind, entry.what] + ([] if not ports else ['(%s)' % ', '.join(ports)]))


def _stands_on(entry, merge, reports):
    evidence = merge.support.get((entry.kind, entry.what))
    if evidence is None:
        then = ' (in %s runs when it was written)' % entry.data['runs'] if 'runs' in entry.data else ''
        return 'in none of these reports' + then
    hosts = len(evidence.hosts)
    said = 'in %d of %d runs, on %d %s' % (
        len(evidence.runs), len(reports.runs | evidence.runs), hosts, 'host' if hosts == 1 else 'hosts')
    said += ', weak: %s' % evidence.weakness if evidence.weakness else ''
    return said + (', new' if (entry.kind, entry.what) in merge.fresh else '')
