# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The text of a baseline: written anew, or changed where its dependencies have. No other line of it is touched. Pure.

People write into the file: reasons, comments, an order of their own. So it is changed line by line, and what comes out is
read again: where it does not say what it should, nobody gets to see it.
"""

from __future__ import annotations

import json

import yaml

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, PolicyError
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _baseline
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._plain_yaml import LOADER

HEAD = """\
# What a deployment depends on, as its runs have shown. Written by `ansible-playbook loopbreak.deploy.learn`.
# These are yours, and learn never touches them: reason, reviewed, fold, and comments.
version: 1
"""
STEP = 2  # columns


def new(service, entries):
    """The text of a baseline that nobody has written yet."""
    text = HEAD + ('service: %s\n' % scalar(service) if service else '')
    if not entries:
        return text + 'dependencies: []\n'
    return text + 'dependencies:\n' + ''.join(line + '\n' for entry in _sorted(entries) for line in _lines(entry, STEP))


def changed(text, source, before, entries):
    """The text with these entries in place of those of `before`, which it says now. GuardError where it can't be changed so."""
    editor = _Editor(text, source, before)
    known, wanted = ({_key(entry): entry for entry in some} for some in (before.entries, entries))
    for key, entry in known.items():
        if key not in wanted:
            editor.remove(entry)
        elif wanted[key].data != entry.data:
            editor.change(entry, wanted[key].data)
    editor.add(_sorted(entry for key, entry in wanted.items() if key not in known))
    result = editor.result()
    try:
        says = {_key(entry): entry.data for entry in _baseline.parse(result, source).entries}
    except PolicyError:
        says = None
    if says != {key: entry.data for key, entry in wanted.items()}:
        raise editor.error()
    return result


def scalar(text):
    """A text as YAML has it on one line, in quotes where it needs them."""
    try:
        is_plain = yaml.load('- ' + text, Loader=LOADER) == [text] and text.isprintable()  # noqa: S506: a safe one
    except yaml.YAMLError:
        is_plain = False
    return text if is_plain else json.dumps(text, ensure_ascii=not text.isprintable())


def _key(entry):
    return entry.kind, entry.what


def _sorted(entries):
    return sorted(entries, key=lambda entry: entry.sort_key)


def _lines(entry, column):
    """A whole entry, its dash at this column."""
    lines = [line for key in _baseline.KEYS if key in entry.data for line in _value(key, entry.data[key], column + STEP)]
    return [' ' * column + '- ' + lines[0].lstrip()] + lines[1:]


def _value(key, value, column):
    """The lines of one key."""
    start = ' ' * column + key + ':'
    if key in ('tasks', 'commands'):
        return [start] + [_item(one, column + STEP) for one in value]
    if isinstance(value, list):
        return ['%s [%s]' % (start, ', '.join(value))]
    if isinstance(value, bool):
        return ['%s %s' % (start, str(value).lower())]
    if key in ('first_seen', 'runs', 'hosts'):
        return ['%s %s' % (start, value)]
    return ['%s %s' % (start, scalar(value))]


def _item(text, column):
    return ' ' * column + '- ' + scalar(text)


class _Editor:
    """Lines to be replaced, each by its number in the text as it was."""

    def __init__(self, text, source, before):
        self._source, self._end = source, '\r' if '\r\n' in text else ''
        self._lines = text.split('\n')
        root = dict((key.value, (key, value)) for key, value in yaml.compose(text, Loader=LOADER).value)
        self._key, self._sequence = root['dependencies']
        self._nodes = {_key(entry): node for entry, node in zip(before.entries, getattr(self._sequence, 'value', ()) or ())}
        self._entries, self._edits = before.entries, []

    def error(self):
        return GuardError('%s can\'t be changed line by line as it is written. Write each dependency as a list item on lines '
                          'of its own, with no anchors: "- host: mirror.example". Nothing was written.' % self._source)

    def result(self):
        lines = list(self._lines)
        in_order = sorted((start, end, number) for number, (start, end, _new) in enumerate(self._edits))
        for start, end, number in reversed(in_order):
            lines[start:end] = [line + self._end for line in self._edits[number][2]]
        return '\n'.join(lines)

    def _replace(self, start, end, lines):
        self._edits.append((start, end, lines))

    def _node(self, entry):
        if self._sequence.flow_style:
            raise self.error()
        return self._nodes[_key(entry)]

    def _begin(self, node):
        """The line of an entry's dash."""
        line, column = node.start_mark.line, self._sequence.start_mark.column
        while line > 0 and self._lines[line][column:column + 1] != '-':
            line -= 1
        return line

    def _above(self, line):
        """The first line of the comment above a line: it speaks of what comes below."""
        while line > 0 and self._lines[line - 1].lstrip().startswith('#'):
            line -= 1
        return line

    def remove(self, entry):
        node = self._node(entry)
        self._replace(self._above(self._begin(node)), _last_line(node) + 1, [])

    def add(self, entries):
        if not entries:
            return
        if not self._nodes:  # dependencies: []
            column = self._key.start_mark.column + STEP
            rest = self._comment(self._sequence)
            self._replace(self._key.start_mark.line, _last_line(self._sequence) + 1,
                          ['dependencies:' + rest, *(line for entry in entries for line in _lines(entry, column))])
            return
        column = self._sequence.start_mark.column
        places = {}  # two edits at one line would come in any order
        for entry in entries:
            places.setdefault(self._place(entry), []).extend(_lines(entry, column))
        for line, lines in places.items():
            self._replace(line, line, lines)

    def _place(self, entry):
        """Where an entry comes in: before the first that is sorted behind it, wherever people have put that."""
        for other in self._entries:
            if other.sort_key > entry.sort_key:
                return self._above(self._begin(self._node(other)))
        return _last_line(self._node(self._entries[-1])) + 1

    def change(self, entry, data):
        node = self._node(entry)
        if node.flow_style:
            self._replace(self._begin(node), _last_line(node) + 1,
                          _lines(_baseline.Entry(entry.kind, entry.what, data), self._sequence.start_mark.column))
            return
        pairs = {key.value: (key, value) for key, value in node.value}
        column = node.value[0][0].start_mark.column
        added = {}
        for key in _baseline.KEYS:
            if data.get(key) == entry.data.get(key):
                continue
            if key not in pairs:
                added.setdefault(self._behind(key, pairs), []).extend(_value(key, data[key], column))
            else:
                self._change_value(key, *pairs[key], entry.data.get(key), data.get(key))
        for line, lines in added.items():
            self._replace(line, line, lines)

    @staticmethod
    def _behind(key, pairs):
        """The line behind the nearest of the keys that come before this one: there always is one, what the entry is of."""
        order = _baseline.KEYS
        own, value = pairs[max((name for name in pairs if name in order[:order.index(key)]), key=order.index)]
        return _last_line(value, own) + 1

    def _change_value(self, key, own, value, before, after):
        start, end = own.start_mark.line, _last_line(value, own) + 1
        if after is None:
            self._replace(start, end, [])
        elif key in ('tasks', 'commands') and isinstance(value, yaml.SequenceNode) and not value.flow_style:
            for node, text in zip(value.value, before):
                if text not in after:
                    self._replace(node.start_mark.line, _last_line(node) + 1, [])
            new_items = [_item(text, value.start_mark.column) for text in after if text not in before]
            if new_items:
                self._replace(end, end, new_items)
        else:
            front = self._lines[start][:own.start_mark.column]
            lines = _value(key, after, own.start_mark.column)
            lines[0] = front + lines[0].lstrip() + (self._comment(value) if not lines[1:] else '')
            self._replace(start, end, lines)

    def _comment(self, value):
        """What stands behind a value on its last line."""
        rest = self._lines[value.end_mark.line][value.end_mark.column:].rstrip('\r') if value.end_mark.column else ''
        return rest if rest.lstrip().startswith('#') else ''


def _last_line(node, key=None):
    """The last line of a node. What PyYAML takes for the end of a block is where the next one begins."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        end = node.end_mark
        last = end.line if end.column or end.line == node.start_mark.line else end.line - 1
    else:
        below = node.value[-1]
        last = _last_line(below[1], below[0]) if isinstance(below, tuple) else _last_line(below)
    return max(last, key.start_mark.line if key else 0)
