# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for unix sockets in this machine's kernel, by whichever of the two objects it takes.

tests/vm has the other ways out, and what is denied, on kernels of their own.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
import shutil
import socket

import pytest
from policies import compiled
from workbench import counted, outcome

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, objects, programs, ways_out
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

Place = collections.namedtuple('Place', 'run cgroup')


def policy_of(*deny, allow=(), **more):
    """Each rule has one socket, and goes by its number."""
    rules = [{'id': 'rule-%d' % number, 'reason': 'a test', 'sockets': [name]}
             for number, name in enumerate((*deny, *allow))]
    mapping = {'version': 1, 'deny': rules[:len(deny)], 'allow': rules[len(deny):], **more}
    return check({key: value for key, value in mapping.items() if value})


@pytest.fixture
def rules(guards, tmp_path):
    """Makes a guard in which a policy's rules for sockets judge."""
    opened, loads = [], []

    def start(policy):
        guard = guards(policy)
        shared = {name: guard.object.map_fd(name) for name in programs.SHARED}
        directory = os.open(guard.cgroup, os.O_RDONLY)
        opened.append(directory)
        loaded = ways_out.load(guard.kernel, objects.unpacked(objects.packed('libbpf')), shared,
                               compiled(policy), str(tmp_path), guard.cgroup, directory)
        loads.append(loaded)
        assert loaded.enforced['unix'] is True and not loaded.warnings
        opened.extend(guard.kernel.attach(program, directory, name) for name, program in loaded.programs.items()
                      if programs.is_on_cgroup(name))
        guard.kernel.update(guard.object.map_fd('ebg_current'), ctypes.c_uint32(0),
                            ctypes.c_uint32(guard.generation))
        return guard

    yield start
    bpf.close(opened)
    for loaded in loads:
        loaded.close()


def listening(path, kind=socket.SOCK_STREAM):
    server = socket.socket(socket.AF_UNIX, kind)
    server.bind(path)
    if kind == socket.SOCK_STREAM:
        server.listen(16)
    return server


def stream(path):
    return lambda: _asked(path, socket.SOCK_STREAM, lambda client: client.connect(path))


def connected_datagrams(path):
    return lambda: _asked(path, socket.SOCK_DGRAM, lambda client: client.connect(path))


def datagram(path):
    return lambda: _asked(path, socket.SOCK_DGRAM, lambda client: client.sendto(b'', path))


def _asked(path, kind, ask):
    """The outcome of asking a socket that listens there."""
    with contextlib.suppress(OSError, ValueError):
        os.unlink(path)
    with listening(path, kind), socket.socket(socket.AF_UNIX, kind) as client:
        return outcome(lambda: ask(client))


def standing(directory, act):
    def there():
        os.chdir(directory)
        return act()
    return there


@pytest.mark.parametrize('denied, allowed, asked, rule', (
    ('{d}/tool', (), '{d}/tool', 'rule-0'), ('{d}/tool', (), '{d}/tool2', None), ('{d}/tool', (), '{d}/too', None),
    ('@tool', (), '\0tool', 'rule-0'), ('@tool', (), '\0tool2', None), ('@{d}/tool', (), '{d}/tool', None),
    ('{d}/tool', (), '\0{d}/tool', None), ('{d}/tool', ('{d}/tool',), '{d}/tool', 'rule-0'),
    ('{d}/other', ('{d}/tool',), '{d}/tool', None), ('{d}/%s' % ('x' * 60), (), '{d}/%s' % ('x' * 60), 'rule-0')))
def test_a_socket_is_denied_by_its_address(rules, short, denied, allowed, asked, rule):
    guard = rules(policy_of(denied.format(d=short), allow=[name.format(d=short) for name in allowed]))
    asked = asked.format(d=short)
    asks = (stream, connected_datagrams, datagram)
    assert guard.inside(lambda: [ask(asked)() for ask in asks]) == ['EACCES' if rule else 'ok'] * len(asks)
    told = [(record['kind'], record['path'], record['rule'], record['count']) for record in
            guard.reader().denials(guard.denials())]
    assert told == ([('unix', asked.replace('\0', '@'), rule, len(asks))] if rule else [])


@pytest.fixture
def short():
    """A directory without symlinks whose path leaves room for a name: an address has 108 bytes."""
    path = os.path.realpath('/tmp/ebg-%d' % os.getpid())
    os.mkdir(path)
    yield path
    for name in os.listdir(path):
        os.unlink(os.path.join(path, name))
    os.rmdir(path)


@pytest.mark.parametrize('denied, asked', (
    ('{d}/tool', 'tool'), ('/run/ebg-test.sock', '/var/run/ebg-test.sock'),
    ('/var/run/ebg-test.sock', '/run/ebg-test.sock')))
def test_other_ways_to_say_the_same_path(rules, short, denied, asked):
    guard = rules(policy_of(denied.format(d=short)))
    assert guard.inside(standing(short, stream(asked))) == 'EACCES'
    assert len(guard.denials()) == 1


@pytest.mark.parametrize('mode, said, verdict', (
    ('monitor', 'ok', 'would_deny'), ('enforce', 'EACCES', 'denied'), ('drill', 'EACCES', 'denied')))
def test_modes_and_totals(rules, short, mode, said, verdict):
    guard = rules(policy_of(short + '/tool', mode=mode))
    ask, pass_by = stream(short + '/tool'), stream(short + '/other')
    assert guard.inside(lambda: [ask() for _time in range(5)] + [pass_by()]) == [said] * 5 + ['ok']
    assert guard.counters() == counted(unix={verdict: 5, 'allowed': 1})
    [(_key, record)] = guard.denials()
    assert record.count == 5 and guard.observations() == []


def test_known_ways_are_recorded_in_every_mode_by_program(rules, short):
    """Also where a rule allows one; and nothing else is."""
    guard = rules(policy_of('/nowhere', allow=[short + '/mine']))

    def named(name, path):
        with open('/proc/self/comm', 'w') as comm:
            comm.write(name)
        return outcome(lambda: socket.socket(socket.AF_UNIX).connect(path))

    def act():
        with listening(short + '/mine'), listening(short + '/other'):
            return [named('one', short + '/mine'), named('two', short + '/mine'), named('two', short + '/other')]
    assert guard.inside(act) == ['ok', 'ok', 'ok']
    seen = guard.reader().observations(guard.observations())
    assert [(record['kind'], record['path'], record['rule'], record['count']) for record in seen] == [
        ('unix', short + '/mine', 'rule-1', 1)] * 2
    assert guard.counters() == counted(unix={'allowed': 3})


@pytest.mark.parametrize('path, program, seen', (
    ('{d}/docker.sock', 'x', True), ('{d}/S.dirmngr', 'x', True), ('{d}/bus', 'x', True), ('{d}/xbus', 'x', False),
    ('{d}/docker.sock2', 'x', False), ('{d}/private', 'x', False), ('{d}/systemd/private', 'x', True),
    ('\0docker.sock', 'x', False), ('\0bus', 'x', False), ('{d}/mine', 'x', True), ('\0mine', 'x', True),
    ('{d}/ctl', 'ssh', True), ('{d}/ctl', 'ssh-agent', False), ('{d}/ctl', 'sshd', False), ('\0ctl', 'ssh', True)))
def test_ways_out_by_their_end_or_by_who_asks(rules, short, path, program, seen):
    guard = rules(policy_of('/nowhere', ways_out=[short + '/mine', '@mine']))
    path = path.format(d=short)

    def act():
        with open('/proc/self/comm', 'w') as comm:
            comm.write(program)
        return stream(path)()

    os.mkdir(short + '/systemd')
    asked = guard.inside(act)
    shutil.rmtree(short + '/systemd')
    assert asked == 'ok'
    told = [(record['kind'], record['path'], record['rule']) for record in guard.reader().observations(guard.observations())]
    assert told == [('unix', path.replace('\0', '@'), None)] * seen
    assert guard.counters() == counted(unix={'allowed': 1})


def test_name_service_daemons_are_counted_and_no_denial(rules, monkeypatch, short):
    monkeypatch.setattr(ways_out, 'NAME_SERVICES', (short + '/nscd',))
    names = {'id': 'names', 'reason': 'a test', 'hosts': ['github.com']}
    guard = rules(check({'version': 1, 'deny': [names]}))
    assert guard.inside(stream(short + '/nscd')) == 'EACCES'
    assert guard.counters() == counted(name_services=1) and guard.denials() == []


@pytest.mark.parametrize('mode, action, said', (
    ('monitor', 'deny', 'ok'), ('enforce', 'allow', 'ok'), ('enforce', 'deny', 'EACCES')))
def test_a_rule_has_the_last_word_over_name_services(rules, monkeypatch, short, mode, action, said):
    monkeypatch.setattr(ways_out, 'NAME_SERVICES', (short + '/nscd',))
    names = {'id': 'names', 'reason': 'a test', 'hosts': ['github.com']}
    mine = {'id': 'mine', 'reason': 'a test', 'sockets': [short + '/nscd']}
    mapping = {'version': 1, 'mode': mode, 'deny': [names] + [mine] * (action == 'deny')}
    guard = rules(check(dict(mapping, allow=[mine]) if action == 'allow' else mapping))
    assert guard.inside(stream(short + '/nscd')) == said
    assert guard.counters()['name_services'] == 0 and len(guard.denials()) == (action == 'deny')
