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
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import in_turn
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.slices import CANARY, PEER, SEALED, Joint

IPV4 = bytes(10) + b'\xff\xff'  # ::ffff:0:0/96, where the tables keep IPv4
BORDER = IPV4 + bytes(4) + b'\x60'
NET_KEY = struct.Struct('=I16s')  # _abi.NetKey
LOOPBACK = ('127.0.0.0/8', '::1/128')
DNS_PORT = 53


def table(policy, rules, resolvers, canaries, slices):
    """(room, blocks) of what holds for each prefix, and behind it what holds for every wider one.

    `rules`: (rule, its matchers) each. `canaries`: (network, matcher) of more of them. A prefix is the 16 bytes of its
    address and its length.
    """
    own = [((network,), (matcher,)) for network, matcher in (
        (CANARY4, CANARY), (CANARY6, CANARY), (CANARY_PEER, PEER), *canaries)]
    if policy.default == 'deny':
        own += [(LOOPBACK, (SEALED,)), (resolvers, (SEALED._replace(low=DNS_PORT, high=DNS_PORT),))]
    own += [(rule.networks, matchers) for rule, matchers in rules]
    offers = in_turn.Offers()
    offers.add([BORDER + offers.mark(())])  # so that a rule for ::/0 never speaks for IPv4
    for networks, matchers in own:
        mark = offers.mark(matchers)
        offers.add([_prefix_of(network) + mark for network in networks])
    return len(offers), in_turn.in_blocks(_entries(offers, Joint(slices)), _abi.NetKey, _abi.Slice)


def _entries(offers, joint):
    around, known = in_turn.Around(), {}
    for prefix, marks in offers.in_turn():
        wider = 0 if prefix == BORDER else around.of(prefix)
        if (marks, wider) not in known:
            number = joint.number(sum(offers.parts(marks), ()), wider, 'The network %s is covered', _written, prefix)
            known[marks, wider] = number, bytes(joint.slices[number])
        number, its_slice = known[marks, wider]
        if prefix[16] < 128:
            around.add(_end(prefix), number)
        yield NET_KEY.pack(prefix[16], prefix[:16]), its_slice


def _prefix_of(network):
    """A network, or an address, among the 128 bits of the tables."""
    address, _slash, length = network.partition('/')
    if ':' in address:
        return socket.inet_pton(socket.AF_INET6, address) + bytes((int(length or 128),))
    return IPV4 + socket.inet_pton(socket.AF_INET, address) + bytes((96 + int(length or 32),))


def _end(prefix):
    """Behind all that lies in the prefix."""
    return (int.from_bytes(prefix[:16], 'big') | (1 << 128 - prefix[16]) - 1).to_bytes(16, 'big') + b'\xff'


def packed_address(address):
    """An address as its 16 bytes stand in packets, IPv4 in IPv6."""
    return _prefix_of(address)[:16]


def _written(prefix):
    """The prefix as a policy writes it."""
    length = prefix[16]
    if length >= 96 and prefix.startswith(IPV4):
        return '%s/%d' % (ipaddress.IPv4Address(prefix[12:16]), length - 96)
    return '%s/%d' % (ipaddress.IPv6Address(prefix[:16]), length)
