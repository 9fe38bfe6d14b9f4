# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""YAML as nearly every policy file has it, read event by event: of a large file, PyYAML's tree takes most of the memory.

Anchors, aliases and merge keys (<<) are read as well. Where something is wrong, has a tag, or is another value than it looks,
the text is NotPlain, and the tree has to tell what it is.
"""

from __future__ import annotations

import array
import re

import yaml

LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
MAX_DEPTH = 50
STANDARD_TAG = 'tag:yaml.org,2002:'
MERGE, TEXT, INTEGER = (STANDARD_TAG + kind for kind in ('merge', 'str', 'int'))
VALUES = [STANDARD_TAG + kind for kind in ('str', 'int', 'float', 'bool', 'null', 'timestamp')]
INTEGER_AS_IT_LOOKS = re.compile('-?(0|[1-9][0-9]*)')  # 0443 is 291 to YAML, and 20:22 is 1222
NO_KEY, MERGED = object(), object()


class NotPlain(Exception):
    """Nothing is said of the text."""


class TooLarge(Exception):
    """With its aliases written out; the number of the line, from 0 on."""


class _Open:
    """A mapping or a list that has not ended yet."""

    def __init__(self, event):
        self.is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.value = {} if self.is_mapping else []
        self.anchor, self.line = event.anchor, event.start_mark.line
        self.parts, self.height = 1, 1
        self.lines = array.array('L')  # of its keys, or of its items
        self.key, self.key_line, self.merged = NO_KEY, 0, []


class Reader:
    """`value`: what the text holds."""

    def __init__(self, text, most_parts, notes_lines=False):
        self._most, self._anchors, self._named, self._open = most_parts, {}, set(), []
        self._lines = {} if notes_lines else None  # {id of a mapping or list: its lines, in its order}
        self.value, self._line = None, 0
        try:
            self._loader = LOADER(text)
            self._read(self._loader.get_event)
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # the latter of values that only look like dates
            raise NotPlain from error

    def line(self, path):
        """The number of the line, from 1 on, of a part that is there; None of others. What a key holds has the key's line."""
        value, line = self.value, self._line
        for step in path:
            if isinstance(value, dict) and step in value:
                position = list(value).index(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                position = step
            else:
                return None
            value, line = value[step], self._lines[id(value)][position]
        return line + 1

    def _read(self, next_event):
        next_event()  # the stream's beginning
        if not isinstance(next_event(), yaml.DocumentStartEvent):
            raise NotPlain
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._take_scalar(event)
            elif kind is yaml.AliasEvent:
                if event.anchor not in self._anchors:
                    raise NotPlain
                self._take(*self._anchors[event.anchor])
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                if event.tag is not None:
                    raise NotPlain
                self._name(event)
                self._open.append(_Open(event))
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._close(self._open.pop())
            else:
                break
        if not isinstance(next_event(), yaml.StreamEndEvent):
            raise NotPlain

    def _name(self, event):
        """An anchor names one thing: the tree tells of another one."""
        if event.anchor is not None and event.anchor in self._named:
            raise NotPlain
        self._named.add(event.anchor)

    def _take_scalar(self, event):
        value, line = event.value, event.start_mark.line
        self._name(event)
        tag = TEXT if not event.implicit[0] else self._loader.resolve(yaml.ScalarNode, value, event.implicit)
        if event.tag is not None or tag == INTEGER and not INTEGER_AS_IT_LOOKS.fullmatch(value):
            raise NotPlain
        if tag == MERGE:
            value = MERGED
        elif tag not in VALUES:
            raise NotPlain
        elif tag != TEXT:
            value = self._loader.construct_object(yaml.ScalarNode(tag, value))
        if event.anchor is not None:
            self._anchors[event.anchor] = value, 1, 1, line
        self._take(value, 1, 1, line)

    def _take(self, value, parts, height, line):
        """A whole value goes to where it belongs. `parts`, `height`: how much it is, with its aliases written out."""
        if not self._open:
            self.value, self._line = value, line
            return
        into = self._open[-1]
        if into.is_mapping and into.key is NO_KEY:
            if isinstance(value, (dict, list)) or value in into.value or value is MERGED and into.merged:
                raise NotPlain
            into.key, into.key_line = value, line
            return
        into.parts, into.height = into.parts + parts, max(into.height, height + 1)
        if into.parts > self._most:
            raise TooLarge(into.line)
        if into.height + len(self._open) > MAX_DEPTH or value is MERGED:
            raise NotPlain
        if not into.is_mapping:
            into.value.append(value)
            into.lines.append(line)
            return
        if into.key is MERGED:
            into.merged = value if isinstance(value, list) else [value]
            if not into.merged or not all(isinstance(one, dict) for one in into.merged):
                raise NotPlain
        else:
            into.value[into.key] = value
            into.lines.append(into.key_line)
        into.key = NO_KEY

    def _close(self, ended):
        value, lines = ended.value, ended.lines
        if ended.merged:  # the mapping's own keys win, and then those of the first that it names
            sources = [(value, lines)] + [(one, self._lines and self._lines[id(one)]) for one in ended.merged]
            value, lines = _merged(sources[::-1], self._lines is not None)
        if self._lines is not None:
            self._lines[id(value)] = lines
        if ended.anchor is not None:
            self._anchors[ended.anchor] = value, ended.parts, ended.height, ended.line
        self._take(value, ended.parts, ended.height, ended.line)


def _merged(sources, with_lines):
    """(a mapping of all that these have, its lines); the last one wins."""
    value, line_of = {}, {}
    for one, lines in sources:
        value.update(one)
        if with_lines:
            line_of.update(zip(one, lines))
    return value, array.array('L', line_of.values())
