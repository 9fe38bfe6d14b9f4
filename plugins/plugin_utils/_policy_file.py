# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The text of a policy file, or of one that it names, in; what it holds, and each part's line, out. Controller only.

What comes out is as YAML means it and not yet a policy: check() of the policy decides that, and names the lines.
"""

from __future__ import annotations

import yaml

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _plain_yaml
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._plain_yaml import (
    INTEGER, INTEGER_AS_IT_LOOKS, LOADER, MAX_DEPTH, MERGE, STANDARD_TAG, VALUES)

# A few lines of aliases of aliases can mean more than any memory holds; no policy comes near this.
MAX_PARTS = 4_000_000
TOO_LARGE = 'with its aliases (*) written out, this is far too large or too deep.'
TOO_DEEP = 'nested more than %d levels deep.' % MAX_DEPTH

KEY_TAGS = [MERGE] + VALUES
HINTS = (
    ('alias', 'A name that starts with * needs quotes: "*.github.com".'),
    ('another document', 'Such a file holds one document; take the second --- out.'),
    ('cannot start any token', 'Indent with spaces, not tabs; put text that starts with @ or ` in quotes.'),
    ('mapping values are not allowed', 'Text with a colon and a space in it needs quotes around it.'),
    ('constructor for the tag', 'Take the tag (what starts with !) out, or put the text in quotes.'),
)


def parse(text, source):
    """(what the file holds, its lines by path), as check() wants them; PolicyError where it can't be read."""
    if not yaml.SafeLoader.NON_PRINTABLE.search(text):
        try:
            value = _plain_yaml.Reader(text, MAX_PARTS).value
            if value not in (None, ''):  # an empty file
                return value, _Lines(text)
        except _plain_yaml.TooLarge as error:
            raise _error(source, error.args[0], TOO_LARGE) from None
        except _plain_yaml.NotPlain:
            pass
    return _Reader(text, source).document()


def lines(text, source):
    """The {path: line} alone, for a file that Ansible's own loader reads: it knows !vault and !unsafe."""
    return _Reader(text, source).document(other_tags=True)[1]


def documents(text, source, wanted):
    """parse() for a file of any number of documents, of which only some parts are of interest: a list.

    `wanted`: {key: None, or the same of what it holds}. Whatever else the documents hold, it is not looked at.
    """
    return list(_Reader(text, source).documents(wanted))


class _Lines:
    """The lines of a file that is plain, for a complaint: nobody else asks, so they are looked for then."""

    def __init__(self, text):
        self._text, self._reader = text, None

    def get(self, path):
        self._reader = self._reader or _plain_yaml.Reader(self._text, MAX_PARTS, notes_lines=True)
        return self._reader.line(path)


class _Reader:
    """One file: PyYAML's trees of it, checked, with their merge keys (<<) written out."""

    def __init__(self, text, source):
        self.source = source
        self.measures = {}
        unprintable = yaml.SafeLoader.NON_PRINTABLE.search(text)
        if unprintable:
            raise self._error(text.count('\n', 0, unprintable.start()),
                              "the character %a can't stand in YAML. Take it out." % unprintable.group())
        try:
            self._check_nesting(text)
        except yaml.YAMLError as error:
            raise self._yaml_error(error) from None
        self.loader = LOADER(text)

    def document(self, other_tags=False):
        """(what the only document holds, its lines)"""
        try:
            root = self.loader.get_single_node()
            if root is None or root.value == '':
                raise self._error(None, 'the file is empty. A policy starts with version: 1.')
            return self._read(root, other_tags)
        except yaml.YAMLError as error:
            raise self._yaml_error(error) from None

    def documents(self, wanted):
        try:
            while self.loader.check_node():
                root = _pruned(self.loader.get_node(), wanted)
                if root.value != '':  # nothing between two ---
                    yield self._read(root)
        except yaml.YAMLError as error:
            raise self._yaml_error(error) from None

    def _read(self, root, other_tags=False):
        self._measure(root)
        lines_by_path = self._lines(root)
        return None if other_tags else self.loader.construct_document(root), lines_by_path

    def _check_nesting(self, text):
        # PyYAML's C half overruns its stack on deep nesting, so look before it builds the tree.
        depth = 0
        for event in yaml.parse(text, Loader=LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise self._error(event.start_mark.line, TOO_DEEP)

    def _measure(self, node):
        """(parts, depth) of a node with its aliases written out; on the way each node is checked, once."""
        if id(node) in self.measures:
            if not self.measures[id(node)]:
                raise self._error(node.start_mark.line, 'this refers to itself with an alias (*).')
            return self.measures[id(node)]
        self.measures[id(node)] = None
        below = []
        if isinstance(node, yaml.ScalarNode):
            self._check_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            below = [self._measure(item) for item in node.value]
        else:
            self._check_keys(node)
            below = [self._measure(value) for _key, value in node.value]
        parts, depth = 1 + sum(size for size, _deep in below), 1 + max((deep for _size, deep in below), default=0)
        if parts > MAX_PARTS or depth > MAX_DEPTH:
            raise self._error(node.start_mark.line, TOO_LARGE)
        if isinstance(node, yaml.MappingNode):
            self.loader.flatten_mapping(node)
        self.measures[id(node)] = parts, depth
        return parts, depth

    def _check_scalar(self, node):
        if node.tag == INTEGER and not INTEGER_AS_IT_LOOKS.fullmatch(node.value):
            raise self._error(node.start_mark.line, '%s is another number to YAML than it looks. Write plain '
                              'digits, or put it in quotes.' % _shorten(node.value))
        if not node.tag.startswith(STANDARD_TAG):
            return  # parse() refuses it when it makes the value; lines() leaves it to Ansible
        try:
            self.loader.construct_object(node)
        except yaml.YAMLError:
            raise
        except Exception as error:  # PyYAML lets out whatever its conversions raise: ValueError, KeyError ...
            raise self._error(node.start_mark.line, '%s has a wrong value for what YAML takes it for (%s). '
                              'Put it in quotes.' % (_shorten(node.value), error)) from None

    def _check_keys(self, node):
        seen = {}
        for key, _value in node.value:
            line = key.start_mark.line
            if not isinstance(key, yaml.ScalarNode) or key.tag not in KEY_TAGS:
                raise self._error(line, 'a key must be a word. Text that starts with { or [ needs quotes.')
            if (key.tag, key.value) in seen:
                raise self._error(line, 'the key %s stands twice, in line %d and in line %d. Keep one.' % (
                    _shorten(key.value), seen[key.tag, key.value] + 1, line + 1))
            seen[key.tag, key.value] = line
            if key.tag != MERGE:
                self._check_scalar(key)

    def _lines(self, node, line=None, path=()):
        """{path: line}; what a key holds has the key's line."""
        found = {path: node.start_mark.line + 1 if line is None else line}
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inside = path + (self.loader.construct_object(key),)
                found.update(self._lines(value, key.start_mark.line + 1, inside))
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                found.update(self._lines(item, None, path + (number,)))
        return found

    def _yaml_error(self, error):
        mark, context = getattr(error, 'problem_mark', None), getattr(error, 'context_mark', None)
        what = str(getattr(error, 'problem', None) or error)
        if 'nesting depth' in what:  # libyaml reads ahead, and from 0.2.6 on has a limit of its own
            return self._error(mark.line, TOO_DEEP)
        if context and mark and context.line != mark.line:
            what += ', %s that began in line %d' % (error.context, context.line + 1)
        hints = [hint for sign, hint in HINTS if sign in str(error)]
        what = 'not readable as YAML: %s. %s' % (what, ''.join(hints[:1]))
        return self._error(mark.line if mark else None, what)

    def _error(self, line, problem):
        return _error(self.source, line, problem)


def _pruned(node, wanted):
    if wanted is None or not isinstance(node, yaml.MappingNode):
        return node
    return yaml.MappingNode(node.tag, [(key, _pruned(value, wanted.get(key.value))) for key, value in node.value
                                       if isinstance(key, yaml.ScalarNode) and (key.value in wanted or key.tag == MERGE)],
                            node.start_mark, node.end_mark)


def _error(source, line, problem):
    where = source if line is None else '%s:%d' % (source, line + 1)
    return PolicyError('%s: %s' % (where, problem.rstrip()))


def _shorten(text):
    return repr(text if len(text) <= 80 else text[:77] + '...')
