# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The networks of the rules as the kernel's table of prefixes has them. Pure."""

from __future__ import annotations

import ipaddress
import socket
import struct

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import CANARY4, CANARY6, CANARY_PEER
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.slices import CANARY, PEER, SEALED, Joint, putter

IPV4 = 0xffff << 32  # ::ffff:0:0/96, where the tables keep IPv4
ADDRESS = (1 << 128) - 1
NET_KEY = struct.Struct('=I16s')  # _abi.NetKey
LOOPBACK = ('127.0.0.0/8', '::1/128')
DNS_PORT = 53


def prefixes_of(policy, rules, resolvers, canaries=()):
    """{prefix: its own matchers}. `canaries`: (network, matcher) of more of them."""
    prefixes = {}

    def offer(network, matchers):
        prefix = _prefix_of(network)
        prefixes[prefix] = prefixes.get(prefix, ()) + matchers  # the very matchers of the rule, where it is the only one

    offer(CANARY4, (CANARY,))
    offer(CANARY6, (CANARY,))
    offer(CANARY_PEER, (PEER,))
    for network, matcher in canaries:
        offer(network, (matcher,))
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


def _prefix_of(network):
    """A network, or an address, among the 128 bits of the tables: length << 128 | value."""
    address, _slash, length = network.partition('/')
    if ':' in address:
        return int(length or 128) << 128 | int.from_bytes(socket.inet_pton(socket.AF_INET6, address), 'big')
    value = int.from_bytes(socket.inet_pton(socket.AF_INET, address), 'big')
    return int(length or 32) + 96 << 128 | IPV4 | value


def packed_address(address):
    """An address as its 16 bytes stand in packets, IPv4 in IPv6."""
    return (_prefix_of(address) & ADDRESS).to_bytes(16, 'big')


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


def pack(prefixes, slices):
    """(keys, nets): what holds for each prefix, and behind it what holds for every wider one."""
    joint = Joint(slices)
    lengths = sorted({prefix >> 128 for prefix in prefixes}, reverse=True)
    keys, nets = (_abi.NetKey * len(prefixes))(), (_abi.Slice * len(prefixes))()
    put = putter(nets)
    for index, prefix in enumerate(sorted(prefixes)):  # the widest first
        # what is all that holds takes the place of the prefix's own: a table as large is not made twice
        number = prefixes[prefix] = joint.number(prefixes[prefix], _wider_network(prefix, lengths, prefixes),
                                                 'The network %s is covered', _written, prefix)
        NET_KEY.pack_into(keys, index * NET_KEY.size, prefix >> 128, (prefix & ADDRESS).to_bytes(16, 'big'))
        put(index, joint.slices[number])
    return keys, nets
