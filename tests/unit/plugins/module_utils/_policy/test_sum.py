# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of a policy: what it depends on, and that it stays what it is."""

from __future__ import annotations

import hashlib
import json

import pytest
from policy_texts import FULL, GITHUB, read

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

SAME = [('capitals', 'GitHub.com', 'github.COM'), ('last dot', 'GitHub.com., ', 'github.com, '),
        ('order in a rule', '[udp/443, 8000-8080, 443]', '["8000-8080", "443", "udp/443"]'),
        ('spelling of a network', '2001:db8::/32', '2001:0DB8:0::/32'),
        ('order of paths', '[/mnt/tools/, /mnt/artifacts]', '[/mnt/artifacts, //mnt/tools, /mnt/tools]'),
        ('spelling of a socket', '/run//docker.sock', '/run/docker.sock'),
        ('order of types', '[nfs4, fuse.sshfs]', '[fuse.sshfs, nfs4, nfs4]'),
        ('mapped network', '192.0.2.0/24', '"::ffff:192.0.2.0/120"'),
        ('default written or not', 'lock: false\n', ''), ('no interval', 'resolve: {interval: 30}\n', ''),
        ('encrypted DNS by default', 'encrypted_dns: deny\n', '')]
OTHER = [('mode', 'drill', 'enforce'), ('reason', 'é', 'e'), ('owner', 'db-team', 'web-team'),
         ('network', '192.0.2.0/24', '192.0.2.0/25'), ('port', 'udp/443', 'tcp/443'),
         ('expected', 'expected: [github]', 'expected: [2nd_rule]'),
         ('built-in expected', 'expected: [github]', 'expected: [github, encrypted_dns]'),
         ('interval', 'interval: 30', 'interval: 0'), ('another interval', 'interval: 30', 'interval: 31'),
         ('encrypted DNS', 'encrypted_dns: deny', 'encrypted_dns: allow'),
         ('path', '/mnt/tools/', '/mnt/tool'), ('capital in a path', '/mnt/tools/', '/mnt/Tools'),
         ('lock', 'lock: false', 'lock: true'), ('socket', '@tool', '@tools'),
         ('exception', '    paths: [/mnt/artifacts/public]\n', ''), ('type', 'fuse.sshfs', 'fuse.*'),
         ('baseline', 'mysql.deps', 'web.deps'), ('on_new', 'on_new: fail', 'on_new: report'),
         ('on_denied', 'on_denied: stop', 'on_denied: finish'),
         ('outage', 'outage: unresolvable\nunresolvable: servfail', 'outage: refused'),
         ('outage of a rule', '    outage: timeout', '    outage: denied'),
         ('unresolvable', 'servfail', 'nxdomain'),
         ('host form', 'hosts: [mirror.github.com]', 'hosts: [.mirror.github.com]')]


@pytest.mark.parametrize('old, new', [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_same_meaning_same_hash(old, new):
    assert old in FULL
    assert read(FULL.replace(old, new)) == read(FULL)
    assert read(FULL.replace(old, new)).sha256() == read(FULL).sha256()


@pytest.mark.parametrize('old, new', [row[1:] for row in OTHER], ids=[row[0] for row in OTHER])
def test_other_meaning_other_hash(old, new):
    assert old in FULL
    assert read(FULL.replace(old, new)).sha256() != read(FULL).sha256()


def test_hash_ignores_the_order_of_keys_and_never_changes():
    mapping = read(FULL).as_mapping()
    backwards = {key: mapping[key] for key in reversed(list(mapping))}
    assert check(backwards).sha256() == read(FULL).sha256()
    # Running guards are compared by it: another value here means "changed" for all of them after an upgrade.
    assert read(GITHUB).sha256() == '8194b1010a181511352c298a23aee8ec5f9aa1e1cf3f6e8a85a2639ff835fa69'


@pytest.mark.parametrize('text', [FULL, GITHUB, 'version: 1'])
def test_the_sum_is_that_of_the_whole_policy_as_json(text):
    policy = read(text)
    whole = json.dumps(policy.as_mapping(), sort_keys=True, separators=(',', ':'))
    assert policy.sha256() == hashlib.sha256(whole.encode()).hexdigest()
