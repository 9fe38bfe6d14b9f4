# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Does anything that a task's argument refers to come from a vault? Then nothing may print what it holds.

A template gives a text that tells nothing of where it came from. So what counts is the task as it is written, the variables
that its templates name, and what these refer to in turn. A name that is no variable, or not meant, hides at most too much.
"""

from __future__ import annotations

import re

HEADER = b'$ANSIBLE_VAULT;'
ENCRYPTED = ('AnsibleVaultEncryptedUnicode', 'EncryptedString')  # the types of !vault values, until and since 2.19
NAME = re.compile(r'[A-Za-z_]\w*')


def is_encrypted(path):
    try:
        with open(path, 'rb') as content:
            return content.read(len(HEADER)) == HEADER
    except OSError:
        return False


def decrypted(value):
    """A value without those of !vault in it, which are no text to those who ask for its type (until ansible-core 2.18)."""
    if isinstance(value, dict):
        return {key: decrypted(part) for key, part in value.items()}
    if isinstance(value, list):
        return [decrypted(part) for part in value]
    return str(value) if type(value).__name__ in ENCRYPTED else value


class Search:
    """Through values as they are written, and the variables that they name."""

    def __init__(self, variables):
        self._variables, self._seen, self._files = variables, set(), {}

    def finds(self, value):
        if type(value).__name__ in ENCRYPTED or any(map(self._is_encrypted, _origins(value))):
            return True
        if isinstance(value, dict):
            return any(map(self.finds, value.values()))
        if isinstance(value, (list, tuple)):
            return any(map(self.finds, value))
        return isinstance(value, str) and ('{{' in value or '{%' in value) and self._finds_named(value)

    def _finds_named(self, template):
        names = set(NAME.findall(template)).intersection(self._variables) - self._seen
        self._seen |= names
        return any(self.finds(self._variables[name]) for name in names)

    def _is_encrypted(self, path):
        if path not in self._files:
            self._files[path] = is_encrypted(path)
        return self._files[path]


def _origins(value):
    """The files that a value was read from: ansible-core keeps that as a tag since 2.19, and as a place before."""
    places = getattr(value, 'ansible_pos', None) or ()
    tags = getattr(value, '_ansible_tags_mapping', None) or {}
    return [path for path in (*places[:1], *(getattr(tag, 'path', None) for tag in tags.values())) if path]
