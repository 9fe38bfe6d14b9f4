# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A checked policy in, the contents of the rule maps out. Pure: touches no kernel and asks no resolver.

The kernel finds the longest prefix of an address, or the longest known end of a name, and takes the first matcher there
that fits port and protocol. So each network and each name gets its own matchers, and behind them those of every wider
one.
"""

from __future__ import annotations

import array
import ctypes
import ipaddress
import itertools
import operator
import socket
import struct
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._names import name_hash

MODES = {'monitor': _abi.MODE_MONITOR, 'enforce': _abi.MODE_ENFORCE, 'drill': _abi.MODE_DRILL}
PROTOCOLS = {None: _abi.PROTOCOL_ANY, 'tcp': 6, 'udp': 17}
IPV4 = 0xffff << 32  # ::ffff:0:0/96, where the tables keep IPv4
ADDRESS = (1 << 128) - 1
NET_KEY = struct.Struct('=I16s')  # _abi.NetKey
LOOPBACK = ('127.0.0.0/8', '::1/128')
DNS_PORT = 53

# With these a guard proves itself. Nobody is there: the end of the loopback network, the discard-only prefix, and a
# top-level domain that never exists. With the peer the proof may speak, whatever the rules say.
CANARY4 = '127.255.255.253'
CANARY6 = '100::ebf6'
CANARY_NAME = 'canary.ebpf-guard.invalid'
CANARY_PEER = '127.255.255.252'

Matcher = namedtuple('Matcher', 'deny rule protocol low high')
Compiled = namedtuple('Compiled', 'config keys nets ports hashes names')

EVERYTHING = (_abi.PROTOCOL_ANY, 0, 65535)
CANARY = Matcher(True, _abi.RULE_CANARY, *EVERYTHING)
PEER = Matcher(False, _abi.RULE_CANARY, *EVERYTHING)
SEALED = Matcher(False, _abi.RULE_DEFAULT, *EVERYTHING)  # what a sealed room leaves open


def compile_rules(policy, observe, resolvers, numbers, generation):
    """Compiled: `config`, and the ctypes arrays `keys` and `nets`, `hashes` and `names`, and `ports`, which both share.

    `resolvers`: the host's DNS servers, which a sealed room (`default: deny`) leaves open, and which no name denies.
    `numbers`: {rule id: the rule's number in the kernel}. `generation`: the number of these rules among those that the
    guard has had.
    """
    rules = [(rule, _of_rule(rule, numbers[rule.id])) for rule in policy.all_rules]
    slices = _Slices()
    keys, nets = _pack_networks(_networks(policy, rules, resolvers), slices)
    named = [((CANARY_NAME,), (CANARY,))] + [(rule.hosts, matchers) for rule, matchers in rules]
    hashes, names = _pack_names(named, policy.default == 'deny', slices)
    denies_names = any(rule.hosts and rule.action == 'deny' for rule, _matchers in rules)
    config = _abi.Config(mode=MODES[policy.mode], default_deny=policy.default == 'deny',
                         observe=observe or policy.mode == 'monitor',
                         judges_names=denies_names or policy.default == 'deny', generation=generation,
                         lock=policy.lock)
    for place, resolver in zip(config.resolvers, resolvers):
        place[:] = struct.unpack('=QQ', (_prefix(resolver) & ADDRESS).to_bytes(16, 'big'))
    return Compiled(config, keys, nets, slices.pack(), hashes, names)


def _of_rule(rule, number):
    # Port 0 stands for protocols that have no ports: a rule about some ports says nothing of them.
    return tuple(Matcher(rule.action == 'deny', number, PROTOCOLS[ports.protocol], max(1, ports.low), ports.high)
                 for ports in rule.ports) or (Matcher(rule.action == 'deny', number, *EVERYTHING),)


def _reachable(own, inherited):
    """Deny before allow, the canary before all, and then what is wider.

    What stands behind a matcher for everything can never be reached, and is left out.
    """
    found = {}  # in place of a list: 64 ports in 100,000 networks would be compared in pairs
    for matcher in sorted(own, key=lambda matcher: (matcher.rule != _abi.RULE_CANARY, not matcher.deny)):
        found[matcher] = None
        if matcher[2:] == EVERYTHING:
            return tuple(found)
    for matcher in inherited:
        found[matcher] = None
    return tuple(found)


class _Slices:
    """The table of matchers, as far as it has got: networks and names with the same matchers share them."""

    def __init__(self):
        self.ports, self.known = [], {}

    def add(self, matchers, what, written, place):
        """The Slice for these matchers; `what % written(place)` names to the user what they are for."""
        if len(matchers) > _abi.SLICE:
            raise GuardError('%s by %d port matchers of your rules; the kernel looks at %d at most. Join port ranges, '
                             'or drop overlapping rules.' % (what % written(place), len(matchers), _abi.SLICE))
        if matchers not in self.known:
            self.known[matchers] = _abi.Slice(len(self.ports), len(matchers))
            self.ports.extend(matchers)
        return self.known[matchers]

    def pack(self):
        packed = (_abi.Port * max(1, len(self.ports)))()
        for port, matcher in zip(packed, self.ports):
            port.rule, port.deny = matcher.rule, matcher.deny
            port.protocol, port.low, port.high = matcher.protocol, matcher.low, matcher.high
        return packed


class _Joint:
    """All that holds for a network or a name, its own matchers and wider ones', as a number.

    Worked out once for all that have the same: there may be 100,000 of them. Number 0 is nothing.
    """

    def __init__(self, slices):
        self._slices, self._numbers = slices, {}
        self.matchers, self.slices = [()], [slices.add((), '', str, '')]

    def number(self, own, wider, what, written, place):
        """Of the matchers `own`, and behind them those with the number `wider`."""
        key = own, wider
        if key not in self._numbers:
            matchers = _reachable(own, self.matchers[wider])
            self._numbers[key] = len(self.matchers)
            self.matchers.append(matchers)
            self.slices.append(self._slices.add(matchers, what, written, place))
        return self._numbers[key]


def _putter(packed):
    """A function that sets packed[index]. A ctypes array itself would note of each index where its value came from."""
    size, view = ctypes.sizeof(packed._type_), memoryview(packed).cast('B')

    def put(index, value):
        view[index * size:(index + 1) * size] = bytes(value)

    return put


# --- networks ---

def _networks(policy, rules, resolvers):
    """{prefix: its own matchers}."""
    prefixes = {}

    def offer(network, matchers):
        prefix = _prefix(network)
        prefixes[prefix] = prefixes.get(prefix, ()) + matchers  # the very matchers of the rule, where it is the only one

    offer(CANARY4, (CANARY,))
    offer(CANARY6, (CANARY,))
    offer(CANARY_PEER, (PEER,))
    if policy.default == 'deny':
        for network in LOOPBACK:
            offer(network, (SEALED,))
        for resolver in resolvers:
            offer(resolver, (SEALED._replace(low=DNS_PORT, high=DNS_PORT),))
    for rule, matchers in rules:
        for network in rule.networks:
            offer(network, matchers)
    prefixes.setdefault(96 << 128 | IPV4, ())  # so that a rule for ::/0 never speaks for IPv4
    return prefixes


def _prefix(network):
    """A network, or an address, among the 128 bits of the tables: length << 128 | value."""
    address, _slash, length = network.partition('/')
    if ':' in address:
        return int(length or 128) << 128 | int.from_bytes(socket.inet_pton(socket.AF_INET6, address), 'big')
    value = int.from_bytes(socket.inet_pton(socket.AF_INET, address), 'big')
    return int(length or 32) + 96 << 128 | IPV4 | value


def _written(prefix):
    """The prefix as a policy writes it."""
    length, value = prefix >> 128, prefix & ADDRESS
    if length >= 96 and value >> 32 == 0xffff:
        return '%s/%d' % (ipaddress.IPv4Address(value & 0xffffffff), length - 96)
    return '%s/%d' % (ipaddress.IPv6Address(value), length)


def _wider_network(prefix, lengths, known):
    """What is known of the nearest prefix of these lengths, longest first, that this one lies in; 0 where none does."""
    length, value = prefix >> 128, prefix & ADDRESS
    for wider in lengths:
        if wider >= length or (wider < 96 and length >= 96 and value >> 32 == 0xffff):
            continue
        above = known.get(wider << 128 | value >> (128 - wider) << (128 - wider))
        if above is not None:
            return above
    return 0


def _pack_networks(prefixes, slices):
    """(keys, nets): what holds for each prefix, and behind it what holds for every wider one."""
    joint = _Joint(slices)
    lengths = sorted({prefix >> 128 for prefix in prefixes}, reverse=True)
    keys, nets = (_abi.NetKey * len(prefixes))(), (_abi.Slice * len(prefixes))()
    put = _putter(nets)
    for index, prefix in enumerate(sorted(prefixes)):  # the widest first
        # what is all that holds takes the place of the prefix's own: a table as large is not made twice
        number = prefixes[prefix] = joint.number(prefixes[prefix], _wider_network(prefix, lengths, prefixes),
                                                 'The network %s is covered', _written, prefix)
        NET_KEY.pack_into(keys, index * NET_KEY.size, prefix >> 128, (prefix & ADDRESS).to_bytes(16, 'big'))
        put(index, joint.slices[number])
    return keys, nets


# --- names ---

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


def _pack_names(rules, sealed, slices):
    """(hashes, names): what holds for each name of a rule, and for the names below it."""
    itself, below = _own(rules)
    joint, entries = _Joint(slices), {}
    below[''] = 0  # here every search ends
    for name in sorted(below, key=lambda name: name.count('.')):
        if name:  # as with networks, the number of all that holds takes the place of its own
            below[name] = joint.number(below[name], _wider(name, below), 'The names below %s are covered', str, name)
    places = [name for name in below if name] + [name for name in itself if name not in below]
    hashes = array.array('Q', map(name_hash, places))
    _check_hashes(hashes, places)
    names = (_abi.Name * len(places))()
    put = _putter(names)
    for index, name in enumerate(places):
        wider = _wider(name, below)
        sides = (joint.number(itself.get(name, ()), wider, 'The name %s is covered', str, name), below.get(name, wider))
        if sides not in entries:
            entries[sides] = _abi.Name(*(_name_rules(joint.matchers[side], sealed, joint.slices[side]) for side in sides))
        put(index, entries[sides])
    return (ctypes.c_uint64 * len(places)).from_buffer(hashes), names


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


def _name_rules(matchers, sealed, place):
    """A question comes before the connection: it passes where some port may be let through."""
    rule, deny = _abi.RULE_DEFAULT, sealed
    for matcher in matchers:
        if not matcher.deny:
            rule, deny = matcher.rule, False
            break
        if matcher[2:] == EVERYTHING:
            rule, deny = matcher.rule, True
    return _abi.NameRules(place, rule, deny)
