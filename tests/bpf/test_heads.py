# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads of HTTP requests whose names are known, and first requests of HTTP/2."""

from __future__ import annotations

import contextlib
import random
import subprocess

import heads
import http2
import pytest
from first_bytes import verdicts
from workbench import child, listener

LOADERS = ('libbpf', 'bcc')
RULES = dict(deny=[('closed', ['.closed.test'])])
SERVER = '127.0.0.2'
SEED = 14


FINE = [heads.head(value=heads.OTHER, **{part: choice}) for part, choices in (
    ('in_front', [b'', b'\r\n', b'PROXY TCP4 1.2.3.4 5.6.7.8 80 80\r\n', heads.BINARY_PROXY]),
    ('method', [b'GET', b'POST', b'PROPFIND', b'M-SEARCH', b'get']),
    ('target', [b'/', b'*', b'http://fine.test/', b'/closed.test', b'/?u=http://closed.test/',
                b'http://fine.test/?closed.test', b'http://other.test/', b'http://127.0.0.3/', b'http://[::1]/']),
    ('version', [b'HTTP/1.1', b'HTTP/1.0']),
    ('before', [b'X: y\r\n', b'X: y\r\n' * 100, b'X-Host: closed.test\r\n', b'Hosts: closed.test\r\n', b'X:\r\n y\r\n',
                b'X: ' + b'y' * 3500 + b'\r\n', b'Referer: http://closed.test/\r\n']),
    ('name', [b'Host', b'host', b'HOST']),
    ('colon', [b':', b': ', b':\t', b':' + b' ' * 20]),
    ('behind', [b'\r\n', b'\n', b' \r\n', b':8080\r\n', b'.\r\n', b'\r\nX: ' + b'y' * 5000 + b'\r\n',
                b'\r\nX: y\r\n' * 200, b'\r\nHostess: closed.test\r\n']),
    ('end', [b'\r\n', b'\n', b'\r\nHost: closed.test\r\n\r\n'])) for choice in choices]


def test_usual_heads_of_another_host_arrive(guards):
    assert [(head, said) for head, said in zip(FINE, verdicts(guards(**RULES), [[head] for head in FINE]))
            if said != 'arrived'] == []


TWO_NAMES = [  # target, Host, what the worse of both gets
    (b'http://closed.test/', b'fine.test', 'denied'), (b'http://fine.test/', b'closed.test', 'denied'),
    (b'http://fine.test/', b'other.test', 'arrived'), (b'http://open.closed.test/', b'closed.test', 'denied'),
    (b'http://open.closed.test/', b'fine.test', 'arrived'), (b'http://127.0.0.3/', b'closed.test', 'denied'),
    (b'http://closed.test/', b'127.0.0.3', 'denied'), (b'http://closed.test/', b'', 'denied'),
    (b'http://fine.test/', b'', 'arrived'), (b'http://closed.test:80/', b'x y', 'denied')]


def test_of_two_names_the_worse_one_counts(guards):
    guard = guards(allow=[('open', ['.open.closed.test'])], **RULES)
    sent = [heads.head(target=target, value=value) for target, value, _due in TWO_NAMES]
    assert verdicts(guard, [[head] for head in sent]) == [due for _target, _value, due in TWO_NAMES]
    told = {record['name'] for record in guard.reader().denials(guard.denials())}
    assert told == {'closed.test', None}


def test_in_a_sealed_room_a_name_without_a_rule_is_worse_than_an_allowed_one(guards):
    """The server is known by its allowed name alone, and another name at its address is not allowed."""
    guard = guards(default='deny', allow=[('open', ['open.test'])], heard={'open.test': ['127.0.0.2']})
    sent = [heads.head(target=b'http://open.test/', value=b'open.test'), heads.head(value=b'open.test')]
    assert verdicts(guard, [[head] for head in sent]) == ['arrived'] * 2


# --- HTTP/2 without TLS ---

def test_curl_with_http2(guards):
    """What curl says first when it knows that the server speaks HTTP/2."""
    def capture(name):
        with listener(SERVER) as server:
            port = server.getsockname()[1]
            curl = subprocess.Popen(['curl', '-s', '-m', '2', '--http2-prior-knowledge', '--resolve', '%s:%d:%s' % (
                name, port, SERVER), 'http://%s:%d/' % (name, port)])
            with server.accept()[0] as peer:
                peer.settimeout(0.5)
                heard = b''
                with contextlib.suppress(TimeoutError):
                    while True:
                        heard += peer.recv(65536)
            curl.kill()
            curl.wait()
            return heard.hex()

    names = ('closed.test', 'a.closed.test', 'fine.test', 'notclosed.test')
    sent = [bytes.fromhex(child(lambda name=name: capture(name))) for name in names]
    assert all(message.startswith(http2.PREFACE) for message in sent)
    due = ['denied', 'denied', 'arrived', 'arrived']
    guard = guards(**RULES)
    assert verdicts(guard, [[message] for message in sent]) == due
    assert verdicts(guard, [[message[index:index + 1] for index in range(len(message))] for message in sent]) == due
    assert {record['name'] for record in guard.reader().denials(guard.denials())} == {'closed.test', 'a.closed.test'}


def test_requests_of_http2(guards):
    """As others pack them: names in a code or as text, paddings and priorities, frames in front."""
    chance = random.Random(SEED)
    cases = [http2.request(chance, chance.choice(http2.HOSTS)) for _case in range(300)]
    told = verdicts(guards(**RULES), [[message] for message, _denied in cases])
    wrong = [(message.hex(), said) for (message, denied), said in zip(cases, told)
             if said != ('denied' if denied else 'arrived')]
    assert wrong == [] and 50 < told.count('denied') < 250


@pytest.mark.parametrize('message', http2.UNREADABLE)
def test_what_can_not_be_read_of_http2_is_denied(guards, message):
    assert verdicts(guards(**RULES), [[message]]) == ['denied']
