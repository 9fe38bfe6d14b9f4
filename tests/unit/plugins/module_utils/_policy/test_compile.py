# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checked policy -> rule maps. First tables, then a second opinion: that of tests/support/reference.py.

Here the compiled arrays are walked as the kernel does. tests/bpf asks the kernel itself the same questions.
"""

from __future__ import annotations

import ipaddress
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import ALLOW, DENY, ENDPOINTS, ICMP, NETWORKS, PORT_NUMBERS, PORTS, RESOLVERS, TCP, UDP, compiled, named, \
    numbers_of, policy_of
from reference import SEED, judge, judge_name, judge_question, mixed, reference_hash, reference_label_hash

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import CANARY4, CANARY6, CANARY_NAME, CANARY_PEER, OUTAGES
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._names import ends
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.compile import compile_rules


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
    hit = first_hit(rules, best[1], port, protocol) if best else None
    return hit or (bool(rules.config.default_deny), _abi.RULE_DEFAULT)


def first_hit(rules, part, port, protocol):
    """(denied, rule) of the first matcher of a slice that fits, or None."""
    for index in range(part.first, part.first + part.count):
        matcher = rules.ports[index]
        if matcher.protocol in (_abi.PROTOCOL_ANY, protocol) and matcher.low <= port <= matcher.high:
            return bool(matcher.deny), matcher.rule
    return None


def name_rules(rules, name):
    """What the compiled arrays have for a name: its ends are looked up from the right, the last one found counts."""
    table, state, found = dict(zip(rules.hashes, rules.names)), SEED, None
    labels = name.split('.')
    of_service = len(labels) > 2 and labels[0][0] == labels[1][0] == '_'
    for place in reversed(range(len(labels))):
        state = mixed(state, reference_label_hash(labels[place].encode('ascii')))
        if state in table:
            as_itself = not place or (of_service and place == 2 and table[state].itself.slice.count)
            found = table[state].itself if as_itself else table[state].below
    return found


def walk_name(rules, name, port, protocol):
    found = name_rules(rules, name)
    return first_hit(rules, found.slice, port, protocol) if found else None


def walk_question(rules, name):
    found = name_rules(rules, name)
    return (bool(found.asked_deny), found.asked_rule) if found else (
        bool(rules.config.default_deny), _abi.RULE_DEFAULT)


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
    ('rules on names close encrypted DNS everywhere', [('name', ['db.example'])], [('in', ['198.51.100.0/24'])],
     [('203.0.113.7', 853, TCP, True), ('2001:db8::1', 853, UDP, True), ('127.0.0.1', 853, TCP, True),
      ('203.0.113.7', 852, TCP, False), ('203.0.113.7', 854, UDP, False), ('203.0.113.7', 0, ICMP, False),
      ('198.51.100.1', 853, TCP, False)]),
]


@pytest.mark.parametrize('deny, allow, questions', [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_who_is_denied(deny, allow, questions):
    policy = policy_of(deny, allow)
    rules = compiled(policy)
    for *endpoint, denied in questions:
        assert walk(rules, *endpoint)[0] == denied, endpoint
        assert judge(policy, *endpoint)[0] == denied, endpoint


GITHUB = ('github', ['.github.com'])
NAME_TABLE = [  # name, deny rules, allow rules, [(name, port, protocol, denied, or None where no rule speaks)]
    ('that name alone', [('d', ['github.com'])], [],
     [('github.com', 443, TCP, True), ('GitHub.COM', 443, UDP, True), ('api.github.com', 443, TCP, None),
      ('notgithub.com', 443, TCP, None), ('com', 443, TCP, None), ('github.com.example', 443, TCP, None)]),
    ('every name below', [('d', ['*.github.com'])], [],
     [('github.com', 443, TCP, None), ('api.github.com', 443, TCP, True), ('a.b.c.github.com', 443, TCP, True),
      ('api.notgithub.com', 443, TCP, None)]),
    ('both', [GITHUB], [],
     [('github.com', 443, TCP, True), ('a.b.github.com', 443, TCP, True), ('notgithub.com', 443, TCP, None)]),
    ('the longest name wins, either way', [GITHUB, ('deep', ['x.mirror.github.com'])], [('m', ['.mirror.github.com'])],
     [('github.com', 443, TCP, True), ('mirror.github.com', 443, TCP, False), ('a.mirror.github.com', 443, TCP, False),
      ('x.mirror.github.com', 443, TCP, True), ('y.x.mirror.github.com', 443, TCP, False)]),
    ('on a tie, deny', [GITHUB], [('a', ['github.com', '*.github.com'])],
     [('github.com', 443, TCP, True), ('a.github.com', 443, TCP, True)]),
    ('forms of one name', [('d', ['*.github.com'])], [('a', ['.github.com'])],
     [('github.com', 443, TCP, False), ('a.github.com', 443, TCP, True)]),
    ('a name that stands alone says nothing of those below', [('d', ['.com'])], [('a', ['github.com'])],
     [('github.com', 443, TCP, False), ('a.github.com', 443, TCP, True), ('com', 443, TCP, True)]),
    ('what a name leaves open, the wider one decides', [GITHUB], [('a', ['api.github.com'], ['tcp/443'])],
     [('api.github.com', 443, TCP, False), ('api.github.com', 443, UDP, True), ('api.github.com', 0, ICMP, True)]),
    ('over two levels', [('d', ['.com'], [80, 81]), ('e', ['*.b.com'], [22])], [('a', ['.b.com'], [80])],
     [('b.com', 80, TCP, False), ('b.com', 81, TCP, True), ('b.com', 22, TCP, None), ('a.b.com', 22, TCP, True),
      ('a.b.com', 80, TCP, False), ('a.b.com', 81, TCP, True), ('a.b.com', 82, TCP, None)]),
    ('encrypted DNS', [('d', ['x.example'])], [('a', ['dns.google'])],
     [('cloudflare-dns.com', 443, TCP, True), ('chrome.cloudflare-dns.com', 443, TCP, True),
      ('dns.google', 443, TCP, False), ('dns64.dns.google', 443, TCP, True), ('google', 443, TCP, None)]),
]


@pytest.mark.parametrize('deny, allow, questions', [row[1:] for row in NAME_TABLE], ids=[row[0] for row in NAME_TABLE])
@pytest.mark.parametrize('default', [ALLOW, DENY])
def test_which_names_are_denied(deny, allow, questions, default):
    policy = policy_of(deny, allow, default=default)
    rules = compiled(policy)
    for name, port, protocol, denied in questions:
        for told in (walk_name(rules, name, port, protocol), judge_name(policy, name, port, protocol)):
            assert (told and told[0]) == denied, (name, port, protocol)


@pytest.mark.parametrize('deny, allow, name, denied, rule', [
    ([GITHUB], [], 'github.com', True, 'github'), ([GITHUB], [], 'a.github.com', True, 'github'),
    ([GITHUB], [], 'example', None, None), ([('d', ['github.com'])], [], 'a.github.com', None, None),
    ([('d', ['github.com'], [443])], [], 'github.com', None, None),
    ([('d', ['github.com'], ['0-65535'])], [], 'github.com', None, None),
    ([GITHUB], [('a', ['api.github.com'], [443])], 'api.github.com', False, 'a'),
    ([GITHUB], [('a', ['api.github.com'], [443])], 'x.api.github.com', True, 'github'),
    ([('d', ['api.github.com'], [22])], [('a', ['.github.com'], [443])], 'api.github.com', False, 'a'),
    ([('d', ['api.github.com'])], [('a', ['.github.com'])], 'api.github.com', True, 'd'),
    ([], [('a', ['api.github.com'])], 'api.github.com', False, 'a')])
@pytest.mark.parametrize('default', [ALLOW, DENY])
def test_which_questions_are_denied(deny, allow, name, denied, rule, default):
    policy = policy_of(deny, allow, default=default)
    expected = (denied, numbers_of(policy)[rule]) if rule else (default == DENY, _abi.RULE_DEFAULT)
    assert walk_question(compiled(policy), name) == expected
    assert judge_question(policy, name) == (expected[0], {expected[1]})


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


ALL = ['0.0.0.0/0', '::/0', CANARY4, CANARY6, CANARY_PEER, '.invalid', '.' + CANARY_NAME]


@pytest.mark.parametrize('rules', [{}, {'default': DENY}, {'allow': [('all', ALL)]}, {'deny': [('all', ALL)]}],
                         ids=['empty', 'sealed', 'all allowed', 'all denied'])
@pytest.mark.parametrize('port, protocol', [(9, UDP), (0, ICMP), (443, TCP), (853, TCP)])
def test_the_canaries_are_met_under_every_policy(rules, port, protocol):
    rules = compiled(policy_of(**rules))
    for canary, denied in ((CANARY4, True), (CANARY6, True), (CANARY_PEER, False)):
        assert walk(rules, canary, port, protocol) == (denied, _abi.RULE_CANARY)
    assert walk_name(rules, CANARY_NAME, port, protocol) == (True, _abi.RULE_CANARY)
    assert walk_question(rules, CANARY_NAME) == (True, _abi.RULE_CANARY)


def drilled(mode='drill', unresolvable='servfail'):
    return compiled(check({'version': 1, 'mode': mode, 'outage': 'unresolvable', 'unresolvable': unresolvable, 'deny': [
        {'id': 'one', 'reason': 'r', 'networks': ['10.0.0.0/8', '127.0.0.0/8']},
        {'id': 'two', 'reason': 'r', 'hosts': ['.invalid'], 'outage': 'timeout'},
        {'id': 'three', 'reason': 'r', 'networks': ['11.0.0.0/8'], 'outage': 'denied'}],
        'allow': [{'id': 'four', 'networks': ['10.0.0.1']}], 'encrypted_dns': 'deny'}))


def test_how_each_rule_is_down():
    rules = drilled()
    own = [_abi.OUTAGE_SERVFAIL, _abi.OUTAGE_TIMEOUT, _abi.OUTAGE_DENIED]
    assert list(rules.outages)[_abi.RULE_FIRST:_abi.RULE_FIRST + 3] == own
    assert rules.outages[-1] == _abi.OUTAGE_SERVFAIL  # the built-in one
    canaries = range(_abi.RULE_CANARY, _abi.RULE_CANARY + _abi.OUTAGES)
    assert [rules.outages[number] for number in canaries] == list(range(_abi.OUTAGES))
    assert {rules.outages[number] for number in range(_abi.RULE_FIRST) if number not in canaries} == {_abi.OUTAGE_SERVFAIL}
    assert rules.config.outages == 1 << _abi.OUTAGE_SERVFAIL | 1 << _abi.OUTAGE_TIMEOUT
    assert drilled(unresolvable='nxdomain').outages[_abi.RULE_DEFAULT] == _abi.OUTAGE_NXDOMAIN


def test_the_canaries_of_the_outages_in_use_are_met_before_any_rule():
    rules = drilled()
    for outage, number in (('unresolvable', _abi.OUTAGE_SERVFAIL), ('timeout', _abi.OUTAGE_TIMEOUT)):
        ipv4, ipv6, name = OUTAGES[outage]
        for address in (ipv4, ipv6):
            assert walk(rules, address, 9, UDP) == (True, _abi.RULE_CANARY + number)
        assert walk_name(rules, name, 80, TCP) == walk_question(rules, name) == (True, _abi.RULE_CANARY + number)
    assert walk(rules, OUTAGES['refused'][0], 9, UDP) == (True, _abi.RULE_FIRST)  # nothing is refused here


@pytest.mark.parametrize('mode', ['monitor', 'enforce'])
def test_outages_are_of_drills(mode):
    rules = drilled(mode)
    assert rules.config.outages == 0 and list(rules.outages) == [0]
    assert walk(rules, OUTAGES['timeout'][0], 9, UDP) == (True, _abi.RULE_FIRST)


@pytest.mark.parametrize('mode, observe, number, observes', [
    ('monitor', False, _abi.MODE_MONITOR, 1), ('enforce', False, _abi.MODE_ENFORCE, 0),
    ('enforce', True, _abi.MODE_ENFORCE, 1), ('drill', False, _abi.MODE_DRILL, 0)])
def test_the_configuration(mode, observe, number, observes):
    for default, sealed in (('allow', 0), (DENY, 1)):
        config = compiled(policy_of(mode=mode, default=default), observe=observe).config
        assert (config.mode, config.observe, config.default_deny) == (number, observes, sealed)


@pytest.mark.parametrize('settings_, judges', [
    ({}, 0), ({'default': DENY}, 1), ({'deny': [GITHUB]}, 1), ({'deny': [('n', ['10.0.0.0/8'])]}, 0),
    ({'allow': [('a', ['a.example'])]}, 1), ({'allow': [('a', ['a.example'])], 'encrypted_dns': 'allow'}, 0),
    ({'deny': [GITHUB], 'encrypted_dns': 'allow'}, 1), ({'encrypted_dns': 'deny'}, 1)])
def test_names_are_judged_where_one_can_be_denied(settings_, judges):
    config = compiled(policy_of(**settings_), generation=7).config
    assert (config.judges_names, config.generation) == (judges, 7)


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


@pytest.mark.parametrize('host, told', [
    ('a.example', 'The name a.example is covered by 65 port matchers'),
    ('*.a.example', 'The names below a.example are covered by 65 port matchers'),
    ('.a.example', 'The names below a.example are covered by 65 port matchers')])
def test_64_port_matchers_fit_one_name_and_65_do_not(host, told):
    wide = ('wide', ['.example'], [80])
    rules = compiled(policy_of([wide, ('ports', [host], list(range(1000, 1063)))]))
    assert walk_name(rules, 'x.' * (host[0] != 'a') + 'a.example', 1062, TCP)[0]
    with pytest.raises(GuardError, match=told + ' .* 64 at most'):
        compiled(policy_of([wide, ('ports', [host], list(range(1000, 1064)))]))


def test_two_names_with_one_hash_are_refused():
    names = ['mirror-aapaaaaaa.example', 's008427350a26k7h.example']  # made for this; nobody meets such by chance
    with pytest.raises(GuardError, match='%s and %s have the same hash' % tuple(names)):
        compiled(policy_of([('d', names)]))


@pytest.mark.parametrize('hosts', [['db.example'], ['.a.example', 'b.a.example'], ['l' * 63 + '.example', '*.x']])
def test_each_name_stands_in_words_of_its_own(hosts):
    rules, found = compiled(policy_of([('d', hosts)], encrypted_dns=ALLOW)), {}
    for number, name in zip(rules.hashes, rules.names):
        words = bytes(rules.text)[8 * name.text:][:name.length + -name.length % 8]
        assert words[name.length:].strip(b'\0') == b''
        found[words[:name.length]] = number
    names = [host.lstrip('*.') for host in hosts] + [CANARY_NAME]
    assert found == {b''.join(bytes([len(label)]) + label.encode() for label in name.split('.')) + b'\0': reference_hash(name)
                     for name in names}


def test_100_000_names_share_their_matchers():
    names = ['h%d.zone%d.example' % (index, index % 7) for index in range(100_000)]
    empty = compiled(policy_of(encrypted_dns=DENY))
    rules = compiled(policy_of([('even', names[::2], [443, 8443]), ('odd', names[1::2])]))
    assert len(rules.hashes) == len(rules.names) == 100_000 + len(empty.names)
    assert len(rules.ports) <= len(empty.ports) + 3
    assert len(rules.text) <= 4 * len(rules.names)
    assert walk_name(rules, names[-1], 1, TCP) == (True, _abi.RULE_FIRST + 1)
    assert walk_name(rules, names[0], 1, TCP) is None


def test_networks_and_names_share_their_matchers():
    apart = compiled(policy_of([('one', ['198.51.100.0/24', 'db.example'], [1, 2, 3])], encrypted_dns=ALLOW))
    assert sorted(port.low for port in apart.ports) == [0, 0, 1, 2, 3]  # those of the canaries


def test_100_000_networks_share_their_matchers():
    networks = [str(ipaddress.ip_network((0x14000000 + 256 * index, 24))) for index in range(100_000)]
    rules = compiled(policy_of([('even', networks[::2], [443, 8443]), ('odd', networks[1::2])]))
    assert len(rules.keys) == len(rules.nets) == 100_000 + 4  # the canaries, and the border of IPv4
    assert len(rules.ports) <= 5
    last = ipaddress.ip_network(networks[-1])[1]
    assert walk(rules, last, 1, TCP) == (True, _abi.RULE_FIRST + 1)


def test_a_large_policy_is_never_in_memory_as_a_whole():
    """At most 130 bytes for each network, or each name: a key while they are sorted, then blocks."""
    count, each = 20_000, 1_000
    policy = policy_of([('r%d' % start, [item for number in range(start, start + each) for item in (
        '10.0.%d.%d' % divmod(number, 256), '*.h%d.denied.example' % number)]) for start in range(0, count, each)])
    numbers = numbers_of(policy)
    tracemalloc.start()
    try:
        for _name, _room, blocks in compile_rules(policy, False, RESOLVERS, numbers, 1).tables:
            for _block in blocks:
                pass
        assert tracemalloc.get_traced_memory()[1] <= 130 * count
    finally:
        tracemalloc.stop()


# --- the second opinion ---

rules_ = st.lists(st.tuples(st.lists(st.sampled_from(NETWORKS + ['db.example']), min_size=1, max_size=4, unique=True),
                            st.lists(st.sampled_from(PORTS), max_size=3, unique=True)), max_size=4)
policies = st.builds(lambda deny, allow, default: policy_of(named('d', deny), named('a', allow), default=default),
                     rules_, rules_, st.sampled_from([ALLOW, DENY]))
endpoints = st.tuples(st.sampled_from(ENDPOINTS), st.sampled_from(PORT_NUMBERS), st.sampled_from([TCP, UDP])) | \
    st.tuples(st.sampled_from(ENDPOINTS), st.just(0), st.sampled_from([ICMP, 58, 132]))


@settings(max_examples=300, deadline=None)
@given(policies, st.lists(endpoints, min_size=5, max_size=40))
def test_the_arrays_say_what_the_policy_says(policy, questions):
    rules = compiled(policy)
    for endpoint in questions:
        denied, candidates = judge(policy, *endpoint)
        answer, rule = walk(rules, *endpoint)
        assert answer == denied and rule in candidates, endpoint


# Few labels, so that names meet often.
label = st.sampled_from(['a', 'b', 'ab'])
plain = st.lists(label, min_size=1, max_size=4).map('.'.join)
hosts = st.builds('{}{}'.format, st.sampled_from(['', '.', '*.']), plain | st.sampled_from(
    ['google', 'dns.google', 'x.dns.google', 'one.one.one.one', 'invalid', CANARY_NAME]))
asked = plain | st.sampled_from(['google', 'dns.google', 'x.dns.google', 'y.x.dns.google', 'one.one.one.one', 'invalid',
                                 CANARY_NAME, 'x.' + CANARY_NAME, 'x.invalid', 'B.A'])
host_rules = st.lists(st.tuples(st.lists(hosts, min_size=1, max_size=4, unique=True),
                                st.lists(st.sampled_from(PORTS), max_size=3, unique=True)), max_size=4)
host_policies = st.builds(
    lambda deny, allow, default: policy_of(named('d', deny), named('a', allow), default=default),
    host_rules, host_rules, st.sampled_from([ALLOW, DENY]))


@settings(max_examples=300, deadline=None)
@given(host_policies, st.lists(asked, min_size=5, max_size=20),
       st.tuples(st.sampled_from(PORT_NUMBERS), st.sampled_from([TCP, UDP])) | st.just((0, ICMP)))
def test_the_arrays_say_of_names_what_the_policy_says(policy, names, where):
    rules = compiled(policy)
    for name in names:
        for judged, walked in ((judge_name(policy, name, *where), walk_name(rules, name, *where)),
                               (judge_question(policy, name), walk_question(rules, name))):
            assert (judged and judged[0]) == (walked and walked[0]), name
            assert judged is None or walked[1] in judged[1], name


# --- the tables as they were made when each rule, network and name was an object of its own ---

EVERYTHING = _abi.PROTOCOL_ANY, 0, 65535


def matchers_of(policy, rule):
    head = rule.action == DENY, numbers_of(policy)[rule.id]
    return [(*head, {'tcp': TCP, 'udp': UDP, None: _abi.PROTOCOL_ANY}[ports.protocol], max(1, ports.low), ports.high)
            for ports in rule.ports] or [(*head, *EVERYTHING)]


def reached(levels):
    """Matchers of these levels, the nearest one first, as far as one can be met."""
    found = []
    for own in levels:
        for matcher in sorted(own, key=lambda one: (one[1] != _abi.RULE_CANARY, not one[0])):
            found += [matcher] if matcher not in found else []
            if matcher[2:] == EVERYTHING:
                return found
    return found


def in_slice(rules, part):
    return [(bool(port.deny), port.rule, port.protocol, port.low, port.high)
            for port in rules.ports[part.first:part.first + part.count]]


def plain_networks(policy):
    """{network: its own matchers}"""
    canary = True, _abi.RULE_CANARY, *EVERYTHING
    own = {CANARY4: [canary], CANARY6: [canary], CANARY_PEER: [(False, *canary[1:])], '0.0.0.0/0': []}
    if policy.default == DENY:
        opened = False, _abi.RULE_DEFAULT
        own.update({'127.0.0.0/8': [(*opened, *EVERYTHING)], '::1': [(*opened, *EVERYTHING)]})
        own.update(dict.fromkeys(RESOLVERS, [(*opened, _abi.PROTOCOL_ANY, 53, 53)]))
    own = {ipaddress.ip_network(text): list(found) for text, found in own.items()}
    for rule in policy.all_rules:
        for text in rule.networks:
            own.setdefault(ipaddress.ip_network(text), []).extend(matchers_of(policy, rule))
    return own


def as_network(key):
    address, length = ipaddress.IPv6Address(bytes(key.address)), key.prefix_length
    if address.ipv4_mapped and length >= 96:
        return ipaddress.ip_network((address.ipv4_mapped, length - 96))
    return ipaddress.ip_network((address, length))


def spread(drawn):
    """The drawn rules again and again, below other addresses and names: so many that their lists are squeezed."""
    return [([item for number in range(80) for item in (
        ['%d.%d.0.0/16' % (number, at), 'fd00:%x:%x::/48' % (number, at)] if ':' in where or where[0].isdigit() else
        [('*.' if where[0] == '*' else '') + 'n%d.' % number + where.lstrip('*.')]) + [where]], ports)
        for wheres, ports in drawn for at, where in enumerate(wheres)][:2]


@settings(max_examples=150, deadline=None)
@given(rules_, rules_, st.sampled_from([ALLOW, DENY]), st.booleans())
def test_every_network_has_one_entry_with_all_that_holds_for_it(deny, allow, default, many):
    deny, allow = (spread(drawn) if many else drawn for drawn in (deny, allow))
    policy = policy_of(named('d', [one for one in deny if one[0]]), named('a', [one for one in allow if one[0]]), default=default)
    rules, own = compiled(policy), plain_networks(policy)
    found = list(map(as_network, rules.keys))
    assert sorted(found, key=str) == sorted(own, key=str)
    for network, part in zip(found, rules.nets):
        around = sorted((other for other in own if other.version == network.version and network.subnet_of(other)),
                        key=lambda other: -other.prefixlen)
        assert in_slice(rules, part) == reached([own[other] for other in around]), network


@settings(max_examples=150, deadline=None)
@given(host_rules, host_rules, st.sampled_from([ALLOW, DENY]), st.booleans())
def test_every_name_has_one_entry_with_all_that_holds_for_it(deny, allow, default, many):
    deny, allow = (spread(drawn) if many else drawn for drawn in (deny, allow))
    policy = policy_of(named('d', deny), named('a', allow), default=default)
    itself, below = {CANARY_NAME: [(True, _abi.RULE_CANARY, *EVERYTHING)]}, {}
    for rule in policy.all_rules:
        for host in rule.hosts:
            for side in [itself] * (host[0] != '*') + [below] * (host[0] in '*.'):
                side.setdefault(host.lstrip('*.'), []).extend(matchers_of(policy, rule))
    rules = compiled(policy)
    found = dict(zip(rules.hashes, rules.names))
    assert len(found) == len(rules.names)
    assert set(found) == {reference_hash(name) for name in {**itself, **below}}
    for name in {**itself, **below}:
        wider = [below.get(end, []) for end in ends(name)[1:]]
        entry = found[reference_hash(name)]
        assert in_slice(rules, entry.itself.slice) == reached([itself.get(name, []), *wider]), name
        assert in_slice(rules, entry.below.slice) == reached([below.get(name, []), *wider]), name
