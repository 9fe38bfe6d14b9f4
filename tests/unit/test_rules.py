# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checked policy -> rule maps. First tables, then a second opinion: `judge` reads the policy as its author does.

`judge` shares nothing with the compiler but the policy. tests/bpf asks the kernel the same questions.
"""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._rules import CANARY4, CANARY6, compile_rules

TCP, UDP, ICMP = 6, 17, 1
DENY, ALLOW = 'deny', 'allow'
RESOLVERS = ('192.0.2.53', 'fe80::53')
MAPPED = ipaddress.ip_network('::ffff:0:0/96')


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
    return {rule.id: _abi.RULE_FIRST + index for index, rule in enumerate(policy.rules)}


def compiled(policy, addresses=None, resolvers=RESOLVERS, observe=False):
    return compile_rules(policy, observe, addresses or {}, resolvers, numbers_of(policy))


def unmapped(address):
    return getattr(address, 'ipv4_mapped', None) or address


def judge(policy, address, port, protocol, addresses=None, resolvers=RESOLVERS):
    """(denied, rules that may be named) as DESIGN says it: longest prefix first, deny on a tie, then the default."""
    address, by_length = unmapped(ipaddress.ip_address(address)), {}
    if address in (ipaddress.ip_address(CANARY4), ipaddress.ip_address(CANARY6)):
        return True, {_abi.RULE_CANARY}

    def offer(network, denies, number):
        network = ipaddress.ip_network(network)
        if network.version == address.version and address in network:
            by_length.setdefault(network.prefixlen, []).append((denies, number))

    for rule in policy.rules:
        hit = not rule.ports or any(port_range.low <= port <= port_range.high and
                                    port_range.protocol in (None, {TCP: 'tcp', UDP: 'udp'}.get(protocol))
                                    for port_range in rule.ports)
        for network in list(rule.networks) + [found for host in rule.hosts for found in (addresses or {})[host]]:
            if hit:
                offer(network, rule.action == DENY, numbers_of(policy)[rule.id])
    if policy.default == DENY:
        for network in ('127.0.0.0/8', '::1'):
            offer(network, False, _abi.RULE_DEFAULT)
        for resolver in resolvers if port == 53 else ():
            offer(resolver, False, _abi.RULE_DEFAULT)
    if not by_length:
        return policy.default == DENY, {_abi.RULE_DEFAULT}
    nearest = by_length[max(by_length)]
    denies = any(denied for denied, _number in nearest)
    return denies, {number for denied, number in nearest if denied == denies}


def walk(rules, address, port, protocol):
    """(denied, rule) by the compiled arrays, step by step as bpf/verdict.h does it."""
    address = ipaddress.ip_address(address)
    value = int(address) if address.version == 6 else int(address) | 0xffff << 32
    best = None
    for key, net in zip(rules.keys, rules.nets):
        low_bits = 128 - key.prefix_length
        if value >> low_bits == int.from_bytes(bytes(key.address), 'big') >> low_bits:
            if best is None or key.prefix_length > best[0]:
                best = key.prefix_length, net
    for index in range(best[1].first, best[1].first + best[1].count) if best else ():
        matcher = rules.ports[index]
        if matcher.protocol in (_abi.PROTOCOL_ANY, protocol) and matcher.low <= port <= matcher.high:
            return bool(matcher.deny), matcher.rule
    return bool(rules.config.default_deny), _abi.RULE_DEFAULT


# --- tables: name, deny rules, allow rules, [(address, port, protocol, denied)] ---

WIDE = ('wide', ['198.51.100.0/24'])
TABLE = [
    ('longest prefix wins, either way', [WIDE, ('one', ['198.51.100.130/32'])], [('half', ['198.51.100.128/25'])],
     [('198.51.100.1', 80, TCP, True), ('198.51.100.129', 80, TCP, False), ('198.51.100.130', 80, TCP, True),
      ('198.51.101.1', 80, TCP, False)]),
    ('on a tie, deny', [WIDE], [('same', ['198.51.100.0/24'])], [('198.51.100.1', 80, TCP, True)]),
    ('on a tie of some ports, deny these', [('https', ['198.51.100.0/24'], [443])],
     [('same', ['198.51.100.0/24'])], [('198.51.100.1', 443, TCP, True), ('198.51.100.1', 80, TCP, False)]),
    ('ports and protocols', [('p', ['198.51.100.0/24'], [443, '8000-8080', 'udp/53', 'tcp/22'])], [],
     [('198.51.100.1', port, protocol, denied) for port, protocol, denied in (
         (443, TCP, True), (443, UDP, True), (444, TCP, False), (7999, TCP, False), (8000, TCP, True),
         (8080, UDP, True), (8081, TCP, False), (53, UDP, True), (53, TCP, False), (22, TCP, True),
         (22, UDP, False), (0, ICMP, False))]),
    ('without ports a rule is for every protocol', [WIDE], [],
     [('198.51.100.1', 0, ICMP, True), ('198.51.100.1', 0, 132, True), ('198.51.100.1', 65535, UDP, True)]),
    ('what a network leaves open, the wider one decides', [WIDE], [('in', ['198.51.100.0/25'], ['tcp/443'])],
     [('198.51.100.1', 443, TCP, False), ('198.51.100.1', 443, UDP, True), ('198.51.100.1', 80, TCP, True)]),
    ('over two levels', [('all', ['198.0.0.0/8'])],
     [('mid', ['198.51.0.0/16'], [80]), ('in', ['198.51.100.0/24'], [443])],
     [('198.51.100.1', 80, TCP, False), ('198.51.100.1', 443, TCP, False), ('198.51.100.1', 22, TCP, True),
      ('198.51.1.1', 443, TCP, True)]),
    ('::/0 does not speak for IPv4', [('six', ['::/0'])], [],
     [('198.51.100.1', 80, TCP, False), ('::ffff:198.51.100.1', 80, TCP, False), ('2001:db8::1', 80, TCP, True),
      ('::1', 80, TCP, True), ('::fffe:198.51.100.1', 80, TCP, True)]),
    ('nor does a narrower one around the mapped addresses', [('six', ['::/64', '::ffff:0:0:0/80'])],
     [('four', ['0.0.0.0/0'], [80])],
     [('198.51.100.1', 443, TCP, False), ('::2', 443, TCP, True)]),
    ('0.0.0.0/0 does not speak for IPv6', [('four', ['0.0.0.0/0'])], [],
     [('198.51.100.1', 80, TCP, True), ('::ffff:198.51.100.1', 80, TCP, True), ('2001:db8::1', 80, TCP, False)]),
    ('a mapped network is the IPv4 network', [('mapped', ['::ffff:198.51.100.0/120'])], [],
     [('198.51.100.1', 80, TCP, True), ('::ffff:198.51.100.1', 80, TCP, True)]),
    ('names stand for their addresses', [('name', ['db.example'], [5432])], [],
     [('203.0.113.7', 5432, TCP, True), ('203.0.113.8', 5432, TCP, False), ('203.0.113.7', 80, TCP, False),
      ('2001:db8:7::7', 5432, TCP, True)]),
]
ADDRESSES = {'db.example': ['203.0.113.7', '2001:db8:7::7']}


@pytest.mark.parametrize('deny, allow, questions', [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_who_is_denied(deny, allow, questions):
    policy = policy_of(deny, allow)
    rules = compiled(policy, ADDRESSES)
    for *endpoint, denied in questions:
        assert walk(rules, *endpoint)[0] == denied, endpoint
        assert judge(policy, *endpoint, addresses=ADDRESSES)[0] == denied, endpoint


@pytest.mark.parametrize('address, port, protocol, denied', [
    ('127.0.0.1', 80, TCP, False), ('127.9.9.9', 0, ICMP, False), ('::1', 80, UDP, False), ('::2', 80, TCP, True),
    ('192.0.2.53', 53, UDP, False), ('192.0.2.53', 53, TCP, False), ('192.0.2.53', 853, TCP, True),
    ('fe80::53', 53, UDP, False), ('192.0.2.54', 53, UDP, True), ('0.0.0.1', 80, TCP, True),
    ('203.0.113.7', 443, TCP, False), ('203.0.113.7', 80, TCP, True), ('203.0.113.9', 443, TCP, True),
    ('::ffff:203.0.113.7', 443, TCP, False), ('2001:db8::1', 443, TCP, True),
])
def test_a_sealed_room_leaves_loopback_and_resolvers_open(address, port, protocol, denied):
    rules = compiled(policy_of(allow=[('mirror', ['203.0.113.7/32'], [443])], default=DENY))
    assert walk(rules, address, port, protocol)[0] == denied


def test_a_sealed_room_can_close_its_own_loopback_port():
    rules = compiled(policy_of([('local', ['127.0.0.0/8'], [3306])], default=DENY))
    assert [walk(rules, '127.0.0.1', port, TCP) for port in (3306, 80)] == [(True, _abi.RULE_FIRST), (False, 0)]


@pytest.mark.parametrize('rules', [
    {}, {'default': DENY}, {'allow': [('all', ['0.0.0.0/0', '::/0', CANARY4, CANARY6])]},
    {'deny': [('all', ['0.0.0.0/0', '::/0', CANARY4, CANARY6])]}], ids=['empty', 'sealed', 'all allowed', 'all denied'])
@pytest.mark.parametrize('canary', [CANARY4, CANARY6])
@pytest.mark.parametrize('port, protocol', [(9, UDP), (0, ICMP), (443, TCP)])
def test_the_canary_is_met_under_every_policy(rules, canary, port, protocol):
    assert walk(compiled(policy_of(**rules)), canary, port, protocol) == (True, _abi.RULE_CANARY)


@pytest.mark.parametrize('mode, observe, number, observes', [
    ('monitor', False, _abi.MODE_MONITOR, 1), ('enforce', False, _abi.MODE_ENFORCE, 0),
    ('enforce', True, _abi.MODE_ENFORCE, 1), ('drill', False, _abi.MODE_DRILL, 0)])
def test_the_configuration(mode, observe, number, observes):
    for default, sealed in (('allow', 0), (DENY, 1)):
        config = compiled(policy_of(mode=mode, default=default), observe=observe).config
        assert (config.mode, config.observe, config.default_deny) == (number, observes, sealed)


# --- limits and sizes ---

def test_64_port_matchers_fit_one_network_and_65_do_not():
    rules = compiled(policy_of([('ports', ['198.51.100.0/24'], list(range(1000, 1064)))]))
    assert walk(rules, '198.51.100.1', 1063, TCP)[0]
    with pytest.raises(GuardError, match=r'198\.51\.100\.0/.* 65 port matchers .* 64 at most'):
        compiled(policy_of([('ports', ['198.51.100.0/24'], list(range(1000, 1065)))]))


def test_the_limit_counts_what_wider_networks_add():
    deny = [('wide', ['198.51.0.0/16'], list(range(40))), ('in', ['198.51.100.0/24'], list(range(100, 140)))]
    with pytest.raises(GuardError, match='80 port matchers'):
        compiled(policy_of(deny))
    compiled(policy_of(deny[:1] + [('in', ['198.51.100.0/24'])]))  # a rule for everything hides what is wider


def test_100_000_networks_share_their_matchers():
    networks = [str(ipaddress.ip_network((0x14000000 + 256 * index, 24))) for index in range(100_000)]
    rules = compiled(policy_of([('even', networks[::2], [443, 8443]), ('odd', networks[1::2])]))
    assert len(rules.keys) == len(rules.nets) == 100_000 + 3  # the canaries, and the border of IPv4
    assert len(rules.ports) <= 4
    last = ipaddress.ip_network(networks[-1])[1]
    assert walk(rules, last, 1, TCP) == (True, _abi.RULE_FIRST + 1)


# --- the second opinion ---

# Few addresses, close together and at the borders, so that networks meet often.
NETWORKS = ['0.0.0.0/0', '128.0.0.0/1', '198.51.100.0/24', '198.51.100.0/25', '198.51.100.4/30', '198.51.100.5/32',
            '127.0.0.0/8', '127.0.0.1/32', '192.0.2.53/32', '::/0', '::/64', '::/95', '::fffe:0:0/95', '2001:db8::/32',
            '2001:db8::/127', '2001:db8::1/128', '::1/128', 'fe80::/10', '::ffff:198.51.100.0/121', CANARY4 + '/32']
ENDPOINTS = ['198.51.100.5', '198.51.100.6', '198.51.100.200', '198.51.101.1', '1.1.1.1', '127.0.0.1', '127.0.0.2',
             '192.0.2.53', '203.0.113.7', '2001:db8::', '2001:db8::1', '2001:db8::2', '2001:db9::1', '::1', '::2',
             '::fffe:c633:6405', '::fffd:0:1', 'fe80::53', '2001:db8:7::7', '::ffff:198.51.100.5', CANARY4, CANARY6]
PORTS = ['443', '440-450', 'udp/443', 'tcp/1-65535', 'udp/53', '53', '1-1000']
PORT_NUMBERS = [1, 53, 439, 440, 443, 451, 1000, 65535]
rules_ = st.lists(st.tuples(st.lists(st.sampled_from(NETWORKS + ['db.example']), min_size=1, max_size=4, unique=True),
                            st.lists(st.sampled_from(PORTS), max_size=3, unique=True)), max_size=4)


def named(prefix, drawn):
    return [('%s%d' % (prefix, index), where, ports) for index, (where, ports) in enumerate(drawn)]


policies = st.builds(lambda deny, allow, default: policy_of(named('d', deny), named('a', allow), default=default),
                     rules_, rules_, st.sampled_from([ALLOW, DENY]))
endpoints = st.tuples(st.sampled_from(ENDPOINTS), st.sampled_from(PORT_NUMBERS), st.sampled_from([TCP, UDP])) | \
    st.tuples(st.sampled_from(ENDPOINTS), st.just(0), st.sampled_from([ICMP, 58, 132]))


@settings(max_examples=300, deadline=None)
@given(policies, st.lists(endpoints, min_size=5, max_size=40))
def test_the_arrays_say_what_the_policy_says(policy, questions):
    rules = compiled(policy, ADDRESSES)
    for endpoint in questions:
        denied, candidates = judge(policy, *endpoint, addresses=ADDRESSES)
        answer, rule = walk(rules, *endpoint)
        assert answer == denied and rule in candidates, endpoint
