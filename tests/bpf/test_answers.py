# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Denied questions that are answered: by the agent's own thread, which these tests run beside a guard."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import time

import pytest
from agent import answered, note, present
from wire import A, AAAA, answer, over_tcp, question, record, wire_name
from workbench import child, dropped, family, listener, outcome, own_network

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi

LOADERS = ('libbpf', 'bcc')

RULES = dict(deny=[('github', ['.github.com'])])
FINE, DENIED = 'fine.test', 'API.GitHub.com'
SERVERS = ['127.0.0.53', '::1', '::ffff:127.0.0.53']
FOUR = bytes([198, 51, 100, 7])
IP_RECVERR, IPV6_RECVERR, SO_BINDTODEVICE = 11, 25, 25
TEXT = b'rule github: a test'


def opt(size=1232, flags=0, data=b'', version=0):
    return struct.pack('!xHHBBHH', 41, size, 0, version, flags, len(data)) + data


def asked(name=DENIED, more=b'', additional=None, **options):
    """A question with what stands behind it: an OPT record, most times."""
    message = question(name, **options) + more
    return message[:10] + struct.pack('!H', bool(more) if additional is None else additional) + message[12:]


def inside(guard, act, prepare=answered):
    """What act() returns in the guard, where denied questions are answered."""
    def run():
        prepare(guard)
        guard.enter()
        return act()
    return child(run)


def client_of(server, connected=True):
    client = socket.socket(family(server), socket.SOCK_DGRAM)
    client.settimeout(2)
    if connected:
        client.connect((server, 53))
    return client


def exchange(server, message, connected=True):
    """(what comes back, from where), and how the send ended."""
    with client_of(server, connected) as client:
        client.send(message) if connected else client.sendto(message, (server, 53))
        got, source = client.recvfrom(4096)
        return got.hex(), source[0]


# --- what an answer says ---

@pytest.mark.parametrize('connected', [True, False])
@pytest.mark.parametrize('server', SERVERS)
def test_a_denied_question_is_answered_at_once(guards, server, connected):
    """With the question as it was written, upper case kept, and from the server that was asked."""
    guard = guards(**RULES)
    message = question(DENIED, kind=AAAA, identity=0xbeef)
    got, source = inside(guard, lambda: exchange(server, message, connected))
    assert bytes.fromhex(got) == struct.pack('!HHHHHH', 0xbeef, 0x8183, 1, 0, 0, 0) + message[12:]
    assert source == server
    assert guard.counters()['dns']['denied'] == 1
    [denial] = guard.reader().denials(guard.denials())
    assert (denial['name'], denial['rule'], denial['count']) == ('api.github.com', 'github', 1) and denial['pid']


def error_of(message):
    """(flags of the OPT record, code, text) of the Extended DNS Error at the end of an answer."""
    kind, _size, ttl, length, option, size, code = struct.unpack_from('!HHIHHHH', message)
    assert (kind, option, length, len(message)) == (41, 15, size + 4, 14 + size)
    return ttl, code, message[16:]


@pytest.mark.parametrize('more, flags', [(opt(), 0), (opt(flags=0x8000), 0x8000), (opt(size=0), 0),
                                         (opt(data=struct.pack('!HH8x', 10, 8)), 0)], ids=['plain', 'DO', 'size 0', 'cookie'])
def test_who_sends_an_opt_record_hears_why(guards, more, flags):
    guard = guards(**RULES)
    message = asked(more=more, flags=0x0110)
    got = bytes.fromhex(inside(guard, lambda: exchange('127.0.0.53', message))[0])
    end = len(question(DENIED))
    assert got[:end] == struct.pack('!HHHHHH', 0x1234, 0x8193, 1, 0, 0, 1) + message[12:end]
    assert error_of(got[end + 1:]) == (flags, 15, TEXT)


def test_a_sealed_room_says_why(guards):
    guard = guards(default='deny', resolvers=['127.0.0.53'])
    got = bytes.fromhex(inside(guard, lambda: exchange('127.0.0.53', asked(FINE, opt())))[0])
    assert got.endswith(b'no rule allows it, and the policy says default: deny')


@pytest.mark.parametrize('name', ['github.com', 'a' * 63 + '.github.com', '.'.join(['x' * 46] * 5) + '.github.com',
                                  '.'.join(['x'] * 121 + ['github', 'com'])])
def test_names_of_any_size(guards, name):
    message = asked(name, opt())
    got = bytes.fromhex(inside(guards(**RULES), lambda: exchange('127.0.0.53', message))[0])
    assert got[12:12 + len(wire_name(name)) + 4] == question(name)[12:] and got.endswith(TEXT)


# --- what goes on ---

@pytest.mark.parametrize('server', SERVERS)
def test_a_socket_with_allowed_and_denied_questions_goes_on(guards, server):
    guard = guards(**RULES)

    def run():
        with listener(server, 53, socket.SOCK_DGRAM) as resolver:
            answered(guard)
            guard.enter()
            with client_of(server) as client:
                told = []
                for number in range(5):
                    client.send(question(FINE, identity=number))
                    client.send(question(DENIED, identity=number + 100))
                    told.append(client.recv(4096)[:4].hex())
                for number in range(5):
                    asked_for, peer = resolver.recvfrom(4096)
                    resolver.sendto(asked_for[:2] + answer(FINE, [record(A, FOUR)])[2:], peer)
                    told.append(client.recv(4096)[:4].hex())
                return told

    assert child(run) == ['%04x8183' % (number + 100) for number in range(5)] + ['%04x8180' % number for number in range(5)]


def test_many_at_once_on_one_socket(guards):
    def run():
        with client_of('127.0.0.53') as client:
            for number in range(200):
                client.send(question('n%d.github.com' % number, identity=number))
            return sorted(int.from_bytes(client.recv(4096)[:2], 'big') for _number in range(200))

    assert inside(guards(**RULES), run) == list(range(200))


def test_answers_of_ours_teach_nothing(guards):
    guard = guards(**RULES)
    inside(guard, lambda: [exchange('127.0.0.53', question('n%d.github.com' % number)) for number in range(20)])
    assert guard.heard() == []
    for name, key in (('ebg_addresses', ctypes.c_uint8 * 16), ('ebg_aliases', ctypes.c_uint64)):
        assert not list(guard.kernel.items(guard.maps[name], key, ctypes.c_uint8 * 128)), name


# --- where no answer would arrive, an error on the send tells ---

def bound_to_device(client):
    client.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b'lo\0')


NOT_ANSWERED = [
    ('an update', question(DENIED, flags=0x2800)), ('an answer', question(DENIED, flags=0x8180)),
    ('signed', asked(more=opt() + b'\0' * 11, additional=2)), ('another record', asked(more=b'\1x' + opt(), additional=1)),
    ('an OPT record that is cut', asked(more=opt()[:-1])), ('more than it has', asked(additional=1)),
    ('records in the question', question(DENIED)[:6] + b'\0\1' + question(DENIED)[8:]),
    ('no class', question(DENIED)[:-2]), ('two questions', question(DENIED, count=2)),
]


@pytest.mark.parametrize('message', [row[1] for row in NOT_ANSWERED], ids=[row[0] for row in NOT_ANSWERED])
def test_what_has_no_plain_answer_gets_an_error(guards, message):
    def run():
        with client_of('127.0.0.53') as client:
            return outcome(lambda: client.send(message))
    assert inside(guards(**RULES), run) == 'EPERM'


@pytest.mark.parametrize('prepare', [bound_to_device], ids=['bound to a device'])
def test_what_an_answer_would_not_reach_gets_an_error(guards, prepare):
    def run():
        with client_of('127.0.0.53', connected=False) as client:
            prepare(client)
            return outcome(lambda: client.sendto(question(DENIED), ('127.0.0.53', 53)))
    assert inside(guards(**RULES), run) == 'EPERM'


def test_a_raw_socket_gets_an_error(guards):
    message = question(DENIED)

    def run():
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            datagram = struct.pack('!HHHH', 1, 53, 8 + len(message), 0) + message
            return outcome(lambda: raw.sendto(datagram, ('127.0.0.53', 0)))

    assert inside(guards(**RULES), run) == 'EPERM'


def test_groups_and_links_get_an_error(guards):
    """No answer can come from a group; and one from a link would have to say which."""
    def prepare(guard):
        for arguments in ('route add 224.0.0.0/4 dev lo', '-6 address add fe80::53/64 dev lo nodad'):
            subprocess.run(['ip', *arguments.split()], check=True)
        answered(guard)

    def run():
        told = []
        for to in (('224.0.0.251', 53), ('fe80::53', 53, 0, 1)):
            with client_of(to[0], connected=False) as client:
                told.append(outcome(lambda: client.sendto(question(DENIED), to)))
        return told

    assert inside(guards(**RULES), run, prepare) == ['EPERM'] * 2


@pytest.mark.parametrize('families, ends', [(('ipv4',), ['ok', 'EPERM', 'ok']), (('ipv6',), ['EPERM', 'ok', 'EPERM']),
                                            ((), ['EPERM'] * 3)], ids=str)
def test_a_family_whose_answers_do_not_arrive_gets_errors(guards, families, ends):
    def run():
        return [outcome(lambda: exchange(server, question(DENIED))) for server in SERVERS]
    assert inside(guards(**RULES), run, lambda guard: answered(guard, families)) == ends


def test_the_trial_is_answered_before_anything_else_is(guards):
    def run():
        return [outcome(lambda: exchange('127.0.0.53', question(name))) for name in ('canary.ebpf-guard.invalid', DENIED)]
    assert inside(guards(**RULES), run, lambda guard: answered(guard, ())) == ['ok', 'EPERM']


def test_another_network_gets_errors(guards):
    """The agent is in the host's. A container in the guard has its own."""
    def run():
        own_network()
        return outcome(lambda: exchange('127.0.0.53', question(DENIED)))
    assert inside(guards(**RULES), run) == 'EPERM'


def test_without_an_agent_an_error_comes_at_once(guards):
    """The agent is killed, and the very next question has its error. The agent's note is fresh all that time."""
    guard = guards(**RULES)

    def run():
        ready, said = os.pipe()
        agent = os.fork()
        if not agent:
            answered(guard)
            os.write(said, b'.')
            while True:
                time.sleep(9)
        os.read(ready, 1)
        guard.enter()
        told = [outcome(lambda: exchange('127.0.0.53', question(DENIED)))]
        os.kill(agent, 9)
        os.waitpid(agent, 0)
        return told + [outcome(lambda: exchange(server, question(DENIED))) for server in SERVERS]

    assert child(run) == ['ok'] + ['EPERM'] * 3


def test_an_agent_that_hangs_counts_as_none(guards):
    guard = guards(**RULES)

    def run():
        with client_of('127.0.0.53') as client:
            return outcome(lambda: client.send(question(DENIED)))

    for seconds, ends in ((0, 'ok'), (3, 'EPERM')):
        def prepare(guard):
            present(guard)
            note(guard, _abi.ANSWERING_BEAT, time.clock_gettime_ns(time.CLOCK_MONOTONIC) - int(seconds * 1e9))
        assert inside(guard, run, prepare) == ends


def test_monitor_mode_lets_every_question_through(guards):
    guard = guards(mode='monitor', **RULES)

    def run():
        with listener('127.0.0.53', 53, socket.SOCK_DGRAM) as resolver:
            answered(guard)
            guard.enter()
            with client_of('127.0.0.53') as client:
                client.send(question(DENIED))
                return resolver.recv(4096).hex()

    assert bytes.fromhex(child(run)) == question(DENIED)


def test_a_question_over_tcp_does_not_leave(guards):
    guard = guards(**RULES)

    def run():
        with listener('127.0.0.53', 53):
            answered(guard)
            guard.enter()
            with socket.create_connection(('127.0.0.53', 53)) as client:
                return dropped(client, lambda: client.sendall(over_tcp(question(DENIED))))

    assert child(run) == 'DROPPED'


# --- floods ---

def test_where_the_ring_is_full_an_error_tells(guards):
    """What fits is swallowed, all the rest gets its error. docs/internals/names.md has the number."""
    guard = guards(**RULES)

    def run():
        with client_of('127.0.0.53') as client:
            return [outcome(lambda: client.send(question(DENIED))) for _number in range(2000)]

    told = inside(guard, run, present)
    swallowed = told.index('EPERM')
    assert set(told[:swallowed]) == {'ok'} and set(told[swallowed:]) == {'EPERM'}
    assert swallowed >= 700
    assert guard.counters()['dns']['denied'] == 2000


def test_a_flood_is_answered_or_refused_and_nothing_waits(guards):
    """30,000 questions as fast as they go: each that was swallowed has its answer."""
    guard = guards(**RULES)

    def run():
        got, count = set(), 30_000
        with client_of('127.0.0.53') as client:
            client.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            began = time.monotonic()
            sent = {number for number in range(count)
                    if outcome(lambda: client.send(question(DENIED, identity=number))) == 'ok'}
            seconds = time.monotonic() - began
            while sent - got:
                got.add(int.from_bytes(client.recv(4096)[:2], 'big'))
        return len(sent), count / seconds

    swallowed, rate = inside(guard, run)
    print('%d of 30000 answered, at %d a second' % (swallowed, rate))
    assert swallowed > 1000


# --- sockets that have errors of the network reported ---

def reporting(server, blocking=False, before=None):
    client = socket.socket(family(server), socket.SOCK_DGRAM)
    client.setblocking(blocking)
    if before:
        before(client)
    level, option = (socket.IPPROTO_IPV6, IPV6_RECVERR) if ':' in server else (socket.IPPROTO_IP, IP_RECVERR)
    client.setsockopt(level, option, 1)
    return client, client.getsockopt(level, option)


@pytest.mark.parametrize('server', SERVERS[:2])
def test_a_resolver_library_gets_its_answer_although_it_has_errors_reported(guards, server):
    """As glibc's does: to such a socket the kernel would report what was swallowed."""
    def run():
        client, reports = reporting(server)
        client.connect((server, 53))
        client.send(question(DENIED))
        client.settimeout(2)
        return client.recv(4096)[:4].hex(), reports
    assert inside(guards(**RULES), run) == ['12348183', 0]


OTHERS = [
    ('it waits', dict(blocking=True)), ('it is bound', dict(before=lambda client: client.bind(('127.0.0.1', 0)))),
    ('it is connected', dict(before=lambda client: client.connect(('127.0.0.1', 9)))),
]


@pytest.mark.parametrize('options', [row[1] for row in OTHERS], ids=[row[0] for row in OTHERS])
def test_what_is_no_resolver_library_has_its_errors_reported(guards, options):
    assert inside(guards(**RULES), lambda: reporting('127.0.0.53', **options)[1]) == 1


def test_where_nothing_is_answered_the_option_is_what_it_is(guards):
    assert inside(guards(**RULES), lambda: reporting('127.0.0.53')[1], lambda guard: None) == 1
    assert inside(guards(mode='monitor', **RULES), lambda: reporting('127.0.0.53')[1]) == 1
    assert inside(guards(deny=[('net', ['198.51.100.0/24'])]), lambda: reporting('127.0.0.53')[1]) == 1


def test_other_options_are_untouched(guards):
    """One with a value that is longer than a page, too: of that, the kernel shows a program the beginning alone."""
    def run():
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.setblocking(False)
            tcp.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, struct.pack('i', 70000) + bytes(6000))
            return [tcp.getsockopt(socket.IPPROTO_IP, IP_RECVERR), udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)]
    assert inside(guards(**RULES), run) == [1, 140000]
