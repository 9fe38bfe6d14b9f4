# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Service map and deployed service -> deny rules: which, why, and what they are called. The tables come first."""

from __future__ import annotations

import json
import random

import pytest
from any_policy import garbage, only_policy_errors
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_texts import read, refusal

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed, services
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records

HEAD = 'version: 1\nservice: mysql\nservices:\n'  # what is added has line 4
THREE = HEAD + '''\
  github.com:
    endpoints: {hosts: [.github.com], networks: [192.0.2.0/24]}
    depends_on: [mysql]
    owner: web-team
    runbook: https://wiki.example/github
  migrations:
    endpoints: {hosts: [migrations.internal]}
    depends_on: [github.com]
'''


def derived(text):
    return [one for one in read(text).rules if one.via]


def lines(text):
    """A rule a line, with its hosts."""
    return ['%s: %s | %s' % (one.id, one.reason, ', '.join(one.hosts)) for one in derived(text)]


def graph(**services):
    """A policy for `a`: each service with what it depends on; its host is its name."""
    return 'version: 1\nservice: a\nservices:\n' + ''.join(
        '  %s: {endpoints: {hosts: [%s.x]}, depends_on: [%s]}\n' % (name, name, ', '.join(others)) for name, others in services.items())


def test_three_services():
    policy = read(THREE)
    github, migrations = policy.rules
    assert (github.id, github.action, github.reason) == ('service:github.com', 'deny', 'github.com → mysql')
    assert (github.owner, github.runbook) == ('web-team', 'https://wiki.example/github')
    assert (github.hosts, github.networks) == (('.github.com',), ('192.0.2.0/24',))
    assert (migrations.id, migrations.reason) == ('service:migrations', 'migrations → github.com → mysql')
    assert (migrations.owner, migrations.hosts) == (None, ('migrations.internal',))
    assert migrations.via == ('migrations', 'github.com', 'mysql') and github.via == ('github.com', 'mysql')
    assert policy.encrypted_dns == 'deny' and policy.service == 'mysql' and policy.unknown == []


GRAPHS = [  # name, who depends on whom, the rules for a
    ('nobody', {'a': 'b', 'b': ''}, []),
    ('a cycle', {'a': 'b', 'b': 'c', 'c': 'a'}, ['c → a', 'b → c → a']),
    ('a cycle beside it', {'b': 'ac', 'c': 'b', 'a': ''}, ['b → a', 'c → b → a']),
    ('the shortest path', {'b': 'a', 'c': 'b', 'd': 'cb'}, ['b → a', 'c → b → a', 'd → b → a']),
    ('of paths as short the first by name', {'d': 'cb', 'c': 'a', 'b': 'a'}, ['b → a', 'c → a', 'd → b → a']),
    ('who has nothing to do with it', {'a': '', 'b': 'a', 'c': 'd', 'd': ''}, ['b → a']),
    ('the same twice', {'b': 'aa'}, ['b → a']),
]


@pytest.mark.parametrize('who, reasons', [row[1:] for row in GRAPHS], ids=[row[0] for row in GRAPHS])
def test_paths(who, reasons):
    assert [one.reason for one in derived(graph(**who))] == reasons


SHARED = [  # name, services, the rules
    ('by two that depend on it', '''
  a: {endpoints: {hosts: [x, y]}, depends_on: [mysql], owner: one}
  b: {endpoints: {hosts: [x, z]}, depends_on: [a], owner: two}
''', ['service:a+b: a → mysql; b → a → mysql | x', 'service:a: a → mysql | y', 'service:b: b → a → mysql | z']),
    ('by one that does not', '''
  a: {endpoints: {hosts: [x]}, depends_on: [mysql]}
  b: {endpoints: {hosts: [x, z]}}
''', ['service:a+b: a → mysql (shared with b) | x']),
    ('by the deployed one', '''
  a: {endpoints: {hosts: [x]}, depends_on: [mysql]}
  mysql: {endpoints: {hosts: [x, z]}}
''', ['service:a+mysql: a → mysql (shared with mysql) | x']),
    ('at other ports', '''
  a: {endpoints: {hosts: [x], ports: [443], paths: [/p]}, depends_on: [mysql]}
  b: {endpoints: {hosts: [x], paths: [/p]}, depends_on: [mysql]}
''', ['service:a+b: a → mysql; b → mysql | x', 'service:a+b: a → mysql; b → mysql | x']),
    ('by many', ''.join('  %s: {endpoints: {hosts: [x]}, depends_on: [mysql]}\n' % name for name in 'edcba') + '''
  f: {endpoints: {hosts: [y]}, depends_on: [mysql]}
  g: {endpoints: {hosts: [y]}}
''', ['service:a+b+c+2-more: a → mysql; b → mysql; c → mysql and 2 more | x', 'service:f+g: f → mysql (shared with g) | y']),
]


@pytest.mark.parametrize('text, rules', [row[1:] for row in SHARED], ids=[row[0] for row in SHARED])
def test_shared_endpoints(text, rules):
    assert lines(HEAD + text) == rules


def test_the_rule_of_shared_endpoints():
    shared, = [one for one in derived(HEAD + SHARED[0][1]) if '+' in one.id]
    assert (shared.owner, shared.via) == ('one, two', ('a', 'mysql'))  # not transient: a needs no other
    first, second = derived(HEAD + SHARED[3][1])
    assert (list(map(str, first.ports)), first.paths) == (['443'], ('/p',)) and (second.ports, second.paths) == ((), ())


def test_all_kinds_of_endpoints():
    rule, = derived(HEAD + '''\
  a:
    endpoints: {hosts: [X.example.], networks: [10.0.0.1], ports: [443], paths: [/mnt/a/], filesystems: [nfs4], sockets: ["@a"]}
    depends_on: [mysql]
''')
    assert (rule.hosts, rule.networks, rule.ports[0].low) == (('x.example',), ('10.0.0.1/32',), 443)
    assert (rule.paths, rule.filesystems, rule.sockets) == (('/mnt/a',), ('nfs4',), ('@a',))


def test_own_endpoints():
    text = HEAD + '  mysql: {endpoints: {hosts: [db.internal]}}\n'
    assert lines(text) == lines(text + 'own: allow') == []
    own, = derived(text + 'own: deny')
    assert (own.id, own.hosts, own.via) == ('service:mysql', ('db.internal',), ('mysql',))
    assert own.reason == 'mysql is what is deployed, and the policy says own: deny'


def test_services_without_endpoints():
    text = HEAD + '  b: {depends_on: [mysql]}\n  a: {depends_on: [b], endpoints: {}}\n  c:\n  d: {depends_on: []}\n'
    policy = read(text + 'expected: [service:a]')
    assert policy.unknown == ['b', 'a'] and policy.expected == {'service:a'}
    assert read(text + 'own: deny').unknown == ['mysql', 'b', 'a'] and policy.encrypted_dns == 'allow'


def test_what_a_person_wrote_comes_first():
    policy = read(THREE + 'deny:\n  - {id: x, reason: r, hosts: [y]}\nallow:\n  - {id: z, hosts: [mirror.github.com]}\n')
    assert [one.id for one in policy.rules] == ['x', 'service:github.com', 'service:migrations', 'z']


EXPECTED = [  # what the policy expects, the rules that are
    ('[service:github.com]', {'service:github.com'}), ('[service:a]', {'service:a'}), ('[service:b]', set()),
    ('[service:a, service:b]', {'service:a', 'service:a+b'}), ('[service:a+b, encrypted_dns]', {'service:a+b', 'encrypted_dns'})]


@pytest.mark.parametrize('text, ids', EXPECTED)
def test_expected(text, ids):
    policy = read(THREE + '''\
  a: {endpoints: {hosts: [x, y]}, depends_on: [mysql]}
  b: {endpoints: {hosts: [x]}, depends_on: [mysql]}
expected: ''' + text)
    assert policy.expected == ids == {one.id for one in policy.all_rules if one.expected}
    assert packed.unpack(packed.pack(policy)) == policy


BAD = [  # name, what stands under `services:`, how the error begins, what else it says
    ('nothing', '', 'p.yml:3: services: nothing where services are needed.', ['migrations']),
    ('a word', '  x: y', "p.yml:4: service 'x': 'y' where a mapping", []),
    ('number as a name', '  1: {}', 'p.yml:4: service 1: 1 where a name is needed.', ['quotes']),
    ('bad name', '  "a b": {}', "p.yml:4: service 'a b': 'a b' is not a plain word.", []),
    ('unknown key', '  mysql: {dependson: []}', "p.yml:4: service 'mysql': unknown key 'dependson'. Did you mean depends_on?",
     ['endpoints, depends_on, owner, runbook']),
    ('unknown kind', '  mysql:\n    endpoints: {host: []}', "p.yml:5: service 'mysql': endpoints: unknown key 'host'.", ['hosts']),
    ('no host', '  mysql:\n    endpoints:\n      hosts: [a b]', "p.yml:6: service 'mysql': endpoints: hosts: 'a b' is not a host", []),
    ('no endpoints', '  mysql:\n    endpoints: [x]', "p.yml:5: service 'mysql': endpoints: a list where a mapping", []),
    ('ports alone', '  mysql:\n    endpoints: {ports: [1]}', "p.yml:5: service 'mysql': endpoints: ports only narrows", []),
    ('no runbook', '  mysql: {runbook: x}', "p.yml:4: service 'mysql': runbook: 'x' is not a web address", []),
    ('itself', '  mysql:\n    depends_on:\n      - mysql', "p.yml:6: service 'mysql': depends_on: a service depends on others", []),
    ('unknown service', '  a: {depends_on: [mysql]}\n  b: {depends_on: [aa]}',
     "p.yml:5: service 'b': depends_on: there is no service 'aa' in the map. Did you mean a?", ['aa: {}']),
    ('no such deployed one', '  mysq: {}', "p.yml:2: service: there is no service 'mysql' in the map. Did you mean mysq?", []),
]
BAD_POLICIES = [
    ('map without service', 'version: 1\nservices: {a: {}}', 'p.yml:2: services: a service map says nothing without',
     ['service: mysql']),
    ('own without map', 'version: 1\nown: deny', 'p.yml:2: own: there is no service map', []),
    ('own is a word', HEAD + '  mysql: {}\nown: no', 'p.yml:5: own: false is no own.', ['allow or deny']),
    ('expected is misspelt', THREE + 'expected: [service:github]', "p.yml:12: expected: there is no deny rule 'service:github'.",
     ['Did you mean service:github.com?', 'service:migrations']),
    ('a path without the controller', 'version: 1\nservice: a\nservices: s.yml', "p.yml:3: services: 's.yml' is for the controller",
     ['action plugin']),
    ('paths without the controller', 'version: 1\nservice: a\nservices: [s.yml]', 'p.yml:3: services: a list of files is for', []),
    ('services is a number', 'version: 1\nservice: a\nservices: 1', 'p.yml:3: services: 1 where services', []),
    ('a derived rule', HEAD + '  mysql: {}\ndeny: [{id: x, reason: r, hosts: [a], via: [x]}]', "p.yml:5: rule 'x': unknown key 'via'", []),
]
ALL_BAD = [(name, HEAD + text + '\n', begins, says) for name, text, begins, says in BAD] + BAD_POLICIES


@pytest.mark.parametrize('text, begins, says', [row[1:] for row in ALL_BAD], ids=[row[0] for row in ALL_BAD])
def test_bad_maps(text, begins, says):
    error = refusal(text)
    assert error.startswith(begins)
    assert [part for part in says if part not in error] == []
    assert len(error) < 400 and '\n' not in error


# --- any map ---

NAMES = 'abcdefgh'
maps = st.fixed_dictionaries({name: st.fixed_dictionaries({
    'depends_on': st.lists(st.sampled_from(NAMES.replace(name, '')), max_size=3),
    'endpoints': st.fixed_dictionaries({}, optional={
        'hosts': st.lists(st.sampled_from(['x', 'y', '.z', '*.z']), min_size=1),
        'networks': st.lists(st.sampled_from(['10.0.0.0/8', '10.0.0.1']), min_size=1),
        'paths': st.lists(st.sampled_from(['/p', '/q']), min_size=1)})}) for name in NAMES})


@settings(deadline=None)
@given(maps, st.randoms(), st.booleans())
def test_the_order_of_a_map_makes_no_other_rules(found, chance, own):
    order = chance.sample(NAMES, len(NAMES))
    policy, other = (check({'version': 1, 'service': 'a', 'services': one, 'own': 'deny' if own else 'allow'})
                     for one in (found, {name: found[name] for name in order}))
    assert packed.pack(policy) == packed.pack(other) and packed.unpack(packed.pack(policy)) == policy
    denied = {one.via[0] for one in policy.rules} - {'a'}
    wanted, more = set(), {'a'}
    while more:  # who needs a, by another way
        more = {name for name in NAMES if name not in wanted and more.intersection(found[name]['depends_on'])} - {'a'}
        wanted |= more
    assert denied <= wanted
    for kind in ('hosts', 'networks', 'paths'):
        mentioned = {item for one in policy.rules for item in getattr(one, kind)}
        assert len(mentioned) == len({item.lower() for name in (wanted | {'a'} if own else wanted)
                                      for item in found[name]['endpoints'].get(kind, ())})


@settings(max_examples=200, deadline=None)
@given(garbage, garbage)
def test_garbage_raises_policy_errors_only(value, entry):
    only_policy_errors(check, {'version': 1, 'service': 'a', 'services': value})
    only_policy_errors(check, {'version': 1, 'service': 'a', 'services': {'a': entry, 'b': {'endpoints': entry}}})


def test_large_maps_cost_what_they_have():
    """Twice as many services, about twice the steps: counted, because clocks here tell nothing."""
    def steps(many):
        chance, asked = random.Random(7), []

        class Counted(dict):
            def __getitem__(self, key):
                asked.append(key)
                return super().__getitem__(key)
        found = {'s%d' % number: {'depends_on': ['s%d' % chance.randrange(number)] if number else [],
                                  'endpoints': {'hosts': ['h%d.s%d.example' % (host, number) for host in range(3)]}}
                 for number in range(many)}
        checked = services.check(services.entries(found, Where('p', {})))
        rules = services.derive(Counted(checked), 's0')
        assert len(rules) == many - 1
        return len(asked)
    assert steps(400) < 2.5 * steps(200)


def test_records_know_the_path_and_only_then():
    github, migrations = derived(THREE)
    assert records.describe(migrations)['via'] == ['migrations', 'github.com', 'mysql']
    assert json.dumps(records.describe(github)) and 'via' not in records.describe(
        read('version: 1\ndeny: [{id: x, reason: r, hosts: [a]}]').rules[0])
