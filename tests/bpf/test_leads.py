# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leads from addresses to names: how many there can be, how long they hold, and what remains of one whose time is over."""

from __future__ import annotations

import fcntl
import socket
import struct
import time

import pytest
from policies import TCP, UDP
from wire import A, AAAA, CNAME, answer, answer_frame, question, record, wire_name
from workbench import SYN, child, frame, hears, hold_until, leads, listener, outcome, passes

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import teach

LOADERS = ('libbpf', 'bcc')

ADDRESS, RESOLVER = '203.0.113.8', '198.51.100.9'
ALLOWED = dict(default='deny', allow=[('w', ['.w.test'])], resolvers=[RESOLVER])
GREET = b'GET / HTTP/1.1\r\nHost: %s\r\n\r\n'


def ticks():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) >> _abi.TICK_BITS


def resolve(guard, name, addresses, seconds=300, kind=A):
    """As a process does that asks the host's resolver."""
    assert passes(guard, frame(RESOLVER, 53, UDP, payload=question(name, kind=kind)))
    packed = [socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, address) for address in addresses]
    return guard.hears(answer_frame(answer(name, [record(kind, one, seconds=seconds) for one in packed], kind=kind),
                                    source=RESOLVER), _abi.SOURCE_PACKET)


def is_denied(guard, address=ADDRESS, port=443):
    verdicts = [not passes(guard, frame(address, port, TCP, flags=SYN)) for _time in range(2)]
    assert verdicts[0] == verdicts[1]  # the second one is a kept one
    return verdicts[0]


# --- sizes ---

@pytest.mark.parametrize('number, kind', [(40, A), (200, A), (110, AAAA)])
def test_all_addresses_of_a_name(guards, number, kind):
    guard = guards(attach=False, **ALLOWED)
    addresses = ['203.0.113.%d' % (index + 1) if kind == A else '2001:db8::%x' % (index + 1) for index in range(number)]
    resolve(guard, 'x.w.test', addresses, kind=kind)
    assert [address for address in addresses if is_denied(guard, address)] == []


def fill(guard, end, number=69_000, each=60):
    for start in range(0, number, each):
        records = [record(A, struct.pack('!I', 0x0a000000 + index)) for index in range(start, start + each)]
        guard.hears(answer_frame(answer('n%d.%s' % (start, end), records)))


@pytest.mark.parametrize('end', ['unruled.test', 'w.test'])
def test_an_answer_arrives_behind_69_000_addresses(guards, end):
    guard = guards(attach=False, **ALLOWED)
    fill(guard, end)
    for number in range(100):
        assert guard.hears(answer_frame(answer('x.w.test', [record(A, bytes((203, 0, 113, number)))])))
        assert not is_denied(guard, '203.0.113.%d' % number)
    assert guard.counters()['forgotten'] <= 10


def test_no_denied_address_is_forgotten_for_others(guards):
    guard = guards(attach=False, deny=[('d', ['.d.test'])], allow=[('w', ['.w.test'])], encrypted_dns='allow')
    denied = ['198.51.%d.%d' % (high, low) for high in range(8) for low in range(250)]
    for address in denied:
        assert guard.hears(answer_frame(answer('x.d.test', [record(A, socket.inet_aton(address))])))
    for end in ('unruled.test', 'w.test'):
        fill(guard, end, number=100_000, each=200)
    assert [address for address in denied if not is_denied(guard, address)] == []


def test_what_is_over_gives_way_first(guards):
    """17 leads that can't all stay: those whose time is over go, and nothing counts as forgotten."""
    names = ['n%d.test' % number for number in range(40)]
    guard = guards(attach=False, default='deny', allow=[('r%d' % number, [name]) for number, name in enumerate(names)])
    for start in range(0, 40, 10):
        for name in names[start:start + 10]:
            assert guard.hears(answer_frame(answer(name, [record(A, socket.inet_aton(ADDRESS))])))
        hold_until(guard, ADDRESS, ticks() - 2)
    assert guard.counters()['forgotten'] == 0


# --- time to live ---

@pytest.mark.parametrize('rules, seconds, least', [
    (ALLOWED, 1, 600), (ALLOWED, 900, 900), (dict(deny=[('w', ['.w.test'])], resolvers=[RESOLVER]), 1, 60),
    (dict(ALLOWED, allow=[('w', ['.w.test'], [443])]), 1, 600),
    (dict(ALLOWED, deny=[('x', ['x.w.test'], [80])]), 1, 60)])
def test_how_long_an_address_is_kept(guards, rules, seconds, least):
    guard = guards(attach=False, mode='monitor', **rules)
    resolve(guard, 'x.w.test', [ADDRESS], seconds)
    (until, _rest), = leads(guard, ADDRESS)
    assert until - ticks() == pytest.approx(least * 1e9 / 2 ** _abi.TICK_BITS, abs=2)


def attempts(guard):
    """How connect(2), and a datagram, end."""
    def act():
        guard.enter()
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            return [outcome(lambda: tcp.connect((ADDRESS, 443))), outcome(lambda: udp.sendto(b'x', (ADDRESS, 443)))]

    return child(act)


def test_an_allowed_name_opens_its_address(guards):
    guard = guards(**ALLOWED)
    assert attempts(guard) == ['EACCES', 'EACCES']
    resolve(guard, 'x.w.test', [ADDRESS])
    assert attempts(guard) == ['ENETUNREACH', 'ENETUNREACH']


def own_address(address):
    """Give lo an address in this network namespace: SIOCSIFADDR on an alias of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack('16sHH4s8x', b'lo:1', socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(any_socket, 0x8916, request)


def presented(guard, firsts):
    """For each first bytes on a connection of its own, whether the server hears them; None: there is no connection."""
    def act():
        own_address(ADDRESS)
        with listener(ADDRESS) as server:
            guard.enter()
            return [hears(server, first) for first in firsts]

    return child(act)


FIRSTS = [GREET % b'x.w.test', GREET % b'other.test', b'x']


@pytest.mark.parametrize('rules', [ALLOWED, dict(ALLOWED, default='allow', deny=[('net', ['203.0.113.0/24'])])],
                         ids=['sealed', 'a denied network'])
def test_what_is_presented_decides_once_the_time_is_over(guards, rules):
    guard = guards(**rules)
    assert presented(guard, FIRSTS[:1]) == [None]
    resolve(guard, 'x.w.test', [ADDRESS])
    hold_until(guard, ADDRESS, ticks() - 2)
    assert presented(guard, FIRSTS) == [True, False, False]
    assert attempts(guard) == ['ENETUNREACH', 'EACCES']
    resolve(guard, 'x.w.test', [ADDRESS], 301)  # the very same answer would not be read again so soon
    assert presented(guard, FIRSTS) == [True, False, True]


def test_what_was_denied_is_over(guards):
    guard = guards(attach=False, deny=[('d', ['.d.test'])], encrypted_dns='allow', resolvers=[RESOLVER])
    guard.hears(answer_frame(answer('x.d.test', [record(A, socket.inet_aton(ADDRESS))])))
    hold_until(guard, ADDRESS, ticks() - 2)
    assert not is_denied(guard)


def test_a_denied_name_and_one_whose_time_is_over(guards):
    """The address is still denied, but what is presented may be the allowed name."""
    guard = guards(**dict(ALLOWED, default='allow', deny=[('d', ['.d.test'])]))
    resolve(guard, 'x.w.test', [ADDRESS])
    hold_until(guard, ADDRESS, ticks() - 2)
    guard.hears(answer_frame(answer('x.d.test', [record(A, socket.inet_aton(ADDRESS))])))
    assert presented(guard, [GREET % b'x.w.test', GREET % b'x.d.test', b'x']) == [True, False, False]
    assert attempts(guard) == ['ENETUNREACH', 'EACCES']


def left(guard):
    return max(until for until, _rest in leads(guard, ADDRESS)) - ticks()


def test_a_connection_renews_the_time(guards):
    guard = guards(attach=False, **ALLOWED)
    resolve(guard, 'x.w.test', [ADDRESS])
    for before, after in ((100, 560), (279, 560), (300, 300), (5000, 5000)):
        guard = guards(attach=False, **ALLOWED)
        resolve(guard, 'x.w.test', [ADDRESS])
        hold_until(guard, ADDRESS, ticks() + before)
        assert not is_denied(guard) and left(guard) == pytest.approx(after, abs=2)


@pytest.mark.parametrize('name', ['x.d.test', 'unruled.test', 'both.w.test'])
def test_what_does_not_only_allow_is_not_renewed(guards, name):
    guard = guards(attach=False, deny=[('d', ['.d.test']), ('both', ['both.w.test'], [80])], allow=[('w', ['.w.test'])],
                   encrypted_dns='allow')
    guard.hears(answer_frame(answer(name, [record(A, socket.inet_aton(ADDRESS))])))
    hold_until(guard, ADDRESS, ticks() + 100)
    is_denied(guard)
    assert left(guard) == pytest.approx(100, abs=2)


def test_a_question_renews_the_time(guards):
    guard = guards(attach=False, **ALLOWED)
    resolve(guard, 'x.w.test', [ADDRESS], 1)
    hold_until(guard, ADDRESS, ticks() + 3)
    resolve(guard, 'x.w.test', [ADDRESS], 2)
    assert left(guard) > 500


def test_what_is_over_is_still_known_under_other_rules(guards):
    guard = guards(attach=False, **ALLOWED)
    resolve(guard, 'x.w.test', [ADDRESS])
    (key, value), = guard.heard()
    value.until = 1
    guard.kernel.update(guard.maps['ebg_heard'], key, value)
    later = guards(after=guard, **ALLOWED)
    teach.teach_again(later.kernel, later.ingress, guard.maps['ebg_heard'])
    assert is_denied(later)
    assert presented(later, FIRSTS) == [True, False, False]


# --- room in the tables of names ---

def test_room_is_made_where_a_table_has_filled_up(guards, monkeypatch):
    guard = guards(attach=False, deny=[('d', ['.d.test'])], encrypted_dns='allow')
    for number in range(6):
        guard.hears(answer_frame(answer('a%d.test' % number, [
            record(CNAME, wire_name('x.d.test'), seconds=1 + 1000 * (number % 2)),
            record(A, bytes((203, 0, 113, number)), seconds=1 + 1000 * (number % 2))])))

    def sizes():
        return [len(list(guard.kernel.items(guard.maps[name], *types))) for name, types in (
            ('ebg_heard', (_abi.HeardKey, _abi.Heard)), ('ebg_aliases', (teach.ctypes.c_uint64, _abi.Alias)))]

    monkeypatch.setattr(teach, '_maps', lambda *_arguments: guard.maps)
    later = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 100 * 10 ** 9
    monkeypatch.setattr(teach.time, 'clock_gettime_ns', lambda _clock: later)
    teach.make_room(guard.kernel, '')
    assert sizes() == [6, 6]
    monkeypatch.setattr(teach, 'FULL', 0.0001)
    teach.make_room(guard.kernel, '')
    assert sizes() == [3, 3]
