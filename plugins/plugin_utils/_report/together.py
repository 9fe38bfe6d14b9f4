# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What guards tell while the run goes on. Of few hosts, each is told by itself. Of many, what is alike is told once.

What the run fails for is told at once, on the first host that has it. All else waits for the end of the task, and is told there
for all hosts together. Knows nothing of Ansible.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import text
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.model import FEW, natural
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.waits import seconds

KEPT = 100  # different things of a section that wait
RANKS = ('bad', 'warn', 'good', 'plain')  # of tones


class Group:
    """Hosts that have a line in common, and what their guards told."""

    def __init__(self, head):
        self._head = head
        self.hosts, self.sums, self.waited = {}, Counter(), None
        self.sections = {}  # number -> (title, {key: [item, what it is about, hosts]}, keys that had no room)

    def add(self, host, sections, sums, waited):
        self.hosts[host] = None
        self.sums.update(sums)
        self.waited = max((one for one in (self.waited, waited) if one is not None), default=None)
        for number, (title, items, dummy) in enumerate(sections):
            if items:
                dummy, found, left = self.sections.setdefault(number, (title, {}, set()))
                for item in items:
                    self._keep(host, item, found, left)

    @staticmethod
    def _keep(host, item, found, left):
        if item.key not in found and len(found) >= KEPT:
            left.add(item.key)
            return
        known = found.get(item.key)
        if not known:
            about = dict(item.about) if isinstance(item.about, dict) else item.about
            found[item.key] = [item, about, {host: None}]
            return
        if isinstance(item.about, dict) and 'count' in item.about:
            known[1]['count'] += item.about['count']
        known[2][host] = None

    def head(self, more):
        number = len(self.hosts)
        where = next(iter(self.hosts)) if number == 1 else f'{number} {"more " if more else ""}hosts'
        up_to = '' if number == 1 else 'up to '
        return self._head(where, self.sums, None if self.waited is None else up_to + seconds(self.waited))


class Together:
    def __init__(self):
        self.max_rows = 20
        self.hosts = set()  # of the run, as far as they are known
        self.waits = True  # will somebody say when the task is over?
        self._told = {}  # key of an item -> the host that it was told of
        self._rows = self._blocks = 0  # told in full, of many hosts
        self._groups, self._single = {}, set()  # of the task: by key; the keys of which a host was told by itself

    def came_up(self, host, name, guard):
        """Returns the lines to print now, as all of these do."""
        mode, in_force = guard.get('mode'), text.in_force(guard)
        return self._tell(('up', name, mode, in_force), host, lambda where, *dummy: text.up_line(where, name, guard))

    def came_down(self, report, show_observed):
        sums = text.figures(report)
        name, mode, tone = report['name'], report['mode'], text.tone_of(report, sums)
        return self._tell(('down', name, mode, tone, frozenset(+sums)), report['host'], partial(text.heading, name, mode, tone),
                          text.sections(report, show_observed), sums, report.get('waited'))

    def is_not_up(self, host, name, tasks):
        """In check mode, of tasks that ran for real."""
        return self._tell(('check', name), host, lambda where, *dummy: ('warn', f'GUARD {name} on {where} [check mode]: not up'),
                          [text.outside(tasks)])

    def is_hidden(self, host, name, because):
        return self._tell(('hidden', name, because), host, lambda where, *dummy: ('warn', f'GUARD {name} on {where}: {because}'))

    def _tell(self, key, host, head, sections=(), sums=(), waited=None):
        self.hosts.add(host)
        one = Group(head)
        one.add(host, (), sums, waited)
        if len(self.hosts) <= FEW:
            self._note(host, sections)
            return [one.head(False), *(line for section in sections for line in section.lines(self.max_rows))]
        fails = [item for section in sections for item in section.items if item.fails]
        if any(item.key not in self._told for item in fails) and self._blocks < max(1, self.max_rows):
            self._single.add(key)
            return self._first(host, one.head(False), sections)
        if fails and not self.waits:
            return [one.head(False), *self._known(fails)]
        self._groups.setdefault(key, Group(head)).add(host, sections, sums, waited)
        return []

    def _note(self, host, sections):
        for section in sections:
            for item in section.items:
                self._told.setdefault(item.key, host)

    def _first(self, host, head, sections):
        """A host that has what the run fails for, and none had before."""
        lines, known = [head], []
        for title, items, is_list in sections:
            fresh = [item for item in items if item.key not in self._told]
            known += [item for item in items if item.key in self._told]
            room = min(self.max_rows, max(1, self.max_rows - self._rows))
            lines += text.Section(title, fresh, is_list).lines(room)
            self._rows += sum(item.fails for item in fresh[:room])
        self._blocks += 1
        lines += self._known(known)
        self._note(host, sections)
        return lines

    def _known(self, items):
        """That all of it was told before, and of which hosts."""
        hosts = text.joined(dict.fromkeys(self._told[item.key] for item in items if item.key in self._told))
        number = len({item.key for item in items})
        return text.wrapped('as on', f'{hosts} ({text.amount(number, "row")})') if hosts else text.left_out(number)

    def ended(self):
        """The task is over, on all hosts."""
        groups, self._groups = self._groups, {}
        single, self._single = self._single, set()
        largest = {}  # whose hosts need no names, if all is well
        for key, group in groups.items():
            largest[key[:2]] = max(largest.get(key[:2], 0), len(group.hosts))
        told = [(group.head(key in single), group, len(group.hosts) == largest[key[:2]]) for key, group in groups.items()]
        told.sort(key=lambda one: RANKS.index(one[0][0]))
        lines = []
        for head, group, is_largest in told:
            lines.append(head)
            if len(group.hosts) > 1 and not (head[0] == 'good' and is_largest):
                lines += self._names('hosts', group.hosts)
            for title, found, left in group.sections.values():
                lines += self._section(title, found, left, group.hosts)
        return lines

    def _section(self, title, found, left, hosts):
        """A section of many hosts; what most of them have comes first."""
        items = sorted(found.values(), key=lambda one: -len(one[2]))
        lines = [line for one in items[:self.max_rows] for line in self._item(*one, hosts)]
        return [*title, *lines, *text.left_out(len(items[self.max_rows:]) + len(left))]

    def _item(self, item, about, on, hosts):
        lines, before = item.made(about), self._told.get(item.key)
        is_row = bool(lines[1:])
        if is_row and before:
            lines = lines[:1] + text.wrapped('as on', before)
        elif is_row and self._rows >= self.max_rows:
            lines = lines[:1]
        else:
            self._told.setdefault(item.key, next(iter(on)))
            self._rows += is_row
        return lines + (self._names('on', on) if len(on) < len(hosts) else [])

    def _names(self, label, hosts):
        shown = sorted(hosts, key=natural)[:self.max_rows]
        return text.wrapped(label, ', '.join(text.clip(host, text.ROOM) for host in shown)) + text.left_out(len(hosts) - len(shown))
