# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's NAT leads packets elsewhere: what the process asked for is judged, and where they really go as well.

nftables in a network of the test's own. ASKED are addresses that packets are sent to, BEHIND those that they reach.
"""

from __future__ import annotations

import socket
import time

import pytest
from agent import answered
from wire import A, answer, over_tcp, question, record
from workbench import child, dropped, family, listener, nat, on_lo, outcome, until_the_end

LOADERS = ('libbpf', 'bcc')

ASKED = {4: '198.51.100.9', 6: '2001:db8:9::9'}
BEHIND = {4: '203.0.113.9', 6: '2001:db8:7::9'}
NAMES = dict(deny=[('github', ['.github.com'])])
DENIED, FINE = 'api.github.com', 'fine.test'
UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM
IP = {4: 'ip', 6: 'ip6'}

versions = pytest.mark.parametrize('version', [4, 6])
connects = pytest.mark.parametrize('connected', [True, False], ids=['connected', 'unconnected'])


def leads(version, port, there, protocols='{ tcp, udp }'):
    """The NAT leads a port of the address that is asked for to another endpoint."""
    on_lo(ASKED[version], BEHIND[version])
    address, to = there
    nat('%s daddr %s meta l4proto %s th dport %d dnat %s to %s:%d' % (
        IP[version], ASKED[version], protocols, port, IP[version], '[%s]' % address if version == 6 else address, to))


def sends(client, to, message, connected):
    if connected == 'elsewhere':
        client.connect(('::1' if client.family == socket.AF_INET6 else '127.0.0.1', 9))
    elif connected:
        client.connect(to)
        return outcome(lambda: client.send(message))
    return outcome(lambda: client.sendto(message, to))


def heard(server, seconds=5.0):
    """What comes next, or None."""
    server.settimeout(seconds)
    try:
        return server.recv(4096)
    except TimeoutError:
        return None


def told(guard):
    return [(each['kind'], each['rule'], each['name'], each['address'], each['port'])
            for each in guard.reader().denials(guard.denials())]


# --- questions to a server whose port 53 is another one ---

def resolving(guard, version, act, prepare=lambda guard: None, masquerade=False, mode=UDP):
    """What act(server, the endpoint that is asked) returns in the guard; the server is behind the NAT, at port 5353."""
    def run():
        leads(version, 53, (BEHIND[version], 5353))
        if masquerade:
            nat('%s daddr %s masquerade' % (IP[version], BEHIND[version]), chain='postrouting', priority=100)
        with listener(BEHIND[version], 5353, mode) as server:
            prepare(guard)
            guard.enter()
            return act(server, (ASKED[version], 53))
    return child(run)


@versions
@connects
@pytest.mark.parametrize('masquerade', [False, True], ids=['', 'masquerade'])
def test_a_denied_question_is_answered(guards, version, connected, masquerade):
    """As from the server that was asked, and the other server hears nothing of it. The allowed one gets there."""
    guard = guards(**NAMES)

    def act(server, to):
        with socket.socket(family(to[0]), UDP) as client:
            client.settimeout(2)
            sends(client, to, question(DENIED, identity=1), connected)
            got, source = client.recvfrom(4096)
            sends(client, to, question(FINE, identity=2), connected)
            asked, peer = server.recvfrom(4096)
            server.sendto(answer(FINE, [record(A, bytes(4))]), peer)
            return got[:4].hex(), source[:2], asked[:2].hex(), client.recvfrom(4096)[1][:2]

    to = [ASKED[version], 53]
    assert resolving(guard, version, act, answered, masquerade) == ['00018183', to, '0002', to]
    assert told(guard) == [('dns', 'github', DENIED, ASKED[version], 53)]


@versions
@pytest.mark.parametrize('connected', [True, False, 'elsewhere'])
def test_without_an_agent_the_send_fails(guards, version, connected):
    guard = guards(**NAMES)

    def act(server, to):
        with socket.socket(family(to[0]), UDP) as client:
            return sends(client, to, question(DENIED), connected), heard(server, 0.2)

    assert resolving(guard, version, act) == ['EPERM', None]
    assert told(guard) == [('dns', 'github', DENIED, ASKED[version], 53)]


@versions
@pytest.mark.parametrize('mode', ['enforce', 'monitor'])
def test_questions_over_tcp(guards, version, mode):
    guard = guards(mode=mode, **NAMES)

    def act(server, to):
        said = []
        for name in (FINE, DENIED):
            with socket.create_connection(to, 5) as client, server.accept()[0] as peer:
                said.append(dropped(client, lambda: client.sendall(over_tcp(question(name)))))
                client.close()
                said.append(len(until_the_end(peer, said[-1] == 'DROPPED')))
        return said

    size = [len(over_tcp(question(name))) for name in (FINE, DENIED)]
    assert resolving(guard, version, act, mode=TCP) == ['ok', size[0]] + (
        ['DROPPED', 0] if mode == 'enforce' else ['ok', size[1]])
    assert told(guard) == [('dns', 'github', DENIED, ASKED[version], 53)]


# --- a service that may be reached, with a server behind it that no rule speaks of ---

@versions
def test_in_a_sealed_room_an_allowed_service_may_be_elsewhere(guards, version):
    guard = guards(default='deny', allow=[('service', [ASKED[version]])])

    def run():
        leads(version, 9000, (BEHIND[version], 9000))
        with listener(BEHIND[version], 9000, UDP) as datagrams, listener(BEHIND[version], 9000) as server:
            guard.enter()
            said = []
            for connected in (True, False):
                with socket.socket(family(BEHIND[version]), UDP) as client:
                    said += [sends(client, (ASKED[version], 9000), b'x', connected), heard(datagrams) == b'x']
            with socket.create_connection((ASKED[version], 9000), 5) as client, server.accept()[0] as peer:
                client.sendall(b'hello')
                client.close()
                return said + [until_the_end(peer).decode()] + [
                    outcome(lambda: socket.create_connection((BEHIND[version], 9000), 5))]

    assert child(run) == ['ok', True, 'ok', True, 'hello', 'EACCES']
    assert [each[0] for each in told(guard)] == ['connect']


# --- a server in a denied network, behind an address that no rule speaks of ---

def behind_denied(guard, version, act):
    def run():
        leads(version, 9000, (BEHIND[version], 9001))
        with listener(BEHIND[version], 9001, UDP) as datagrams, listener(BEHIND[version], 9001) as server:
            guard.enter()
            return act(datagrams, server, (ASKED[version], 9000))
    return child(run)


def denied_behind(version):
    return dict(deny=[('net', [BEHIND[version]])])


@versions
@connects
@pytest.mark.parametrize('mode', ['enforce', 'monitor'])
def test_datagrams_do_not_get_to_a_denied_network(guards, version, connected, mode):
    guard = guards(mode=mode, **denied_behind(version))

    def act(datagrams, _server, to):
        with socket.socket(family(to[0]), UDP) as client:
            return sends(client, to, b'x', connected), heard(datagrams, 0.2 if mode == 'enforce' else 5) == b'x'

    assert behind_denied(guard, version, act) == (['EPERM', False] if mode == 'enforce' else ['ok', True])
    assert told(guard) == [('send', 'net', None, BEHIND[version], 9001)]


@versions
@pytest.mark.parametrize('mode', ['enforce', 'monitor'])
def test_connections_do_not_get_to_a_denied_network(guards, version, mode):
    """Not even their first packet. Without an agent TCP tries that once or twice again, and gives up."""
    guard = guards(mode=mode, **denied_behind(version))

    def act(_datagrams, server, to):
        began = time.monotonic()
        server.settimeout(0.2)
        with socket.socket(family(to[0])) as client:
            client.settimeout(5)
            said = outcome(lambda: client.connect(to))
            print('%s after %.2f s' % (said, time.monotonic() - began))
            return said, arrives(server), time.monotonic() - began < 4

    assert behind_denied(guard, version, act) == (
        ['ok', True, True] if mode == 'monitor' else ['ETIMEDOUT', False, True])
    assert set(told(guard)) == {('send', 'net', None, BEHIND[version], 9001)}


def arrives(server):
    try:
        server.accept()[0].close()
    except TimeoutError:
        return False
    return True


# --- a connected socket that sends elsewhere ---

@versions
@pytest.mark.parametrize('connected_to', ['asked', 'other'])
def test_a_connected_socket_that_sends_elsewhere(guards, version, connected_to):
    """To the address that the NAT leads to a denied network, and to the one that may be reached: each on its own."""
    guard = guards(**denied_behind(version))
    other = {4: '192.0.2.9', 6: '2001:db8:5::9'}[version]

    def act(datagrams, _server, to):
        on_lo(other)
        places = {'asked': to, 'other': (other, 9000)}
        with listener(other, 9000, UDP) as fine, socket.socket(family(other), UDP) as client:
            client.connect(places[connected_to])
            said = [outcome(lambda: client.sendto(b'x', places[place])) for place in ('other', 'asked', 'other')]
            said += [outcome(lambda: client.send(b'x')), heard(fine) == b'x', heard(fine) == b'x', heard(datagrams, 0.2)]
            return said

    assert behind_denied(guard, version, act) == [
        'ok', 'EPERM', 'ok', 'EPERM' if connected_to == 'asked' else 'ok', True, True, None]
    assert set(told(guard)) == {('send', 'net', None, BEHIND[version], 9001)}


# --- other rules while a connection is open ---

@versions
@pytest.mark.parametrize('kind', [UDP, TCP], ids=['UDP', 'TCP'])
@pytest.mark.parametrize('which', ['asked', 'behind', 'neither'])
def test_new_rules_judge_what_is_open(guards, version, kind, which):
    networks = {'asked': ASKED, 'behind': BEHIND, 'neither': {4: '192.0.2.9', 6: '2001:db8:5::9'}}[which]
    guard = guards()
    stricter = guards(attach=False, after=guard, deny=[('net', [networks[version]])])

    def run():
        leads(version, 9000, (BEHIND[version], 9001))
        with listener(BEHIND[version], 9001, kind) as server:
            guard.enter()
            with socket.socket(family(BEHIND[version]), kind) as client:
                client.connect((ASKED[version], 9000))
                peer = server if kind == UDP else server.accept()[0]
                client.send(b'x')
                before = heard(peer)
                guard.exchange(stricter)
                said = outcome(lambda: client.send(b'y'))
                return before == b'x', said, heard(peer, 0.2 if denied else 5) == b'y'

    denied = which != 'neither'
    assert child(run) == [True, 'EPERM' if denied and kind == UDP else 'ok', not denied]
    assert {each[3:] for each in told(stricter)} == (
        {(ASKED[version], 9000) if which == 'asked' else (BEHIND[version], 9001)} if denied else set())
