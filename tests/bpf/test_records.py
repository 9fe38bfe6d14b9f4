# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger that the kernel writes: exact totals, a bounded number of records, and each with the right process."""

from __future__ import annotations

import datetime
import socket
import subprocess
import time

import pytest
from programs import CONNECT, DENIED, PYTHON, RULES, denials, run, start
from workbench import PATIENCE, counted

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi

LOADERS = ('libbpf', 'bcc')


def connect(address, port):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        return s.connect_ex((address, port))


# --- numbers ---

PROCESSES, ACCESSES, PORTS = 6, 3000, 3


@pytest.mark.parametrize('threads', [1, 4])
def test_parallel_accesses_are_counted_exactly(guards, threads):
    guard = guards(observe=True, **RULES)
    script = '''
import socket, sys, threading
go = int(sys.argv[1])
def hammer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for number in range(go):
            s.connect_ex(("198.51.100.1", 1 + number % 3))
            s.connect_ex(("127.0.0.1", 1 + number % 3))
threads = [threading.Thread(target=hammer) for _thread in range(int(sys.argv[2]))]
sys.stdin.read()
for thread in threads: thread.start()
for thread in threads: thread.join()
'''
    each = ACCESSES // threads // PORTS * PORTS
    running = [start(guard, [PYTHON, '-c', script, str(each), str(threads)], stdin=subprocess.PIPE)
               for _process in range(PROCESSES)]
    for process in running:
        process.stdin.close()  # now all of them at once
    assert [process.wait(timeout=PATIENCE) for process in running] == [0] * PROCESSES
    for process in running:
        process.stdout.close()
    total = PROCESSES * each * threads
    assert guard.counters() == counted(connect={'allowed': total, 'denied': total})
    assert sorted((record['pid'], record['port'], record['count']) for record in denials(guard)) == sorted(
        (process.pid, port, each * threads // PORTS) for process in running for port in range(1, PORTS + 1))
    seen = guard.reader().observations(guard.observations())
    assert [(record['address'], record['count']) for record in seen] == [('127.0.0.1', total // PORTS)] * PORTS
    for record in denials(guard) + seen:
        assert record['first_seen'] <= record['last_seen']


def test_a_full_table_loses_details_and_no_totals(guards):
    guard = guards(sizes={'ebg_denied': 4, 'ebg_observed': 2}, observe=True, **RULES)
    guard.inside(lambda: [connect(address, port) for _time in range(3) for address in (DENIED, '203.0.113.1')
                          for port in range(1, 11)])
    counters = guard.counters()
    assert counters['connect'] == {'allowed': 30, 'denied': 30, 'would_deny': 0}
    kept = [record['count'] for record in denials(guard)]
    seen = [record['count'] for record in guard.reader().observations(guard.observations())]
    assert (kept, seen, counters['lost']) == ([3] * 4, [3] * 2, 60 - 12 - 6)


def test_a_full_table_is_read_whole(guards):
    guard = guards(**RULES)
    guard.inside(lambda: [connect(DENIED, port) for port in range(1, _abi.MAX_DENIED + 9)])
    began = time.process_time()
    read = denials(guard)
    assert {record['port'] for record in read} == set(range(1, _abi.MAX_DENIED + 1)) and guard.counters()['lost'] == 8
    assert time.process_time() - began < 2  # a third of a second, where nothing else runs


def test_a_loop_of_processes_is_one_record(guards):
    guard = guards(**RULES)
    _pid, output = run(guard, ['/bin/sh', '-c', 'for n in 1 2 3 4 5 6; do "$0" -c "$1"; done', PYTHON, CONNECT % 443])
    assert [(record['count'], record['processes']) for record in denials(guard)] == [(6, 6)]


# --- processes ---

def test_the_whole_record(guards):
    guard = guards(**RULES)
    before = datetime.datetime.now(datetime.timezone.utc)
    arguments = [PYTHON, '-c', CONNECT % 443, 'an "argument"', '', 'last']
    pid, _output = run(guard, arguments, uid=65534)
    after = datetime.datetime.now(datetime.timezone.utc)
    record, = denials(guard)
    margin = datetime.timedelta(milliseconds=100)  # between the two clocks
    entered, first, last = (datetime.datetime.fromisoformat(record.pop(key).replace('Z', '+00:00'))
                            for key in ('entered', 'first_seen', 'last_seen'))
    assert before - margin <= entered <= first <= last <= after + margin
    assert record == {
        'rule': 'net', 'reason': 'a test', 'owner': None, 'runbook': None, 'expected': False, 'kind': 'connect',
        'class': 'direct', 'name': None, 'address': DENIED, 'port': 443, 'protocol': 'udp', 'path': None, 'count': 1,
        'pid': pid, 'uid': 65534, 'command': ' '.join(arguments), 'ancestry': [],
        'evidence': {'pid': pid, 'command': ' '.join(arguments)}, 'mode': 'enforce', 'processes': 1, 'pids': [pid],
        'outage': None}


def test_first_and_last_are_apart(guards):
    guard = guards(**RULES)
    guard.inside(lambda: (connect(DENIED, 1), time.sleep(0.2), connect(DENIED, 1))[0])
    record, = denials(guard)
    first, last = (datetime.datetime.fromisoformat(record[key].replace('Z', '+00:00'))
                   for key in ('first_seen', 'last_seen'))
    assert record['count'] == 2 and 0.2 <= (last - first).total_seconds() < 5


@pytest.mark.parametrize('length', [_abi.ARGS - 1, _abi.ARGS, _abi.ARGS + 1, 5000, 100_000])
def test_a_long_command_line_is_cut(guards, length):
    guard = guards(**RULES)
    arguments = [PYTHON, '-c', CONNECT % 1]
    arguments.append('x' * (length - len(' '.join(arguments)) - 2))
    run(guard, arguments)
    assert [record['command'] for record in denials(guard)] == [' '.join(arguments)[:_abi.ARGS]]


@pytest.mark.parametrize('argument, shown', [(b'two\nlines', 'two\nlines'), ('ö'.encode(), 'ö'), (b'\xff', '\ufffd')])
def test_odd_command_lines(guards, argument, shown):
    guard = guards(**RULES)
    run(guard, [PYTHON, '-c', CONNECT % 1, argument])
    assert denials(guard)[0]['command'].endswith(' ' + shown)


def test_a_program_that_another_one_becomes_has_its_own_record(guards):
    guard = guards(**RULES)
    again = [PYTHON, '-c', CONNECT % 1, 'second']
    pid, _output = run(guard, [PYTHON, '-c', CONNECT % 1 + 'import os; os.execv(%r, %r)' % (PYTHON, again)])
    found = denials(guard)
    assert [(record['pid'], record['count']) for record in found] == [(pid, 1)] * 2
    assert [record['command'].split()[-1] == 'second' for record in found] == [False, True]


def test_threads_are_their_process(guards):
    guard = guards(**RULES)
    script = ('import threading\ndef act():\n    %s\nfor _five in range(5):\n    thread = threading.Thread(target=act)\n'
              '    thread.start()\n    thread.join()\n')
    pid, _output = run(guard, [PYTHON, '-c', script % (CONNECT % 1)])
    assert [(record['pid'], record['count']) for record in denials(guard)] == [(pid, 5)]


@pytest.mark.parametrize('mode, outcome', [('monitor', 'would_deny'), ('enforce', 'denied'), ('drill', 'denied')])
def test_every_mode_records_its_denials(guards, mode, outcome):
    guard = guards(mode=mode, **RULES)
    guard.inside(lambda: [connect(address, 7) for address in (DENIED, '2001:db8:1::1', '203.0.113.1')] and None)
    assert {(record['address'], record['mode']) for record in denials(guard)} == {
        (DENIED, mode), ('2001:db8:1::1', mode)}
    assert guard.counters()['connect'][outcome] == 2
    observed = [record['address'] for record in guard.reader().observations(guard.observations())]
    assert observed == (['203.0.113.1'] if mode == 'monitor' else [])


def test_a_sealed_room_says_why(guards):
    guard = guards(default='deny')
    guard.inside(lambda: connect(DENIED, 7))
    record, = denials(guard)
    assert record['rule'] is None and 'default: deny' in record['reason']
