# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The host names of the rules as the kernel's table of hashes has them. Pure.

The kernel finds the longest known end of a name. So what holds for a name stands with its hash: for the name itself, and
for all names below it. The names stand there, too, because a hash only finds a name.
"""

from __future__ import annotations

import array
import ctypes
import itertools
import struct

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._names import hash_and_wire
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import in_turn
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.slices import EVERYTHING, Joint

WORD = 8  # bytes: a name begins with a word of its own
HASH, PLACE = struct.Struct('=Q'), struct.Struct('=II')  # what Name ends with: where its text begins, in words, and its bytes
ITSELF, BELOW = 1, 2
COVERS = {'*': BELOW, '.': ITSELF | BELOW}  # by the first character of a host; others stand for themselves alone


class Names:
    """What holds for each name of a rule, and for the names below it. A key is a name as _key_of() makes it.

    `rules`: (hosts, matchers) each. `host`: the host's own names, which may be asked for in a sealed room.
    """

    def __init__(self, rules, sealed, slices, host=()):
        self._rules, self._sealed, self._joint = rules, sealed, Joint(slices)
        self._host = frozenset(map(_key_of, host)) if sealed else frozenset()
        self._hashes, self.text = array.array('Q'), bytearray()
        self._offers = in_turn.Offers()
        mark = self._offers.mark((ITSELF, ()))
        self._offers.add([key + mark for key in self._host])
        marks = [{covers: self._offers.mark((covers, matchers)) for covers in (ITSELF, BELOW, ITSELF | BELOW)}
                 for _hosts, matchers in rules]  # before all keys, among which they would keep memory from going back
        for (hosts, _matchers), mark in zip(rules, marks):
            self._offers.add([_key_of(host.lstrip('*.')) + mark[COVERS.get(host[0], ITSELF)] for host in hosts])

    def __len__(self):
        return len(self._offers)

    def blocks(self):
        """Of the table of hashes. The names that it speaks of stand in `text` after that: in words, as in DNS messages."""
        yield from in_turn.in_blocks(self._entries(), ctypes.c_uint64, _abi.Name)
        self._check_hashes()

    def _entries(self):
        """(hash, Name) of each name, as bytes. The name joins the text."""
        around, known = in_turn.Around(), {}
        for key, marks in self._offers.in_turn():
            wider = around.of(key)
            case = marks, wider, key in self._host
            if case not in known:
                known[case] = self._rules_of(_name_of(key), *case)
            below, rules = known[case]
            if below != wider:
                around.add(key + b'\xff', below)
            its_hash, wire = hash_and_wire(key)
            self._hashes.append(its_hash)
            yield HASH.pack(its_hash), rules + PLACE.pack(len(self.text) // WORD, len(wire))
            self.text += wire + bytes(-len(wire) % WORD)

    def _rules_of(self, name, marks, wider, is_own):
        """(the number of all that holds below, what Name begins with)."""
        parts, below = self._offers.parts(marks), wider
        if any(covers & BELOW for covers, _matchers in parts):
            below = self._joint.number(_all(parts, BELOW), wider, 'The names below %s are covered', str, name)
        itself = self._joint.number(_all(parts, ITSELF), wider, 'The name %s is covered', str, name)
        rules = self._name_rules(itself)
        if is_own and rules.asked_rule == _abi.RULE_DEFAULT:
            rules.asked_rule, rules.asked_deny = _abi.RULE_OWN, False
        return below, bytes(rules) + bytes(self._name_rules(below))

    def _name_rules(self, number):
        """A question comes before the connection: it passes where some port may be let through."""
        rule, deny, matchers = _abi.RULE_DEFAULT, self._sealed, self._joint.matchers[number]
        for matcher in matchers:
            if not matcher.deny:
                rule, deny = matcher.rule, False
                break
            if matcher[2:] == EVERYTHING:
                rule, deny = matcher.rule, True
        return _abi.NameRules(self._joint.slices[number], rule, deny, any(matcher.deny for matcher in matchers))

    def _check_hashes(self):
        """Sooner in a lottery than two with the same; but the kernel would take one name for the other."""
        ordered = sorted(self._hashes)
        twice = next((one for one, other in zip(ordered, itertools.islice(ordered, 1, None)) if one == other), None)
        if twice is not None:
            keys = {_key_of(host.lstrip('*.')) for hosts, _matchers in self._rules for host in hosts} | self._host
            names = sorted(_name_of(key) for key in keys if hash_and_wire(key)[0] == twice)
            raise GuardError('The names %s and %s have the same hash, so the kernel could not tell them apart. '
                             'Take one of them out of the policy.' % tuple(names[:2]))


def _all(parts, side):
    return sum((matchers for covers, matchers in parts if covers & side), ())


def _key_of(name):
    """Its labels from the last to the first, a 0 behind each: so a name comes behind those that it lies below."""
    return '\0'.join(name.split('.')[::-1]).encode('ascii') + b'\0'


def _name_of(key):
    return '.'.join(key[:-1].decode('ascii').split('\0')[::-1])
