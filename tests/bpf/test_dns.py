# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS: which questions leave, by packets made here and by real sockets; and what the kernel learns from answers."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
import threading
import time

import pytest
from policies import TCP, UDP, policy_of
from reference import judge_question
from wire import A, AAAA, CNAME, MX, answer, answer_frame, over_tcp, question, record, wire_name
from workbench import DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING, SYN, Guard, child, dropped, family, frame, \
    listener, outcome, passes, until_the_end

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import CANARY_NAME

LOADERS = ('libbpf', 'bcc')

RULES = dict(
    deny=[('github', ['.github.com']), ('alone', ['alone.test']), ('below', ['*.below.test']),
          ('deep', ['x.mirror.github.com']), ('https', ['ports.test'], [443]), ('long', ['.long.test'])],
    allow=[('mirror', ['.mirror.github.com']), ('some', ['git.github.com'], [22])])
POLICY = policy_of(**RULES)
MONITOR = policy_of(mode='monitor', **RULES)
SEALED = policy_of(default='deny', **RULES)
LONG_LABEL = 'l' * 63


def bytes_of_name(size, end='long.test'):
    """A name of so many bytes, the lengths and the 0 counted, that ends so."""
    left = size - len(wire_name(end))
    labels = []
    while left:
        label = min(63, left - 1) if left - min(63, left - 1) - 1 != 1 else left - 3
        labels.append('x' * label)
        left -= label + 1
    return '.'.join(labels + [end])


NAMES = [
    'github.com', 'GitHub.COM', 'api.github.com', 'a.b.c.d.e.github.com', 'notgithub.com', 'github.com.example', 'com',
    'hub.com', 'git.hub.com', 'alone.test', 'x.alone.test', 'below.test', 'x.below.test', 'y.x.below.test',
    'mirror.github.com', 'a.mirror.github.com', 'x.mirror.github.com', 'y.x.mirror.github.com', 'git.github.com',
    'a.git.github.com', 'ports.test', 'a.ports.test', 'localhost', 'dns.google', 'x.cloudflare-dns.com',
    LONG_LABEL + '.github.com', LONG_LABEL + '.test', bytes_of_name(255), bytes_of_name(254),
    bytes_of_name(255, 'fine.test'), '.'.join(['a'] * 123 + ['test', 'x']), CANARY_NAME]


@pytest.fixture(scope='module')
def made():
    """{policy's name: a guard for the whole file}, as tests use them."""
    guards = {}

    def make(which):
        if which not in guards:
            guards[which] = Guard({'deny': POLICY, 'monitor': MONITOR, 'sealed': SEALED}[which]).attach()
        return guards[which]

    yield make
    for guard in guards.values():
        guard.close()


def changes(guard, act):
    """How the counters moved while act() ran, as {kind: {verdict: n}}, and what it returned."""
    before, told, after = guard.counters(), act(), guard.counters()
    assert after['lost'] == before['lost']
    return {kind: {verdict: number - before[kind][verdict] for verdict, number in verdicts.items()
                   if number != before[kind][verdict]}
            for kind, verdicts in after.items() if isinstance(verdicts, dict) and verdicts != before[kind]}, told


# --- which names ---

@pytest.mark.parametrize('which', ['deny', 'monitor', 'sealed'])
@pytest.mark.parametrize('to', ['127.0.0.53', '::1'])
def test_which_questions_leave(made, which, to):
    guard = made(which)
    for name in NAMES:
        denied = judge_question(guard.policy, name)[0]
        sent = frame(to, 53, UDP, payload=question(name, kind=AAAA))
        moved, passed = changes(guard, lambda: passes(guard, sent))
        assert passed == (not denied or which == 'monitor'), name
        verdict = 'allowed' if not denied else 'would_deny' if which == 'monitor' else 'denied'
        assert moved == ({} if name == CANARY_NAME else {'dns': {verdict: 1}}), name


def test_a_name_of_127_labels(guards):
    deepest = '.'.join('abc'[place % 3] for place in range(127))
    assert len(wire_name(deepest)) == 255
    guard = guards(attach=False, deny=[('deep', [deepest])])
    for name, denied in ((deepest, True), (deepest[2:], False), ('b' + deepest[1:], False)):
        assert passes(guard, frame('127.0.0.53', 53, UDP, payload=question(name))) != denied


@pytest.mark.parametrize('options', [dict(options=10), dict(options=1)], ids=str)
def test_ip_options_hide_nothing(made, options):
    for name, passed in (('github.com', False), ('fine.test', True)):
        assert passes(made('deny'), frame('127.0.0.53', 53, UDP, payload=question(name), **options)) == passed


@pytest.mark.parametrize('extensions', [
    [(HOP_BY_HOP, 0)], [(DESTINATION, 3)], [(ROUTING, 2), (DESTINATION, 0)], [(FRAGMENT, 0)],
    [(HOP_BY_HOP, 1), (ROUTING, 2), (DESTINATION, 0), (FRAGMENT, 0), (DESTINATION, 9)]], ids=str)
def test_extension_headers_hide_nothing(made, extensions):
    for name, passed in (('github.com', False), ('fine.test', True)):
        assert passes(made('deny'), frame('::1', 53, UDP, payload=question(name), extensions=extensions)) == passed


def test_other_ports_are_not_read(made):
    for port in (52, 54, 5353, 443):
        moved, passed = changes(made('deny'), lambda: passes(
            made('deny'), frame('127.0.0.53', port, UDP, payload=question('github.com'))))
        assert (moved, passed) == ({}, True)


# --- what can't be read ---

FINE = question('fine.test')
UNREADABLE = [
    ('no question', question('fine.test', count=0)), ('two questions', question('fine.test', count=2)),
    ('65535 questions', question('fine.test', count=65535)), ('nothing', b''), ('one byte', b'\0'),
    ('a pointer', question('', name_bytes=b'\xc0\x0c')), ('a pointer to itself', question('', name_bytes=b'\xc0\x0d')),
    ('a pointer behind a label', question('', name_bytes=b'\x01a\xc0\x0c')),
    ('a pointer into the header', question('', name_bytes=b'\xc0\x00')),
    ('a length of 64', question('', name_bytes=b'\x40' + b'a' * 64 + b'\0')),
    ('a length of 191', question('', name_bytes=b'\xbf' + b'a' * 191 + b'\0')),
    ('256 bytes', question('', name_bytes=wire_name(bytes_of_name(255)[1:] + 'xx'))),
    ('301 bytes', question('', name_bytes=(b'\x3b' + b'a' * 59) * 5 + b'\0')),
    ('128 labels', question('', name_bytes=b'\x01a' * 128 + b'\0')),
    ('a label beyond the end', FINE[:12] + b'\x3fshort'), ('no end', FINE[:12] + b'\x04fine\x04test'),
] + [('cut at %d' % size, FINE[:size]) for size in range(1, len(FINE) - 4)]


@pytest.mark.parametrize('message', [row[1] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE])
def test_what_can_not_be_read_is_denied_and_counted(made, message):
    for which, verdict in (('deny', 'denied'), ('monitor', 'would_deny'), ('sealed', 'denied')):
        for to in ('127.0.0.53', '::1'):
            moved, passed = changes(made(which), lambda: passes(made(which), frame(to, 53, UDP, payload=message)))
            assert (moved, passed) == ({'dns': {verdict: 1}}, which == 'monitor')
    assert [key.rule for key, value in made('deny').denials() if not value.name[0]] == [_abi.RULE_UNREADABLE] * 2


@pytest.mark.parametrize('message', [row[1] for row in UNREADABLE[:4]], ids=[row[0] for row in UNREADABLE[:4]])
def test_where_no_name_is_denied_what_can_not_be_read_passes(guards, message):
    guard = guards(attach=False, deny=[('net', ['198.51.100.0/24'])])
    assert passes(guard, frame('127.0.0.53', 53, UDP, payload=message))


# --- real sockets ---

SENDMMSG = ctypes.CDLL(None, use_errno=True).sendmmsg


class Vector(ctypes.Structure):
    _fields_ = [('base', ctypes.c_char_p), ('length', ctypes.c_size_t)]


class MessageHeader(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = [('name', ctypes.c_void_p), ('name_length', ctypes.c_uint32), ('vectors', ctypes.POINTER(Vector)),
                ('count', ctypes.c_size_t), ('control', ctypes.c_void_p), ('control_length', ctypes.c_size_t),
                ('flags', ctypes.c_int), ('sent', ctypes.c_uint32)]


def send_many(client, messages):
    """How many of them sendmmsg(2) sends."""
    vectors = [Vector(message, len(message)) for message in messages]
    headers = (MessageHeader * len(messages))(*(
        MessageHeader(vectors=ctypes.pointer(vector), count=1) for vector in vectors))
    sent = SENDMMSG(client.fileno(), headers, len(messages), 0)
    if sent < 0:
        raise OSError(ctypes.get_errno(), 'sendmmsg')
    return sent


def send_in_parts(client, message, place):
    client.send(message[:place], socket.MSG_MORE)
    client.send(message[place:])


def send_segments(client, messages):
    client.setsockopt(socket.IPPROTO_UDP, 103, len(messages[0]))  # UDP_SEGMENT
    client.send(b''.join(messages))


def datagrams(server):
    server.settimeout(0.05)
    found = []
    try:
        while True:
            found.append(server.recv(65536))
    except TimeoutError:
        return found


GITHUB = question('api.github.com')
SENT = [  # what is done, how it ends, which messages arrive
    ('sendto', lambda s, to: s.sendto(GITHUB, to), 'EPERM', []),
    ('sendto, fine', lambda s, to: s.sendto(FINE, to), 'ok', [FINE]),
    ('send', lambda s, to: (s.connect(to), s.send(GITHUB)), 'EPERM', []),
    ('send, fine', lambda s, to: (s.connect(to), s.send(FINE)), 'ok', [FINE]),
    ('pieces', lambda s, to: (s.connect(to), s.sendmsg([GITHUB[i:i + 1] for i in range(len(GITHUB))])), 'EPERM', []),
    ('MSG_MORE', lambda s, to: (s.connect(to), send_in_parts(s, GITHUB, 20)), 'EPERM', []),
    ('MSG_MORE, fine', lambda s, to: (s.connect(to), send_in_parts(s, FINE, 14)), 'ok', [FINE]),
    ('the second denied', lambda s, to: (s.connect(to), s.send(FINE), s.send(GITHUB)), 'EPERM', [FINE]),
    ('the second fine', lambda s, to: (s.connect(to), outcome(lambda: s.send(GITHUB)), s.send(FINE)), 'ok', [FINE]),
    ('sendmmsg', lambda s, to: (s.connect(to), send_many(s, [GITHUB, FINE])), 'EPERM', []),
    ('sendmmsg, the second denied', lambda s, to: (s.connect(to), send_many(s, [FINE, GITHUB, FINE])), 'ok', [FINE]),
    ('UDP_SEGMENT', lambda s, to: (s.connect(to), send_segments(s, [question('f' * 10 + '.test'),
                                                                    question('a.github.com'[:14])])), 'EPERM', []),
    ('UDP_SEGMENT, fine', lambda s, to: (s.connect(to), send_segments(s, [FINE, FINE])), 'EPERM', []),
    ('a long one', lambda s, to: s.sendto(GITHUB + bytes(9000), to), 'EPERM', []),
    ('the resolver is closed', lambda s, to: s.sendto(GITHUB, (to[0], 53)), 'EPERM', []),
]


@pytest.mark.parametrize('to', ['127.0.0.53', '::1', '::ffff:127.0.0.53'])
@pytest.mark.parametrize('act, ends, received', [row[1:] for row in SENT], ids=[row[0] for row in SENT])
def test_datagrams(made, to, act, ends, received):
    def run():
        with listener('::' if ':' in to else to, 53, socket.SOCK_DGRAM) as server:
            made('deny').enter()
            with socket.socket(family(to), socket.SOCK_DGRAM) as client:
                said = outcome(lambda: act(client, (to, 53)))
                return said, [message.hex() for message in datagrams(server)]

    assert child(run) == [ends, [message.hex() for message in received]]


def test_a_raw_socket_asks_nothing_denied(made):
    def run():
        made('deny').enter()
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            return [outcome(lambda: raw.sendto(struct.pack('!HHHH', 1, 53, 8 + len(message), 0) + message,
                                               ('127.0.0.53', 0))) for message in (GITHUB, FINE)]
    assert child(run) == ['EPERM', 'ok']


def over_connection(made, which, act, to='127.0.0.53'):
    """What act(client) ends with, and what a resolver hears of it."""
    def run():
        with listener(to, 53) as server:
            made(which).enter()
            with socket.socket(family(to)) as client:
                client.settimeout(5)
                client.connect((to, 53))
                peer, _from = server.accept()
                heard = []
                reader = threading.Thread(target=lambda: heard.append(until_the_end(peer, True)))  # or the window closes
                reader.start()
                said = dropped(client, lambda: act(client))
            with peer:
                reader.join()
                return said, heard[0].hex()

    said, heard = child(run)
    return said, bytes.fromhex(heard)


FINE_TCP, GITHUB_TCP = over_tcp(FINE), over_tcp(GITHUB)
STREAMS = [
    ('denied', lambda s: s.sendall(GITHUB_TCP), 'DROPPED', b''),
    ('fine', lambda s: s.sendall(FINE_TCP), 'ok', FINE_TCP),
    ('two fine ones', lambda s: s.sendall(FINE_TCP * 2), 'ok', FINE_TCP * 2),
    ('two at once, the second denied', lambda s: s.sendall(FINE_TCP + GITHUB_TCP), 'DROPPED', b''),
    ('three at once, the third denied', lambda s: s.sendall(FINE_TCP * 2 + GITHUB_TCP), 'DROPPED', b''),
    ('one after the other', lambda s: (s.sendall(FINE_TCP), s.sendall(GITHUB_TCP)), 'DROPPED', FINE_TCP),
    ('one after the other, late', lambda s: (s.sendall(FINE_TCP), time.sleep(0.2), s.sendall(GITHUB_TCP)), 'DROPPED',
     FINE_TCP),
    ('50 of them, then a denied one', lambda s: ([s.sendall(FINE_TCP) for number in range(50)], s.sendall(GITHUB_TCP)),
     'DROPPED', FINE_TCP * 50),
    ('bytes', lambda s: s.sendmsg([GITHUB_TCP[i:i + 1] for i in range(len(GITHUB_TCP))]), 'DROPPED', b''),
    ('MSG_MORE', lambda s: send_in_parts(s, GITHUB_TCP, 20), 'DROPPED', b''),
    ('a length of 0', lambda s: s.sendall(b'\0\0'), 'DROPPED', b''),
    ('a length of 0, and a denied one', lambda s: s.sendall(b'\0\0' + GITHUB_TCP), 'DROPPED', b''),
    ('a message without a question', lambda s: s.sendall(over_tcp(question('fine.test', count=0))), 'DROPPED', b''),
    ('the largest', lambda s: s.sendall(over_tcp(FINE + bytes(65535 - len(FINE)))), 'ok',
     over_tcp(FINE + bytes(65535 - len(FINE)))),
    ('the largest, denied', lambda s: s.sendall(over_tcp(GITHUB + bytes(65535 - len(GITHUB)))), 'DROPPED', b''),
    ('the length alone', lambda s: s.sendall(GITHUB_TCP[:2]), 'ok', GITHUB_TCP[:2]),
    ('half a length', lambda s: s.sendall(GITHUB_TCP[:1]), 'ok', GITHUB_TCP[:1]),
]


@pytest.mark.parametrize('to', ['127.0.0.53', '::1'])
@pytest.mark.parametrize('act, ends, received', [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS])
def test_connections(made, to, act, ends, received):
    """TCP may put a denied question and earlier ones into one segment, and then all of it is dropped."""
    said, heard = over_connection(made, 'deny', act, to)
    assert said == ends and (heard == received if ends == 'ok' else received.startswith(heard))


def test_a_connection_in_monitor_mode_records_and_passes_all(made):
    moved, said = changes(made('monitor'), lambda: over_connection(
        made, 'monitor', lambda s: s.sendall(GITHUB_TCP + FINE_TCP)))
    assert said == ('ok', GITHUB_TCP + FINE_TCP)
    assert moved == {'connect': {'allowed': 1}, 'dns': {'would_deny': 1, 'allowed': 1}}


@pytest.mark.parametrize('message, ends', [(GITHUB_TCP, 'DROPPED'), (FINE_TCP, 'ok')])
def test_a_message_that_is_cut_anywhere(made, message, ends):
    def run():
        told = []
        with listener('127.0.0.53', 53) as server:
            made('deny').enter()
            for place in range(1, len(message)):
                with socket.create_connection(('127.0.0.53', 53)) as client:
                    client.settimeout(5)
                    peer, _from = server.accept()
                    said = dropped(client, lambda: (client.sendall(message[:place]), client.sendall(message[place:])))
                with peer:
                    told.append((said, until_the_end(peer).hex()))
        return told

    assert child(run) == [[ends, (message if ends == 'ok' else message[:place]).hex()] for place in range(1, len(message))]


def test_what_a_record_says_of_a_question(guards):
    guard = guards(POLICY)

    def run():
        guard.enter()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for message in (question('API.GitHub.com'), question('', count=3)):
                outcome(lambda: client.sendto(message, ('127.0.0.53', 53)))

    child(run)
    found = guard.reader().denials(guard.denials())
    told_of = [(record['rule'], record['kind'], record['name'], record['port'], record['protocol']) for record in found]
    assert told_of == [
        ('github', 'dns', 'api.github.com', 53, 'udp'), (None, 'dns', None, 53, 'udp')]
    assert 'could not be read' in found[1]['reason'] and all(record['pid'] for record in found)
    asked = list(guard.kernel.items(guard.maps['ebg_asked'], _abi.Asked, ctypes.c_uint8))
    assert [(key.pid, key.name) for key, _yes in asked] == [(found[0]['pid'], _names.name_hash('api.github.com'))]


# --- answers ---

FOUR, SIX = ipaddress.ip_address('198.51.100.7').packed, ipaddress.ip_address('2001:db8::7').packed


def told(guard, message, source=_abi.SOURCE_TAUGHT, **options):
    """{(name, address): (target, seconds that it holds)} of what the guard heard by one answer."""
    before = {bytes(key): bytes(value) for key, value in guard.heard()}
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    assert guard.hears(answer_frame(message, **options), source)
    found = {}
    for key, value in guard.heard():
        if before.get(bytes(key)) != bytes(value):  # it holds longer by now
            address = ipaddress.ip_address(bytes(key.address))
            target = _names.from_wire(bytes(value.target)) if value.target[0] else None
            found[_names.from_wire(bytes(value.name)), str(address.ipv4_mapped or address)] = (
                target, round(value.until / 1e9 - now))
            assert key.name == _names.name_hash(_names.from_wire(bytes(value.name)))
    return found


def full(name):
    return wire_name(name)


ANSWERS = [  # name, answer, what is learned
    ('A', answer('q.test', [record(A, FOUR)]), {('q.test', '198.51.100.7'): (None, 300)}),
    ('AAAA', answer('q.test', [record(AAAA, SIX)], kind=AAAA), {('q.test', '2001:db8::7'): (None, 300)}),
    ('both', answer('q.test', [record(A, FOUR), record(AAAA, SIX)]),
     {('q.test', '198.51.100.7'): (None, 300), ('q.test', '2001:db8::7'): (None, 300)}),
    ('upper case', answer('Q.TEST', [record(A, FOUR)]), {('q.test', '198.51.100.7'): (None, 300)}),
    ('not compressed', answer('q.test', [record(A, FOUR, owner=full('q.test'))]),
     {('q.test', '198.51.100.7'): (None, 300)}),
    ('TTL 0', answer('q.test', [record(A, FOUR, seconds=0)]), {('q.test', '198.51.100.7'): (None, 60)}),
    ('TTL 59', answer('q.test', [record(A, FOUR, seconds=59)]), {('q.test', '198.51.100.7'): (None, 60)}),
    ('TTL a week', answer('q.test', [record(A, FOUR, seconds=604800)]), {('q.test', '198.51.100.7'): (None, 604800)}),
    ('CNAME', answer('q.test', [record(CNAME, full('t.example')), record(A, FOUR, owner=full('t.example'))]),
     {('q.test', '198.51.100.7'): ('t.example', 300)}),
    ('CNAME, compressed', answer('q.test', [record(CNAME, b'\x01t' + b'\xc0\x0e'), record(A, FOUR, owner=b'\xc0\x24')]),
     {('q.test', '198.51.100.7'): ('t.test', 300)}),
    ('a chain', answer('q.test', [record(CNAME, full('a.example')), record(CNAME, full('b.example'), full('a.example')),
                                  record(A, FOUR, full('b.example'))]),
     {('q.test', '198.51.100.7'): ('b.example', 300)}),
    ('a chain to a denied name', answer('q.test', [
        record(CNAME, full('lb.github.com')), record(CNAME, full('b.example'), full('lb.github.com')),
        record(A, FOUR, full('b.example'))]), {('q.test', '198.51.100.7'): ('lb.github.com', 300)}),
    ('others between', answer('q.test', [record(MX, b'\0\x0a' + full('m.test')), record(A, FOUR)]),
     {('q.test', '198.51.100.7'): (None, 300)}),
    ('an A record of 5 bytes', answer('q.test', [record(A, FOUR + b'x'), record(AAAA, SIX)]),
     {('q.test', '2001:db8::7'): (None, 300)}),
    ('40 records', answer('q.test', [record(A, bytes([203, 0, 113, index])) for index in range(40)]),
     {('q.test', '203.0.113.%d' % index): (None, 300) for index in range(40)}),
    ('fewer than it says', answer('q.test', [record(A, FOUR)], count=9), {('q.test', '198.51.100.7'): (None, 300)}),
    ('nothing', answer('q.test', []), {}),
    ('a question', answer('q.test', [record(A, FOUR)], flags=0x0100), {}),
    ('two questions', answer('q.test', [record(A, FOUR)], questions=2), {}),
    ('more than it says', answer('q.test', [record(A, FOUR), record(AAAA, SIX)], count=1),
     {('q.test', '198.51.100.7'): (None, 300)}),
    ('cut in its data', answer('q.test', [record(A, FOUR)])[:-1], {}),
    ('a loop of pointers', answer('q.test', [record(A, FOUR, owner=b'\xc0\x18')]), {}),
    ('a pointer beyond the end', answer('q.test', [record(A, FOUR, owner=b'\xff\xff')]), {}),
]


@pytest.mark.parametrize('message, learned', [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_what_an_answer_teaches(made, message, learned):
    found = told(made('deny'), message, _abi.SOURCE_PACKET)
    assert {key: (target, pytest.approx(seconds, abs=1)) for key, (target, seconds) in learned.items()} == found


@pytest.mark.parametrize('options', [dict(address='2001:db8::9'), dict(options=4),
                                     dict(address='2001:db8::9', extensions=[(DESTINATION, 1)])], ids=str)
def test_answers_come_in_any_packet(guards, options):
    assert list(told(guards(POLICY, attach=False), answer('q.test', [record(A, FOUR)]), **options)) == [
        ('q.test', '198.51.100.7')]


def test_what_does_not_come_from_port_53_teaches_nothing(guards):
    guard = guards(POLICY, attach=False)
    guard.hears(frame('198.51.100.9', 53, UDP, source_port=54,
                      payload=answer('q.test', [record(A, FOUR)])))
    assert guard.heard() == []


def is_denied(guard, address='198.51.100.7', port=443, protocol=TCP):
    return not passes(guard, frame(address, port, protocol, flags=SYN))


LEARNED = [  # answers, denied by address afterwards
    ('a denied name', [answer('api.github.com', [record(A, FOUR)])], True),
    ('an allowed name', [answer('mirror.github.com', [record(A, FOUR)])], False),
    ('a name without a rule', [answer('q.test', [record(A, FOUR)])], False),
    ('an alias of a denied name', [answer('q.test', [record(CNAME, full('api.github.com')),
                                                     record(A, FOUR, full('api.github.com'))])], True),
    ('an allowed alias of a denied name', [answer('mirror.github.com', [
        record(CNAME, full('api.github.com')), record(A, FOUR, full('api.github.com'))])], False),
    ('a denied alias of an allowed name', [answer('api.github.com', [
        record(CNAME, full('mirror.github.com')), record(A, FOUR, full('mirror.github.com'))])], True),
    ('shared', [answer('api.github.com', [record(A, FOUR)]), answer('q.test', [record(A, FOUR)])], True),
    ('ports, another one', [answer('ports.test', [record(A, FOUR)])], True),
]


@pytest.mark.parametrize('messages, denied', [row[1:] for row in LEARNED], ids=[row[0] for row in LEARNED])
def test_addresses_are_judged_by_the_names_that_led_there(guards, messages, denied):
    guard = guards(POLICY, attach=False)
    assert not is_denied(guard)
    for message in messages:
        told(guard, message)
    assert is_denied(guard) == denied
    assert not is_denied(guard, '198.51.100.8') and not is_denied(guard, '2001:db8::7')


def test_a_rule_with_ports_judges_the_address_by_them(guards):
    guard = guards(POLICY, attach=False)
    told(guard, answer('ports.test', [record(A, FOUR)]))
    assert [is_denied(guard, port=port) for port in (443, 80)] == [True, False]


def test_a_shared_address_opens_for_tcp_and_not_for_datagrams(guards):
    guard = guards(POLICY)
    for name in ('api.github.com', 'q.test'):
        told(guard, answer(name, [record(A, FOUR)]))

    def run():
        guard.enter()
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            return [outcome(lambda: tcp.connect(('198.51.100.7', 443))),
                    outcome(lambda: udp.sendto(b'x', ('198.51.100.7', 443)))]

    assert child(run) == ['ENETUNREACH', 'EACCES']


def test_answers_over_real_sockets(guards):
    """By datagram and by connection; the resolver stands outside the guard."""
    guard = guards(POLICY)

    def run():
        with listener('127.0.0.53', 53, socket.SOCK_DGRAM) as resolver, listener('127.0.0.53', 53) as other:
            guard.enter()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(question('q.test'), ('127.0.0.53', 53))
                resolver.sendto(answer('q.test', [record(A, FOUR)]), resolver.recvfrom(512)[1])
                client.settimeout(5)
                client.recv(512)
            with socket.create_connection(('127.0.0.53', 53)) as client:
                client.sendall(over_tcp(question('t.test')))
                peer, _from = other.accept()
                peer.recv(512)
                peer.sendall(over_tcp(answer('t.test', [record(AAAA, SIX)])))
                client.recv(512)
        return guard.reader().names

    assert child(run) == {'198.51.100.7': 'q.test', '2001:db8::7': 't.test'}


@pytest.mark.parametrize('kind, data, address', [
    (A, b'\x7f\0\0\1', '127.0.0.1'), (A, bytes(4), '0.0.0.0'), (AAAA, bytes(15) + b'\1', '::1'), (AAAA, bytes(16), '::')])
def test_an_address_of_every_host_is_learned_by_no_name(guards, kind, data, address):
    """So answer those who block names; a rule on one of these names must not cut the host off from itself."""
    guard = guards(POLICY, attach=False)
    told(guard, answer('api.github.com', [record(kind, data)]))
    assert guard.heard() == [] and not is_denied(guard, address)


def test_the_resolver_stays_open_when_a_denied_name_leads_to_its_address(guards):
    guard = guards(POLICY, attach=False, resolvers=['198.51.100.7'])
    told(guard, answer('api.github.com', [record(A, FOUR)]))
    assert is_denied(guard, port=443) and is_denied(guard, address='198.51.100.7', port=54, protocol=UDP)
    assert passes(guard, frame('198.51.100.7', 53, UDP, payload=question('q.test')))
    assert not passes(guard, frame('198.51.100.7', 53, UDP, payload=question('api.github.com')))
