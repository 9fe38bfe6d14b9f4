# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A checked policy on its way: what is unpacked is what was packed, and nothing else is taken for it."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib

import pytest
from any_policy import policies
from hypothesis import given, settings
from policy_texts import FULL, read

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import check, many, packed


@settings(deadline=None)
@given(policies())
def test_what_is_unpacked_is_what_was_packed(mapping):
    policy = check.check(mapping)
    again = packed.unpack(packed.pack(policy))
    assert again == policy and again.sha256() == policy.sha256() and again.all_rules == policy.all_rules


def test_all_that_a_policy_can_say():
    policy = read(FULL + 'limits: {pids: 512, cpus: 1.5, memory: 2G}\n')
    assert packed.unpack(packed.pack(policy)) == policy


@pytest.mark.parametrize('count', [1, many.FEW, many.FEW + 1, 3000])
def test_long_lists_are_the_same_however_they_are_kept(count):
    names = sorted('h%d.example' % number for number in range(count))
    rule = {'id': 'a', 'reason': 'r', 'hosts': names, 'networks': ['192.0.2.1/32']}
    policy = check.check({'version': 1, 'deny': [dict(rule, hosts=names[::-1])]})
    again = packed.unpack(packed.pack(policy))
    for one in (policy, again):
        hosts = one.rules[0].hosts
        assert list(hosts) == names and len(hosts) == count and hosts
        assert one.as_mapping()['deny'] == [rule]
        whole = json.dumps(one.as_mapping(), sort_keys=True, separators=(',', ':'))
        assert one.sha256() == hashlib.sha256(whole.encode()).hexdigest()
    assert again == policy and hash(again.rules) == hash(policy.rules)
    other = check.check({'version': 1, 'deny': [dict(rule, hosts=[*names[:-1], 'other.example'])]})
    assert other != policy and other.sha256() != policy.sha256()


FORM, DIGEST, CONTENT = packed.pack(read(FULL)).split(':')


@pytest.mark.parametrize('text, says', [
    (':'.join(('1', DIGEST, CONTENT)), 'the same version'), ('', 'the same version'), ('{"version": 1}', 'the same version'),
    (':'.join((FORM, DIGEST, CONTENT[:-8])), 'damaged'), (':'.join((FORM, DIGEST, '?')), 'damaged'), (FORM + ':', 'damaged'),
    (':'.join((FORM, DIGEST, base64.b64encode(zlib.compress(b'{"version":1}')).decode())), 'damaged'),
    (':'.join((FORM, DIGEST[::-1], CONTENT)), 'damaged')])
def test_what_is_not_whole_is_refused(text, says):
    with pytest.raises(GuardError, match=says):
        packed.unpack(text)


def test_too_many_are_refused_by_their_number(monkeypatch):
    monkeypatch.setattr(check, 'MOST', 4)
    rules = [{'id': 'a', 'reason': 'r', 'hosts': ['a', 'b'], 'networks': ['192.0.2.1']}, {'id': 'b', 'reason': 'r', 'hosts': ['a']}]
    assert check.check({'version': 1, 'deny': rules})
    with pytest.raises(PolicyError, match='^policy: the rules have 5 networks and names, and a guard takes 4 at most. Join'):
        check.check({'version': 1, 'deny': rules, 'allow': [{'id': 'c', 'hosts': ['c']}]})
