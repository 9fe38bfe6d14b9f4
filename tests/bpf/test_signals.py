# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets inside behave as outside: no signal and no stop changes what a blocking call returns, or loses an end."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import socket
import struct
import threading
import time

import pytest
from wire import client_hello
from workbench import child, listener, outcome

LOADERS = ('libbpf', 'bcc')

SERVER = '127.0.0.2'
NAMES = dict(deny=[('github', ['.github.com'])])
CONNECTIONS = 10_000
GREETING = b'220 server.test ESMTP\r\n'
SAID = [client_hello('fine.test'), b'GET / HTTP/1.1\r\nHost: fine.test\r\n\r\n', b'EHLO x\r\n', bytes(20_000)]

modes = pytest.mark.parametrize('mode', ['enforce', 'monitor'])


@contextlib.contextmanager
def serving(act):
    """The address of a server outside: act(peer) for each connection, by two processes of its own."""
    with listener(SERVER) as server:
        server.settimeout(None)
        pids = [serve(server, act) for _process in range(2)]
        try:
            yield server.getsockname()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def serve(server, act):
    pid = os.fork()
    while not pid:
        with server.accept()[0] as peer, contextlib.suppress(OSError):
            act(peer)
    return pid


@contextlib.contextmanager
def storm(seconds):
    """A signal with a handler, again and again; the kernel goes on with what it interrupts (SA_RESTART).

    Python runs its part of the handler once for all that came while it was in the kernel.
    """
    caught = []
    signal.signal(signal.SIGALRM, lambda _signal, _frame: caught.append(1))
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    yield caught
    signal.setitimer(signal.ITIMER_REAL, 0)


def connected(address):
    client = socket.socket()  # it blocks, and has no timeout: else Python would wait in poll(2)
    client.connect(address)
    return client


def to_the_end(peer):
    parts = []
    while not parts or parts[-1]:
        parts.append(peer.recv(65536))
    return b''.join(parts)


def echo(peer):
    peer.sendall(to_the_end(peer))


@modes
def test_a_storm_of_signals_over_many_connections(guards, mode):
    """Each sends, says that this is all, and reads to the end: nothing is lost, and no call fails."""
    guard = guards(mode=mode, **NAMES)

    def run():
        with serving(echo) as address:
            guard.enter()
            ends = collections.Counter()
            with storm(0.001) as caught:
                for number in range(CONNECTIONS):
                    said = SAID[number % len(SAID)]
                    with connected(address) as client:
                        ends[outcome(lambda: (client.sendall(said), client.shutdown(socket.SHUT_WR)))] += 1
                        heard = []
                        ends[outcome(lambda: heard.append(to_the_end(client)))] += 1
                        ends['whole' if heard == [said] else 'lost'] += 1
            return ends, len(caught)

    ends, caught = child(run, patience=0)
    assert ends == {'ok': 2 * CONNECTIONS, 'whole': CONNECTIONS} and caught > 100


def late(act):
    """A server that speaks first, after a while in which the client waits."""
    return lambda peer: (time.sleep(0.3), act(peer))


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))


WAITS = {  # what the server does while the client waits in recv(2), and what that returns
    'a greeting': (lambda peer: peer.sendall(GREETING), GREETING.decode()), 'the end': (lambda peer: None, ''),
    'a reset': (reset, 'ECONNRESET')}


def waiting(address, before=b''):
    """What a blocking recv(2) returns, or the error's name."""
    with connected(address) as client:
        if before:
            client.sendall(before)
        heard = []
        said = outcome(lambda: heard.append(client.recv(99).decode()))
        return heard[0] if said == 'ok' else said


@modes
@pytest.mark.parametrize('act, ends', WAITS.values(), ids=WAITS)
@pytest.mark.parametrize('before', [b'', SAID[1]], ids=['it says nothing', 'it has asked'])
def test_who_waits_is_not_disturbed_by_signals(guards, mode, act, ends, before):
    guard = guards(mode=mode, **NAMES)

    def answer(peer):
        if before:
            peer.recv(99)  # a reset is one, and no end, with all read
        act(peer)

    def run():
        with serving(late(answer)) as address:
            guard.enter()
            with storm(0.01) as caught:
                return waiting(address, before), bool(caught)

    assert child(run, patience=0) == [ends, True]


@modes
@pytest.mark.parametrize('act, ends', WAITS.values(), ids=WAITS)
def test_who_waits_is_stopped_and_goes_on(guards, mode, act, ends):
    guard = guards(mode=mode, **NAMES)

    def run():
        with serving(late(act)) as address:
            receive, send = os.pipe()
            pid = os.fork()
            if not pid:
                guard.enter()
                os.write(send, waiting(address).encode() + b'.')
                os._exit(0)
            time.sleep(0.1)
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.05)
            os.kill(pid, signal.SIGCONT)
            os.waitpid(pid, 0)
            return os.read(receive, 99).decode()

    assert child(run) == ends + '.'


@modes
def test_the_end_that_another_thread_makes(guards, mode):
    guard = guards(mode=mode, **NAMES)

    def run():
        with serving(lambda peer: peer.recv(1)) as address:
            guard.enter()
            with connected(address) as client, storm(0.01):
                threading.Timer(0.2, lambda: client.shutdown(socket.SHUT_RDWR)).start()
                return client.recv(99).decode()

    assert child(run, patience=0) == ''
