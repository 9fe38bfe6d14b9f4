# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that come later on a connection: to a proxy that is asked again, in its tunnel, and behind STARTTLS."""

from __future__ import annotations

import random
import socket
import struct

import pytest
from policies import policy_of
from protocols import PLAIN
from wire import client_hello, in_records, long_protocols, made_hello, sni
from workbench import Guard, child, listener

LOADERS = ('libbpf', 'bcc')

SERVER = '127.0.0.2'  # of 127.0.0.1 no name is learned
RULES = dict(deny=[('github', ['.github.com']), ('https', ['ports.test'], [443])])
DENIED, FINE = 'api.github.com', 'fine.test'
PROXY = 3128
HELLO, FINE_HELLO = client_hello(DENIED), client_hello(FINE)


@pytest.fixture(scope='module')
def made():
    """{is the server's address shared: a guard for the whole file}."""
    guards = {}

    def make(shared=False):
        if shared not in guards:
            heard = {DENIED: [SERVER], 'q.test': [SERVER]} if shared else ()
            guards[shared] = Guard(policy_of(**RULES), heard=heard).attach()
        return guards[shared]

    yield make
    for guard in guards.values():
        guard.close()


def parts_heard(guard, parts, port=PROXY):
    """How many of the parts arrive, each in a write of its own; and what is recorded of the rest."""
    def run():
        with listener(SERVER, port) as server:
            guard.enter()
            before = records(guard)
            with socket.create_connection((SERVER, port), 5) as client, server.accept()[0] as peer:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sum(1 for part in parts if hears(guard, client, peer, part)), [
                    record for record in records(guard) if record not in before]
    return child(run)


def hears(guard, client, peer, part):
    refused = denials(guard)
    try:
        client.sendall(part)
    except OSError:
        return False  # the connection is at its end
    got = b''
    peer.settimeout(0.02)
    for _try in range(250):
        try:
            got += peer.recv(len(part) - len(got))
        except TimeoutError:
            if denials(guard) > refused:
                break
        if got == part:
            return True
    return False


def denials(guard):
    return sum(verdicts['denied'] for verdicts in guard.counters().values() if isinstance(verdicts, dict))


def records(guard):
    return [[each[key] for key in ('kind', 'name', 'port', 'count')] for each in guard.reader().denials(guard.denials())]


def get(name, line='GET http://%s/ HTTP/1.1', body=b''):
    return ((line + '\r\nHost: %s\r\n\r\n') % ((name,) * (line.count('%s') + 1))).encode() + body


def connect(name, port=443):
    return ('CONNECT %s:%d HTTP/1.1\r\nHost: %s\r\n\r\n' % (name, port, name)).encode()


def upload(size):
    return b'POST http://fine.test/ HTTP/1.1\r\nHost: fine.test\r\nContent-Length: %d\r\n\r\n' % size


GET, GET_DENIED = get(FINE), get(DENIED)
BODY = random.Random(1).randbytes(100_000)
TO_A_PROXY = [  # what is sent, how much of it arrives
    ('the second', [GET, GET_DENIED], 1), ('the third', [GET, get('other.test'), GET_DENIED], 2),
    ('all fine', [GET, get('other.test'), GET], 3),
    ('its host in the header alone', [GET, get(DENIED, 'GET / HTTP/1.1')], 1),
    ('CONNECT after GET', [GET, connect(DENIED)], 1), ('CONNECT after GET, fine', [GET, connect(FINE)], 2),
    ('the tunnel', [connect(FINE), HELLO], 1),
    ('the tunnel, fine', [connect(FINE), FINE_HELLO, b'\x17\3\3\0\1x'], 3),
    ('HTTP in the tunnel', [connect(FINE, 80), get(DENIED, 'GET / HTTP/1.1')], 1),
    ('HTTP in the tunnel, later', [connect(FINE, 80), get(FINE, 'GET / HTTP/1.1'), get(DENIED, 'GET / HTTP/1.1')], 2),
    ('an alert first', [connect(FINE), b'\x15\3\1\0\2\1\0' + HELLO], 1),
    ('a hello in records', [connect(FINE), in_records(HELLO[5:], 40)], 1),
    ('SSH in the tunnel', [connect(FINE, 22), b'SSH-2.0-x\r\n', BODY], 3),
    ('a rule with ports', [connect('ports.test', 8443), client_hello('ports.test')], 2),
    ('a rule with ports, at its port', [connect(FINE, 443), client_hello('ports.test')], 1),
    ('two in one write', [GET + GET_DENIED], 0), ('two in one write, fine', [GET + get('other.test')], 1),
    ('ten in one write', [GET * 9 + GET_DENIED], 0), ('ten in one write, fine', [GET * 10], 1),
    ('more in one write than are read', [GET * 20], 0),
    ('two in one write, and half of a third', [GET * 2 + GET_DENIED[:30], GET_DENIED[30:]], 1),
    ('a hello behind CONNECT', [connect(FINE) + HELLO], 0),
    ('a hello behind CONNECT, fine', [connect(FINE) + FINE_HELLO], 1),
    ('two pieces', [GET, GET_DENIED[:40], GET_DENIED[40:]], 2),
    ('two pieces, fine', [GET, GET[:40], GET[40:], GET], 4),
    ('single bytes', [GET] + [GET_DENIED[place:place + 1] for place in range(len(GET_DENIED))], len(GET_DENIED)),
    ('single bytes, fine', [GET] + [GET[place:place + 1] for place in range(len(GET))] + [GET], len(GET) + 2),
    ('a hello in pieces', [connect(FINE), HELLO[:3], HELLO[3:100], HELLO[100:]], 3),
    ('a body between', [upload(6), b'a=b&c=', GET_DENIED], 2),
    ('a body in the same write', [upload(3) + b'a=b', GET_DENIED], 1),
    ('a large body', [upload(100_000), BODY, GET_DENIED], 2), ('a large body, fine', [upload(100_000), BODY, GET], 3),
    ('a body that begins like a request', [upload(9), b'GET key\r\n', GET_DENIED], 2),
    ('a body that begins like a hello', [upload(9), b'\x16\3\1\2\0\2abc', GET_DENIED], 2),
    ('a single letter', [upload(1), b'G', b'x' * 9, GET_DENIED], 3),
]


@pytest.mark.parametrize('shared', [False, True], ids=['', 'shared'])
@pytest.mark.parametrize('parts, arrive', [row[1:] for row in TO_A_PROXY], ids=[row[0] for row in TO_A_PROXY])
def test_a_proxy_is_asked_again(made, parts, arrive, shared):
    assert parts_heard(made(shared), parts)[0] == arrive


def test_a_tunnel_to_an_address_presents_a_name_inside(made):
    assert parts_heard(made(), [connect('198.51.100.1'), HELLO])[0] == 1
    assert parts_heard(made(), [connect('198.51.100.1'), FINE_HELLO, BODY])[0] == 3


def test_a_server_that_is_no_proxy_is_asked_for_what_it_is(made):
    """Only its first request is read. What follows reaches that same server, whatever its header says."""
    first = get(FINE, 'GET / HTTP/1.1')
    assert parts_heard(made(), [first, get(DENIED, 'GET / HTTP/1.1')])[0] == 2


def test_records_have_the_name_and_the_port_of_the_connection(guards):
    guard = guards(**RULES)
    for parts, record in (([GET, GET_DENIED], ['http', DENIED, PROXY, 1]), ([GET, connect('x.github.com')],
                          ['http', 'x.github.com', PROXY, 1]), ([connect(FINE), client_hello('y.github.com')],
                          ['tls', 'y.github.com', PROXY, 1])):
        assert parts_heard(guard, parts)[1] == [record]


# --- STARTTLS ---

MYSQL = PLAIN['mysql ssl request']
POSTGRES = PLAIN['postgresql ssl request']
LDAP = PLAIN['ldap starttls']
STARTS = {  # port: what comes before
    25: [b'EHLO client.test\r\n', b'STARTTLS\r\n'], 587: [b'EHLO client.test\r\n', b'STARTTLS\r\n'],
    143: [b'a1 CAPABILITY\r\n', b'a2 STARTTLS\r\n'], 110: [b'CAPA\r\n', b'STLS\r\n'], 5432: [POSTGRES], 3306: [MYSQL],
    389: [LDAP]}


@pytest.mark.parametrize('port', STARTS)
def test_starttls(made, port):
    start, long = STARTS[port], client_hello(DENIED, long_protocols(1500))
    for rest, arrive in (([HELLO], 0), ([FINE_HELLO, HELLO], 2), ([client_hello(None), BODY], 2),
                         ([HELLO[:2], HELLO[2:]], 1), ([long[:1000], long[1000:]], 1),
                         ([made_hello(sni(FINE.encode()) * 2)], 0)):
        assert parts_heard(made(), start + rest, port)[0] == len(start) + arrive, rest


@pytest.mark.parametrize('port', STARTS)
def test_without_starttls_nothing_is_lost(made, port):
    for parts in (STARTS[port] + [BODY, b'\x16', b'\x16\3', b'GET ', b'POST office\r\n'], [FINE_HELLO, HELLO]):
        assert parts_heard(made(), parts, port)[0] == len(parts)


def test_ports_without_starttls_are_not_read_on(made):
    assert parts_heard(made(), [b'EHLO client.test\r\n', HELLO], 2525)[0] == 2
