# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The names or networks of a rule, of which there may be 100,000. Pure.

Spelled out they would be the most of a start's memory, and of the agent's. So many of them are squeezed, and are there as
texts only while somebody goes through them: of one rule after the other.
"""

from __future__ import annotations

import base64
import zlib

FEW = 64  # so many are a tuple


class Many:
    """Texts in ASCII without line breaks, in their order: more than a few."""

    __slots__ = ('_squeezed',)

    def __init__(self, squeezed):
        self._squeezed = squeezed

    def __iter__(self):
        return iter(zlib.decompress(self._squeezed).decode('ascii').split('\n'))

    def __len__(self):
        return zlib.decompress(self._squeezed).count(b'\n') + 1

    def __bool__(self):
        return True

    def __eq__(self, other):
        return isinstance(other, Many) and list(self) == list(other)

    def __hash__(self):
        return hash(tuple(self))

    def __repr__(self):
        return repr(tuple(self))

    def text(self):
        """As unpacked() reads it."""
        return base64.b64encode(self._squeezed).decode('ascii')


def kept(texts):
    """These texts as a rule keeps them."""
    if isinstance(texts, Many):
        return texts
    return Many(zlib.compress('\n'.join(texts).encode('ascii'))) if len(texts) > FEW else tuple(texts)


def packed(texts):
    """What a rule keeps, fit for JSON: a list, or a text."""
    return texts.text() if isinstance(texts, Many) else list(texts)


def unpacked(value):
    """What packed() made of it."""
    return Many(base64.b64decode(value)) if isinstance(value, str) else tuple(value)
