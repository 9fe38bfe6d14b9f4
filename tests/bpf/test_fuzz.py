# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated messages, many of them broken, against readers that others wrote: dnspython, OpenSSL and GnuTLS.

No message in which these find a denied name may leave. What leaves is either a message that they read as fine, or one
that they can't read a name in. Every seed is told when a test fails; the last one is fresh each time.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import os
import random
import socket
import ssl
import struct
import subprocess
import threading

import dns.exception
import dns.message
import dns.name
import gnutls
import pytest
from policies import UDP
from wire import client_hello, extension, in_records, long_protocols, made_hello, over_tcp, question, sni, wire_name
from workbench import child, counted, dropped, frame, listener, outcome, until_the_end

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf

FRESH = int.from_bytes(os.urandom(4), 'big')
SEEDS = (1, 2, 3, 4, FRESH)
RULES = dict(deny=[('closed', ['.closed.test'])], allow=[('open', ['.open.closed.test'])], encrypted_dns='allow')
CLOSED, OPEN = (b'closed', b'test'), (b'open', b'closed', b'test')


def is_denied(labels):
    """By the rules above, of a name's labels."""
    labels = tuple(label.lower() for label in labels if label)
    return labels[-2:] == CLOSED and labels[-3:] != OPEN


# --- DNS ---

NAMES = ['closed.test', 'a.closed.test', 'open.closed.test', 'x.open.closed.test', 'fine.test', 'closed.test.example',
         'notclosed.test', 'test', 'CLOSED.Test', 'a.b.c.d.e.f.g.h.closed.test', 'l' * 63 + '.closed.test',
         '.'.join(['m' * 60] * 3 + ['n' * 50, 'closed', 'test']), '.'.join(['m' * 60] * 4 + ['test'])]
INTERESTING = b'\x00\x01\x02\x3f\x40\x80\xbf\xc0\xff.'


def generated_name(chance):
    """The bytes of a name that may be right."""
    kind = chance.random()
    if kind < 0.5:
        return wire_name(chance.choice(NAMES))
    labels = [bytes(chance.choices(b'abcT-_.\0\xffopen', k=chance.choice((1, 1, 2, 3, 6, 62, 63))))
              for _label in range(chance.choice((1, 2, 3, 5, 100)))]
    return wire_name(labels + chance.choice(([], [b'closed', b'test'], [b'cLOSED', b'tesT'], [b'closed', b'tes'])))


def mutated(chance, message):
    for _time in range(chance.choice((0, 1, 1, 1, 2, 4))):
        place = chance.randrange(len(message) + 1)
        how = chance.randrange(5)
        if how == 0 and place < len(message):
            message = message[:place] + bytes([chance.choice(INTERESTING)]) + message[place + 1:]
        elif how == 1 and place < len(message):
            message = message[:place] + bytes([message[place] ^ 1 << chance.randrange(8)]) + message[place + 1:]
        elif how == 2:
            message = message[:place] + bytes(chance.choices(range(256), k=chance.choice((1, 2, 8)))) + message[place:]
        elif how == 3:
            message = message[:place] + message[place + chance.choice((1, 2, 12)):]
        elif chance.random() < 0.3:
            message = message[:place]
    return message


def dns_message(chance):
    kind = chance.random()
    if kind < 0.05:
        return bytes(chance.choices(range(256), k=chance.randrange(1, 80)))
    count = chance.choice((1,) * 12 + (0, 2, 256, 65535))
    message = question('', kind=chance.choice((1, 28, 65)), count=count, name_bytes=generated_name(chance),
                       identity=chance.getrandbits(16))
    if chance.random() < 0.2:
        message += wire_name(chance.choice(NAMES)) + b'\0\1\0\1'
    if chance.random() < 0.1:
        place = chance.randrange(12, len(message))
        message = message[:place] + struct.pack('!H', 0xc000 | chance.randrange(40)) + message[place:]
    return mutated(chance, message)


def names_asked(message):
    """The names for which dnspython finds a question; None where it can't read them."""
    try:
        parsed = dns.message.from_wire(message, question_only=True, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    return [entry.name.labels for entry in parsed.question]


def plain_name(message):
    """The labels of the only name, where it stands there without a pointer; else None."""
    if message[4:6] != b'\0\1':
        return None
    try:
        name, used = dns.name.from_wire(message, 12)
    except (dns.exception.DNSException, ValueError, IndexError):
        return None
    return name.labels if used == sum(len(label) + 1 for label in name.labels) else None


def expected(message):
    """'denied' by the rule or 'allowed', by dnspython; 'unreadable' where it finds no name, or not one alone."""
    plain, asked = plain_name(message), names_asked(message)
    if plain is None:
        return 'unreadable'
    if asked:
        assert all(is_denied(labels) == is_denied(plain) for labels in asked)
    return 'denied' if is_denied(plain) else 'allowed'


def test_the_reference_knows_what_is_right_and_wrong():
    for name, told in (('a.closed.test', 'denied'), ('A.CLOSED.TEST', 'denied'), ('open.closed.test', 'allowed'),
                       ('notclosed.test', 'allowed')):
        assert expected(question(name)) == told
        assert [is_denied(labels) for labels in names_asked(question(name))] == [told == 'denied']
    for message in (question('fine.test', count=2), question('', name_bytes=b'\xc0\x0c'), b'x' * 12, b''):
        assert expected(message) == 'unreadable'


def runner(guard):
    """verdict(payload) of the egress program on a packet with it: as fast as Python can ask."""
    head = frame('127.0.0.53', 53, UDP)
    options = bpf.RunOptions(size=ctypes.sizeof(bpf.RunOptions))
    run, program, reference = guard.kernel.lib.bpf_prog_test_run_opts, guard.egress, ctypes.byref(options)

    def verdict(payload):
        options.data_in, options.data_size_in = head + payload, len(head) + len(payload)
        options.data_size_out = 0  # the kernel writes here what it would have copied
        assert run(program, reference) == 0
        return options.retval & 1

    return verdict


def rule_counts(guard):
    """{rule's number: denials}; those whose details did not fit are nobody's."""
    counts = {}
    for key, value in guard.denials():
        counts[key.rule] = counts.get(key.rule, 0) + value.count
    return counts


def test_100_000_dns_messages(guards):
    guard = guards(attach=False, **RULES)
    verdict, counts = runner(guard), {'denied': 0, 'allowed': 0, 'unreadable': 0}
    for seed in SEEDS:
        chance = random.Random(seed)
        for number in range(20_000):
            message = dns_message(chance)
            due = expected(message)
            counts[due] += 1
            assert verdict(message) == (due == 'allowed'), (seed, number, due, message.hex())
    assert min(counts.values()) > 10_000
    totals = guard.counters()
    lost = totals['lost']
    assert totals == counted(dns={'allowed': counts['allowed'], 'denied': counts['denied'] + counts['unreadable']},
                             lost=lost)
    found = rule_counts(guard)
    assert found[_abi.RULE_UNREADABLE] == counts['unreadable'] and found[_abi.RULE_FIRST] + lost == counts['denied']


def test_10_000_dns_messages_through_sockets(guards):
    """Half of them by datagrams, half by connections of their own; a resolver outside hears what leaves."""
    guard, each = guards(**RULES), 1_000

    def run():
        told = []
        with listener('127.0.0.53', 53, socket.SOCK_DGRAM) as resolver, listener('127.0.0.53', 53) as other:
            guard.enter()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.connect(('127.0.0.53', 53))
                for seed in SEEDS:
                    chance = random.Random(seed)
                    for number in range(each):
                        message = dns_message(chance)
                        passes = expected(message) == 'allowed'
                        said = outcome(lambda: client.send(message))
                        if said != ('ok' if passes else 'EPERM') or (passes and resolver.recv(65536) != message):
                            told.append(('datagram', seed, number, said, message.hex()))
            for seed in SEEDS:
                chance = random.Random(-seed)
                for number in range(each):
                    message = over_tcp(dns_message(chance))
                    passes = expected(message[2:]) == 'allowed'
                    with socket.create_connection(('127.0.0.53', 53)) as client:
                        said = dropped(client, lambda: client.sendall(message))
                    with other.accept()[0] as peer:
                        heard = until_the_end(peer, said == 'DROPPED')
                    if (said, heard) != (('ok', message) if passes else ('DROPPED', b'')):
                        told.append(('connection', seed, number, said, message.hex()))
        return told

    assert child(run) == []
    assert sum(guard.counters()['dns'].values()) == 2 * each * len(SEEDS)
    assert guard.counters()['connect']['allowed'] == 1 + each * len(SEEDS)


# --- TLS ---

PRESENTED = ['closed.test', 'a.closed.test', 'A.Closed.TEST', 'open.closed.test', 'fine.test', 'notclosed.test', None]
REAL = [client_hello(name, protocols) for name in PRESENTED
        for protocols in ((), ['h2', 'http/1.1'], long_protocols(900))]
GROUPS = extension(10, b'\0\4\0\x1d\0\x17') + extension(11, b'\1\0') + extension(13, b'\0\4\4\3\x08\4')


def hello(chance):
    """A ClientHello that may be right."""
    kind = chance.random()
    if kind < 0.5:
        return chance.choice(REAL)
    names = [(chance.choice(PRESENTED) or '').encode() for _name in range(chance.choice((1, 1, 1, 1, 0, 2)))]
    parts = [sni(name + chance.choice((b'',) * 9 + (b'.',)), kind=chance.choice((0,) * 12 + (1,))) for name in names]
    parts += [GROUPS] + [extension(chance.choice((5, 16, 21, 23, 35, 0xff01, 2570)), bytes(chance.randrange(9)))
                         for _extension in range(chance.choice((0, 1, 3, 70)))]
    chance.shuffle(parts)
    return made_hello(b''.join(parts), session=bytes(chance.choice((0, 32, 32, 33))),
                      version=chance.choice((0x0303, 0x0303, 0x0301)), ciphers=b'\x13\x01\xc0\x2f\x00\x2f')


# an empty record, an alert, and a change of ciphers
BETWEEN = [b'\x16\3\1\0\0', b'\x15\3\1\0\2\1\x5a', b'\x14\3\1\0\1\1']


def split(chance, message):
    """The hello in records of several sizes, with others between them."""
    handshake, parts = message[5:], []
    sizes = chance.choice(((1, 2, 3, 4, 40), (40, 200, 1000), (900,)))
    while handshake:
        size = chance.choice(sizes)
        parts.append(in_records(handshake[:size]))
        handshake = handshake[size:]
    for _part in range(chance.choice((0, 0, 1, 3))):
        parts.insert(chance.randrange(len(parts) + 1), chance.choice(BETWEEN))
    return b''.join(parts)


def is_read(message, original):
    """Is the hello a real one, in records that the guard has room for?"""
    return original in REAL and len(message) <= 4096 and message.count(b'\x16\3\1') < 100


def tls_message(chance):
    """(message, the hello in it if the guard must find its name)"""
    original = hello(chance)
    if chance.random() < 0.2:
        message = split(chance, original)
        return message, original if is_read(message, original) else None
    message = broken(chance, original)
    return message, message if message in REAL else None


def broken(chance, message):
    """A hello, often with a change that makes it another one, or none."""
    kind = chance.random()
    if kind < 0.3:
        return message
    if kind < 0.4:
        return in_records(message[5:], chance.choice((1, 3, 4, 40, 200, 1000)))
    if kind < 0.5:
        return chance.choice((b'\x16\3\1\0\0', b'\x15\3\1\0\2\1\x5a', b'\x14\3\1\0\1\1', b'\x17\3\1\0\0',
                              b'\0')) + message
    if kind < 0.7:  # a length, or another byte of the first ones
        place = chance.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 43, 44, 75, 76, 77))
        return message[:place] + bytes([(message[place] + chance.choice((-1, 1, 2, 128))) % 256]) + message[place + 1:]
    return mutated(chance, message)


class Server:
    """What OpenSSL reads as a server: the name that it sees in a first message."""

    def __init__(self):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers('ALL:@SECLEVEL=0')
        self.context.options &= ~(ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1)
        self.context.sni_callback = self._saw
        self.name = None

    def _saw(self, _socket, name, _context):
        self.name = name
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME  # no need to go on

    def sees(self, message):
        self.name = None
        heard = ssl.MemoryBIO()
        heard.write(message)
        try:
            self.context.wrap_bio(heard, ssl.MemoryBIO(), server_side=True).do_handshake()
        except ssl.SSLError:
            pass
        return self.name


def sees_denied(servers, message):
    names = [server.sees(message) for server in servers]
    return any(name is not None and is_denied(name.encode().split(b'.')) for name in names)


@pytest.mark.parametrize('server', [Server(), gnutls.Server()], ids=['openssl', 'gnutls'])
def test_these_servers_see_the_names(server):
    for name in PRESENTED:
        for message in (client_hello(name), client_hello(name, long_protocols(900)), made_hello(
                (sni(name.encode()) if name else b'') + GROUPS, session=bytes(32), ciphers=b'\x13\x01\xc0\x2f')):
            assert (server.sees(message) or '').lower() == (name or '').lower()


def try_hellos(server, seed, number, base):
    """What went wrong with so many messages, each on a connection of its own, and how many were refused."""
    chance, wrong, refused, seen = random.Random(seed), [], 0, 0
    reference = [Server(), gnutls.Server()]
    address = server.getsockname()
    for index in range(number):
        message, inside = tls_message(chance)
        denied = sees_denied(reference, message)
        seen += denied
        # one address has 28,000 ports, and each stays taken for a minute
        client = socket.socket()
        client.connect(('127.%d.%d.1' % (base, index // 10_000), address[1]))
        said = dropped(client, lambda: client.send(message))
        client.close()
        peer, _from = server.accept()
        heard = until_the_end(peer, said == 'DROPPED')
        peer.close()
        refused += said == 'DROPPED'
        if (denied and (said, heard) != ('DROPPED', b'')) or (
                not denied and heard != (b'' if said == 'DROPPED' else message)) or (
                inside and said != ('DROPPED' if sees_denied(reference, inside) else 'ok')):
            wrong.append((seed, index, said, denied, message.hex(), heard.hex()))
            if len(wrong) > 5:
                break
    return wrong, refused, seen


@pytest.mark.timeout(900)
def test_100_000_client_hellos(guards):
    guard, each = guards(**RULES), 20_000
    told = [None] * len(SEEDS)

    def worker(place):
        def run():
            with listener('0.0.0.0') as server:
                server.listen(16)
                guard.enter()
                return try_hellos(server, SEEDS[place], each, 1)
        told[place] = child(run, patience=600)

    threads = [threading.Thread(target=worker, args=(place,)) for place in range(len(SEEDS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(told) and [wrong for wrong, _refused, _seen in told] == [[]] * len(SEEDS)
    totals = guard.counters()
    assert sum(totals[kind]['denied'] for kind in ('tls', 'http', 'send')) == sum(refused for _w, refused, _s in told)
    assert totals['connect']['allowed'] == each * len(SEEDS)
    assert sum(seen for _wrong, _refused, seen in told) > each // 2


# every tenth packet with data gets lost, and no other: a lost SYN is sent again after a second
LOSES = ('table inet t { chain i { type filter hook input priority 0; '
         'tcp flags & (syn | rst) == 0 meta length > 52 numgen random mod 10 == 0 drop; }; }')


def in_pieces(client, chance, message):
    while message:
        size = chance.choice((1, 5, 80, 300, 1000))
        client.sendall(message[:size])
        message = message[size:]


def try_segments(server, seed, number):
    """What went wrong with so many hellos, each on a connection of its own, in segments of any size."""
    chance, reference, wrong = random.Random(seed), [Server(), gnutls.Server()], []
    for _connection in range(number):
        message = hello(chance)
        denied = sees_denied(reference, message)
        with socket.socket() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, chance.choice((88, 200, 536)))
            client.connect(server.getsockname())
            said = dropped(client, lambda message=message: in_pieces(client, chance, message))
        peer, _from = server.accept()
        with peer:
            heard = until_the_end(peer, said == 'DROPPED')
        right = (message.startswith(heard) and not sees_denied(reference, heard)) if said == 'DROPPED' else (
            not denied and heard == message)
        if not right or (message in REAL and (said == 'DROPPED') != denied):
            wrong.append((seed, said, denied, message.hex(), heard.hex()))
    return wrong


@pytest.mark.timeout(900)
def test_hellos_in_random_segments_that_get_lost(guards):
    guard = guards(**RULES)

    def run():
        subprocess.run(['nft', '-f', '-'], input=LOSES, text=True, check=True)
        servers = [listener('127.0.0.1') for _seed in range(8)]
        guard.enter()
        with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
            told = list(pool.map(try_segments, servers, range(FRESH, FRESH + 8), [150] * 8))
        with open('/proc/net/snmp') as lines:
            tcp = [line.split()[1:] for line in lines if line.startswith('Tcp:')]
        return told, int(dict(zip(*tcp))['RetransSegs'])

    told, again = child(run, patience=600)
    assert told == [[]] * 8
    assert again > 100
