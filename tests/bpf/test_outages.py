# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills: how what is denied is down. By the programs and the agent's thread, in a network that has lo alone."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import subprocess
import threading
import time

import pytest
from agent import answered
from wire import AAAA, client_hello, over_tcp, question
from workbench import child, family, listener, on_lo

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

LOADERS = ('libbpf', 'bcc')

NET4, NET6, FINE4, FINE6 = '198.51.100.1', '2001:db8:1::1', '203.0.113.2', '2001:db8:2::2'
ADDRESSES = (NET4, NET6, FINE4, FINE6)
DENIED, FINE, PORT = 'api.github.com', 'fine.test', 9000
RULES = dict(mode='drill', deny=[('net', ['198.51.100.0/24', '2001:db8:1::/48']), ('github', ['.github.com'])])
WAITS = 'waits'  # no error, and nothing comes
PATIENCE = {'timeout': 0.4}  # seconds, for what comes at once; else it is enough that it comes


def ends(act):
    """How it ends, at once or not at all."""
    try:
        said = act() or 'ok'
    except OSError as error:
        return errno.errorcode.get(error.errno, WAITS)  # of Python's own limit there is none
    return said


def connects(address, port=PORT):
    def act():
        with socket.create_connection((address, port)):
            pass
    return act


def sends(address, connected):
    """A datagram to somebody who would answer."""
    def act():
        with socket.socket(family(address), socket.SOCK_DGRAM) as client:
            if connected:
                client.connect((address, PORT))
                client.send(b'x')
            else:
                client.sendto(b'x', (address, PORT))
            client.recv(10)
    return act


def asks(address, name=DENIED):
    """What the answer says; of one of ours, which is never our server's."""
    def act():
        with socket.socket(family(address), socket.SOCK_DGRAM) as client:
            client.connect((address, 53))
            client.send(question(name))
            return {0: 'ok', 2: 'SERVFAIL', 3: 'NXDOMAIN'}[client.recv(4096)[3] & 15]
    return act


def presents(address, first, patience=None):
    def act():
        with socket.create_connection((address, PORT)) as client:
            client.settimeout(patience or client.gettimeout())
            client.sendall(first)
            client.recv(10)
    return act


def get(name):
    return b'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' % name.encode()


ATTEMPTS = {
    'connect': connects(NET4), 'connect6': connects(NET6),
    'UDP': sends(NET4, False), 'UDP6': sends(NET6, False), 'connected UDP': sends(NET4, True), 'connected UDP6': sends(NET6, True),
    'DNS': asks(FINE4), 'DNS6': asks(FINE6),
    'TLS': presents(FINE4, client_hello(DENIED)), 'HTTP': presents(FINE4, get(DENIED)), 'HTTP6': presents(FINE6, get(DENIED)),
}
ENDS = {  # of those to an address, of a question, of those that present a name
    'refused': ('ECONNREFUSED', 'ok', 'ECONNRESET'), 'timeout': (WAITS, WAITS, WAITS),
    'unresolvable': ('ECONNREFUSED', 'NXDOMAIN', 'ECONNRESET'), 'denied': ('EACCES', 'NXDOMAIN', 'ETIMEDOUT'),  # here no agent ends what is denied
}
KINDS = {'connect': 4, 'send': 2, 'dns': 2, 'tls': 1, 'http': 2}  # denied: each once, however often it is sent


def kind_of(attempt):
    return 1 if attempt.startswith('DNS') else 2 if attempt.startswith(('TLS', 'HTTP')) else 0


@contextlib.contextmanager
def servers(*addresses):
    """They answer everything that they hear, until the test is over; what they heard, in a list."""
    heard, opened = [], []
    for address in addresses:
        opened += [listener(address, port, kind) for port in (PORT, 53) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]

    def serve():
        waiting = dict.fromkeys(opened, b'')
        while waiting:
            try:
                ready = select.select(list(waiting), [], [])[0]
            except (OSError, ValueError):
                return
            for one in ready:
                with contextlib.suppress(OSError):
                    if one.type == socket.SOCK_DGRAM:
                        message, peer = one.recvfrom(4096)
                        heard.append(message)
                        one.sendto(message[:2] + b'\x81\x80' + message[4:], peer)
                    elif one in opened:
                        waiting[one.accept()[0]] = b''
                    else:
                        message = one.recv(4096)
                        heard.append(message)
                        if not message:
                            del waiting[one]
                            one.close()
                        elif one.getsockname()[1] == 53:
                            waiting[one] += message
                            if len(waiting[one]) >= 2 + int.from_bytes(waiting[one][:2], 'big'):  # all of them, with it
                                one.sendall(waiting[one].replace(b'\1\0\0\1', b'\x81\x80\0\1'))
                        else:
                            one.sendall(b'x')
    threading.Thread(target=serve, daemon=True).start()
    yield heard


def drilled(guard, act, prepare=answered, outage=None):
    def run():
        socket.setdefaulttimeout(PATIENCE.get(outage or guard.policy.outage, 5))
        on_lo(*ADDRESSES)
        with servers(*ADDRESSES) as heard:
            prepare(guard)
            guard.enter()
            return act(heard)
    return child(run)


@pytest.mark.parametrize('outage', list(ENDS))
def test_each_access_is_down_as_the_policy_says(guards, outage):
    guard = guards(**dict(RULES, outage=outage))
    told = drilled(guard, lambda heard: [{name: ends(act) for name, act in ATTEMPTS.items()}, len(heard)])
    assert told[0] == {name: ENDS[outage][kind_of(name)] for name in ATTEMPTS}
    assert told[1] == (2 if outage == 'refused' else 0)
    counters = guard.counters()
    wanted = dict(KINDS, dns=0 if outage == 'refused' else 2)
    assert {kind: counters[kind]['denied'] for kind in wanted} == wanted
    assert {row['outage'] for row in guard.reader().denials(guard.denials())} == {outage}


def test_servfail_where_the_policy_says_so(guards):
    guard = guards(outage='unresolvable', unresolvable='servfail', **RULES)
    assert drilled(guard, lambda _heard: [ends(ATTEMPTS[name]) for name in ('DNS', 'DNS6', 'connect')]) == [
        'SERVFAIL', 'SERVFAIL', 'ECONNREFUSED']


def test_a_rule_has_an_outage_of_its_own_and_nothing_else_is_touched(guards):
    policy = check({'version': 1, 'mode': 'drill', 'outage': 'timeout', 'deny': [
        {'id': 'net', 'reason': 'a test', 'networks': [NET4]},
        {'id': 'net6', 'reason': 'a test', 'networks': [NET6], 'outage': 'refused'},
        {'id': 'github', 'reason': 'a test', 'hosts': ['.github.com'], 'outage': 'denied'},
        {'id': 'wiki', 'reason': 'a test', 'hosts': ['wiki.test'], 'outage': 'unresolvable'}]})
    guard = guards(policy, observe=True)
    attempts = [ATTEMPTS['connect'], ATTEMPTS['connect6'], asks(FINE4), asks(FINE4, 'wiki.test'), presents(FINE4, get('wiki.test')),
                connects(FINE4), sends(FINE6, True), sends(FINE6, False), asks(FINE6, FINE), presents(FINE6, get(FINE)),
                presents(FINE4, client_hello(FINE))]
    assert drilled(guard, lambda _heard: [ends(act) for act in attempts]) == [
        WAITS, 'ECONNREFUSED', 'NXDOMAIN', 'NXDOMAIN', 'ECONNRESET', *['ok'] * 6]
    told = {row['rule']: row['outage'] for row in guard.reader().denials(guard.denials())}
    assert told == {'net': 'timeout', 'net6': 'refused', 'github': 'denied', 'wiki': 'unresolvable'}


@pytest.mark.parametrize('mode, ends_with', [('enforce', 'EACCES'), ('monitor', 'ok')])
def test_other_modes_take_no_notice(guards, mode, ends_with):
    guard = guards(**dict(RULES, mode=mode, outage='timeout'))
    assert drilled(guard, lambda _heard: [ends(ATTEMPTS[name]) for name in ('connect', 'UDP', 'connected UDP6')]) == [ends_with] * 3
    assert {row['outage'] for row in guard.reader().denials(guard.denials())} == {None}


# --- DNS over TCP ---

def asks_by_tcp(address, *messages, apart=False):
    """What the answers say, and whether each has the number of its question."""
    def act():
        with socket.create_connection((address, 53)) as client:
            sent = b''.join(map(over_tcp, messages))
            for part in (sent[:20], sent[20:]) if apart else (sent,):
                client.sendall(part)
                time.sleep(0.05)
            told = b''
            while len(told) < 12 * len(messages):
                more = client.recv(4096)
                if not more:
                    return 'an end'
                told += more
            first = told[2:2 + int.from_bytes(told[:2], 'big')]
            assert [first[:2]] + [told[len(first) + 4:len(first) + 6]] * (len(messages) > 1) == [one[:2] for one in messages]
            return {0: 'ok', 2: 'SERVFAIL', 3: 'NXDOMAIN'}[first[3] & 15]
    return act


def edns(message):
    return message[:11] + b'\1' + message[12:] + struct.pack('!xHHBBHH', 41, 1232, 0, 0, 0, 0)


PAIR = [question(DENIED, identity=7), question(DENIED, kind=AAAA, identity=8)]


@pytest.mark.parametrize('outage, ends_with', [('refused', 'ok'), ('timeout', WAITS), ('unresolvable', 'NXDOMAIN')])
def test_a_question_over_tcp(guards, outage, ends_with):
    guard = guards(**dict(RULES, outage=outage))
    attempts = [asks_by_tcp(FINE4, PAIR[0]), asks_by_tcp(FINE6, *PAIR), asks_by_tcp(FINE4, *map(edns, PAIR)),
                asks_by_tcp(FINE4, PAIR[0], apart=True), asks_by_tcp(FINE4, question(FINE))]
    told = drilled(guard, lambda heard: [ends(act) for act in attempts] + [len([one for one in heard if b'github' in one])])
    assert told[:5] == [ends_with] * 4 + ['ok']
    assert bool(told[5]) == (outage == 'refused')


@pytest.mark.parametrize('messages', [
    [question(FINE), question(DENIED)], [question('a' * 63 + '.' + 'b' * 63 + '.' + 'c' * 63 + '.' + 'd' * 40 + '.github.com')],
    [question(DENIED, flags=0x2800)]], ids=['another name before', 'too long', 'an update'])
def test_what_can_not_be_answered_over_tcp_is_reset(guards, messages):
    guard = guards(outage='unresolvable', **RULES)
    assert drilled(guard, lambda _heard: ends(asks_by_tcp(FINE4, *messages))) == 'ECONNRESET'


def test_a_connection_with_an_answer_is_good_for_nothing_else(guards):
    guard = guards(outage='unresolvable', **RULES)

    def act(_heard):
        with socket.create_connection((FINE4, 53)) as client:
            client.sendall(over_tcp(question(DENIED)))
            client.recv(4096)
            client.sendall(over_tcp(question(FINE)))
            return ends(lambda: client.recv(4096))

    assert drilled(guard, act) == 'ECONNRESET'


# --- what was open before ---

def before(guards, outage, act):
    """What act(client) returns of a TCP or UDP socket that was connected before its peer was denied. And the guard."""
    guard = guards(mode='drill')
    later = guards(after=guard, attach=False, **dict(RULES, outage=outage))

    def run(_heard):
        told = []
        for address in (NET4, NET6):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(family(address), kind) as client:
                    client.connect((address, PORT))
                    client.send(b'before')
                    client.recv(10)
                    guard.exchange(later)
                    told.append(ends(lambda: act(client)))
                    later.exchange(guard)
        return told

    later.links = guard.links
    try:
        return drilled(guard, run, lambda _guard: answered(later), outage), later
    finally:
        later.links = []


def speaks(client):
    """What comes back of two messages: UDP hears of the first one's fate by the second."""
    for _turn in range(2):
        client.send(b'after')
        time.sleep(0.05)
    client.recv(10)


@pytest.mark.parametrize('outage, tcp, udp', [('refused', 'ECONNRESET', 'ECONNREFUSED'), ('timeout', WAITS, WAITS),
                                              ('unresolvable', 'ECONNRESET', 'ECONNREFUSED')])
def test_what_was_open_before(guards, outage, tcp, udp):
    told, later = before(guards, outage, speaks)
    assert told == [tcp, udp] * 2
    assert {row['outage'] for row in later.reader().denials(later.denials())} == {outage}


def test_a_stream_stops_at_once_and_goes_on_when_it_is_allowed_again(guards):
    """Its server sends and sends, and the client only reads."""
    guard = guards(mode='drill')
    later = guards(after=guard, attach=False, **dict(RULES, outage='timeout'))

    def run():
        on_lo(*ADDRESSES)
        with listener(NET4) as server:
            guard.enter()
            with socket.create_connection(server.getsockname()) as client, server.accept()[0] as peer:
                client.settimeout(PATIENCE['timeout'])
                peer.sendall(b'1')
                told = [client.recv(10).decode()]
                guard.exchange(later)
                peer.sendall(b'2')
                told.append(ends(lambda: client.recv(10)))
                told.append(sum(value.count for _key, value in later.denials()))
                later.exchange(guard)
                client.settimeout(5)
                return told + [client.recv(10).decode()]

    later.links = guard.links
    try:
        assert child(run) == ['1', WAITS, 1, '2']
    finally:
        later.links = []


# --- without a living agent ---

@pytest.mark.parametrize('outage, told', [
    ('refused', ['ECONNREFUSED', 'ECONNREFUSED', 'ok', 'ETIMEDOUT']), ('timeout', [WAITS] * 4),
    ('unresolvable', ['ECONNREFUSED', 'ECONNREFUSED', 'EPERM', 'ETIMEDOUT'])])
def test_without_an_agent_nothing_gets_through(guards, outage, told):
    guard = guards(**dict(RULES, outage=outage))
    attempts = [ATTEMPTS[name] for name in ('connect', 'UDP6', 'DNS', 'HTTP')]
    assert drilled(guard, lambda heard: [ends(act) for act in attempts] + [len(heard)], lambda _guard: None) == [
        *told, outage == 'refused']


# --- how long it takes ---

LIMITS = {'tcp_syn_retries': 1, 'tcp_syn_linear_timeouts': 0, 'tcp_retries2': 3}  # instead of minutes


def seconds(act):
    began = time.monotonic()
    assert ends(act) == 'ETIMEDOUT'
    return round(time.monotonic() - began, 1)


def test_it_takes_as_long_as_at_an_address_that_swallows(guards):
    """TCP gives up by its own clock: a connection that opens, and one that is open."""
    guard = guards(outage='timeout', mode='drill', deny=[('net', [NET4]), ('github', ['.github.com'])])

    def act(_heard):
        for name, value in LIMITS.items():
            with contextlib.suppress(FileNotFoundError), open('/proc/sys/net/ipv4/' + name, 'w') as limit:
                limit.write(str(value))
        told = {}
        with socket.create_connection((NET6, PORT)) as client:  # whose packets are lost from now on
            subprocess.run(['nft', 'add table ip6 lost; add chain ip6 lost in { type filter hook input priority 0; }; '
                            'add rule ip6 lost in ip6 daddr %s drop' % NET6], check=True)

            def lost():
                client.settimeout(30)
                client.send(b'x')
                return client.recv(10)

            acts = {'opens': lambda: socket.create_connection((NET4, PORT), 30), 'opens really': lambda: socket.create_connection(
                (NET6, PORT), 30), 'open': presents(FINE4, get(DENIED), 30), 'open really': lost}
            threads = [threading.Thread(target=lambda name=name, one=one: told.update({name: seconds(one)}))
                       for name, one in acts.items()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return told

    told = drilled(guard, act)
    print(told)
    # data that is dropped before it leaves is tried as often, but TCP has no answer to the time before, and gives up a bit earlier
    for what, least in (('opens', 0.8), ('open', 0.3)):
        assert told[what + ' really'] * least < told[what] < told[what + ' really'] * 1.3 and told[what] > 1.5, told
