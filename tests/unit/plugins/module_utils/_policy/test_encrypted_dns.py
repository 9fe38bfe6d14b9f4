# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built-in rule against encrypted DNS: when there is one, and what it says."""

from __future__ import annotations

import json

import pytest
from policy_texts import GITHUB, RULE, one_rule, read

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.encrypted_dns import BUILT_IN, DOH_HOSTS

NETWORKS_ONLY = RULE + '    networks: [10.0.0.0/8]\n'


@pytest.mark.parametrize('text, encrypted_dns, kept', [
    (GITHUB, 'deny', None), ('version: 1\nallow: [{id: m, hosts: [.a]}]', 'deny', None), (NETWORKS_ONLY, 'allow', None),
    ('version: 1\ndefault: deny', 'allow', None), (GITHUB + 'encrypted_dns: deny', 'deny', None),
    (GITHUB + 'encrypted_dns: allow', 'allow', 'allow'), (NETWORKS_ONLY + 'encrypted_dns: deny', 'deny', 'deny'),
    (NETWORKS_ONLY + 'encrypted_dns: allow', 'allow', None)])
def test_encrypted_dns_is_denied_where_names_matter(text, encrypted_dns, kept):
    policy = read(text)
    assert policy.encrypted_dns == encrypted_dns
    assert policy.as_mapping().get('encrypted_dns') == kept
    assert bool(policy.all_rules[len(policy.rules):]) == (encrypted_dns == 'deny')
    assert check(policy.as_mapping()) == policy


def test_the_built_in_rule():
    policy = read(GITHUB)
    assert policy.all_rules[:1] == policy.rules
    port, names = policy.all_rules[1:]
    for part in (port, names):
        assert (part.id, part.action, part.expected) == (BUILT_IN, 'deny', False)
        assert part.reason == ('encrypted DNS would hide from the rules which names the deployment asks for '
                               '(encrypted_dns: allow lets it pass)')
    assert ([str(network) for network in port.networks], [str(one) for one in port.ports], port.hosts) == (
        ['0.0.0.0/0', '::/0'], ['853'], ())
    assert (names.networks, names.ports) == ((), ())
    assert {'dns.google', '*.dns.google', 'dns.quad9.net', 'cloudflare-dns.com'} < set(names.hosts)
    assert BUILT_IN not in json.dumps(policy.as_mapping())


def test_the_built_in_rule_can_be_expected():
    policy = read(GITHUB + 'expected: [encrypted_dns, github]')
    assert [rule.expected for rule in policy.all_rules] == [True, True, True]
    assert check(policy.as_mapping()) == policy


def test_the_well_known_names_are_in_normal_form():
    assert list(one_rule('hosts: %s' % json.dumps(DOH_HOSTS)).hosts) == sorted(DOH_HOSTS)
    assert len({host.lstrip('.') for host in DOH_HOSTS}) == len(DOH_HOSTS) >= 40


@pytest.mark.parametrize('action, host, left', [
    ('allow', 'dns.google', ['*.dns.google']), ('allow', '"*.dns.google"', ['dns.google']),
    ('allow', '.DNS.google', []),
    ('allow', 'one.one.one.one', ['*.dns.google', 'dns.google']), ('allow', '.google', ['*.dns.google', 'dns.google']),
    ('allow', 'a.dns.google', ['*.dns.google', 'dns.google']), ('deny', '.dns.google', ['*.dns.google', 'dns.google'])])
def test_an_allow_rule_for_a_well_known_name_wins(action, host, left):
    policy = read('version: 1\n%s: [{id: x, reason: r, hosts: [%s]}]' % (action, host))
    hosts = policy.all_rules[-1].hosts
    assert [name for name in hosts if name.endswith('dns.google')] == left
    assert ('one.one.one.one' in hosts) == (host != 'one.one.one.one')
