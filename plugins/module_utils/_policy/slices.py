# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The table of port matchers, which networks and names share. Pure.

The kernel takes the first matcher of a slice that fits port and protocol. So a slice holds a network's or a name's own
matchers, and behind them those of every wider one.
"""

from __future__ import annotations

from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

Matcher = namedtuple('Matcher', 'deny rule protocol low high')

PROTOCOLS = {None: _abi.PROTOCOL_ANY, 'tcp': 6, 'udp': 17}
EVERYTHING = (_abi.PROTOCOL_ANY, 0, 65535)
CANARY = Matcher(True, _abi.RULE_CANARY, *EVERYTHING)
CANARIES = range(_abi.RULE_CANARY, _abi.RULE_CANARY + _abi.OUTAGES)
PEER = Matcher(False, _abi.RULE_CANARY, *EVERYTHING)
SEALED = Matcher(False, _abi.RULE_DEFAULT, *EVERYTHING)  # what a sealed room leaves open


def canary_of(outage):
    """The matcher of the canary of an outage. `outage`: of the kernel's."""
    return CANARY._replace(rule=_abi.RULE_CANARY + outage)


def of_rule(rule, number):
    """A rule's own matchers; `number`: the rule's in the kernel."""
    # Port 0 stands for protocols that have no ports: a rule about some ports says nothing of them.
    return tuple(Matcher(rule.action == 'deny', number, PROTOCOLS[ports.protocol], max(1, ports.low), ports.high)
                 for ports in rule.ports) or (Matcher(rule.action == 'deny', number, *EVERYTHING),)


def _reachable(own, inherited):
    """Deny before allow, the canary before all, and then what is wider.

    What stands behind a matcher for everything can never be reached, and is left out.
    """
    found = {}  # in place of a list: 64 ports in 100,000 networks would be compared in pairs
    for matcher in sorted(own, key=lambda matcher: (matcher.rule not in CANARIES, not matcher.deny)):
        found[matcher] = None
        if matcher[2:] == EVERYTHING:
            return tuple(found)
    for matcher in inherited:
        found[matcher] = None
    return tuple(found)


class Slices:
    """The table of matchers, as far as it has got: networks and names with the same matchers share them."""

    def __init__(self):
        self.ports, self.known = [], {}

    def add(self, matchers, what, written, of):
        """The Slice for these matchers, which are for `of`; `what % written(of)` names that to the user."""
        if len(matchers) > _abi.SLICE:
            raise GuardError('%s by %d port matchers of your rules; the kernel looks at %d at most. Join port ranges, '
                             'or drop overlapping rules.' % (what % written(of), len(matchers), _abi.SLICE))
        if matchers not in self.known:
            self.known[matchers] = _abi.Slice(len(self.ports), len(matchers))
            self.ports.extend(matchers)
            if len(self.ports) > _abi.MAX_PORTS:
                raise GuardError('The rules have more than %d port matchers, and the kernel has no room for them. Join '
                                 'rules with the same ports.' % _abi.MAX_PORTS)
        return self.known[matchers]

    def pack(self):
        packed = (_abi.Port * max(1, len(self.ports)))()
        for port, matcher in zip(packed, self.ports):
            port.rule, port.deny = matcher.rule, matcher.deny
            port.protocol, port.low, port.high = matcher.protocol, matcher.low, matcher.high
        return packed


class Joint:
    """All that holds for a network or a name, its own matchers and wider ones', as a number.

    Worked out once for all that have the same: there may be 100,000 of them. Number 0 is nothing.
    """

    def __init__(self, slices):
        self._slices, self._numbers = slices, {}
        self.matchers, self.slices = [()], [slices.add((), '', str, '')]

    def number(self, own, wider, what, written, of):
        """Of the matchers `own`, and behind them those with the number `wider`."""
        key = own, wider
        if key not in self._numbers:
            matchers = _reachable(own, self.matchers[wider])
            self._numbers[key] = len(self.matchers)
            self.matchers.append(matchers)
            self.slices.append(self._slices.add(matchers, what, written, of))
        return self._numbers[key]
