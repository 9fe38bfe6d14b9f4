# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies that tests write in short, and what they ask about them: networks and endpoints that meet often."""

from __future__ import annotations

import ctypes
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import CANARY4, CANARY6
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.compile import compile_rules

TCP, UDP, ICMP = 6, 17, 1
DENY, ALLOW = 'deny', 'allow'
RESOLVERS = ('192.0.2.53', 'fe80::53')

# Few addresses, close together and at the borders, so that networks meet often.
NETWORKS = ['0.0.0.0/0', '128.0.0.0/1', '198.51.100.0/24', '198.51.100.0/25', '198.51.100.4/30', '198.51.100.5/32',
            '127.0.0.0/8', '127.0.0.1/32', '192.0.2.53/32', '::/0', '::/64', '::/95', '::fffe:0:0/95', '2001:db8::/32',
            '2001:db8::/127', '2001:db8::1/128', '::1/128', 'fe80::/10', '::ffff:198.51.100.0/121', CANARY4 + '/32']
ENDPOINTS = ['198.51.100.5', '198.51.100.6', '198.51.100.200', '198.51.101.1', '1.1.1.1', '127.0.0.1', '127.0.0.2',
             '192.0.2.53', '203.0.113.7', '2001:db8::', '2001:db8::1', '2001:db8::2', '2001:db9::1', '::1', '::2',
             '::fffe:c633:6405', '::fffd:0:1', 'fe80::53', '2001:db8:7::7', '::ffff:198.51.100.5', CANARY4, CANARY6]
PORTS = ['443', '440-450', 'udp/443', 'tcp/1-65535', 'udp/53', '53', '1-1000']
PORT_NUMBERS = [1, 53, 439, 440, 443, 451, 853, 1000, 65535]


def policy_of(deny=(), allow=(), **settings_):
    """A checked policy of short rules: (id, networks or hosts[, ports])."""
    def rule(action, name, where, ports=()):
        mapping = {'id': name, 'reason': 'a test'}
        for key, wanted in (('hosts', False), ('networks', True)):
            items = [item for item in where if (item[0].isdigit() or ':' in item) == wanted]
            mapping.update({key: items} if items else {})
        return dict(mapping, ports=list(ports)) if ports else mapping

    mapping = {'version': 1, **settings_}
    mapping.update({action: [rule(action, *short) for short in rules]
                    for action, rules in ((DENY, deny), (ALLOW, allow)) if rules})
    return check(mapping)


def numbers_of(policy):
    return {rule.id: _abi.RULE_FIRST + index for index, rule in enumerate(policy.all_rules)}


# What compile_rules() returns, with its tables as a whole
Compiled = namedtuple('Compiled', 'config keys nets ports hashes names text outages paths filesystems sockets ways_out')


def compiled(policy, resolvers=RESOLVERS, observe=False, generation=1, host=()):
    rules, whole = compile_rules(policy, observe, resolvers, numbers_of(policy), generation, host), {}
    for name, room, blocks in rules.tables:
        keys, values = zip(*blocks)
        whole[name] = joined(keys), joined(values)
        assert len(whole[name][1]) <= room
    (keys, nets), (hashes, names) = whole['ebg_nets'], whole['ebg_names']
    ports, text, outages = (whole[name][1] for name in ('ebg_ports', 'ebg_text', 'ebg_outages'))
    assert bytes(whole['ebg_config'][1]) == bytes(rules.config)
    return Compiled(rules.config, keys, nets, ports, hashes, names, text, outages, *rules[2:])


def joined(arrays):
    """Some ctypes arrays as one; None where there are none."""
    if arrays[0] is None:
        return None
    content = b''.join(map(bytes, arrays))
    return (arrays[0]._type_ * (len(content) // ctypes.sizeof(arrays[0]._type_))).from_buffer_copy(content)


def named(prefix, drawn):
    return [('%s%d' % (prefix, index), where, ports) for index, (where, ports) in enumerate(drawn)]
