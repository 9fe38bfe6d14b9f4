# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may say where a name is: the host's resolvers, when they are asked, and what Python teaches. Others only deny more."""

from __future__ import annotations

import socket

import pytest
from policies import TCP, UDP
from wire import A, CNAME, answer, answer_frame, over_tcp, question, record, wire_name
from workbench import ACK, SYN, child, frame, hears, listener, outcome, passes

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import teach

LOADERS = ('libbpf', 'bcc')

RESOLVER, OTHER, HERE, INSIDE = '198.51.100.53', '198.51.100.54', '203.0.113.7', '192.0.2.50'
RULES = dict(deny=[('github', ['.github.com']), ('net', ['192.0.2.0/24']), ('https', ['ports.github.com'], [443])],
             allow=[('mirror', ['mirror.github.com'])], encrypted_dns='allow')
MIRROR = answer('mirror.github.com', [record(A, socket.inet_aton(INSIDE))])
PACKET = _abi.SOURCE_PACKET


def rules(guards, attach=False, **options):
    return guards(attach=attach, resolvers=[RESOLVER], **dict(RULES, **options))


def ask(guard, name, server=RESOLVER, identity=0x1234):
    return passes(guard, frame(server, 53, UDP, payload=question(name, identity=identity)))


def hear(guard, message, server=RESOLVER):
    assert guard.hears(answer_frame(message, address='203.0.113.200', source=server), PACKET)


def is_denied(guard, address, port=443):
    return not passes(guard, frame(address, port, TCP, flags=SYN))


def asked_with_another_number(guard):
    ask(guard, 'mirror.github.com', identity=0x1235)
    hear(guard, MIRROR)


def asked_for_another_name(guard):
    ask(guard, 'x.mirror.example')
    hear(guard, MIRROR)


def answered_by_another(guard):
    ask(guard, 'mirror.github.com')
    hear(guard, MIRROR, OTHER)


def asked_another(guard):
    ask(guard, 'mirror.github.com', server=OTHER)
    hear(guard, MIRROR, OTHER)


@pytest.mark.parametrize('act', [hear, lambda guard, _message: asked_with_another_number(guard), lambda guard, _message: (
    asked_for_another_name(guard)), lambda guard, _message: answered_by_another(guard), lambda guard, _message: (
        asked_another(guard))], ids=['nobody asked', 'another number', 'another name', 'another answers', 'another asked'])
@pytest.mark.parametrize('sealed', [False, True])
def test_an_answer_that_is_not_believed_allows_nothing(guards, act, sealed):
    guard = rules(guards, **({'default': 'deny'} if sealed else {}))
    act(guard, MIRROR)
    assert is_denied(guard, INSIDE)
    ask(guard, 'mirror.github.com')
    hear(guard, MIRROR)
    assert not is_denied(guard, INSIDE)


def test_what_is_taught_is_believed(guards):
    guard = rules(guards)
    assert guard.hears(answer_frame(MIRROR, source=OTHER), _abi.SOURCE_TAUGHT)
    assert not is_denied(guard, INSIDE)


def test_many_questions_wait_at_once(guards):
    """As a library asks that does not wait for one answer before the next question."""
    guard = rules(guards, default='deny', allow=[('mirror', ['.mirror.github.com'])])
    names = ['n%d.mirror.github.com' % number for number in range(300)]
    for number, name in enumerate(names):
        ask(guard, name, identity=number)
    for number, name in enumerate(names):
        message = answer(name, [record(A, bytes([203, 0, 113, number % 250]))])
        hear(guard, number.to_bytes(2, 'big') + message[2:])
    denied = [number for number in range(250) if is_denied(guard, '203.0.113.%d' % number)]
    assert len(denied) <= 1


def test_an_answer_that_is_not_believed_denies_more(guards):
    guard = rules(guards)
    hear(guard, answer('api.github.com', [record(A, socket.inet_aton(HERE))]), OTHER)
    assert is_denied(guard, HERE)


def test_who_is_not_believed_makes_no_denied_address_undecided(guards):
    guard = rules(guards, attach=True)
    assert guard.hears(answer_frame(answer('api.github.com', [record(A, socket.inet_aton(HERE))])))
    for name in ('fine.test', 'mirror.github.com'):
        hear(guard, answer(name, [record(A, socket.inet_aton(HERE))]), OTHER)

    def connects():
        guard.enter()
        with socket.socket() as tcp:
            return outcome(lambda: tcp.connect((HERE, 443)))

    assert child(connects) == 'EACCES'
    ask(guard, 'fine.test')
    hear(guard, answer('fine.test', [record(A, socket.inet_aton(HERE))]))
    assert child(connects) == 'ENETUNREACH'  # what is presented decides now


def test_a_rule_for_some_ports_that_is_not_believed_opens_no_other_port(guards):
    guard = rules(guards)
    hear(guard, answer('ports.github.com', [record(A, bytes((192, 0, 2, 9)))]), OTHER)
    assert [is_denied(guard, '192.0.2.9', port) for port in (80, 443)] == [True, True]
    guard = rules(guards, allow=[('http', ['ports.github.com'], [80])])
    hear(guard, answer('ports.github.com', [record(A, bytes((192, 0, 2, 9)))]), OTHER)
    assert [is_denied(guard, '192.0.2.9', port) for port in (80, 443)] == [True, True]
    assert guard.hears(answer_frame(answer('ports.github.com', [record(A, bytes((192, 0, 2, 9)))])))
    assert [is_denied(guard, '192.0.2.9', port) for port in (80, 443)] == [False, True]


def test_the_ledger_keeps_what_is_believed(guards):
    """Also over an exchange of rules."""
    guard = rules(guards)
    pair = answer('mirror.github.com', [record(A, socket.inet_aton(INSIDE))])

    def doubted():
        (_key, value), = guard.heard()
        return value.doubted

    hear(guard, pair, OTHER)
    assert doubted()
    later = rules(guards, after=guard)
    teach.teach_again(later.kernel, later.ingress, guard.maps['ebg_heard'])
    assert doubted() and is_denied(later, INSIDE)
    ask(guard, 'mirror.github.com')
    later = rules(guards, after=guard)
    hear(later, pair)  # asked under the earlier rules
    assert not doubted() and not is_denied(later, INSIDE)
    hear(later, pair, OTHER)
    assert not doubted()
    last = rules(guards, after=later)
    teach.teach_again(last.kernel, last.ingress, guard.maps['ebg_heard'])
    assert not is_denied(last, INSIDE)


def test_an_alias_that_is_not_believed_allows_nothing(guards):
    guard = rules(guards, attach=True, default='deny')
    alias = answer('www.alias.test', [record(CNAME, wire_name('mirror.github.com'))])

    def presents():
        with listener('127.0.0.2') as server:
            guard.enter()
            return hears(server, b'GET / HTTP/1.1\r\nHost: www.alias.test\r\n\r\n')

    assert guard.hears(answer_frame(answer('api.github.com', [record(A, bytes((127, 0, 0, 2)))])))
    assert guard.hears(answer_frame(answer('fine.test', [record(A, bytes((127, 0, 0, 2)))])))
    hear(guard, answer('www.alias.test', [record(CNAME, wire_name('api.github.com'))]), OTHER)
    assert not child(presents)
    hear(guard, alias, OTHER)
    assert not child(presents)
    assert guard.hears(answer_frame(alias))
    assert child(presents)


def test_a_sign_does_not_come_in_a_packet(guards):
    """The kernel clears what stands for the sign, whatever the sender set of a packet."""
    guard = guards(attach=True, resolvers=[RESOLVER], **RULES)

    def send():
        guard.enter()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, socket.socket(
                socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(('127.0.0.1', 53))
            server.setsockopt(socket.SOL_SOCKET, 36, 1)  # SO_MARK
            server.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 1)
            client.bind(('127.0.0.1', 0))
            server.sendto(MIRROR, client.getsockname())
            client.settimeout(5)
            client.recv(4096)
        return None

    child(send)
    (_key, value), = guard.heard()
    assert value.doubted and is_denied(guard, INSIDE)


@pytest.mark.parametrize('kind', ['UDP', 'TCP'])
def test_answers_over_real_sockets_are_believed(guards, kind):
    guard = guards(attach=True, resolvers=['127.0.0.53'], **RULES)

    def run():
        kinds = socket.SOCK_DGRAM if kind == 'UDP' else socket.SOCK_STREAM
        with listener('127.0.0.53', 53, kinds) as resolver:
            guard.enter()
            with socket.socket(socket.AF_INET, kinds) as client:
                client.settimeout(5)
                client.connect(('127.0.0.53', 53))
                if kind == 'UDP':
                    client.send(question('mirror.github.com'))
                    resolver.sendto(MIRROR, resolver.recvfrom(512)[1])
                    client.recv(512)
                else:
                    peer, _from = resolver.accept()
                    client.sendall(over_tcp(question('mirror.github.com')))
                    peer.recv(512)
                    peer.sendall(over_tcp(MIRROR))
                    client.recv(512)
                    peer.close()

    child(run)
    assert not is_denied(guard, INSIDE)


def test_an_answer_over_tcp_that_nobody_asked_for_allows_nothing(guards):
    guard = rules(guards)
    assert guard.hears(frame('203.0.113.200', 40000, TCP, source=RESOLVER, source_port=53, flags=ACK,
                             payload=over_tcp(MIRROR)), PACKET)
    assert is_denied(guard, INSIDE)
