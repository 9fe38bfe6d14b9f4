# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a denial takes to end for the client, where no agent ends it: the kernel alone does, within a second."""

from __future__ import annotations

import contextlib
import socket
import time

from wire import client_hello, over_tcp, question
from workbench import child, listener, on_lo, outcome

LOADERS = ('libbpf', 'bcc')

SERVER, SHARED, NET = '203.0.113.2', '203.0.113.3', '198.51.100.1'
RULES = dict(deny=[('github', ['.github.com']), ('net', ['198.51.100.0/24'])], allow=[('fine', ['fine.test'])])
HEARD = {'api.github.com': [SHARED], 'fine.test': [SHARED]}
DENIED, FINE = 'api.github.com', 'fine.test'
PORT, PROXY = 9000, 3128


def head(name):
    return b'GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n' % (name.encode(), name.encode())


def says(*parts, to=SERVER, port=PORT, protocol=0):
    """Then it waits for an answer, as clients do."""
    def act():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as client:
            client.connect((to, port))
            for part in parts:
                time.sleep(0.05)
                client.sendall(part)
            client.settimeout(5)
            return client.recv(1)
    return act


def opens_fast():
    with socket.socket() as client:
        client.sendto(client_hello(DENIED), socket.MSG_FASTOPEN, (SERVER, PORT))
        client.settimeout(5)
        return client.recv(1)


def on_a_datagram_socket(act):
    def run():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            act(client)
    return run


DENIALS = {  # (what is denied, the error, seconds)
    'connect': (lambda: socket.create_connection((NET, PORT)), 'EACCES', 0.1),
    'a datagram': (on_a_datagram_socket(lambda client: client.sendto(b'x', (NET, PORT))), 'EACCES', 0.1),
    'DNS': (on_a_datagram_socket(lambda client: client.sendto(question(DENIED), (SERVER, 53))), 'EPERM', 0.1),
    'DNS over TCP': (says(over_tcp(question(DENIED)), port=53), 'ETIMEDOUT', 1),
    'a second question': (says(over_tcp(question(FINE)), over_tcp(question(DENIED)), port=53), 'ETIMEDOUT', 1),
    'TLS': (says(client_hello(DENIED)), 'ETIMEDOUT', 1),
    'TLS in pieces': (says(client_hello(DENIED)[:9], client_hello(DENIED)[9:]), 'ETIMEDOUT', 1),
    'HTTP': (says(head(DENIED)), 'ETIMEDOUT', 1),
    'a second request': (says(head(FINE), head(DENIED), port=PROXY), 'ETIMEDOUT', 1),
    'MPTCP': (says(client_hello(DENIED), protocol=262), 'ETIMEDOUT', 1),
    'Fast Open': (opens_fast, 'ETIMEDOUT', 1),
    'no name on a shared address': (says(b'EHLO x\r\n', to=SHARED), 'ETIMEDOUT', 1),
    'a byte on a shared address': (says(b'\x16', to=SHARED), 'ETIMEDOUT', 1),
}


def seconds(act):
    began = time.monotonic()
    said = outcome(act)
    return said, time.monotonic() - began


def test_each_denial_ends_soon(guards):
    guard = guards(heard=HEARD, **RULES)

    def run():
        on_lo(SERVER, SHARED, NET)
        with open('/proc/sys/net/ipv4/tcp_fastopen', 'w') as switch:
            switch.write('1027')
        with contextlib.ExitStack() as opened:
            for port in (53, PROXY, PORT):
                server = opened.enter_context(listener('0.0.0.0', port))
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
            guard.enter()
            return {what: seconds(act) for what, (act, _error, _most) in DENIALS.items()}

    told = child(run, patience=600)
    print(*('%s: %s after %.2f s' % (what, *said) for what, said in told.items()), sep='\n')
    assert {what: said for what, (said, _took) in told.items()} == {what: row[1] for what, row in DENIALS.items()}
    assert {what: took for what, (_said, took) in told.items() if took > DENIALS[what][2]} == {}
