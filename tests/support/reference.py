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
    """[(labels in common, rule)] of the rules that speak of a name. A service of a name is judged as the name."""
    labels = name.lower().split('.')
    found = speaking_of(policy, labels)
    if len(labels) < 3 or not labels[0].startswith('_') or not labels[1].startswith('_'):
        return found
    of_name = speaking_of(policy, labels[2:])
    return [one for one in found if one[0] > len(labels) - 2] + of_name if of_name else found


def speaking_of(policy, labels):
    found = []
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


def unmixed(state):
    """What mixed() makes `state` of: the state before it, XOR the word."""
    return (state ^ state // 2 ** 32) * pow(PRIME, -1, 2 ** 64) % 2 ** 64


def label_with_the_hash(name, parent, end=b''):
    """A label that gives a name below `parent` the hash of another, `name`: the bytes are chosen here, and then `end`.

    The hash has no secret, so the label's second word follows from its first one. It has no byte that means something in
    a name as text.
    """
    wanted = unmixed(unmixed(reference_hash(name)) ^ (reference_hash(parent) if parent else SEED)) ^ 16 + len(end)
    words = [end[start:start + 8] for start in range(0, len(end), 8)]
    for word in reversed(words):
        wanted = unmixed(wanted) ^ int.from_bytes(word, 'big')
    for number in range(100_000):
        first = b'%08d' % number
        second = (unmixed(wanted) ^ mixed(SEED, int.from_bytes(first, 'big'))).to_bytes(8, 'big')
        if all(byte > 0x7f or chr(byte) in '-0123456789_abcdefghijklmnopqrstuvwxyz' for byte in second):
            return first + second + end
    raise AssertionError('no label found')
