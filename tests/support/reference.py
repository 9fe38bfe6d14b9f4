# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference judge: independent, slow and obvious. The compiler and the kernel are compared with it.

`judge`, `judge_name` and `judge_question` read a checked policy as its author does, and share nothing with the
compiler but that policy and the canaries. `reference_hash` hashes a name as bpf/ does, and shares nothing with _names.py.
"""

from __future__ import annotations

import ipaddress

from policies import ALLOW, DENY, RESOLVERS, TCP, UDP, numbers_of

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import CANARY4, CANARY6, CANARY_NAME, CANARY_PEER

SEED, PRIME = 0xcbf29ce484222325, 0x9e3779b97f4a7c15


def unmapped(address):
    return getattr(address, 'ipv4_mapped', None) or address


def fits(rule, port, protocol):
    return not rule.ports or any(port_range.low <= port <= port_range.high and
                                 port_range.protocol in (None, {TCP: 'tcp', UDP: 'udp'}.get(protocol))
                                 for port_range in rule.ports)


def judge(policy, address, port, protocol, resolvers=RESOLVERS):
    """(denied, rules that may be named): longest prefix first, deny on a tie, then the default."""
    address, by_length = unmapped(ipaddress.ip_address(address)), {}
    if str(address) in (CANARY4, CANARY6, CANARY_PEER):
        return str(address) != CANARY_PEER, {_abi.RULE_CANARY}

    def offer(network, denies, number):
        network = ipaddress.ip_network(network)
        if network.version == address.version and address in network:
            by_length.setdefault(network.prefixlen, []).append((denies, number))

    for rule in policy.all_rules:
        for network in rule.networks if fits(rule, port, protocol) else ():
            offer(network, rule.action == DENY, numbers_of(policy)[rule.id])
    if policy.default == DENY:
        for network in ('127.0.0.0/8', '::1'):
            offer(network, False, _abi.RULE_DEFAULT)
        for resolver in resolvers if port == 53 else ():
            offer(resolver, False, _abi.RULE_DEFAULT)
    if not by_length:
        return policy.default == DENY, {_abi.RULE_DEFAULT}
    return strictest(by_length[max(by_length)])


def strictest(nearest):
    denies = any(denied for denied, _number in nearest)
    return denies, {number for denied, number in nearest if denied == denies}


def speaking(policy, name):
    """[(labels in common, rule)] of the rules that speak of a name."""
    labels, found = name.lower().split('.'), []
    for rule in policy.all_rules:
        for host in rule.hosts:
            base = host.lstrip('*.').split('.')
            itself = labels == base and not host.startswith('*')
            below = len(labels) > len(base) and labels[-len(base):] == base and host.startswith(('*', '.'))
            if itself or below:
                found.append((len(base), rule))
    return found


def judge_name(policy, name, port, protocol):
    """(denied, rules that may be named), or None where no rule speaks of the name at this port."""
    if name.lower() == CANARY_NAME:
        return True, {_abi.RULE_CANARY}
    by_length = {}
    for length, rule in speaking(policy, name):
        if fits(rule, port, protocol):
            by_length.setdefault(length, []).append((rule.action == DENY, numbers_of(policy)[rule.id]))
    return strictest(by_length[max(by_length)]) if by_length else None


def judge_question(policy, name):
    """(denied, rules that may be named): may any connection to the name be allowed by a rule?"""
    if name.lower() == CANARY_NAME:
        return True, {_abi.RULE_CANARY}
    found = speaking(policy, name)
    for length in sorted({length for length, _rule in found}, reverse=True):
        rules = [rule for one, rule in found if one == length]
        for action in (DENY, ALLOW):
            meant = {numbers_of(policy)[rule.id] for rule in rules
                     if rule.action == action and (action == ALLOW or not rule.ports)}
            if meant:
                return action == DENY, meant
    return policy.default == DENY, {_abi.RULE_DEFAULT}


# --- hashes of names ---

def mixed(state, word):
    product = (state ^ word) * PRIME % 2 ** 64
    return product ^ product // 2 ** 32


def reference_label_hash(label):
    state, rest = SEED, [byte + 32 if ord('A') <= byte <= ord('Z') else byte for byte in label]
    while rest:
        word = 0
        for byte in rest[:8]:
            word = word * 256 + byte
        state, rest = mixed(state, word), rest[8:]
    return mixed(state, len(label))


def reference_hash(name):
    """The hash of a name of plain labels."""
    state = SEED
    for label in reversed(name.split('.')):
        state = mixed(state, reference_label_hash(label.encode('ascii')))
    return state
