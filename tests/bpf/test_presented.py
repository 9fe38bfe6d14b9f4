# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What TCP connections present: names in TLS and HTTP are judged, and everything else arrives as it was sent.

Real connections over lo. The server stands outside the guard and hears every byte that leaves it.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import tempfile
import threading
import time

import pytest
from lacking import Lack, skip
from policies import policy_of
from wire import A, CNAME, answer, answer_frame, client_hello, extension, in_records, long_protocols, made_hello, \
    question, record, sni, wire_name
from workbench import Guard, child, dropped, family, listener, outcome, until_the_end

LOADERS = ('libbpf', 'bcc')

RULES = dict(deny=[('github', ['.github.com']), ('https', ['ports.test'], [443])],
             allow=[('mirror', ['.mirror.github.com'])])
SERVER = '127.0.0.2'  # of 127.0.0.1 no name is learned
DENIED, FINE = 'api.github.com', 'fine.test'


@pytest.fixture(scope='module')
def made():
    """{policy's mode: a guard for the whole file}."""
    guards = {}

    def make(mode='enforce'):
        if mode not in guards:
            guards[mode] = Guard(policy_of(mode=mode, **RULES)).attach()
        return guards[mode]

    yield make
    for guard in guards.values():
        guard.close()


def talk(guard, acts, to=SERVER, port=0):
    """[(how act(client) ended, what the server heard)] for each act, on a connection of its own."""
    def run():
        told = []
        with listener(to, port) as server:
            guard.enter()
            for act in acts:
                with socket.socket(family(to)) as client:
                    client.settimeout(5)
                    client.connect(server.getsockname()[:2])
                    peer, _from = server.accept()
                    said = dropped(client, lambda: act(client))
                with peer:
                    told.append((said, until_the_end(peer, said != 'ok').hex()))
        return told

    return [(said, bytes.fromhex(heard)) for said, heard in child(run)]


def sending(*parts):
    return lambda client: [client.sendall(part) for part in parts]


def refused(count=1):
    return [('DROPPED', b'')] * count


# --- TLS ---

EMPTY, ALERT, CHANGE = b'\x16\3\1\0\0', b'\x15\3\1\0\2\1\0', b'\x14\3\3\0\1\1'
HELLOS = [  # ClientHello, denied
    ('a denied name', client_hello(DENIED), True), ('the name itself', client_hello('github.com'), True),
    ('upper case', client_hello('API.GitHub.COM'), True),
    ('an allowed name below', client_hello('mirror.github.com'), False),
    ('a name without a rule', client_hello(FINE), False), ('not github', client_hello('notgithub.com'), False),
    ('no name', client_hello(None), False), ('ports that are not these', client_hello('ports.test'), False),
    ('1,600 bytes', client_hello(DENIED, long_protocols(1400)), True),
    ('1,600 bytes, fine', client_hello(FINE, long_protocols(1400)), False),
    ('3,000 bytes', client_hello(DENIED, long_protocols(2700)), True),
    ('3,000 bytes, fine', client_hello(FINE, long_protocols(2700)), False),
    ('4,500 bytes', client_hello(DENIED, long_protocols(4200)), True),
    ('a session', made_hello(sni(b'api.github.com'), session=bytes(range(32))), True),
    ('a session, fine', made_hello(sni(b'fine.test'), session=bytes(range(32))), False),
    ('TLS 1.0', made_hello(sni(b'api.github.com'), version=0x0301), True),
    ('many ciphers', made_hello(sni(b'api.github.com'), ciphers=b'\x13\x01' * 400), True),
    ('the name last', made_hello(extension(16, bytes(500)) + extension(43, b'\2\3\4') + sni(b'api.github.com')), True),
    ('63 extensions in front', made_hello(extension(99, b'') * 63 + sni(b'api.github.com')), True),
    ('64 extensions in front', made_hello(extension(99, b'') * 64 + sni(b'fine.test')), True),
    ('a dot at the end', made_hello(sni(b'api.github.com.')), True),
    ('an address', made_hello(sni(b'198.51.100.1')), False),
    ('another kind of name', made_hello(sni(b'fine.test', kind=1)), True),
    ('a name of 300 bytes', made_hello(sni(b'a' * 300)), True),
    ('an empty name', made_hello(sni(b'')), False),
    ('what ends a host in HTTP', made_hello(sni(b'fine.test/.github.com')), True),
    ('a space in front', made_hello(sni(b' github.com')), True),
    ('a control character', made_hello(sni(b'\1x.github.com')), True),
    ('no extensions', made_hello(b''), False),
    ('several records', in_records(made_hello(sni(b'api.github.com'))[5:], 40), True),
    ('several records, fine', in_records(made_hello(sni(b'fine.test'))[5:], 40), False),
    ('a hello of OpenSSL in records', in_records(client_hello(FINE)[5:], 100), False),
    ('a byte a record', in_records(made_hello(sni(b'api.github.com'))[5:], 1), True),
    ('3 bytes a record, fine', in_records(made_hello(sni(b'fine.test'))[5:], 3), False),
    ('more than 128 records', in_records(client_hello(FINE)[5:], 1), True),
    ('a record of 3,000 bytes and one more', in_records(client_hello(FINE, long_protocols(3000))[5:], 3000), False),
    ('more than fits, in records', in_records(client_hello(FINE, long_protocols(4500))[5:], 3000), True),
    ('more than fits, fine', made_hello(sni(b'fine.test') + extension(16, bytes(5000))), False),
    ('more than fits, the name last', made_hello(extension(16, bytes(5000)) + sni(b'fine.test')), True),
    ('an empty record first', EMPTY + client_hello(DENIED), True),
    ('an empty record first, fine', EMPTY + client_hello(FINE), False),
    ('an alert first', ALERT + client_hello(DENIED), True), ('an alert first, fine', ALERT + client_hello(FINE), False),
    ('a change of ciphers first', CHANGE + client_hello(DENIED), True),
    ('a change of ciphers first, fine', CHANGE + client_hello(FINE), False),
    ('an alert between', in_records(client_hello(FINE)[5:105]) + ALERT + in_records(client_hello(FINE)[105:]), False),
    ('data first', ALERT + b'\x17\3\3\0\0' + client_hello(FINE), True),
    ('two names', made_hello(extension(0, b'\0\x18\0\0\x09fine.test\0\0\x09fine.test')), True),
    ('two extensions', made_hello(sni(b'fine.test') + sni(b'fine.test')), True),
    ('a list that is longer', made_hello(extension(0, b'\0\x0d\0\0\x09fine.test')), True),
    ('an extension that ends late', made_hello(sni(b'fine.test') + b'\0\x10\0\4\0')[:-1] + b'\0\0\0', True),
    ('no hello', b'\x16\x03\x01\0\4\x02\0\0\0', True),
    ('lengths that lie', b'\x16\x03\x01\0\x30' + made_hello(sni(b'fine.test'))[5:], True),
]


@pytest.mark.parametrize('to', [SERVER, '::1'])
def test_client_hellos(made, to):
    told = talk(made(), [sending(hello) for _name, hello, _denied in HELLOS], to)
    for (name, hello, denied), said in zip(HELLOS, told):
        assert said == (('DROPPED', b'') if denied else ('ok', hello)), name


def test_a_rule_with_ports_speaks_of_names_at_these_ports(made):
    hello = client_hello('ports.test')
    assert talk(made(), [sending(hello)], port=443) == refused()
    assert talk(made(), [sending(hello)], port=444) == [('ok', hello)]


@pytest.mark.parametrize('name, ends', [(DENIED, 'DROPPED'), (FINE, 'ok')])
def test_a_hello_in_pieces(made, name, ends):
    hello = client_hello(name, long_protocols(1500))
    acts = [sending(hello[:place], hello[place:]) for place in [1, 2, 3, 4, 5, 6, 9] + list(range(50, len(hello), 50))]
    acts += [sending(*(hello[start:start + size] for start in range(0, len(hello), size))) for size in (1, 7, 50, 700)]
    acts += [lambda client: client.sendmsg([hello[index:index + 1] for index in range(len(hello))][:1000])
             ] if len(hello) <= 1000 else []
    for said, heard in talk(made(), acts):
        assert said == ends and (heard == hello if ends == 'ok' else len(heard) < len(hello) and hello.startswith(heard))


@pytest.mark.parametrize('name, ends', [(DENIED, 'DROPPED'), (FINE, 'ok')])
def test_a_hello_in_iovecs_of_one_byte(made, name, ends):
    hello = made_hello(sni(name.encode()) + extension(16, bytes(200)))
    assert talk(made(), [lambda client: client.sendmsg([hello[i:i + 1] for i in range(len(hello))])]) == [
        (ends, hello if ends == 'ok' else b'')]


def test_half_a_hello_and_the_end(made):
    """No server can act on it, so it passes."""
    hello = client_hello(DENIED)
    (said, heard), = talk(made(), [lambda client: (client.sendall(hello[:200]), client.shutdown(socket.SHUT_WR))])
    assert (said, heard) == ('ok', hello[:200])


def test_after_the_hello_everything_passes(made):
    hello, other = client_hello(FINE), client_hello(DENIED)
    assert talk(made(), [sending(hello, other), sending(hello + other)]) == [('ok', hello + other)] * 2


def test_names_in_records(guards):
    guard = guards(**RULES)
    talk(guard, [sending(client_hello('API.github.com')), sending(b'GET / HTTP/1.1\r\nHost: GitHub.com\r\n\r\n'),
                 sending(client_hello('mirror.github.com'))])
    found = guard.reader().denials(guard.denials())
    told = [(record['kind'], record['name'], record['rule'], record['protocol'], record['address']) for record in found]
    assert told == [
        ('tls', 'api.github.com', 'github', 'tcp', SERVER), ('http', 'github.com', 'github', 'tcp', SERVER)]
    counters = guard.counters()
    assert [counters[kind] for kind in ('tls', 'http')] == [
        {'allowed': 1, 'denied': 1, 'would_deny': 0}, {'allowed': 0, 'denied': 1, 'would_deny': 0}]


def test_monitor_mode_passes_and_records(made):
    guard = made('monitor')
    parts = [client_hello(DENIED), b'GET / HTTP/1.1\r\nHost: github.com\r\n\r\n',
             b'\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff']
    assert talk(guard, [sending(part) for part in parts]) == [('ok', part) for part in parts]
    assert {(record['kind'], record['name']) for record in guard.reader().denials(guard.denials())} == {
        ('tls', DENIED), ('http', 'github.com'), ('tls', None)}


# --- HTTP ---

def request(head, *lines):
    return '\r\n'.join([head, *lines, '', '']).encode()


REQUESTS = [  # request, denied
    (request('GET / HTTP/1.1', 'Host: api.github.com'), True),
    (request('GET / HTTP/1.1', 'host:API.GITHUB.COM'), True),
    (request('GET / HTTP/1.1', 'HOST:   github.com:8080'), True),
    (request('GET / HTTP/1.1', 'hOsT:\tgithub.com  '), True),
    (request('GET / HTTP/1.1', 'Host: fine.test'), False),
    (request('GET / HTTP/1.1', 'Host: mirror.github.com'), False),
    (request('GET /github.com HTTP/1.1', 'X-Host: github.com', 'Host: fine.test', 'Referer: http://github.com/'), False),
    (request('POST / HTTP/1.1', 'User-Agent: x', 'Accept: */*', 'Host: github.com') + b'body', True),
    (request('GET / HTTP/1.0', 'Host: github.com'), True), (request('GET / HTTP/1.0'), False),
    (request('GET http://api.github.com/x HTTP/1.1', 'Host: fine.test'), True),
    (request('GET HTTP://user:secret@github.com:80/x HTTP/1.1', 'Host: fine.test'), True),
    (request('GET http://fine.test/?u=http://github.com/ HTTP/1.1', 'Host: fine.test'), False),
    (request('GET https://github.com HTTP/1.1'), True), (request('CONNECT github.com:443 HTTP/1.1'), True),
    (request('CONNECT api.github.com:443 HTTP/1.1', 'Host: fine.test'), True),
    (request('CONNECT fine.test:443 HTTP/1.1', 'Host: fine.test'), False),
    (request('CONNECT ports.test:443 HTTP/1.1'), True), (request('CONNECT ports.test:8443 HTTP/1.1'), False),
    (request('GET http://ports.test:443/ HTTP/1.1'), True), (request('GET http://ports.test/ HTTP/1.1'), False),
    (request('CONNECT 198.51.100.1:443 HTTP/1.1'), False), (request('CONNECT [2001:db8::1]:443 HTTP/1.1'), False),
    (request('OPTIONS * HTTP/1.1', 'Host: github.com'), True),
    (request('PROPFIND / HTTP/1.1', 'Host: github.com'), True),
    (b'GET / HTTP/1.1\nHost: github.com\n\n', True), (b'GET / HTTP/1.1\nHost: fine.test\n\n', False),
    (request('GET / HTTP/1.1', *['X-%d: y' % number for number in range(60)], 'Host: github.com'), True),
    (request('GET / HTTP/1.1', *['X-%d: y' % number for number in range(120)], 'Host: fine.test'), False),
    (request('GET / HTTP/1.1', *['X-%d: y' % number for number in range(130)], 'Host: fine.test'), True),  # unreadable
    (request('GET / HTTP/1.1', 'Host: fine.test', *['X-%d: y' % number for number in range(130)]), False),
    (request('GET / HTTP/1.1', 'Cookie: ' + 'c' * 3500, 'Host: github.com'), True),
    (request('GET / HTTP/1.1', 'Cookie: ' + 'c' * 3500, 'Host: fine.test'), False),
    (request('GET / HTTP/1.1', 'Cookie: ' + 'c' * 5000, 'Host: fine.test'), True),  # unreadable
    (request('GET / HTTP/1.1', 'Host: fine.test', 'Cookie: ' + 'c' * 9000), False),
    (request('GET / HTTP/1.1', 'Host: github.com') + bytes(100_000), True),
    (request('GET / HTTP/1.1', 'Host: 198.51.100.1'), False), (request('GET / HTTP/1.1', 'Host: [::1]:80'), False),
    (request('GET / HTTP/1.1', 'Host:'), False), (request('GET / HTTP/1.1', 'Host: github.com.'), True),
]


@pytest.mark.parametrize('to', [SERVER, '::1'])
def test_requests(made, to):
    told = talk(made(), [sending(sent) for sent, _denied in REQUESTS], to)
    for (sent, denied), said in zip(REQUESTS, told):
        assert said == (('DROPPED', b'') if denied else ('ok', sent)), sent[:200]


@pytest.mark.parametrize('head, lines, denied', [
    ('GET / HTTP/1.1', ['Host: api.github.com'], True), ('CONNECT api.github.com:443 HTTP/1.1', [], True),
    ('GET http://api.github.com/ HTTP/1.1', ['Accept: x'], True),
    ('DELETE / HTTP/1.1', ['Accept: x', 'Host: github.com'], True),
    ('GET / HTTP/1.1', ['Accept: x', 'Host: fine.test'], False), ('CONNECT fine.test:443 HTTP/1.1', [], False)])
def test_a_request_that_is_cut_anywhere(made, head, lines, denied):
    sent = request(head, *lines)
    acts = [sending(sent[:place], sent[place:]) for place in range(1, len(sent))]
    acts += [sending(*(sent[place:place + 1] for place in range(len(sent))))]
    for place, (said, heard) in enumerate(talk(made(), acts), 1):
        assert said == ('DROPPED' if denied else 'ok'), (place, sent[:place])
        assert sent.startswith(heard) and (heard == sent) != denied, (place, heard)


# --- everything else ---

TEXTS = [b'EHLO client.example\r\n', b'GET key\r\n', b'get key\r\n', b'OK\r\n', b'QUIT\r\n',
         b'SSH-2.0-OpenSSH_9.2\r\n', b'\0', b'\x16', b'\x16\x02\x01\x00\x01\x01', bytes(100),
         b'\xff' * 5000, b'PING\r\n', b'USER x\r\n',
         b'POST office\r\n', b'{"json": true}\n', b'*1\r\n$4\r\nPING\r\n']


def test_other_protocols_arrive_at_once(made):
    """Each has to be there while the connection is still open, as a server that answers it needs it."""
    def run():
        told = []
        with listener(SERVER) as server:
            made().enter()
            for text in TEXTS:
                with socket.create_connection(server.getsockname()) as client, server.accept()[0] as peer:
                    client.sendall(text)
                    peer.settimeout(5)
                    heard = b''
                    while len(heard) < len(text):
                        heard += peer.recv(65536)
                    told.append(heard.hex())
        return told

    assert child(run) == [text.hex() for text in TEXTS]


def by_sendfile(content):
    def act(client):
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            sent = 0
            while sent < len(content):
                sent += os.sendfile(client.fileno(), file.fileno(), sent, len(content) - sent)
    return act


def by_splice(content):
    def act(client):
        receive, send = os.pipe()
        try:
            os.write(send, content)
            moved = 0
            while moved < len(content):
                moved += os.splice(receive, client.fileno(), len(content) - moved)
        finally:
            os.close(receive)
            os.close(send)
    return act


def by_zerocopy(content):
    def act(client):
        client.setsockopt(socket.SOL_SOCKET, 60, 1)  # SO_ZEROCOPY
        sent = client.send(content, 0x4000000)  # MSG_ZEROCOPY
        client.sendall(content[sent:])
    return act


def by_writev(content):
    return lambda client: os.writev(client.fileno(), [content[:9], content[9:]])


def with_more(content):
    return lambda client: (client.send(content[:9], socket.MSG_MORE), client.sendall(content[9:]))


def corked(content):
    return lambda client: (client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1), client.sendall(content[:9]),
                           client.sendall(content[9:]), client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0))


def urgent(content):
    return lambda client: client.send(content, socket.MSG_OOB)


WAYS = [by_sendfile, by_splice, by_zerocopy, by_writev, with_more, corked]
SAID = {'TLS': client_hello, 'HTTP': lambda name: request('GET / HTTP/1.1', 'Host: ' + name)}


@pytest.mark.parametrize('how', WAYS, ids=lambda how: how.__name__)
@pytest.mark.parametrize('what', SAID)
def test_every_way_to_write(made, how, what):
    denied, fine = SAID[what](DENIED), SAID[what](FINE)
    (said, heard), other = talk(made(), [how(denied), how(fine)])
    assert (said, heard) == ('DROPPED', b'') and other == ('ok', fine)


@pytest.mark.parametrize('what', SAID)
def test_urgent_data_carries_no_denied_name(made, what):
    (_said, heard), = talk(made(), [urgent(SAID[what](DENIED))])
    assert heard == b''


def test_a_connect_that_does_not_block(made):
    def run():
        with listener(SERVER) as server:
            made().enter()
            told = []
            for hello in (client_hello(DENIED), client_hello(FINE)):
                with socket.socket() as client:
                    client.setblocking(False)
                    began = outcome(lambda: client.connect(server.getsockname()))
                    peer, _from = server.accept()
                    client.settimeout(5)
                    told.append([began, dropped(client, lambda: client.sendall(hello))])
                with peer:
                    told[-1].append(len(until_the_end(peer)) == len(hello))
            return told

    assert child(run) == [['EINPROGRESS', 'DROPPED', False], ['EINPROGRESS', 'ok', True]]


# --- what would go past the programs ---

@pytest.mark.parametrize('name', [DENIED, FINE])
@pytest.mark.parametrize('what', SAID)
def test_mptcp_presents_names_like_tcp(made, what, name):
    def run():
        sent = SAID[what](name)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as server:
            server.bind((SERVER, 0))
            server.listen(1)
            made().enter()
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as client:
                client.connect(server.getsockname())
                peer, _from = server.accept()
                peer.settimeout(0.3)
                client.sendall(sent)
                try:
                    return peer.recv(65536) == sent
                except TimeoutError:
                    return None

    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
    except OSError:
        skip(Lack.MPTCP)
    assert child(run) is (True if name == FINE else None)


def fast_open(client, to, content):
    client.sendto(content, socket.MSG_FASTOPEN, to)


def fast_open_by_option(client, to, content):
    client.setsockopt(socket.IPPROTO_TCP, 30, 1)  # TCP_FASTOPEN_CONNECT
    client.connect(to)
    client.sendall(content)


@pytest.mark.parametrize('name', [DENIED, FINE])
@pytest.mark.parametrize('how', [fast_open, fast_open_by_option], ids=lambda how: how.__name__)
def test_fast_open_carries_no_denied_name(made, how, name):
    """Twice: the first connection brings the cookie with which the second sends its data at once."""
    def run():
        with open('/proc/sys/net/ipv4/tcp_fastopen', 'w') as switch:
            switch.write('1027')  # both sides; 0x400: without asking for the server's option
        with listener(SERVER) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
            server.settimeout(0.3)
            told, hello = [], client_hello(name)

            def try_out():
                with socket.socket() as client:
                    said = outcome(lambda: how(client, server.getsockname(), hello))
                    time.sleep(0.05)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                try:
                    with server.accept()[0] as peer:
                        told.append((said, len(until_the_end(peer))))
                except TimeoutError:
                    told.append((said, None))
            try_out()
            try_out()
            made().enter()
            try_out()
            try_out()
            return told

    told = child(run)
    heard = len(client_hello(name))
    assert [length for _said, length in told[:2]] == [heard] * 2
    assert [length or 0 for _said, length in told[2:]] == [heard if name == FINE else 0] * 2


# --- a shared address ---

def test_on_a_shared_address_the_name_decides(guards):
    guard = guards(heard={DENIED: [SERVER], 'q.test': [SERVER]}, **RULES)
    acts = [sending(client_hello(name)) for name in (DENIED, 'q.test', 'mirror.github.com', 'any.test', None)]
    acts += [sending(request('GET / HTTP/1.1', 'Host: ' + name)) for name in (DENIED, 'q.test')]
    acts += [sending(request('GET / HTTP/1.0')), sending(b'EHLO x\r\n'), sending(b'\0')]
    assert [said for said, _heard in talk(guard, acts)] == [
        'DROPPED', 'ok', 'ok', 'ok', 'DROPPED', 'DROPPED', 'ok', 'DROPPED', 'DROPPED', 'DROPPED']


def cut(message, *places, pause=0.0):
    """Writes of its own, with a pause between."""
    pieces = [message[start:end] for start, end in zip((0, *places), (*places, None))]
    return lambda client: [(client.sendall(piece), time.sleep(pause)) for piece in pieces]


@pytest.mark.parametrize('pause', [0.0, 0.05])
@pytest.mark.parametrize('what', SAID)
def test_on_a_shared_address_the_first_bytes_wait_for_the_name(guards, what, pause):
    guard = guards(heard={DENIED: [SERVER], 'q.test': [SERVER]}, **RULES)
    places = [(1,), (5,), (20,), (-1,), (1, 2), (3, 30), (20, -1)]
    for name, said in (('q.test', 'ok'), (DENIED, 'DROPPED')):
        message = SAID[what](name)
        assert talk(guard, [cut(message, *at, pause=pause) for at in places]) == [
            (said, message if said == 'ok' else b'')] * len(places)


def test_on_a_shared_address_nothing_of_half_a_head_arrives(guards):
    """Not with the end of the connection behind it, and not after the time for which it waits for the rest."""
    guard = guards(heard={DENIED: [SERVER], 'q.test': [SERVER]}, **RULES)
    half = client_hello('q.test')[:50]
    acts = [sending(b'\x16'), sending(half), sending(b'GET / HTTP/1.1\r\n')]
    assert talk(guard, acts) == refused(3)
    acts = [lambda client: (client.sendall(b'\x16'), client.recv(1)),
            lambda client: (client.sendall(half), client.shutdown(socket.SHUT_WR), client.recv(1))]
    assert talk(guard, acts) == [('ETIMEDOUT', b'')] * 2


def test_an_alias_of_a_denied_name_is_denied_when_it_is_presented(guards):
    guard = guards(**RULES)
    guard.hears(answer_frame(answer('alias.test', [
        record(CNAME, wire_name(DENIED)), record(A, b'\xc6\x33\x64\x07', wire_name(DENIED))])))
    assert talk(guard, [sending(client_hello('alias.test')), sending(client_hello('other.test'))])[0] == refused()[0]


def test_in_a_sealed_room_loopback_is_open_and_other_names_are_not(guards):
    guard = guards(policy_of(default='deny', allow=[('one', ['one.test'])], deny=[('two', ['two.test'])]))
    told = talk(guard, [sending(client_hello(name)) for name in ('one.test', 'two.test', 'three.test', None)])
    assert [said for said, _heard in told] == ['ok', 'DROPPED', 'ok', 'ok']


# --- many at once ---

def test_no_verdict_is_wrong_when_programs_preempt_each_other(guards):
    """Threads and processes on one CPU, and DNS, TLS and HTTP at random: each must hear what is due to its own name."""
    guard = guards(**RULES)
    processes, seconds = 4, 3

    def hammer(number, server, resolver):
        chance, wrong, counts = random.Random(number), [], {'ok': 0, 'denied': 0}
        end = time.monotonic() + seconds
        sent = {(kind, denied): make(name) for denied, name in ((True, DENIED), (False, FINE))
                for kind, make in (('tls', client_hello), ('http', SAID['HTTP']), ('dns', question))}

        def turn():
            while time.monotonic() < end:
                kind, denied = chance.choice(list(sent))
                if kind == 'dns':
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                        said = outcome(lambda: client.sendto(sent[kind, denied], resolver))
                else:
                    with socket.create_connection(server, timeout=10) as client:
                        said = dropped(client, lambda: client.sendall(sent[kind, denied]))
                if said != ({'dns': 'EPERM'}.get(kind, 'DROPPED') if denied else 'ok'):
                    wrong.append((kind, denied, said))
                counts['denied' if denied else 'ok'] += 1

        threads = [threading.Thread(target=turn) for _thread in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return wrong, counts

    def run():
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        with listener(SERVER) as server, listener('127.0.0.53', 53, socket.SOCK_DGRAM) as resolver:
            def drain():
                while True:
                    peer, _from = server.accept()
                    heard = until_the_end(peer, True)
                    peer.close()
                    if b'github' in heard:
                        os._exit(3)

            drainer = os.fork()
            if not drainer:
                server.settimeout(None)
                drain()
            guard.enter()
            pipes = []
            for number in range(processes):
                receive, send = os.pipe()
                pid = os.fork()
                if not pid:
                    os.write(send, json.dumps(hammer(number, server.getsockname(), resolver.getsockname())).encode())
                    os._exit(0)
                os.close(send)
                pipes.append((pid, receive))
            told = []
            for pid, receive in pipes:
                with os.fdopen(receive) as answers:
                    told.append(json.loads(answers.read()))
                os.waitpid(pid, 0)
            ended = os.waitpid(drainer, os.WNOHANG)
            os.kill(drainer, 9) if ended == (0, 0) else None
            return told, ended == (0, 0)

    told, nothing_leaked = child(run)
    assert [wrong for wrong, _counts in told] == [[]] * processes and nothing_leaked
    counters = guard.counters()
    for verdict, counted in (('denied', 'denied'), ('allowed', 'ok')):
        assert sum(counters[kind][verdict] for kind in ('dns', 'tls', 'http')) == sum(
            counts[counted] for _wrong, counts in told)
    assert sum(counts['ok'] for _wrong, counts in told) > 100 and counters['lost'] == 0
