# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A checked policy in, the contents of the rule maps out. Pure: touches no kernel and asks no resolver.

The kernel finds the longest prefix and takes the first matcher there that fits port and protocol. So each prefix gets
its own matchers, and behind them those of every wider prefix. An address is judged by the names that are known to lead
to it before it is judged by networks.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict, namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

MODES = {'monitor': _abi.MODE_MONITOR, 'enforce': _abi.MODE_ENFORCE, 'drill': _abi.MODE_DRILL}
PROTOCOLS = {None: _abi.PROTOCOL_ANY, 'tcp': 6, 'udp': 17}
IPV4 = 0xffff << 32  # ::ffff:0:0/96, where the tables keep IPv4
LOOPBACK = ('127.0.0.0/8', '::1/128')
DNS_PORT = 53

# With these a guard proves itself. Nobody is there: the end of the loopback network, and the discard-only prefix.
CANARY4 = '127.255.255.253'
CANARY6 = '100::ebf6'

Matcher = namedtuple('Matcher', 'deny rule protocol low high')
Compiled = namedtuple('Compiled', 'config keys nets ports')


def compile_rules(policy, observe, addresses, resolvers, numbers):
    """Compiled: `config` and the ctypes arrays `keys`, `nets` (same length) and `ports`.

    `addresses`: {host name of a rule: [address as text]}. `resolvers`: the host's DNS servers, which a sealed room
    (`default: deny`) leaves open. `numbers`: {rule id: the rule's number in the kernel}.
    """
    prefixes, named = defaultdict(list), defaultdict(list)
    for canary in (CANARY4, CANARY6):
        named[_prefix(ipaddress.ip_network(canary))].append(Matcher(True, _abi.RULE_CANARY, 0, 0, 65535))
    if policy.default == 'deny':
        for network in LOOPBACK:
            prefixes[_prefix(ipaddress.ip_network(network))].append(Matcher(False, _abi.RULE_DEFAULT, 0, 0, 65535))
        for resolver in resolvers:
            prefixes[_prefix(ipaddress.ip_network(resolver))].append(
                Matcher(False, _abi.RULE_DEFAULT, 0, DNS_PORT, DNS_PORT))
    for rule in policy.rules:
        # Port 0 stands for protocols that have no ports: a rule about some ports says nothing of them.
        matchers = [Matcher(rule.action == 'deny', numbers[rule.id], PROTOCOLS[ports.protocol], max(1, ports.low),
                            ports.high) for ports in rule.ports
                    ] or [Matcher(rule.action == 'deny', numbers[rule.id], 0, 0, 65535)]
        for network in rule.networks:
            prefixes[_prefix(network)].extend(matchers)
        for host in rule.hosts:
            for address in addresses.get(host, ()):
                named[_prefix(ipaddress.ip_network(address))].extend(matchers)
    prefixes.setdefault((96, IPV4), [])  # so that a rule for ::/0 never speaks for IPv4
    return _pack(policy, observe, _flatten(prefixes, named))


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


def _matchers(named, own, inherited):
    """What is known by name before what is known by address, deny before allow; the canary before all.

    What stands behind a matcher for everything can never be reached, and is left out.
    """
    first = sorted(named, key=lambda matcher: (matcher.rule != _abi.RULE_CANARY, not matcher.deny))
    second = sorted(own, key=lambda matcher: not matcher.deny)
    reachable = []
    for matcher in first + second + inherited:
        if matcher not in reachable:
            reachable.append(matcher)
        if matcher[2:] == (0, 0, 65535):
            break
    return reachable


def _flatten(prefixes, named):
    """{prefix: its matchers and those of every wider prefix}, widest first."""
    places = sorted(set(prefixes) | set(named))
    lengths = sorted({length for length, _value in places})
    flat = {}
    for prefix in places:
        length, value = prefix
        inherited = []
        for wider in reversed(lengths):
            if wider >= length or (wider < 96 and length >= 96 and value >> 32 == 0xffff):
                continue
            above = flat.get((wider, value >> (128 - wider) << (128 - wider)))
            if above is not None:  # it has what is above itself
                inherited = above
                break
        flat[prefix] = _matchers(named.get(prefix, ()), prefixes.get(prefix, ()), inherited)
    return flat


def _pack(policy, observe, flat):
    slices, ports = {}, []
    keys, nets = (_abi.NetKey * len(flat))(), (_abi.Net * len(flat))()
    for index, ((length, value), matchers) in enumerate(flat.items()):
        if len(matchers) > _abi.PORTS_PER_NET:
            raise GuardError('The network %s/%d is covered by %d port matchers of your rules; the kernel looks at %d '
                             'at most. Join port ranges, or drop overlapping networks.'
                             % (_written(length, value) + (len(matchers), _abi.PORTS_PER_NET)))
        identity = tuple(matchers)
        if identity not in slices:
            slices[identity] = len(ports)
            ports.extend(matchers)
        keys[index].prefix_length = length
        keys[index].address[:] = value.to_bytes(16, 'big')
        nets[index].first, nets[index].count = slices[identity], len(matchers)
    packed = (_abi.Port * max(1, len(ports)))()
    for index, matcher in enumerate(ports):
        packed[index].rule, packed[index].deny = matcher.rule, matcher.deny
        packed[index].protocol, packed[index].low, packed[index].high = matcher.protocol, matcher.low, matcher.high
    config = _abi.Config(mode=MODES[policy.mode], default_deny=policy.default == 'deny',
                         observe=observe or policy.mode == 'monitor')
    return Compiled(config, keys, nets, packed)
