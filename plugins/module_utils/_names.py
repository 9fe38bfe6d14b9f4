# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A name in its three forms: text, the bytes of DNS messages, the hash that the kernel's tables know. Pure.

Text is lower case, without a trailing dot; the root is '.'. What is no letter, digit, hyphen or underscore stands there
as \\DDD, its byte in decimal, as in DNS master files; so a dot always parts two labels.
"""

from __future__ import annotations

import functools
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi

SEED = _abi.HASH_SEED_HIGH << 32 | _abi.HASH_SEED_LOW
PRIME = _abi.HASH_PRIME_HIGH << 32 | _abi.HASH_PRIME_LOW
WORD = 0xffffffffffffffff
LABEL_SIZE, NAME_SIZE = 63, 255  # what DNS allows; a name's size counts the lengths and the 0 at its end

UNREADABLE = re.compile(rb'[^a-z0-9_-]')
ESCAPED = re.compile(rb'\\([0-9]{3})')


def labels(text):
    """The labels of a name, as bytes. ValueError where the text is not ASCII, or \\DDD is no byte."""
    name = text.encode('ascii')
    name = name[:-1] if name.endswith(b'.') else name
    if not name:
        return []
    if b'\\' in name:
        return [ESCAPED.sub(lambda match: bytes([int(match.group(1))]), label).lower() for label in name.split(b'.')]
    return name.lower().split(b'.')


def ends(text):
    """The name and every name above it, the longest first: a.b.c, b.c, c."""
    found = [text]
    while '.' in found[-1]:
        found.append(found[-1].partition('.')[2])
    return found


def mixed(state, word):
    """One step of every hash: of names here, of paths in _kernel/paths.py."""
    state = ((state ^ word) * PRIME) & WORD
    return state ^ state >> 32


def label_hash(label):
    """Eight bytes at a time, the first one highest, because that is how the kernel gets through a name in time."""
    state = SEED
    for start in range(0, len(label), 8):
        state = mixed(state, int.from_bytes(label[start:start + 8], 'big'))
    return mixed(state, len(label))


def name_hash(text):
    """From the last label to the first: so the kernel gets the hash of each of a name's ends on its way."""
    first, *others = labels(text) or [None]
    return SEED if first is None else mixed(_hash_of_end(tuple(others)), label_hash(first))


@functools.lru_cache(maxsize=64)
def _hash_of_end(end):
    state = SEED
    for label in reversed(end):
        state = mixed(state, label_hash(label))
    return state


def to_wire(text):
    """The name as in DNS messages: each label behind its length, a 0 at the end. ValueError where DNS has no such."""
    wire = b''
    for label in labels(text):
        if not 0 < len(label) <= LABEL_SIZE:
            raise ValueError('%r has a label of %d bytes' % (text, len(label)))
        wire += bytes([len(label)]) + label
    if len(wire) + 1 > NAME_SIZE:
        raise ValueError('%r has %d bytes' % (text, len(wire) + 1))
    return wire + b'\0'


def hash_and_wire(turned):
    """Both of a name of a policy, which may have very many. `turned`: its labels from the last to the first, a 0 behind each."""
    if not turned:
        return SEED, b'\0'
    above, _zero, label = turned[:-1].rpartition(b'\0')
    state, wire = _hash_and_wire_above(above + _zero)
    return mixed(state, label_hash(label)), bytes((len(label),)) + label + wire


# Names come in families: what stands above most of them was seen a moment ago.
_hash_and_wire_above = functools.lru_cache(maxsize=64)(hash_and_wire)


def from_wire(wire):
    """The text of what the kernel kept of a name; it may be cut, and then ends where it does."""
    found, offset = [], 0
    while offset < len(wire) and wire[offset]:
        found.append(bytes(wire[offset + 1:offset + 1 + wire[offset]]).lower())
        offset += 1 + wire[offset]
    return '.'.join(UNREADABLE.sub(_escape, label).decode('ascii') for label in found if label) or '.'


def _escape(match):
    return b'\\%03d' % ord(match.group())
