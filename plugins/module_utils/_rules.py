# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A checked policy in, the contents of the rule maps out. Pure: touches no kernel and asks no resolver.

The kernel finds the longest prefix of an address, or the longest known end of a name, and takes the first matcher there
that fits port and protocol. So each network and each name gets its own matchers, and behind them those of every wider
one.
"""

from __future__ import annotations

import ctypes
import ipaddress
import struct
from collections import defaultdict, namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._names import name_hash

MODES = {'monitor': _abi.MODE_MONITOR, 'enforce': _abi.MODE_ENFORCE, 'drill': _abi.MODE_DRILL}
PROTOCOLS = {None: _abi.PROTOCOL_ANY, 'tcp': 6, 'udp': 17}
IPV4 = 0xffff << 32  # ::ffff:0:0/96, where the tables keep IPv4
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
    keys, nets = _pack_networks(_flatten(_networks(policy, rules, resolvers)), slices)
    named = [((CANARY_NAME,), (CANARY,))] + [(rule.hosts, matchers) for rule, matchers in rules]
    hashes, names = _pack_names(named, policy.default == 'deny', slices)
    denies_names = any(rule.hosts and rule.action == 'deny' for rule, _matchers in rules)
    config = _abi.Config(mode=MODES[policy.mode], default_deny=policy.default == 'deny',
                         observe=observe or policy.mode == 'monitor',
                         judges_names=denies_names or policy.default == 'deny', generation=generation,
                         lock=policy.lock)
    for place, resolver in zip(config.resolvers, resolvers):
        place[:] = struct.unpack('=QQ', _prefix(ipaddress.ip_network(resolver))[1].to_bytes(16, 'big'))
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

    def add(self, matchers, what, *words):
        """The Slice for these matchers; `what % words` names to the user what they are for."""
        if len(matchers) > _abi.SLICE:
            raise GuardError('%s by %d port matchers of your rules; the kernel looks at %d at most. Join port ranges, '
                             'or drop overlapping rules.' % (what % words, len(matchers), _abi.SLICE))
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


# --- networks ---

def _networks(policy, rules, resolvers):
    """{prefix: its own matchers}."""
    prefixes = defaultdict(list)

    def offer(network, *matchers):
        prefixes[_prefix(ipaddress.ip_network(network))].extend(matchers)

    offer(CANARY4, CANARY)
    offer(CANARY6, CANARY)
    offer(CANARY_PEER, PEER)
    if policy.default == 'deny':
        for network in LOOPBACK:
            offer(network, SEALED)
        for resolver in resolvers:
            offer(resolver, SEALED._replace(low=DNS_PORT, high=DNS_PORT))
    for rule, matchers in rules:
        for network in rule.networks:
            prefixes[_prefix(network)].extend(matchers)
    prefixes.setdefault((96, IPV4), [])  # so that a rule for ::/0 never speaks for IPv4
    return prefixes


def _prefix(network):
    """(length, value) of a network among the 128 bits of the tables."""
    value = int(network.network_address)
    if network.version == 4:
        return network.prefixlen + 96, value | IPV4
    return network.prefixlen, value


def _written(length, value):
    """(address, length) of a prefix as a policy writes it."""
    if length >= 96 and value >> 32 == 0xffff:
        return ipaddress.IPv4Address(value & 0xffffffff), length - 96
    return ipaddress.IPv6Address(value), length


def _flatten(prefixes):
    """{prefix: its matchers and those of every wider prefix}, widest first."""
    places = sorted(prefixes)
    lengths = sorted({length for length, _value in places})
    flat = {}
    for prefix in places:
        length, value = prefix
        inherited = ()
        for wider in reversed(lengths):
            if wider >= length or (wider < 96 and length >= 96 and value >> 32 == 0xffff):
                continue
            above = flat.get((wider, value >> (128 - wider) << (128 - wider)))
            if above is not None:  # it has what is above itself
                inherited = above
                break
        flat[prefix] = _reachable(prefixes[prefix], inherited)
    return flat


def _pack_networks(flat, slices):
    keys, nets = (_abi.NetKey * len(flat))(), (_abi.Slice * len(flat))()
    for index, ((length, value), matchers) in enumerate(flat.items()):
        keys[index].prefix_length = length
        keys[index].address[:] = value.to_bytes(16, 'big')
        nets[index] = slices.add(matchers, 'The network %s/%d is covered', *_written(length, value))
    return keys, nets


# --- names ---

def _own(rules):
    """({name: rules for it alone}, {name: rules for every name below}), as places in `rules`: (hosts, matchers).

    As places, because 100,000 names with the same rules are then told to be the same at once.
    """
    itself, below = defaultdict(tuple), defaultdict(tuple)
    for place, (hosts, _matchers) in enumerate(rules):
        for host in hosts:
            name = host.lstrip('*.')
            if host[0] != '*':
                itself[name] += (place,)
            if host[0] in '*.':
                below[name] += (place,)
    return itself, below


def _pack_names(rules, sealed, slices):
    """(hashes, names): what holds for each name of a rule, and for the names below it."""
    itself, below = _own(rules)
    sets, joined = [_name_set((), sealed, slices.add((), ''))], {}

    def join(own, wider, what, name):
        """The number in `sets` of all that holds; worked out once for all names with the same rules."""
        if (own, wider) not in joined:
            matchers = _reachable([matcher for place in own for matcher in rules[place][1]], sets[wider][0])
            joined[own, wider] = len(sets)
            sets.append(_name_set(matchers, sealed, slices.add(matchers, what, name)))
        return joined[own, wider]

    flat = {'': 0}  # {name: the number of what holds below it}; here every search ends
    for name in sorted(below, key=lambda name: name.count('.')):
        flat[name] = join(below[name], _wider(name, flat), 'The names below %s are covered', name)
    hashes, entries, packed = {}, {}, []
    for name in {**itself, **below}:
        wider = _wider(name, flat)
        sides = join(itself.get(name, ()), wider, 'The name %s is covered', name), flat.get(name, wider)
        if sides not in entries:
            entries[sides] = bytes(_abi.Name(sets[sides[0]][1], sets[sides[1]][1]))
        packed.append(entries[sides])
        other = hashes.setdefault(name_hash(name), name)
        if other != name:  # sooner in a lottery; but the kernel would take one name for the other
            raise GuardError('The names %s and %s have the same hash, so the kernel could not tell them apart. '
                             'Take one of them out of the policy.' % (other, name))
    return (ctypes.c_uint64 * len(hashes))(*hashes), (_abi.Name * len(packed)).from_buffer_copy(b''.join(packed))


def _wider(name, flat):
    """What `flat` says of the nearest name above this one that it knows."""
    while True:
        name = name.partition('.')[2]
        if name in flat:
            return flat[name]


def _name_set(matchers, sealed, place):
    """(matchers, NameRules). A question comes before the connection: it passes where some port may be let through."""
    rule, deny = _abi.RULE_DEFAULT, sealed
    for matcher in matchers:
        if not matcher.deny:
            rule, deny = matcher.rule, False
            break
        if matcher[2:] == EVERYTHING:
            rule, deny = matcher.rule, True
    return matchers, _abi.NameRules(place, rule, deny)
