# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One judgement, two outcomes: monitor mode records what enforce mode refuses, record by record."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest
from policies import TCP, UDP
from wire import client_hello, long_protocols, made_hello, over_tcp, question, sni
from workbench import DESTINATION, HOP_BY_HOP, ROUTING, child, family, frame, listener, nat, on_lo, outcome

LOADERS = ('libbpf', 'bcc')

DENIED4, DENIED6 = '198.51.100.1', '2001:db8:1::1'
SERVER, SHARED, ELSEWHERE, HIDDEN = '203.0.113.2', '203.0.113.3', '203.0.113.4', '198.51.100.4'
SERVER6 = '2001:db8:2::1'
RULES = dict(deny=[('github', ['.github.com']), ('net', ['198.51.100.0/24', '2001:db8:1::/48'])],
             allow=[('fine', ['fine.test'])])
HEARD = {'api.github.com': [SHARED], 'fine.test': [SHARED]}
MPTCP, PORT, RESOLVER, PROXY = 262, 9000, 53, 3128


def head(name, line='GET / HTTP/1.1'):
    return ('%s\r\nHost: %s\r\n\r\n' % (line, name)).encode()


def connects(address):
    def act(opened):
        client = opened.enter_context(socket.socket(family(address)))
        client.settimeout(1)
        with contextlib.suppress(OSError):
            client.connect((address, PORT))
    return act


def says(*parts, to=SERVER, port=PORT, protocol=0, pause=0.0):
    """On a connection, in parts. A denied one may be at its end before the last."""
    def act(opened):
        client = opened.enter_context(socket.socket(family(to), socket.SOCK_STREAM, protocol))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.connect((to, port))
        with contextlib.suppress(OSError):
            for part in parts:
                client.sendall(part)
                time.sleep(pause)
    return act


def opens_fast(content):
    def act(opened):
        client = opened.enter_context(socket.socket())
        client.sendto(content, socket.MSG_FASTOPEN, (SERVER, PORT))
    return act


def sends(message, to, port=PORT, connected=False):
    def act(opened):
        client = opened.enter_context(socket.socket(family(to), socket.SOCK_DGRAM))
        with contextlib.suppress(OSError):
            if connected:
                client.connect((to, port))
            client.send(message) if connected else client.sendto(message, (to, port))
    return act


def sends_raw(address, port, protocol, **options):
    """A whole IP packet, its headers as well."""
    def act(opened):
        packet = frame(address, port, protocol, source=SERVER6 if ':' in address else SERVER, **options)[14:]
        raw = opened.enter_context(socket.socket(family(address), socket.SOCK_RAW, socket.IPPROTO_RAW))
        outcome(lambda: raw.sendto(packet, (address, 0)))
    return act


def pings(address):
    def act(opened):
        raw = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        outcome(lambda: raw.sendto(b'\x08\0' + bytes(14), (address, 0)))
    return act


HELLO = client_hello('pieces.github.com', long_protocols(1500))
MANY = [(HOP_BY_HOP, 0)] + [(DESTINATION, 0), (ROUTING, 0)] * 3
ACCESSES = {  # each is denied: (kind, rule, name, address, port)
    'connect': (connects(DENIED4), ('connect', 'net', None, DENIED4, PORT)),
    'connect, IPv6': (connects(DENIED6), ('connect', 'net', None, DENIED6, PORT)),
    'a datagram': (sends(b'x', DENIED4), ('send', 'net', None, DENIED4, PORT)),
    'a datagram, IPv6': (sends(b'x', DENIED6), ('send', 'net', None, DENIED6, PORT)),
    'a datagram to a shared address': (
        sends(b'x', SHARED, 9006), ('send', 'github', 'api.github.com, fine.test', SHARED, 9006)),
    'a connected one': (
        sends(b'x', SHARED, 9001, True), ('send', 'github', 'api.github.com, fine.test', SHARED, 9001)),
    'DNS': (sends(question('a.github.com'), SERVER, 53), ('dns', 'github', 'a.github.com', SERVER, 53)),
    'DNS, connected': (sends(question('b.github.com'), SERVER, 53, True), ('dns', 'github', 'b.github.com', SERVER, 53)),
    'DNS, unreadable': (sends(b'\0' * 11, SERVER6, 53), ('dns', None, None, SERVER6, 53)),
    'DNS over TCP': (says(over_tcp(question('c.github.com')), port=53), ('dns', 'github', 'c.github.com', SERVER, 53)),
    'the second question': (
        says(over_tcp(question('fine.test')) + over_tcp(question('d.github.com')), port=53),
        ('dns', 'github', 'd.github.com', SERVER, 53)),
    'TLS': (says(client_hello('e.github.com')), ('tls', 'github', 'e.github.com', SERVER, PORT)),
    'TLS, in pieces': (says(HELLO[:9], HELLO[9:700], HELLO[700:], pause=0.05),
                       ('tls', 'github', 'pieces.github.com', SERVER, PORT)),
    'TLS, two names': (says(made_hello(sni(b'fine.test') * 2)), ('tls', None, None, SERVER, PORT)),
    'HTTP': (says(head('f.github.com')), ('http', 'github', 'f.github.com', SERVER, PORT)),
    'HTTP, in pieces': (says(*(bytes([byte]) for byte in head('g.github.com'))),
                        ('http', 'github', 'g.github.com', SERVER, PORT)),
    'HTTP, two hosts': (says(b'GET / HTTP/1.1\r\nHost: fine.test\r\nHost: x.test\r\n\r\n', to=SERVER6),
                        ('http', None, None, SERVER6, PORT)),
    'CONNECT': (says(b'CONNECT h.github.com:8443 HTTP/1.1\r\n\r\n', port=PROXY),
                ('http', 'github', 'h.github.com', SERVER, PROXY)),
    'a second request to a proxy': (
        says(b'GET http://fine.test/ HTTP/1.1\r\nHost: fine.test\r\n\r\n',
             b'GET http://i.github.com/ HTTP/1.1\r\nHost: i.github.com\r\n\r\n', port=PROXY, pause=0.05),
        ('http', 'github', 'i.github.com', SERVER, PROXY)),
    'Fast Open': (opens_fast(client_hello('j.github.com')), ('tls', 'github', 'j.github.com', SERVER, PORT)),
    'MPTCP': (says(client_hello('k.github.com'), protocol=MPTCP), ('tls', 'github', 'k.github.com', SERVER, PORT)),
    'no name on a shared address': (
        says(b'EHLO x\r\n', to=SHARED, port=25), ('send', 'github', 'api.github.com, fine.test', SHARED, 25)),
    'half a name on a shared address': (
        says(b'GET / HT', to=SHARED), ('send', 'github', 'api.github.com, fine.test', SHARED, PORT)),
    'raw TCP': (sends_raw(DENIED4, 9002, TCP), ('send', 'net', None, DENIED4, 9002)),
    'raw TCP, IPv6': (sends_raw(DENIED6, 9002, TCP), ('send', 'net', None, DENIED6, 9002)),
    'raw UDP': (sends_raw(DENIED4, 9003, UDP, payload=b'x'), ('send', 'net', None, DENIED4, 9003)),
    'raw UDP, IPv6': (sends_raw(DENIED6, 9003, UDP, payload=b'x'), ('send', 'net', None, DENIED6, 9003)),
    'a raw question': (sends_raw(SERVER, 53, UDP, payload=question('l.github.com')),
                       ('dns', 'github', 'l.github.com', SERVER, 53)),
    'a raw question, IPv6': (sends_raw(SERVER6, 53, UDP, payload=question('m.github.com'), extensions=MANY[:6]),
                             ('dns', 'github', 'm.github.com', SERVER6, 53)),
    'more extension headers than are read': (sends_raw(SERVER6, 53, UDP, payload=question('fine.test'), extensions=MANY),
                                             ('send', None, None, SERVER6, 0)),
    'a ping': (pings(DENIED4), ('send', 'net', None, DENIED4, 0)),
    'UDP through NAT': (sends(b'x', ELSEWHERE, 9004), ('send', 'net', None, HIDDEN, 9005)),
    'TCP through NAT': (connects(ELSEWHERE), ('send', 'net', None, HIDDEN, PORT)),
    'a question through NAT': (sends(question('n.github.com'), ELSEWHERE, 53),
                               ('dns', 'github', 'n.github.com', ELSEWHERE, 53)),
}


def world(opened):
    on_lo(DENIED4, DENIED6, SERVER, SERVER6, SHARED, ELSEWHERE, HIDDEN)
    nat('ip daddr %s udp dport 9004 dnat ip to %s:9005' % (ELSEWHERE, HIDDEN),
        'ip daddr %s tcp dport %d dnat ip to %s' % (ELSEWHERE, PORT, HIDDEN),
        'ip daddr %s udp dport 53 dnat ip to %s:5353' % (ELSEWHERE, SERVER))
    with open('/proc/sys/net/ipv4/tcp_fastopen', 'w') as switch:
        switch.write('1027')  # both sides; 0x400: without a cookie
    for port in (25, RESOLVER, PROXY, PORT):
        server = opened.enter_context(listener('::', port))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)


def entries(guard):
    return [[record[key] for key in ('kind', 'rule', 'name', 'address', 'port', 'count')]
            for record in guard.reader().denials(guard.denials())]


def recorded(guard, act, opened):
    """What was recorded of an access, once it is over: a byte that waits for its name is so after half a second."""
    before, end = entries(guard), time.monotonic() + 3
    act(opened)
    while entries(guard) == before and time.monotonic() < end:
        time.sleep(0.02)
        if time.monotonic() > end - 2:
            opened.close()  # monitor mode hears that no name comes when the connection ends
    opened.close()
    return [entry for entry in entries(guard) if entry not in before]


def records(guard):
    def run():
        with contextlib.ExitStack() as opened:
            world(opened)
            guard.enter()
            return {name: recorded(guard, act, contextlib.ExitStack()) for name, (act, _said) in ACCESSES.items()}
    return child(run, patience=600)


@pytest.mark.parametrize('mode', ['enforce', 'monitor', 'drill'])
def test_each_access_is_recorded_once_in_every_mode(guards, mode):
    told = records(guards(mode=mode, heard=HEARD, **RULES))
    assert told == {name: [[*said, 1]] for name, (_act, said) in ACCESSES.items()}
