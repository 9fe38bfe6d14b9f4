# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A checked rule, and the ports in it."""

from __future__ import annotations

import dataclasses

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import many

TEXTS = ('id', 'reason', 'owner', 'runbook')
MATCHERS = ('hosts', 'networks', 'paths', 'filesystems', 'sockets')
MANY = ('hosts', 'networks')  # of these, as many.py keeps them
LISTS = ('paths', 'filesystems', 'sockets', 'via')  # of texts
OUTAGES = ('denied', 'refused', 'timeout', 'unresolvable')  # how what is denied is down in a drill; the first by default


@dataclasses.dataclass(frozen=True)
class Ports:
    protocol: str | None  # tcp, udp, or None for every protocol
    low: int
    high: int

    def __str__(self):
        ports = str(self.low) if self.low == self.high else '%d-%d' % (self.low, self.high)
        return '%s/%s' % (self.protocol, ports) if self.protocol else ports

    @classmethod
    def of(cls, text):
        """Those that were written as this text."""
        protocol, _slash, ports = text.rpartition('/')
        low, _hyphen, high = ports.partition('-')
        return cls(protocol or None, int(low), int(high or low))


@dataclasses.dataclass(frozen=True)
class Rule:
    id: str
    action: str  # deny or allow
    reason: str | None
    owner: str | None
    runbook: str | None
    expected: bool
    hosts: tuple  # 'a.b' itself, '*.a.b' all below it, '.a.b' both; lower case, ASCII, no trailing dot
    networks: tuple  # as ipaddress writes them: '192.0.2.0/24', '2001:db8::/32'; an IPv4-mapped one in its IPv4 form
    ports: tuple  # of Ports; empty: every port and protocol; narrows hosts and networks alone
    paths: tuple  # absolute, each for itself and all below it; no slash at the end, no '//', '.' or '..'
    filesystems: tuple  # types: 'nfs4', 'fuse.sshfs'; 'fuse.*' is every subtype
    sockets: tuple  # unix sockets: absolute paths as those above, each for itself; '@name' is one without a file
    via: tuple = ()  # of a rule that follows from the service map: the services from its own to the deployed one
    outage: str | None = None  # of a deny rule, in a drill; None: as the policy says

    def __post_init__(self):
        for key in MANY:
            object.__setattr__(self, key, many.kept(getattr(self, key)))

    def as_mapping(self, spelled=list):
        """`spelled`: what becomes of the hosts, and of the networks."""
        mapping = {key: getattr(self, key) for key in TEXTS}
        mapping.update((key, spelled(getattr(self, key))) for key in MANY)
        mapping.update((key, list(getattr(self, key))) for key in LISTS)
        mapping['ports'] = list(map(str, self.ports))
        mapping['outage'] = self.outage
        return {key: value for key, value in mapping.items() if value}

    @classmethod
    def of(cls, mapping, action, expected):
        """The rule whose as_mapping(many.packed) this is. Nothing is checked."""
        return cls(action=action, expected=expected, outage=mapping.get('outage'), **{key: mapping.get(key) for key in TEXTS},
                   **{key: many.unpacked(mapping.get(key, ())) for key in MANY},
                   **{key: tuple(mapping.get(key, ())) for key in LISTS},
                   ports=tuple(map(Ports.of, mapping.get('ports', ()))))
