# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy as a whole: mapping and lines -> Policy, or one error that helps. The tables come first."""

from __future__ import annotations

import datetime
import json

import pytest
from any_policy import garbage, only_policy_errors, policies, words
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_texts import FULL, GITHUB, RULE, read, refusal

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

# --- what is refused ---

BAD_POLICIES = [  # name, text, how the error begins, what else it says
    ('no version', 'deny: []', 'p.yml:1: version is missing.', ['version: 1']),
    ('later version', 'mode: drill\nversion: 2\nnew: 1', 'p.yml:2: version: 2 is not supported.',
     ['version: 1']),
    ('version as text', 'version: "1"', "p.yml:1: version: '1' is not supported.", ['without quotes']),
    ('version is true', 'version: true', 'p.yml:1: version: true is not supported.', []),
    ('version with a point', 'version: 1.0', 'p.yml:1: version: 1.0 is not supported.', []),
    ('a list', '- version: 1', 'p.yml:1: a list is not a policy.', ['mapping', 'version: 1']),
    ('a word', 'hello', "p.yml:1: 'hello' is not a policy.", []),
    ('unknown key', 'version: 1\ndenny: []', "p.yml:2: unknown key 'denny'. Did you mean deny?",
     ['version, service, mode, default, deny, allow, expected, services, own, resolve, baseline, on_new, on_denied, '
      'outage, unresolvable, limits, lock, ways_out, encrypted_dns.']),
    ('bad mode', 'version: 1\nmode: enforced', "p.yml:2: mode: 'enforced' is no mode. Did you mean enforce?",
     ['monitor or enforce or drill']),
    ('mode is off', 'version: 1\nmode: off', 'p.yml:2: mode: false is no mode.', []),
    ('bad default', 'version: 1\ndefault: block', "p.yml:2: default: 'block' is no default.",
     ['allow or deny']),
    ('default is nothing', 'version: 1\ndefault:', 'p.yml:2: default: nothing is no default.', []),
    ('service is a sentence', 'version: 1\nservice: my sql',
     "p.yml:2: service: 'my sql' is not a plain word.", []),
    ('service is a list', 'version: 1\nservice: [a]', 'p.yml:2: service: a list where text is needed.',
     ['mysql']),
    ('deny is nothing', 'version: 1\ndeny:', 'p.yml:2: deny: nothing where a list', []),
    ('deny is empty', 'version: 1\ndeny: []', 'p.yml:2: deny: an empty list where', ['leave deny out']),
    ('deny is a mapping', 'version: 1\ndeny: {id: x}', 'p.yml:2: deny: a mapping where a list', ['[{id']),
    ('rule is a word', 'version: 1\ndeny:\n  - github.com',
     "p.yml:3: deny rule 1: 'github.com' is not a rule.",
     ['id, reason and hosts, networks, paths, filesystems or sockets.']),
    ('no id', 'version: 1\nallow:\n  - hosts: [a]', 'p.yml:3: allow rule 1: id is missing.', ['id: github']),
    ('second rule without id', GITHUB + '  - reason: x', 'p.yml:6: deny rule 2: id is missing.', []),
    ('id is a number', 'version: 1\ndeny:\n  - id: 1', 'p.yml:3: deny rule 1: id: 1 where text', ['quotes']),
    ('id in capitals', 'version: 1\ndeny:\n  - id: GitHub',
     "p.yml:3: rule 'GitHub': id: 'GitHub' is not an id.",
     ['a-z, 0-9']),
    ('id starts with a hyphen', 'version: 1\ndeny:\n  - id: -a', "p.yml:3: rule '-a': id: ",
     ['start with a']),
    ('same id twice', GITHUB + '  - id: github', "p.yml:6: rule 'github': id: used twice:",
     ['the deny rule in line 3']),
    ('same id in allow', GITHUB + 'allow:\n  - hosts: [x]\n    id: github',
     "p.yml:8: rule 'github': id: used twice:",
     ['the deny rule in line 3']),
    ('no reason', 'version: 1\ndeny:\n  - id: x\n    hosts: [a]', "p.yml:3: rule 'x': reason is missing.",
     ['why']),
    ('reason is blank', 'version: 1\ndeny:\n  - id: x\n    reason: " "',
     "p.yml:4: rule 'x': reason: the text is",
     []),
    ('expected is text', GITHUB + 'expected: github', "p.yml:6: expected: 'github' where a list",
     ['["github"]']),
    ('expected is misspelt', GITHUB + 'expected: [gihub]',
     "p.yml:6: expected: there is no deny rule 'gihub'.",
     ['Did you mean github?', 'Deny rules here: github, encrypted_dns.']),
    ('expected without rules', 'version: 1\nexpected: [a]', 'p.yml:2: expected: ',
     ['Deny rules here: none.']),
    ('expected is an allow rule', 'version: 1\nallow:\n  - {id: m, hosts: [a]}\nexpected:\n  - m',
     "p.yml:5: expected: 'm' is an allow rule", ['deny rules only']),
    ('resolve is a number', 'version: 1\nresolve: 0', 'p.yml:2: resolve: 0 where a mapping',
     ['{interval: 30}']),
    ('resolve is empty', 'version: 1\nresolve: {}', 'p.yml:2: resolve: an empty mapping where', []),
    ('resolve key', 'version: 1\nresolve:\n  intervall: 0', "p.yml:3: resolve: unknown key 'intervall'.",
     ['Did you mean interval? Allowed here: interval.']),
    ('interval below 0', 'version: 1\nresolve: {interval: -1}', 'p.yml:2: resolve: interval: -1 is not', []),
    ('interval too long', 'version: 1\nresolve: {interval: 86401}', 'p.yml:2: resolve: interval: 86401 is not',
     ['from 0 to 86400', 'interval: 30; 0 looks names up once']),
    ('interval is a fraction', 'version: 1\nresolve: {interval: 0.5}', 'p.yml:2: resolve: interval: 0.5 is not', []),
    ('interval is text', 'version: 1\nresolve: {interval: 30s}', "p.yml:2: resolve: interval: '30s' is not", []),
    ('interval is true', 'version: 1\nresolve: {interval: true}', 'p.yml:2: resolve: interval: true is not',
     []),
    ('baseline is a list', 'version: 1\nbaseline: [a]', 'p.yml:2: baseline: a list where text is needed.', ['mysql.deps.yml']),
    ('on_new is another word', 'version: 1\nbaseline: a\non_new: stop', "p.yml:3: on_new: 'stop' is no on_new.",
     ['Write report or fail.']),
    ('on_new alone', 'version: 1\non_new: fail', 'p.yml:2: on_new: nothing is new without a baseline.', ['baseline: mysql.deps.yml']),
    ('outage is another word', 'version: 1\noutage: refuse', "p.yml:2: outage: 'refuse' is no outage. Did you mean refused?",
     ['denied or refused or timeout or unresolvable']),
    ('outage of a rule is another word', GITHUB + '    outage: down', "p.yml:6: rule 'github': outage: 'down' is no outage.", []),
    ('outage of an allow rule', 'version: 1\nallow:\n  - {id: a, hosts: [b], outage: refused}',
     "p.yml:3: rule 'a': outage: an allow rule takes nothing down.", ['in a deny rule']),
    ('outage of files', RULE + '    paths: [/mnt/a]\n    outage: timeout',
     "p.yml:6: rule 'github': outage: it says how hosts and networks are down, and here is neither.", ['Take it out.']),
    ('unresolvable is another word', 'version: 1\noutage: unresolvable\nunresolvable: refused',
     "p.yml:3: unresolvable: 'refused' is no unresolvable.", ['nxdomain or servfail']),
    ('nothing is unresolvable', 'version: 1\noutage: timeout\nunresolvable: nxdomain', 'p.yml:3: unresolvable: nothing is '
     'unresolvable here.', ['Write outage: unresolvable']),
    ('on_denied is another word', 'version: 1\non_denied: fail', "p.yml:2: on_denied: 'fail' is no on_denied.",
     ['Write finish or stop.']),
    ('encrypted_dns is a word', 'version: 1\nencrypted_dns: denied',
     "p.yml:2: encrypted_dns: 'denied' is no encrypted_dns. Did you mean deny?", ['Write deny or allow.']),
    ('encrypted_dns is off', 'version: 1\nencrypted_dns: off', 'p.yml:2: encrypted_dns: false is no', []),
    ('the built-in id', 'version: 1\nallow:\n  - hosts: [a]\n    id: encrypted_dns',
     "p.yml:4: rule 'encrypted_dns': id: this id stands for the built-in rule", ['Choose another']),
    ('expected built-in without names', RULE + '    networks: [10.0.0.0/8]\nexpected: [encrypted_dns]',
     'p.yml:6: expected: encrypted DNS passes under this policy.', ['Take encrypted_dns out', 'encrypted_dns: deny']),
    ('expected built-in that is off', GITHUB + 'encrypted_dns: allow\nexpected:\n  - encrypted_dns',
     'p.yml:8: expected: encrypted DNS passes under this policy.', []),
    ('expected built-in is misspelt', GITHUB + 'expected: [encrypted-dns]',
     "p.yml:6: expected: there is no deny rule 'encrypted-dns'. Did you mean encrypted_dns?",
     ['Deny rules here: github, encrypted_dns.']),
    ('limits key', 'version: 1\nlimits: {mem: 2G}', "p.yml:2: limits: unknown key 'mem'.",
     ['memory, cpus, pids']),
    ('limits memory', 'version: 1\nlimits: {memory: lots}', "p.yml:2: limits: memory: 'lots' is not a limit.",
     []),
    ('limits cpus', 'version: 1\nlimits: {cpus: 0}', 'p.yml:2: limits: cpus: 0 is not a limit.', []),
    ('limits pids', 'version: 1\nlimits: {pids: 1.5}', 'p.yml:2: limits: pids: 1.5 is not a limit.', []),
    ('limits memory without its unit', 'version: 1\nlimits: {memory: 2}', 'p.yml:2: limits: memory: 2 is no limit that',
     ['from 1M to']),
    ('limits cpus too few', 'version: 1\nlimits: {cpus: 0.001}', 'p.yml:2: limits: cpus: 0.001 is no limit that', []),
    ('limits pids too many', 'version: 1\nlimits: {pids: 9999999}', 'p.yml:2: limits: pids: 9999999 is no limit', []),
    ('limits are a list', 'version: 1\nlimits: [2G]', 'p.yml:2: limits: a list where a mapping', []),
    ('no limits', 'version: 1\nlimits: {}', 'p.yml:2: limits: an empty mapping where', []),
    ('lock is a word', 'version: 1\nlock: maybe', "p.yml:2: lock: 'maybe' is neither true nor false.", []),
    ('ways_out is one', 'version: 1\nways_out: /run/a.sock', "p.yml:2: ways_out: '/run/a.sock' where a list",
     ['ways_out: ["/run/a.sock"]']),
    ('ways_out has no path', 'version: 1\nways_out: [a.sock]', "p.yml:2: ways_out: 'a.sock' is no unix socket.", []),
    # the line is that of the item, also in the long form
    ('item of a long list', RULE + '    networks:\n      - 10.0.0.0/8\n\n      - 10.0.0.0/99',
     "p.yml:8: rule 'github': networks: '10.0.0.0/99' is not", []),
]


@pytest.mark.parametrize('text, begins, says', [row[1:] for row in BAD_POLICIES],
                         ids=[row[0] for row in BAD_POLICIES])
def test_bad_policy(text, begins, says):
    error = refusal(text)
    assert error.startswith(begins)
    assert [part for part in says if part not in error] == []
    assert len(error) < 400 and '\n' not in error


# --- what is accepted, and what it means ---

def test_full_policy():
    policy = read(FULL)
    assert (policy.version, policy.service, policy.mode, policy.default) == (1, 'mysql', 'drill', 'deny')
    assert [(one.id, one.action, one.expected) for one in policy.rules] == [
        ('github', 'deny', True), ('2nd_rule', 'deny', False), ('mirror', 'allow', False)]
    assert policy.expected == frozenset({'github'})
    github = policy.rules[0]
    assert github.reason == 'github.com runs on the database that this play deploys'
    assert (github.owner, github.runbook) == ('db-team', 'https://wiki.example/no-github-in-deploys')
    assert github.hosts == ('api.github.com', 'github.com')
    assert github.sockets == ('/run/docker.sock', '@tool') and policy.lock is False
    assert (github.paths, github.filesystems) == (('/mnt/artifacts', '/mnt/tools'), ('fuse.sshfs', 'nfs4'))
    assert policy.rules[2].reason is None and policy.rules[2].paths == ('/mnt/artifacts/public',)
    assert (policy.interval, policy.encrypted_dns) == (30, 'deny')
    assert policy.ways_out == ('/run/mydaemon.sock', '@helper')
    assert policy.as_mapping()['deny'][0]['ports'] == ['443', '8000-8080', 'udp/443']
    assert check(json.loads(json.dumps(policy.as_mapping()))) == policy


def test_smallest_policy_enforces_and_allows():
    policy = read('version: 1')
    assert (policy.mode, policy.default, policy.rules, policy.service) == ('enforce', 'allow', (), None)
    assert (policy.encrypted_dns, policy.interval, policy.all_rules) == ('allow', 30, ())
    assert policy.as_mapping() == {'version': 1, 'mode': 'enforce', 'default': 'allow'}


def test_another_mode():
    policy = read(FULL)
    assert policy.with_mode('monitor').mode == 'monitor' and policy.mode == 'drill'
    assert policy.with_mode('monitor').sha256() != policy.sha256() == policy.with_mode('drill').sha256()
    with pytest.raises(PolicyError, match="mode: 'off' is no mode"):
        policy.with_mode('off')


@pytest.mark.parametrize('text, limits', [
    ('{memory: 2G, cpus: 1.5, pids: 512}', {'memory': 2 ** 31, 'cpus': 1.5, 'pids': 512}),
    ('{pids: 512, cpus: 10}', {'cpus': 10, 'pids': 512}),
    ('{memory: "4096K"}', {'memory': 2 ** 22}), ('{memory: 3M}', {'memory': 3 * 2 ** 20}),
    ('{memory: 1073741824}', {'memory': 2 ** 30}), ('{memory: 1T}', {'memory': 2 ** 40}),
    ('{cpus: "0.50"}', {'cpus': 0.5}), ('{cpus: .5}', {'cpus': 0.5}), ('{cpus: 2.0}', {'cpus': 2}),
])
def test_limits(text, limits):
    policy = read('version: 1\nlimits: %s' % text)
    assert policy.as_mapping()['limits'] == dict(policy.limits) == limits
    assert check(json.loads(json.dumps(policy.as_mapping()))) == policy
    assert policy.sha256() != read('version: 1').sha256()


# --- any policy ---

@settings(deadline=None)
@given(policies())
def test_canonical_mapping_means_the_same(mapping):
    policy = check(mapping)
    again = check(json.loads(json.dumps(policy.as_mapping())))
    assert again == policy and again.as_mapping() == policy.as_mapping() and again.sha256() == policy.sha256()


@settings(max_examples=200, deadline=None)
@given(garbage)
def test_garbage_raises_policy_errors_only(value):
    only_policy_errors(check, value)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(words, garbage, max_size=6), st.dictionaries(words, garbage, max_size=6))
def test_garbage_inside_a_policy_raises_policy_errors_only(top, inside):
    only_policy_errors(check, dict(top, version=1))
    rule = dict({'id': 'x', 'reason': 'r', 'hosts': ['a']}, **inside)
    only_policy_errors(check, {'version': 1, 'deny': [rule]})


def test_dates_reach_check_as_dates():
    with pytest.raises(PolicyError, match='2024-01-31 where text is needed'):
        check({'version': 1, 'service': datetime.date(2024, 1, 31)})
