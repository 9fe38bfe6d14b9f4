# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel decides, against the judge of tests/support/reference.py.

The egress program is asked with packets made here (BPF_PROG_TEST_RUN), the socket programs by real sockets.
"""

from __future__ import annotations

import ipaddress
import os
import random
import socket
import struct

import pytest
from policies import DENY, ENDPOINTS, ICMP, NETWORKS, PORT_NUMBERS, PORTS, RESOLVERS, TCP, UDP, named, policy_of
from reference import judge, judge_name, judge_question
from wire import question
from workbench import DESTINATION, FAMILY, FRAGMENT, HOP_BY_HOP, ROUTING, child, counted, frame, on_lo, outcome, \
    passes

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import CANARY4, CANARY6
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.compile import MODES

LOADERS = ('libbpf', 'bcc')

# Names that lead to addresses, as a guard learns them; the rules speak of db.example alone.
HEARD = {'db.example': ['198.51.100.6', '203.0.113.7', '2001:db8:7::7'],
         'other.example': ['203.0.113.7', '2001:db8::2']}


def judge_heard(policy, address, port, protocol):
    """By the names that lead there; denied also where they disagree and none is presented."""
    there = ipaddress.ip_address(address)
    there = str(there.version == 6 and there.ipv4_mapped or there)
    by_address = judge(policy, address, port, protocol)
    verdicts = [judge_name(policy, name, port, protocol) or by_address
                for name, leads in HEARD.items() if there in leads]
    if not verdicts or by_address[1] == {_abi.RULE_CANARY}:
        return by_address
    denied = any(verdict[0] for verdict in verdicts)
    return denied, set().union(*(rules for denies, rules in verdicts if denies == denied))


def random_policy(chance, mode):
    def rules(prefix):
        return named(prefix, [(chance.sample(NETWORKS + ['db.example'], chance.randint(1, 4)),
                               chance.sample(PORTS, chance.randint(0, 3))) for _rule in range(chance.randint(0, 4))])
    return policy_of(rules('d'), rules('a'), default=chance.choice(['allow', DENY]), mode=mode)


def random_endpoint(chance):
    address = chance.choice(ENDPOINTS)
    if chance.random() < 0.3:  # anywhere: most of all beside and between the networks
        value = chance.getrandbits(32 if chance.random() < 0.5 else 128)
        address = str(ipaddress.ip_address(value if value > 2 ** 32 else value or 1))
    protocol = chance.choice([TCP, UDP, ICMP, 58, 132])
    return address, chance.choice(PORT_NUMBERS) if protocol in (TCP, UDP) else 0, protocol


def random_frame(chance, endpoint, payload=b''):
    extensions = [(kind, chance.randint(0, 3)) for kind in chance.sample(
        [HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT], chance.randint(0, 4))]
    return frame(*endpoint, options=chance.randint(0, 10), extensions=extensions, payload=payload)


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('seed', range(8))
def test_packets_get_the_verdict_of_the_policy(guards, mode, seed):
    chance = random.Random('%s %d' % (mode, seed))
    policy = random_policy(chance, mode)
    guard = guards(policy, attach=False, heard=HEARD)
    expected, canaries, denied_to = {'allowed': 0, 'denied': 0, 'would_deny': 0}, 0, {}
    asked = dict(expected)
    for _packet in range(500):
        endpoint = random_endpoint(chance)
        denied, candidates = judge_heard(policy, *endpoint)
        seen_before = endpoint[2] in (TCP, UDP)  # by the socket hooks, which have counted what is allowed
        asks = endpoint[1:] == (53, UDP) and (mode == 'monitor' or not denied)
        named = asks and judge_question(policy, 'nobody.example')[0]
        assert passes(guard, random_frame(chance, endpoint, question('nobody.example') if asks else b'')) == (
            mode == 'monitor' or not (denied or named)), endpoint
        if asks:
            asked['allowed' if not named else 'would_deny' if mode == 'monitor' else 'denied'] += 1
        if seen_before and not denied:
            continue
        if candidates == {_abi.RULE_CANARY}:
            canaries += 1
            continue
        expected['allowed' if not denied else 'would_deny' if mode == 'monitor' else 'denied'] += 1
        if denied:
            address = str(ipaddress.ip_address(endpoint[0].replace('::ffff:', '')))
            denied_to.setdefault((address, endpoint[1], endpoint[2]), []).append(candidates)
    assert guard.counters() == counted(send=expected, dns=asked)
    assert guard.totals()[_abi.COUNTER_CANARY + _abi.HOOK_EGRESS] == canaries
    found = {}
    for key, record in guard.denials():
        if key.endpoint.kind == _abi.KIND_DNS:
            continue
        address = ipaddress.ip_address(bytes(key.endpoint.address))
        found[str(address.ipv4_mapped or address), key.endpoint.port, key.endpoint.protocol] = key.rule, record.count
    assert set(found) == set(denied_to)
    for endpoint, (rule, count) in found.items():
        assert rule in denied_to[endpoint][0] and count == len(denied_to[endpoint]), endpoint


@pytest.mark.parametrize('sent, passed', [
    (frame('198.51.100.1', 443, TCP, cut=14 + 20), False), (frame('198.51.100.1', 443, UDP, cut=14 + 22), False),
    (frame('198.51.100.1', 443, TCP, options=10, cut=14 + 60), False),
    (frame('2001:db8::1', 443, TCP, cut=14 + 40), False), (frame('2001:db8::1', 443, UDP, cut=14 + 43), False),
    (frame('2001:db8::1', 443, TCP, extensions=[(HOP_BY_HOP, 9)], cut=14 + 48), False),
    (frame('198.51.100.1', 443, TCP), True), (frame('2001:db8::1', 443, UDP), True),
    (bytes(12) + b'\x08\x06' + bytes(28), True),  # ARP
], ids=['no TCP', 'half UDP', 'after options', 'no TCP, IPv6', 'half UDP, IPv6', 'extension', 'IPv4', 'IPv6', 'ARP'])
def test_what_can_not_be_read_does_not_leave(guards, sent, passed):
    assert passes(guards(attach=False), sent) == passed
    assert passes(guards(attach=False, mode='monitor'), sent)


# --- real sockets ---

DATAGRAM = {'connect': lambda s, to: s.connect(to), 'send': lambda s, to: s.sendto(b'x', to)}


def access(how, address, port, kind=socket.SOCK_DGRAM):
    def act():
        with socket.socket(FAMILY[ipaddress.ip_address(address).version], kind) as s:
            s.settimeout(5)
            DATAGRAM[how](s, (address, port))
    return outcome(act)


SOCKETS = dict(deny=[('net', ['198.51.100.0/24', '2001:db8:1::/48']), ('local', ['127.0.0.1/32', '::1/128'], [7])],
               allow=[('hole', ['198.51.100.128/25', '2001:db8:1:2::/64'], [443])])
QUESTIONS = [  # address, port, what is asked about: where it differs
    ('198.51.100.1', 80, None), ('198.51.100.129', 443, None), ('198.51.100.129', 80, None),
    ('203.0.113.1', 80, None), ('2001:db8:1::1', 443, None), ('2001:db8:1:2::1', 443, None),
    ('2001:db8:1:2::1', 53, None), ('2001:db8:2::1', 443, None), ('::ffff:198.51.100.1', 80, None),
    ('::ffff:198.51.100.129', 443, None), ('::ffff:203.0.113.1', 80, None), ('0.0.0.0', 7, '127.0.0.1'),
    ('0.0.0.0', 8, '127.0.0.1'), ('::', 7, '::1'), ('::', 8, '::1'), ('::ffff:0.0.0.0', 7, '127.0.0.1'),
    ('127.0.0.1', 7, None), ('::1', 7, None), (CANARY4, 9, None), (CANARY6, 9, None)]


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('default', ['allow', DENY])
def test_sockets_get_the_verdict_of_the_policy(guards, mode, default):
    policy = policy_of(mode=mode, default=default, **SOCKETS)
    guard = guards(policy)
    asked = [(how, address, port) for how in DATAGRAM for address, port, _meant in QUESTIONS]
    answers = guard.inside(lambda: [access(*question) for question in asked])
    totals = {how: {'allowed': 0, 'denied': 0, 'would_deny': 0} for how in DATAGRAM}
    for (how, address, port), answer in zip(asked, answers):
        meant = next(row[2] for row in QUESTIONS if row[:2] == (address, port)) or address
        denied, candidates = judge(policy, meant, port, UDP, resolvers=RESOLVERS)
        reachable = meant.startswith('127.') or meant == '::1'
        expected = 'EACCES' if denied and mode != 'monitor' else 'ok' if reachable else 'ENETUNREACH'
        assert answer == expected, (how, address, port)
        if candidates != {_abi.RULE_CANARY}:
            totals[how]['allowed' if not denied else 'would_deny' if mode == 'monitor' else 'denied'] += 1
    assert guard.counters() == counted(**totals)


@pytest.mark.parametrize('address', ['198.51.100.1', '2001:db8:1::1', '::ffff:198.51.100.1', CANARY4, CANARY6])
def test_tcp_connects_are_denied_at_once(guards, address):
    guard = guards(**SOCKETS)
    assert guard.inside(lambda: access('connect', address, 443, socket.SOCK_STREAM)) == 'EACCES'


@pytest.mark.parametrize('address, family, protocol, name', [
    ('198.51.100.1', socket.AF_INET, socket.IPPROTO_ICMP, 'icmp'), ('198.51.100.1', socket.AF_INET, 132, 'sctp'),
    ('2001:db8:1::1', socket.AF_INET6, socket.IPPROTO_ICMPV6, 'icmpv6')])
def test_raw_packets_are_denied_on_their_way_out(guards, address, family, protocol, name):
    guard = guards(**SOCKETS)

    def send():
        allowed = '2001:db8:2::1' if family == socket.AF_INET6 else '203.0.113.1'
        on_lo(address, allowed)
        with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
            return [outcome(lambda: raw.sendto(b'\x80\0' + bytes(14), (to, 0))) for to in (address, allowed)]

    assert guard.inside(send) == ['EPERM', 'ok']
    assert guard.counters()['send'] == {'allowed': 1, 'denied': 1, 'would_deny': 0}
    record, = guard.reader().denials(guard.denials())
    assert (record['rule'], record['protocol'], record['port']) == ('net', name, 0)


@pytest.mark.parametrize('port, denied', [('0-1023', False), ('1-1023', False), ('443', False)])
def test_a_rule_with_ports_says_nothing_of_protocols_without(guards, port, denied):
    guard = guards(attach=False, deny=[('some', ['198.51.100.0/24'], [port])])
    assert passes(guard, frame('198.51.100.1', 0, ICMP)) != denied


@pytest.mark.parametrize('address', ['198.51.100.1', '2001:db8:1::1'])
def test_sockets_of_earlier_rules_come_under_the_new_ones(guards, address):
    guard = guards()
    stricter = guards(attach=False, after=guard, **SOCKETS)

    def act():
        on_lo(address)
        family = FAMILY[ipaddress.ip_address(address).version]
        with socket.socket(family) as listener, socket.socket(family, socket.SOCK_DGRAM) as there:
            listener.bind((address, 0))
            listener.listen()
            there.bind((address, 0))
            guard.enter()
            with socket.socket(family) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
                tcp.connect(listener.getsockname()[:2])
                udp.connect(there.getsockname()[:2])
                peer, _from = listener.accept()
                peer.settimeout(0.5)
                answers = [outcome(lambda: udp.send(b'x')), outcome(lambda: (tcp.send(b'x'), peer.recv(1)))]
                guard.exchange(stricter)
                answers += [outcome(lambda: udp.send(b'x'))]
                tcp.send(b'x')
                with pytest.raises(TimeoutError):
                    peer.recv(1)
                return answers

    assert child(act) == ['ok', 'ok', 'EPERM']
    assert guard.counters()['send']['denied'] >= 2


# --- answers to clients ---

SERVER = {4: '192.0.2.77', 6: '2001:db8:77::77'}
CLIENT = {4: '198.51.100.7', 6: '2001:db8:1::7'}  # in a network that is denied


def converse(guard, version, bound, act):
    """A server inside answers a client outside, and then does act(listener, peer, address of the client).

    Returns what the client heard, what act returned, and what had been sent and denied after the server's end.
    """
    on_lo(SERVER[version], CLIENT[version])
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    server = os.fork()
    if not server:
        try:
            guard.enter()
            listener = socket.socket(FAMILY[ipaddress.ip_address(bound).version])
            listener.bind((bound, 0))
            listener.listen()
            theirs.sendall(struct.pack('!H', listener.getsockname()[1]))
            theirs.sendall(act(listener, listener.accept()[0], CLIENT[version]).encode())
        finally:
            os._exit(0)
    theirs.close()
    with socket.socket(FAMILY[version]) as client:
        client.settimeout(1)
        client.bind((CLIENT[version], 0))
        client.connect((SERVER[version], struct.unpack('!H', ours.recv(2))[0]))
        said = ours.recv(16).decode()
        heard = []
        while b'' not in heard:  # until the server's end of the connection is closed
            heard.append(client.recv(16))
        os.waitpid(server, 0)
        return b''.join(heard).decode(), said, guard.counters()['send']['denied']


def stay(listener, peer, _client):
    peer.sendall(b'hello')
    peer.shutdown(socket.SHUT_WR)
    return 'stayed'


def call_back(listener, peer, client):
    said = access('connect', client, 80, socket.SOCK_STREAM)
    stay(listener, peer, client)
    return said


def stop_listening(listener, peer, client):
    listener.close()
    return stay(listener, peer, client)


def end_while_connected(listener, peer, _client):
    peer.sendall(b'hello')
    listener.close()
    return 'ended'  # the kernel closes the connection after this


@pytest.mark.parametrize('version, bound', [(4, SERVER[4]), (4, '0.0.0.0'), (4, '::'), (6, SERVER[6]), (6, '::')])
@pytest.mark.parametrize('act, said', [(stay, 'stayed'), (call_back, 'EACCES'), (stop_listening, 'stayed'),
                                       (end_while_connected, 'ended')])
def test_a_daemon_inside_may_answer_a_denied_client(guards, version, bound, act, said):
    guard = guards(**SOCKETS)
    assert child(lambda: converse(guard, version, bound, act)) == ['hello', said, 0]
