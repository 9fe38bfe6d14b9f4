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
import operator

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._names import hash_and_wire
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.slices import EVERYTHING, Joint, putter


WORD = 8  # bytes: a name begins with a word of its own


def _own(rules):
    """({name: matchers for it alone}, {name: matchers for every name below}) of rules as (hosts, matchers)."""
    itself, below = {}, {}
    for hosts, matchers in rules:
        for host in hosts:
            name = host.lstrip('*.')
            if host[0] != '*':
                itself[name] = itself.get(name, ()) + matchers
            if host[0] in '*.':
                below[name] = below.get(name, ()) + matchers
    return itself, below


def pack(rules, sealed, slices, host=()):
    """(hashes, names, text): what holds for each name of a rule, and for the names below it.

    `host`: the host's own names, which may be asked for in a sealed room.
    """
    itself, below = _own(rules)
    host = frozenset(host) if sealed else frozenset()
    itself = {**dict.fromkeys(host, ()), **itself}
    joint, entries = Joint(slices), {}
    below[''] = 0  # here every search ends
    for name in sorted(below, key=lambda name: name.count('.')):
        if name:  # as with networks, the number of all that holds takes the place of its own
            below[name] = joint.number(below[name], _wider(name, below), 'The names below %s are covered', str, name)
    all_names = [name for name in below if name] + [name for name in itself if name not in below]
    names, hashes, text = (_abi.Name * len(all_names))(), array.array('Q'), bytearray()
    put = putter(names)
    for index, name in enumerate(all_names):
        wider = _wider(name, below)
        sides = (joint.number(itself.get(name, ()), wider, 'The name %s is covered', str, name), below.get(name, wider))
        if sides not in entries:
            entries[sides] = _abi.Name(*(_name_rules(joint.matchers[side], sealed, joint.slices[side]) for side in sides))
        entry = entries[sides]
        if name in host and entry.itself.asked_rule == _abi.RULE_DEFAULT:
            entry = _abi.Name(_abi.NameRules(entry.itself.slice, _abi.RULE_OWN, False, entry.itself.denies), entry.below)
        its_hash, wire = hash_and_wire(name)
        hashes.append(its_hash)
        entry.text, entry.length = len(text) // WORD, len(wire)
        text += wire + bytes(-len(wire) % WORD)
        put(index, entry)
    _check_hashes(hashes, all_names)
    words = (ctypes.c_uint64 * (len(text) // WORD)).from_buffer(text)
    return (ctypes.c_uint64 * len(all_names)).from_buffer(hashes), names, words


def _check_hashes(hashes, names):
    """Sooner in a lottery than two with the same; but the kernel would take one name for the other."""
    ordered = sorted(hashes)
    if not any(map(operator.eq, ordered, itertools.islice(ordered, 1, None))):
        return
    known = {}
    for number, name in zip(hashes, names):
        other = known.setdefault(number, name)
        if other != name:
            raise GuardError('The names %s and %s have the same hash, so the kernel could not tell them apart. '
                             'Take one of them out of the policy.' % (other, name))


def _wider(name, known):
    """What is known of the nearest name above this one."""
    while True:
        name = name.partition('.')[2]
        if name in known:
            return known[name]


def _name_rules(matchers, sealed, its_slice):
    """A question comes before the connection: it passes where some port may be let through."""
    rule, deny = _abi.RULE_DEFAULT, sealed
    for matcher in matchers:
        if not matcher.deny:
            rule, deny = matcher.rule, False
            break
        if matcher[2:] == EVERYTHING:
            rule, deny = matcher.rule, True
    return _abi.NameRules(its_slice, rule, deny, any(matcher.deny for matcher in matchers))
