# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts and names that the programs keep for a moment: none is used any more once something else is due."""

from __future__ import annotations

import ctypes
import json
import os
import random
import socket
import time

import pytest
from policies import TCP, UDP
from wire import A, CNAME, answer, answer_frame, over_tcp, question, record, wire_name
from workbench import ACK, SYN, child, counted, frame, hold_until, outcome, passes

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names

LOADERS = ('libbpf', 'bcc')

ADDRESS = '198.51.100.7'
RULES = dict(deny=[('denied', ['.denied.test']), ('port', ['port.test'], [443])], encrypted_dns='allow')


def told(guard, name, address=ADDRESS, **options):
    assert guard.hears(answer_frame(
        answer(name, [record(A, socket.inet_aton(address), **options)]))) == 1


def is_denied(guard, address=ADDRESS, port=443):
    """Twice, so that the second verdict is a kept one."""
    verdicts = [not passes(guard, frame(address, port, TCP, flags=SYN)) for _time in range(2)]
    assert verdicts[0] == verdicts[1]
    return verdicts[0]


def on_each_cpu(act):
    before, found = os.sched_getaffinity(0), []
    try:
        for cpu in sorted(before):
            os.sched_setaffinity(0, {cpu})
            found.append(act())
    finally:
        os.sched_setaffinity(0, before)
    return found


# --- addresses ---

def test_what_is_learned_on_one_cpu_holds_on_all(guards):
    guard, cpus = guards(attach=False, **RULES), len(os.sched_getaffinity(0))
    assert on_each_cpu(lambda: is_denied(guard)) == [False] * cpus
    told(guard, 'a.denied.test')
    assert on_each_cpu(lambda: is_denied(guard)) == [True] * cpus
    assert on_each_cpu(lambda: is_denied(guard, '198.51.100.8')) == [False] * cpus


def test_each_port_has_a_verdict_of_its_own(guards):
    guard = guards(attach=False, **RULES)
    told(guard, 'port.test')
    for port in range(444, 1444):  # more than there are places
        assert [is_denied(guard, port=one) for one in (443, port)] == [True, False]


@pytest.mark.parametrize('number', [9, 16, 17, 40])
def test_a_denied_name_counts_however_many_others_lead_there(guards, number):
    """An address has room for 16 names with different rules; then one that denies takes the place of another."""
    guard = guards(allow=[('r%d' % index, ['n%d.test' % index]) for index in range(number - 1)],
                   deny=[('last', ['last.test'])], encrypted_dns='allow')
    for index in range(number - 1):
        told(guard, 'n%d.test' % index)
    assert not is_denied(guard)
    told(guard, 'last.test')
    assert is_denied(guard)

    def connects():
        guard.enter()
        with socket.socket() as tcp:
            return outcome(lambda: tcp.connect((ADDRESS, 443)))

    assert child(connects) == 'ENETUNREACH'  # what is presented inside decides
    assert guard.counters()['forgotten'] == max(0, number - 16)
    for index in range(number - 1):
        told(guard, 'n%d.test' % index)
    assert is_denied(guard)


def test_17_denied_names_under_different_rules(guards):
    """For the last one there is no room. It is counted, and its answer does not arrive."""
    guard = guards(attach=False, deny=[('r%d' % index, ['n%d.test' % index], [443, 1000 + index]) for index in range(17)],
                   encrypted_dns='allow')
    for index in range(16):
        told(guard, 'n%d.test' % index)
    assert not guard.hears(answer_frame(answer('n16.test', [record(A, socket.inet_aton(ADDRESS))])))
    assert guard.counters()['forgotten'] == 1
    assert [is_denied(guard, port=port) for port in (443, 1000, 1015, 1016)] == [True, True, True, False]


def test_a_verdict_ends_with_what_was_learned_and_begins_anew_with_it(guards):
    guard = guards(attach=False, **RULES)
    told(guard, 'a.denied.test')
    last = (time.clock_gettime_ns(time.CLOCK_MONOTONIC) >> _abi.TICK_BITS) + 1
    hold_until(guard, ADDRESS, last)
    assert is_denied(guard)
    while time.clock_gettime_ns(time.CLOCK_MONOTONIC) >> _abi.TICK_BITS <= last:
        time.sleep(0.1)
    assert not is_denied(guard)
    told(guard, 'a.denied.test')  # the same as before, so nothing says that it is news
    assert is_denied(guard)


def test_other_rules_are_in_force_at_once(guards):
    open_ = guards()
    strict = guards(attach=False, after=open_, deny=[('net', ['198.51.100.0/24'])])
    open_again = guards(attach=False, after=open_)

    def act():
        open_.enter()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            found = []
            for rules in (strict, open_again, strict):
                found += [outcome(lambda: udp.connect((ADDRESS, 9))) for _time in range(3)]
                open_.exchange(rules)
            return found + [outcome(lambda: udp.connect((ADDRESS, 9)))]

    assert child(act) == ['ENETUNREACH'] * 3 + ['EACCES'] * 3 + ['ENETUNREACH'] * 3 + ['EACCES']


@pytest.mark.parametrize('one_cpu', [True, False], ids=['one CPU', 'all CPUs'])
def test_no_verdict_is_wrong_where_many_take_the_same_places(guards, one_cpu):
    """More endpoints than there are places, from several processes, while answers come in."""
    denied = ['198.51.%d.%d' % (high, low) for high in (100, 101) for low in range(1, 256, 2)]
    guard = guards(deny=[('net', denied)], observe=True)
    processes, accesses = 4, 20_000

    def hammer(seed):
        chance, wrong, counts = random.Random(seed), [], {'allowed': 0, 'denied': 0}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for number in range(accesses):
                address = '198.51.%d.%d' % (chance.randint(100, 101), chance.randint(1, 254))
                said = outcome(lambda: udp.connect((address, chance.randint(1, 5))))
                due = 'denied' if int(address.rpartition('.')[2]) % 2 else 'allowed'
                counts[due] += 1
                if (said == 'EACCES') != (due == 'denied'):
                    wrong.append((address, said))
                if number % 50 == 0:
                    told(guard, 'n%d.test' % number, '198.51.100.%d' % chance.randrange(2, 256, 2))
        return wrong[:5], counts

    def run():
        if one_cpu:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        guard.enter()
        pipes = []
        for number in range(processes):
            receive, send = os.pipe()
            pid = os.fork()
            if not pid:
                os.write(send, json.dumps(hammer(number)).encode())
                os._exit(0)
            os.close(send)
            pipes.append((pid, receive))
        found = []
        for pid, receive in pipes:
            with os.fdopen(receive) as said:
                found.append(json.loads(said.read()))
            os.waitpid(pid, 0)
        return found

    found = child(run)
    assert [wrong for wrong, _counts in found] == [[]] * processes
    lost = guard.counters()['lost']
    assert guard.counters() == counted(connect={verdict: sum(counts[verdict] for _wrong, counts in found)
                                                for verdict in ('allowed', 'denied')}, lost=lost) and lost == 0
    for told_of, verdict in ((guard.observations(), 'allowed'), (guard.denials(), 'denied')):
        assert sum(value.count for _key, value in told_of) == guard.counters()['connect'][verdict]


# --- names ---

def asks(guard, name_bytes):
    return passes(guard, frame('127.0.0.53', 53, UDP, payload=question('', name_bytes=name_bytes)))


def test_names_with_the_same_beginning_are_told_apart(guards):
    """A label may have a byte 0 in it: what is in front of it is no whole name."""
    guard = guards(attach=False, **RULES)
    rows = [(b'\x04fi\0e\x04test\0', True), (b'\x04fi\0e\x06denied\x04test\0', False), (b'\x02fi\0', True),
            (b'\x02fi\x06denied\x04test\0', False), (b'\x02fi\x06denied\x04tesT\0', False), (b'\0', True)]
    for _time in range(3):
        for name, passed in rows + rows[::-1]:
            assert asks(guard, name) == passed, name


@pytest.mark.parametrize('size', range(60, 70))
def test_names_about_as_long_as_are_kept(guards, size):
    guard = guards(attach=False, **RULES)
    for end, passed in (('denied.test', False), ('fine.test', True), ('denied.test', False), ('fine.test', True)):
        rest = wire_name(end)
        name = bytes([size - len(rest) - 1]) + b'x' * (size - len(rest) - 1) + rest
        assert len(name) == size and asks(guard, name) == passed


def test_a_known_name_that_is_cut_is_none(guards):
    guard = guards(attach=False, **RULES)
    name = wire_name('a.fine.test')
    whole = question('', name_bytes=name)
    assert passes(guard, frame('127.0.0.53', 53, UDP, payload=whole))
    for size in range(13, 12 + len(name)):
        assert not passes(guard, frame('127.0.0.53', 53, UDP, payload=whole[:size]))


def test_the_name_of_a_kept_question_is_recorded_whole(guards):
    guard = guards(attach=False, observe=True, **RULES)
    for name in ('longer.name.denied.test', 'a.denied.test', 'longer.name.denied.test', 'b.fine.test', 'a.denied.test'):
        asks(guard, wire_name(name))
    assert sorted((_names.from_wire(bytes(value.name)), key.name == _names.name_hash(_names.from_wire(bytes(value.name))),
                   value.count) for key, value in guard.denials()) == [
        ('a.denied.test', True, 2), ('longer.name.denied.test', True, 2)]
    assert [_names.from_wire(bytes(value.name)) for _key, value in guard.observations()] == ['b.fine.test']


@pytest.mark.parametrize('segment', [lambda message: frame('198.51.100.9', 40000, TCP, source_port=53, flags=ACK,
                                                           payload=over_tcp(message)), answer_frame], ids=['TCP', 'UDP'])
def test_an_alias_is_read_from_where_a_pointer_leads(guards, segment):
    """By its place in the message, which over TCP begins behind the two bytes of its length."""
    guard = guards(attach=False, **RULES)
    message = answer('q.denied.example', [record(CNAME, b'\x06denied\x04test\0'), record(A, socket.inet_aton(ADDRESS))])
    pointed = answer('x.test', [record(CNAME, b'\x06denied\xc0\x0e'), record(A, socket.inet_aton('198.51.100.8'))])
    for sent in (message, pointed):
        assert guard.hears(segment(sent)) == 1
    assert {_names.from_wire(bytes(value.target)) for _key, value in guard.heard()} == {'denied.test'}
    assert is_denied(guard) and is_denied(guard, '198.51.100.8')


# --- answers ---

def hears(guard, name, addresses):
    """Twice, so that the second one is the same as one before."""
    message = answer(name, [record(A, socket.inet_aton(address)) for address in addresses])
    for _time in range(2):
        assert guard.hears(answer_frame(message), _abi.SOURCE_PACKET) == 1


@pytest.mark.parametrize('before', range(8))
def test_an_answer_that_differs_by_one_byte_is_read(guards, before):
    """Of answers that are about as long as are kept, and whatever stands in front of what differs."""
    guard = guards(attach=False, **RULES)
    others = ['203.0.113.%d' % number for number in range(before)]
    for number in range(1, 20):
        address = '198.51.100.%d' % number
        assert not is_denied(guard, address)
        hears(guard, 'a.denied.test', [*others, address])
        assert is_denied(guard, address)


def test_the_same_answer_to_another_question_is_read(guards):
    guard = guards(attach=False, **RULES)
    for name, denied in (('a.fine.test', False), ('b.fine.test', False), ('a.denied.test', True)):
        hears(guard, name, [ADDRESS])
        assert is_denied(guard) == denied
    heard = {_names.from_wire(bytes(value.name)) for _key, value in guard.heard()}
    assert heard == {'a.fine.test', 'b.fine.test', 'a.denied.test'}


def test_an_answer_with_fewer_records_is_another(guards):
    """Its count of records is all that differs: the last one stands there as before, and counts no more."""
    guard = guards(attach=False, **RULES)
    message = bytearray(answer('a.denied.test', [record(A, socket.inet_aton(address)) for address in (ADDRESS, '198.51.100.8')]))
    message[7] = 1
    assert guard.hears(answer_frame(bytes(message)), _abi.SOURCE_PACKET) == 1
    assert is_denied(guard) and not is_denied(guard, '198.51.100.8')
    message[7] = 2
    assert guard.hears(answer_frame(bytes(message)), _abi.SOURCE_PACKET) == 1
    assert is_denied(guard, '198.51.100.8')


def test_every_process_that_asks_is_noted(guards):
    """Also where another one has asked for the same a moment ago."""
    guard = guards(**RULES)

    def ask():
        guard.enter()
        with socket.socket(type=socket.SOCK_DGRAM) as udp:
            for name in ('a.fine.test', 'b.fine.test', 'a.fine.test'):
                udp.sendto(question(name), ('127.0.0.53', 53))
        return os.getpid()

    pids = {child(ask) for _process in range(3)}
    found = {(key.name, key.pid) for key, _yes in guard.kernel.items(guard.maps['ebg_asked'], _abi.Asked, ctypes.c_uint8)}
    assert found == {(_names.name_hash(name), pid) for name in ('a.fine.test', 'b.fine.test') for pid in pids}
