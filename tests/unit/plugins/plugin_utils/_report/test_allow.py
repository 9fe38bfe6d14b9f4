# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Denials of sealed rooms in, rules for the policy out, as exact lines."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import allow


def denied(kind='connect', name=None, address='203.0.113.9', port=443, protocol='tcp', **changes):
    return dict(_record(changes), kind=kind, name=name, address=address, port=port, protocol=protocol)


def _record(changes):
    return dict({'rule': None, 'reason': records.BY_DEFAULT['reason'], 'path': None}, **changes)


def dns(name):
    return denied('dns', name, '198.51.100.53', 53, 'udp')


def rules(*records, max_rows=20):
    tried = allow.Tried()
    tried.add('deploy', records)
    return [text for _tone, text in tried.lines(max_rows)][3:]


# name, denials, lines
CASES = [
    ('a name', [dns('mirror.example'), dns('mirror.example')], [
        '  - id: mirror-example', '    hosts: [mirror.example]']),
    ('a name at a port', [denied(name='mirror.example', port=8080)], [
        '  - id: mirror-example-tcp-8080', '    hosts: [mirror.example]', '    ports: [tcp/8080]']),
    ('a port that was tried over UDP, too',
     [denied(name='mirror.example', protocol='udp'), denied(name='mirror.example'), denied(name='mirror.example', port=80)], [
         '  - id: mirror-example-tcp-80-443', '    hosts: [mirror.example]', '    ports: [tcp/80, 443]']),
    ('the name itself was refused, so no port narrows it', [denied(name='mirror.example'), dns('mirror.example')], [
        '  - id: mirror-example', '    hosts: [mirror.example]']),
    ('a presented name', [denied('tls', 'mirror.example'), denied('http', 'proxied.example', port=3128)], [
        '  - id: mirror-example-tcp-443', '    hosts: [mirror.example]', '    ports: [tcp/443]',
        '  - id: proxied-example-tcp-3128', '    hosts: [proxied.example]', '    ports: [tcp/3128]']),
    ('each name of an address', [denied(name='a.example, b.example', protocol='udp', port=0)], [
        '  - id: a-example', '    hosts: [a.example]', '  - id: b-example', '    hosts: [b.example]']),
    ('addresses with the same ports', [denied(address='2001:db8::1'), denied(), denied(address='203.0.113.7', port=22)], [
        '  - id: address-203-0-113-7-tcp-22', '    networks: [203.0.113.7]', '    ports: [tcp/22]',
        '  - id: addresses-tcp-443', '    networks: ["2001:db8::1", 203.0.113.9]', '    ports: [tcp/443]']),
    ('a protocol without ports', [denied(port=0, protocol='icmp'), denied()], [
        '  - id: address-203-0-113-9', '    networks: [203.0.113.9]']),
    ('many', [denied(address=f'203.0.113.{number}') for number in range(1, 9)], [
        '  - id: addresses-tcp-443', '    networks:',
        *(f'      - 203.0.113.{number}' for number in range(1, 9)), '    ports: [tcp/443]']),
    ('words that are others to YAML', [dns('no'), dns('_srv.example')], [
        '  - id: srv-example', '    hosts: ["_srv.example"]', '  - id: "no"', '    hosts: ["no"]']),
    ('what is no host', [dns('a..b'), dns('x\x1b[31m.example')], [
        '  # no rule can name a..b', '  # no rule can name x?[31m.example']),
]


@pytest.mark.parametrize('records, lines', [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_rules(records, lines):
    told = rules(*records)
    assert told == lines
    written = yaml.safe_load('\n'.join(['allow:', *told]))['allow']
    if written:
        check.check({'version': 1, 'default': 'deny', 'allow': written})


@pytest.mark.parametrize('record', [
    denied(rule='github', reason='r'), denied(reason=records.UNREADABLE['reason']),
])
def test_what_the_default_did_not_deny_is_left_out(record):
    tried = allow.Tried()
    tried.add('deploy', [record])
    assert tried.lines(20) == []


def test_max_rows_and_two_names_that_make_one_id():
    assert rules(dns('a-b.example'), dns('a.b.example'), dns('c.example'), max_rows=2) == [
        '  - id: a-b-example', '    hosts: [a-b.example]', '  - id: a-b-example-2', '    hosts: [a.b.example]',
        '  # 1 more not shown (max_rows)']


def test_guards_have_their_own():
    tried = allow.Tried()
    tried.add('web', [dns('b.example')])
    tried.add('db', [dns('a.example')])
    tried.add('db', [dns('a.example')])
    assert [text for _tone, text in tried.lines(20)] == [
        '', 'RULES that would let pass what was tried (guard db), for its policy:', 'allow:',
        '  - id: a-example', '    hosts: [a.example]',
        '', 'RULES that would let pass what was tried (guard web), for its policy:', 'allow:',
        '  - id: b-example', '    hosts: [b.example]']
