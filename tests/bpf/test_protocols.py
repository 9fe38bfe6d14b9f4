# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first bytes of many protocols: what is neither TLS nor HTTP presents no name, and passes in every guard."""

from __future__ import annotations

import random

import heads
import http2
import pytest
from first_bytes import judged
from policies import policy_of
from protocols import PLAIN
from wire import client_hello
from workbench import child, listener, on_lo

LOADERS = ('libbpf', 'bcc')
ADDRESS = '203.0.113.9'  # in a sealed room loopback is open anyway
GUARDS = {  # a guard, and whether its server may be reached under another name
    'a name is denied': (dict(policy=policy_of(deny=[('closed', ['.closed.test'])])), True),
    'sealed, the network is allowed': (dict(policy=policy_of(default='deny', allow=[('net', ['203.0.113.0/24'])])), True),
    'sealed, the name is allowed': (dict(policy=policy_of(default='deny', allow=[('open', ['open.test'])]),
                                         heard={'open.test': [ADDRESS]}), False)}


def h2(name):
    return http2.request(random.Random(1), (name, None))[0]


NAMED = {  # protocols whose clients present the name of the server
    'tls': client_hello,
    'http': lambda name: b'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' % name.encode(),
    'elasticsearch': lambda name: b'POST /_bulk HTTP/1.1\r\nAccept: */*\r\nhost: %s:9200\r\n\r\n{}' % name.encode(),
    'a websocket': lambda name: b'GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n\r\n' % name.encode(),
    'icecast': lambda name: b'SOURCE /stream HTTP/1.0\r\nHost: %s\r\n\r\n' % name.encode(),
    'ssdp-like': lambda name: b'M-SEARCH * HTTP/1.1\r\nHOST: %s\r\n\r\n' % name.encode(),
    'etcd': h2,
    'rtsp': lambda name: b'OPTIONS rtsp://%s:554/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n' % name.encode(),
    'icap': lambda name: b'OPTIONS icap://%s/x ICAP/1.0\r\nHost: %s\r\n\r\n' % (name.encode(), name.encode()),
    'the PROXY protocol, http': lambda name: heads.BINARY_PROXY + b'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' % name.encode(),
    'the PROXY protocol, tls': lambda name: b'PROXY TCP4 1.2.3.4 5.6.7.8 1 443\r\n' + client_hello(name),
}


def verdicts(guard, messages):
    def run():
        on_lo(ADDRESS)
        with listener(ADDRESS) as server:
            guard.enter()
            return [judged(guard, server, message) for message in messages]

    return child(run, patience=600)


def test_there_are_enough():
    assert len(PLAIN) - 40 + len(NAMED) > 110


@pytest.mark.parametrize('which', GUARDS)
def test_what_presents_no_name_passes(guards, which):
    options, _other = GUARDS[which]
    told = dict(zip(PLAIN, verdicts(guards(**options), PLAIN.values())))
    assert {protocol: said for protocol, said in told.items() if said != 'arrived'} == {}


@pytest.mark.parametrize('which', GUARDS)
@pytest.mark.parametrize('name', ['open.test', 'other.test', 'closed.test', '198.51.100.1'])
def test_what_presents_a_name_is_judged_by_it(guards, which, name):
    options, other = GUARDS[which]
    passes = name in ('open.test', '198.51.100.1') or (other and (name == 'other.test' or which != 'a name is denied'))
    told = dict(zip(NAMED, verdicts(guards(**options), [make(name) for make in NAMED.values()])))
    assert {protocol: said for protocol, said in told.items() if said != ('arrived' if passes else 'denied')} == {}
