# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the kernel's tables -> the records that users read. tests/bpf/test_records.py lets the kernel write."""

from __future__ import annotations

import ctypes
import datetime
import json
import re
import time

import pytest
from records import ANCESTORS, EXEC, FILE, GITHUB, MIRROR, NAMES, RULES, denial, endpoint_of, images_of, name_of, path_of, \
    record_of, run_of

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import asked_name


def moment(record, key='entered'):
    return datetime.datetime.fromisoformat(record[key].replace('Z', '+00:00')).timestamp()


def test_a_whole_denial():
    record = denial()
    began, boot = (time.time() - time.clock_gettime(clock) for clock in (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME))
    for key, zero, second in (('first_seen', began, 1), ('last_seen', began, 2), ('entered', boot, 5)):
        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z', record[key])
        assert abs(moment(record, key) - zero - second) < 0.5
        del record[key]
    assert record == {
        'rule': 'github', 'reason': 'it runs on this', 'owner': 'db-team', 'runbook': 'https://wiki.example/x',
        'expected': True, 'kind': 'connect', 'class': 'direct', 'name': 'github.com, www.github.com',
        'address': '198.51.100.1', 'port': 443, 'protocol': 'tcp', 'path': None, 'count': 3, 'pid': 42, 'uid': 1000,
        'command': 'curl https://github.com',
        'ancestry': [{'pid': 7, 'command': 'make all'},
                     {'pid': 5, 'command': '/bin/sh ./deploy.sh --db-password=********'}],
        'evidence': {'pid': 42, 'command': 'curl https://github.com'}, 'mode': 'enforce', 'processes': 1, 'pids': [42],
        'outage': None}


@pytest.mark.parametrize('rule, told', [
    (GITHUB, 'github'), (MIRROR, 'mirror'), (_abi.RULE_DEFAULT, None), (99, 'rule-99')])
def test_rules_by_number(rule, told):
    assert denial(rule=rule)['rule'] == told
    assert denial(rule=rule)['reason'] or told == 'mirror'


@pytest.mark.parametrize('number, told', [(0, 'monitor'), (1, 'enforce'), (2, 'drill')])
def test_a_denial_keeps_the_mode_of_its_time(number, told):
    assert denial(mode=number)['mode'] == told


@pytest.mark.parametrize('rule, kind, told', [
    (GITHUB, _abi.KIND_CONNECT, 'timeout'), (_abi.RULE_DEFAULT, _abi.KIND_CONNECT, 'refused'), (99, _abi.KIND_DNS, 'refused'),
    (GITHUB, _abi.KIND_FILE, 'denied'), (_abi.RULE_LOCK, _abi.KIND_UNIX, 'denied')])
def test_how_it_was_down_in_a_drill(rule, kind, told):
    rules = [dict(RULES[0], outage='timeout')]
    key = _abi.Denial(rule=rule, mode=_abi.MODE_DRILL, endpoint=endpoint_of(kind=kind))
    reader = records.Reader(rules, NAMES, images_of(*ANCESTORS), 'drill', 'refused')
    assert reader.denials([(key, record_of())])[0]['outage'] == told
    key.mode = _abi.MODE_ENFORCE
    assert reader.denials([(key, record_of())])[0]['outage'] is None


@pytest.mark.parametrize('endpoint, told', [
    (endpoint_of('198.51.100.1', 443, 6), ('198.51.100.1', 443, 'tcp', '198.51.100.1:443/tcp')),
    (endpoint_of('2001:db8::1', 53, 17), ('2001:db8::1', 53, 'udp', '[2001:db8::1]:53/udp')),
    (endpoint_of('198.51.100.1', 0, 1), ('198.51.100.1', 0, 'icmp', '198.51.100.1/icmp')),
    (endpoint_of('2001:db8::1', 0, 58), ('2001:db8::1', 0, 'icmpv6', '2001:db8::1/icmpv6')),
    (endpoint_of('::1', 0, 132), ('::1', 0, 'sctp', '::1/sctp')),
    (endpoint_of('::1', 0, 47), ('::1', 0, '47', '::1/47')),
    (endpoint_of('::ffff:198.51.100.1', 1, 6), ('198.51.100.1', 1, 'tcp', '198.51.100.1:1/tcp'))])
def test_endpoints(endpoint, told):
    record = denial(endpoint=endpoint)
    assert (record['address'], record['port'], record['protocol'], records.endpoint(record)) == told
    assert record['name'] == NAMES.get(record['address'])


@pytest.mark.parametrize('args, comm, command', [
    (b'a\0\0b\0', b'x', 'a  b'), (b'', b'kworker', 'kworker'), (b'\0\0', b'sh', 'sh'), (b'cut off', b'x', 'cut off'),
    (b'\xc3\xb6\0\xff\0', b'x', '\xf6 \ufffd'), (b'x' * _abi.ARGS, b'x', 'x' * _abi.ARGS), (b'', b'\xff', '\ufffd')])
def test_command_lines(args, comm, command):
    assert denial(args=args, comm=comm)['command'] == command


@pytest.mark.parametrize('args, command, evidence', [
    (b'curl\0-u\0bob:hunter2\0https://github.com/?token=x\0', 'curl -u bob:******** https://github.com/?token=********', True),
    (b'sh\0-c\0TOKEN=hunter2 ./update\0', 'sh -c TOKEN=******** ./update', False),
    (b'tool\0https://github.com/x\0--token=github.com\0', 'tool https://github.com/x --token=********', True),
    (b'x' * (_abi.ARGS - 12) + b'\0ghp_hunter2', 'x' * (_abi.ARGS - 12) + ' ghp_********', False)])
def test_secrets_are_masked_and_classes_are_told_by_the_line_as_it_was(args, command, evidence):
    record = denial(args=args)
    assert (record['command'], record['class']) == (command, 'direct' if evidence else 'hidden')
    assert record['evidence'] == ({'pid': 42, 'command': command} if evidence else None)
    assert 'hunter2' not in json.dumps(record)


def test_a_parent_may_name_it():
    record = denial(args=b'./update\0', ancestors=((7, b'sh\0', b'sh'), (5, b'fetch\0github.com\0', b'fetch')))
    assert (record['class'], record['evidence']) == ('direct', {'pid': 5, 'command': 'fetch github.com'})


@pytest.mark.parametrize('ancestors, told', [
    ((), []), ([(7, b'', b'nginx')], ['nginx']), ([(8, b'sh\0', b'sh')], []),
    ([(7, b'sh\0-c\0x', b'sh'), (6, b'/bin/sh\0/run/ebpf_guard/deploy/launcher\0-c\0x', b'launcher'), (5, b'sudo\0x', b'sudo')],
     ['sh -c x', 'sudo x']),
    ([(7, b'ls\0/run/ebpf_guard/deploy/launcher.old\0', b'ls')], ['ls /run/ebpf_guard/deploy/launcher.old'])])
def test_ancestors_end_where_none_was_recorded(ancestors, told):
    assert [one['command'] for one in denial(ancestors=ancestors)['ancestry']] == told


def test_no_table_is_so_damaged_that_ancestors_never_end():
    images = {bytes(run_of(pid)): _abi.Image(above=run_of(above), comm=b'sh') for pid, above in ((7, 8), (8, 7))}
    record, = records.Reader(RULES, {}, images, 'enforce').denials([(_abi.Denial(endpoint=endpoint_of()), record_of())])
    assert len(record['ancestry']) == _abi.ANCESTORS


def test_a_process_without_ancestors_has_entered_itself():
    itself, above = (moment(denial(ancestors=ancestors, run=run_of(42, 9 * 10 ** 9))) for ancestors in ((), [(7, b'x', b'x')]))
    assert abs(itself - above - 2) < 0.5
    assert denial(ancestors=(), run=_abi.Run())['entered'] is None


def test_observations_are_in_order_and_by_rule():
    entries = [(_abi.Observation(endpoint=endpoint_of(port=port)), record_of(first_seen=first, rule=rule)) for port, first, rule in (
        (3, 3000, MIRROR), (1, 1000, _abi.RULE_DEFAULT), (2, 2000, MIRROR))]
    found = records.Reader(RULES, {}, {}, 'monitor').observations(entries)
    assert [(record['port'], record['rule'], record['mode']) for record in found] == [
        (1, None, 'monitor'), (2, 'mirror', 'monitor'), (3, 'mirror', 'monitor')]


def folded(*entries, ancestors=ANCESTORS):
    key = _abi.Denial(endpoint=endpoint_of(), rule=GITHUB, mode=_abi.MODE_ENFORCE)
    entries = [entry if isinstance(entry, tuple) else (key, entry) for entry in entries]
    return [(record['count'], record['processes'], record['pid']) for record in records.Reader(
        RULES, {}, images_of(*ancestors), 'enforce').denials(entries)]


def test_processes_that_run_one_command_are_one_record():
    again = [record_of(run=run_of(42 + number), first_seen=number + 1, last_seen=9 - number) for number in (2, 1, 3)]
    assert folded(*again) == [(9, 3, 43)]
    record, = records.Reader(RULES, {}, images_of(*ANCESTORS), 'enforce').denials(
        [(_abi.Denial(endpoint=endpoint_of(), mode=_abi.MODE_ENFORCE), one) for one in again])
    assert moment(record, 'last_seen') >= moment(record, 'first_seen')
    assert folded(*again, ancestors=()) == [(9, 3, 43)]  # there was no room for what they descend from, and it was the same
    entered = [record_of(run=run_of(pid), above=_abi.Run()) for pid in (50, 51)]
    assert folded(*entered) == [(3, 1, 50), (3, 1, 51)]  # each came in by itself, so it may belong to another task


@pytest.mark.parametrize('other', [
    record_of(args=b'wget\0'), record_of(uid=0), record_of(above=run_of(9)), record_of(name=name_of('a.test')),
    (_abi.Denial(endpoint=endpoint_of(port=80), rule=GITHUB, mode=_abi.MODE_ENFORCE), record_of()),
    (_abi.Denial(endpoint=endpoint_of(), rule=MIRROR, mode=_abi.MODE_ENFORCE), record_of()),
    (_abi.Denial(endpoint=endpoint_of(), rule=GITHUB, mode=_abi.MODE_DRILL), record_of())])
def test_what_differs_is_a_record_of_its_own(other):
    assert sorted(folded(record_of(), other)) == [(3, 1, 42), (3, 1, 42)]


def test_counters():
    totals = list(range(100, 100 + _abi.COUNTERS))
    told = records.counters(totals)
    assert told.pop('lost') == totals[_abi.COUNTER_LOST]
    assert told.pop('forgotten') == totals[_abi.COUNTER_FORGOTTEN]
    assert told.pop('name_services') == totals[_abi.COUNTER_SERVICE]
    assert told.pop('left') == totals[_abi.COUNTER_LEFT] - totals[_abi.COUNTER_BACK]
    assert list(told) == ['connect', 'send', 'dns', 'tls', 'http', 'unix', 'file', 'exec']
    assert [list(verdicts.items()) for verdicts in told.values()] == [
        [('allowed', first), ('denied', first + 1), ('would_deny', first + 2)] for first in range(100, 124, 3)]


# --- files ---

@pytest.mark.parametrize('endpoint, kind', [(FILE, 'file'), (EXEC, 'exec')])
def test_a_file_has_a_path_in_place_of_an_address(endpoint, kind):
    record = denial(endpoint=endpoint, name=path_of(b'/mnt/artifacts/tool'))
    assert {key: record[key] for key in ('kind', 'path', 'name', 'address', 'protocol', 'port', 'rule', 'count')} == {
        'kind': kind, 'path': '/mnt/artifacts/tool', 'name': None, 'address': None, 'protocol': None, 'port': 0,
        'rule': 'github', 'count': 3}
    assert list(record) == list(denial()) and records.endpoint(record) == '/mnt/artifacts/tool'


@pytest.mark.parametrize('kept, told', [
    (b'/mnt/gr\xc3\xb6\xc3\x9fe', '/mnt/gr\xf6\xdfe'), (b'/mnt/two  words', '/mnt/two  words'), (b'/a\0/left/over', '/a'),
    (b'/mnt/\xff', r'/mnt/\xff'), (b'/a\nb\x1b[31m\x7f', r'/a\nb\x1b[31m\x7f'), (b'/\xe2\x80\xae', r'/\u202e'),
    (b'...\xb6e/b', r'...\xb6e/b'), (b'/' * _abi.NAME, '/' * _abi.NAME), (b'', None)])
def test_paths_are_one_harmless_line(kept, told):
    record = denial(endpoint=FILE, name=path_of(kept))
    assert record['path'] == told and records.endpoint(record) == (told or records.NO_PATH)
    assert json.loads(json.dumps(record)) == record


def test_records_with_and_without_an_address_have_one_order():
    entries = [(_abi.Denial(endpoint=endpoint, rule=GITHUB, mode=_abi.MODE_ENFORCE), record_of(name=path_of(path)))
               for endpoint, path in ((FILE, b'/mnt/b'), (endpoint_of(), b''), (FILE, b''), (EXEC, b'/mnt/a'))]
    found = records.Reader(RULES, {}, {}, 'enforce').denials(entries)
    assert [record['path'] or record['address'] for record in found] == ['/mnt/a', '/mnt/b', '198.51.100.1', None]


# --- names ---

@pytest.mark.parametrize('kind, told', [(_abi.KIND_DNS, 'dns'), (_abi.KIND_TLS, 'tls'), (_abi.KIND_HTTP, 'http')])
def test_the_name_that_was_asked_for_goes_before_those_of_the_address(kind, told):
    record = denial(endpoint=endpoint_of(kind=kind), name=name_of('Api.GitHub.com'))
    assert (record['kind'], record['name']) == (told, 'api.github.com')


@pytest.mark.parametrize('kind, address, protocol, name, words', [
    (_abi.KIND_TLS, '198.51.100.1', 6, 'github.com, www.github.com', records.SHARED),
    (_abi.KIND_HTTP, '198.51.100.1', 6, 'github.com, www.github.com', records.SHARED),
    (_abi.KIND_SEND, '198.51.100.1', 6, 'github.com, www.github.com', records.SHARED),
    (_abi.KIND_HTTP, '203.0.113.9', 6, None, records.NAMELESS), (_abi.KIND_SEND, '203.0.113.9', 6, None, None),
    (_abi.KIND_SEND, '198.51.100.1', 17, 'github.com, www.github.com', None),
    (_abi.KIND_CONNECT, '198.51.100.1', 6, 'github.com, www.github.com', None), (_abi.KIND_DNS, '198.51.100.1', 6, None, None)])
def test_where_no_name_was_presented_the_record_says_so(kind, address, protocol, name, words):
    record = denial(endpoint=endpoint_of(address, 443, protocol, kind))
    assert record['name'] == name
    assert record['reason'] == ' '.join(filter(None, ('it runs on this', words)))
    assert asked_name(record) == ''  # so that the callback shows the names as those of the address
    unread = denial(rule=_abi.RULE_UNREADABLE, endpoint=endpoint_of(address, 443, protocol, kind))
    assert unread['reason'] == records.UNREADABLE['reason']


def test_an_address_counts_where_no_name_was_presented():
    """A command line names it, though the report knows names for it."""
    args = b'ssh\x00198.51.100.1\x00'
    for kind in (_abi.KIND_HTTP, _abi.KIND_SEND):
        endpoint = endpoint_of('198.51.100.1', 443, 6, kind)
        assert denial(endpoint=endpoint, args=args)['class'] == 'direct'
        assert denial(endpoint=endpoint, args=args, name=name_of('api.github.com'))['class'] == (
            'hidden' if kind == _abi.KIND_HTTP else 'direct')


def test_what_could_not_be_read_says_so():
    record = denial(rule=_abi.RULE_UNREADABLE, endpoint=endpoint_of('192.0.2.53', 53, 17, _abi.KIND_DNS))
    assert (record['rule'], record['name']) == (None, None) and 'could not be read' in record['reason']


def test_what_a_lock_denies_says_so():
    record = denial(rule=_abi.RULE_LOCK, endpoint=endpoint_of(kind=_abi.KIND_UNIX), name=path_of(b'/sys/fs/cgroup/cgroup.procs'))
    assert (record['kind'], record['path'], record['rule']) == ('unix', '/sys/fs/cgroup/cgroup.procs', None)
    assert 'lock: true' in record['reason']


def heard(address, name, target=None):
    packed = bytes(endpoint_of(address).address)
    return (_abi.HeardKey(address=(ctypes.c_uint8 * 16)(*packed), name=_names.name_hash(name)),
            _abi.Heard(name=name_of(name), **({'target': name_of(target)} if target else {})))


@pytest.mark.parametrize('entries, told', [
    ([], {}), ([('198.51.100.1', 'a.test')], {'198.51.100.1': 'a.test'}),
    ([('198.51.100.1', 'b.test'), ('198.51.100.1', 'a.test')], {'198.51.100.1': 'a.test, b.test'}),
    ([('198.51.100.1', 'b.test', 'lb.example')], {'198.51.100.1': 'b.test, lb.example'}),
    ([('198.51.100.1', 'b.test', 'lb.example'), ('198.51.100.1', 'a.test', 'lb.example')],
     {'198.51.100.1': 'a.test, b.test, lb.example'}),
    ([('2001:db8::1', 'a.test'), ('198.51.100.2', 'a.test')], {'2001:db8::1': 'a.test', '198.51.100.2': 'a.test'})])
def test_names_by_address(entries, told):
    assert records.names_by_address(heard(*entry) for entry in entries) == told
