# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. How errors about a policy speak: each opens with where in the file the value stands."""

from __future__ import annotations

import datetime
import difflib
import typing

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError


class Where(typing.NamedTuple):
    """Where in the policy a value stands; every error opens with it."""

    source: str
    lines: object  # a dict, or what has its get()
    path: tuple = ()
    words: tuple = ()

    def inside(self, key):
        words = self.words + (key,) if isinstance(key, str) else self.words
        return self._replace(path=self.path + (key,), words=words)

    def line(self):
        """The line of the longest known part of the path: what is missing has the line of its rule."""
        for end in range(len(self.path), -1, -1):
            line = self.lines.get(self.path[:end])
            if line is not None:
                return line
        return None

    def place(self):
        return '%s:%d' % (self.source, self.line()) if self.line() else self.source

    def error(self, problem):
        return PolicyError(': '.join((self.place(),) + self.words + (problem,)))


def did_you_mean(word, known):
    near = difflib.get_close_matches(word[:100], known, 1) if isinstance(word, str) else ()
    return ' Did you mean %s?' % near[0] if near else ''


def show(value):
    """A value as its author would know it again, and never long: a nested one may be huge."""
    if isinstance(value, str):
        return repr(str(value) if len(value) <= 80 else value[:77] + '...')
    if isinstance(value, (dict, list)):
        return ('a ' if value else 'an empty ') + ('mapping' if isinstance(value, dict) else 'list')
    if value is None:
        return 'nothing'
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, int) and value.bit_length() > 128:
        return 'a huge number'
    return str(value) if isinstance(value, (int, float, datetime.date)) else 'a ' + type(value).__name__
