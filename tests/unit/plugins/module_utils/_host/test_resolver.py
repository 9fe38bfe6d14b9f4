# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What names mean, asked of the real resolver library in namespaces with an /etc/hosts and a network of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import resolver
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

HOSTS = '''127.0.0.1 localhost
198.51.100.1 two.example
198.51.100.2 two.example
2001:db8::1 two.example six.example
198.51.100.1 same.example
'''
FILES_ONLY, ASKS_DNS = 'hosts: files\n', 'hosts: files dns\n'  # nobody answers on port 53: refused at once
ASK = '''
import json, socket, sys, time
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import resolver
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
policy, patience = json.loads(sys.argv[1])
if patience:
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(('127.0.0.1', 53))
else:
    patience = resolver.PATIENCE
began = time.monotonic()
found, warnings = resolver.resolve(check(policy), patience)
assert time.monotonic() - began < patience + 2, 'too long'
print(json.dumps([found, warnings]))
'''


@pytest.fixture
def resolve(tmp_path):
    def ask(rules, nsswitch=FILES_ONLY, patience=None, **settings):
        """`patience`: for a server that takes questions and never answers; without it, nobody takes them."""
        options = 'options timeout:%d attempts:1\n' % (25 if patience else 1)
        contents = {'hosts': HOSTS, 'resolv.conf': 'nameserver 127.0.0.1\n' + options,
                    'nsswitch.conf': nsswitch}
        for name, content in contents.items():
            (tmp_path / name).write_text(content)
        mounts = ''.join('mount --bind %s /etc/%s && ' % (tmp_path / name, name) for name in contents)
        policy = dict({'version': 1, 'deny': rules}, **settings)
        done = subprocess.run(
            ['unshare', '-m', '-n', 'sh', '-c', 'ip link set lo up && ' + mounts + 'exec "$@"', 'sh', sys.executable,
             '-c', ASK, json.dumps([policy, patience])], stdout=subprocess.PIPE, check=True, timeout=30,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
        return json.loads(done.stdout)
    return ask


def rule(*hosts, **more):
    return dict({'id': 'r', 'reason': 'a test', 'hosts': list(hosts)}, **more)


@pytest.mark.parametrize('host, addresses', [
    ('two.example', ['198.51.100.1', '198.51.100.2', '2001:db8::1']), ('six.example', ['2001:db8::1']),
    ('TWO.example.', ['198.51.100.1', '198.51.100.2', '2001:db8::1']), ('localhost', ['127.0.0.1'])])
def test_addresses_of_both_families(resolve, host, addresses):
    found, warnings = resolve([rule(host)])
    assert (list(found.values()), warnings) == ([addresses], [])


def test_names_of_several_rules_are_asked_once(resolve):
    found, warnings = resolve([rule('two.example', 'same.example')],
                              allow=[{'id': 'a', 'hosts': ['same.example', 'six.example']}])
    assert (set(found), warnings) == ({'two.example', 'same.example', 'six.example'}, [])


def test_without_names_nobody_is_asked(resolve):
    assert resolve([{'id': 'n', 'reason': 'a test', 'networks': ['198.51.100.0/24']}], ASKS_DNS) == [{}, []]


@pytest.mark.parametrize('host, found', [
    ('.two.example', {'two.example': ['198.51.100.1', '198.51.100.2', '2001:db8::1']}), ('*.two.example', {})])
def test_of_a_name_and_those_below_only_the_name_is_asked_for(resolve, host, found):
    assert resolve([rule(host)]) == [found, []]


def test_two_forms_of_a_name_are_one_name(resolve):
    assert resolve([rule('.six.example', 'six.example', '*.six.example')]) == [{'six.example': ['2001:db8::1']}, []]


MISSING = "Rule 'r': no address is known for none.example (it does not exist). "
AGAIN = ' The agent asks again every 30 seconds.'
DENIED = 'Questions for such a name, and connections that present it, are denied all the same.'
OPEN = ' A connection to its address that presents no name is not, until the address is known.'


@pytest.mark.parametrize('more, settings, told', [
    ({}, {}, DENIED + OPEN + AGAIN), ({}, {'mode': 'drill'}, DENIED + OPEN + AGAIN),
    ({}, {'mode': 'monitor'}, DENIED.replace('denied', 'recorded') + OPEN + AGAIN),
    ({}, {'default': 'deny'}, DENIED + AGAIN),
    ({'ports': [443]}, {}, "Connections to the rule's ports that present such a name are denied all the same."
     + OPEN + AGAIN),
    ({}, {'resolve': {'interval': 7}}, DENIED + OPEN + AGAIN.replace('30', '7')),
    ({}, {'resolve': {'interval': 0}},
     DENIED + OPEN + ' They are not looked up again, because the policy says interval: 0.')],
    ids=['enforce', 'drill', 'monitor', 'sealed', 'ports', 'interval', 'once'])
def test_a_name_that_does_not_exist_is_a_warning(resolve, more, settings, told):
    assert resolve([rule('none.example', **more)], **settings) == [{'none.example': []}, [MISSING + told]]


def test_an_allowed_name_that_does_not_exist_is_a_warning(resolve):
    found, warnings = resolve([rule('two.example')], allow=[{'id': 'a', 'hosts': ['.none.example']}])
    assert found['none.example'] == []
    assert warnings == [MISSING.replace("'r'", "'a'") + 'An address becomes known as soon as a DNS server tells it to '
                        'the deployment.' + AGAIN]


def test_a_resolver_that_does_not_answer_is_a_warning(resolve):
    found, warnings = resolve([rule('none.example', 'two.example')], ASKS_DNS)
    assert (found['none.example'], len(found['two.example'])) == ([], 3)
    assert warnings == [MISSING.replace('it does not exist', 'the resolver gave no answer') + DENIED + OPEN + AGAIN]


def test_many_silent_names_are_one_warning(resolve):
    _found, warnings = resolve([rule(*['n%02d.example' % number for number in range(40)])])
    assert len(warnings) == 1 and 'n04.example (it does not exist) and 35 more. ' in warnings[0]
    assert 'n05.example' not in warnings[0]


def test_a_dead_resolver_does_not_hold_up_the_start(resolve):
    names = ['n%d.example' % number for number in range(1000)]
    began = time.monotonic()
    found, warnings = resolve([rule(*names, 'two.example')], ASKS_DNS, patience=1)
    assert time.monotonic() - began < 10  # nor does the process wait for its threads
    assert len(found) == resolver.AT_ONCE and not any(found.values())  # the agent looks up the rest
    assert len(warnings) == 1 and 'n0.example (the resolver gave no answer in time), ' in warnings[0]


@pytest.mark.parametrize('content, found', [
    ('nameserver 192.0.2.53\n', ['192.0.2.53']), ('', ['127.0.0.1']), (None, ['127.0.0.1']),
    ('# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nsearch example\n', ['127.0.0.1']),
    ('nameserver 192.0.2.1\nnameserver\t2001:db8::53 # second\n  nameserver 192.0.2.3\nnameserver 192.0.2.4\n',
     ['192.0.2.1', '2001:db8::53', '192.0.2.3']),
    ('nameserver fe80::1%eth0\n', ['fe80::1']), ('nameserver\nnameserver junk\nnameserver 192.0.2.9', ['192.0.2.9']),
    ('options nameserver 192.0.2.1\nnameservers 192.0.2.1\n', ['127.0.0.1'])])
def test_resolvers(tmp_path, content, found):
    if content is not None:
        (tmp_path / 'resolv.conf').write_text(content)
    assert resolver.resolvers(str(tmp_path / 'resolv.conf')) == found


@pytest.mark.parametrize('content, found', [
    ('search corp.example. EU.Example\n', ['corp.example', 'eu.example']), ('', []), (None, []),
    ('domain corp.example\n', ['corp.example']), ('domain a.example b.example\n', ['a.example']),
    ('search a.example\nnameserver 192.0.2.1\ndomain b.example\n', ['b.example']),
    ('domain b.example\nsearch a.example\tc.example\n', ['a.example', 'c.example']),
    ('search a.example\nsearch .\n', []), ('search a.example\nsearch\n', []),
    ('# search a.example\n;search b.example\nsearches c.example\noptions search d.example\n', [])])
def test_search_domains(tmp_path, content, found):
    if content is not None:
        (tmp_path / 'resolv.conf').write_text(content)
    assert resolver.search_domains(str(tmp_path / 'resolv.conf')) == found


@pytest.mark.parametrize('content, found', [
    ('options ndots:5\n', True), ('options rotate ndots:2 timeout:1\n', True), ('options ndots:1\n', False), ('', False),
    ('options ndots:5\noptions ndots:1\n', False), ('# options ndots:5\n', False), ('options ndots:x\n', False),
    (None, False)])
def test_does_the_search_list_go_first(tmp_path, content, found):
    if content is not None:
        (tmp_path / 'resolv.conf').write_text(content)
    assert resolver.searches_first(str(tmp_path / 'resolv.conf')) is found


# --- the hosts file, and the host's own name ---

KNOWN = '''# a comment
127.0.0.1 localhost
127.0.1.1 Me.corp.example me  # the host
198.51.100.1 db.wild.example DB2.wild.example.
198.51.100.2 db.wild.example
2001:db8::1 one.example
fe80::1%eth0 scoped.example
0.0.0.0 ads.example db.wild.example
no-address x.example
198.51.100.3 bad-.example ..  -x.example
198.51.100.4
'''


@pytest.fixture
def files(tmp_path):
    (tmp_path / 'hosts').write_text(KNOWN)
    (tmp_path / 'resolv.conf').write_text('search corp.example lab.example\n')
    return [str(tmp_path / 'hosts'), str(tmp_path / 'resolv.conf')]


def rules_for(*hosts):
    return check({'version': 1, 'deny': [{'id': 'd', 'reason': 'x', 'hosts': list(hosts)}]})


def test_the_hosts_file_tells_of_names_below_a_wildcard(files):
    found = resolver.known_here(rules_for('*.wild.example'), files[0])
    assert list(found)[:2] == ['db.wild.example', 'db2.wild.example']
    assert found == {
        'db.wild.example': ['198.51.100.1', '198.51.100.2'], 'db2.wild.example': ['198.51.100.1'],
        'localhost': ['127.0.0.1'], 'me.corp.example': ['127.0.1.1'], 'me': ['127.0.1.1'], 'one.example': ['2001:db8::1'],
        'scoped.example': ['fe80::1']}


def test_of_a_long_hosts_file_the_names_of_rules_come_first(tmp_path, monkeypatch):
    (tmp_path / 'hosts').write_text(''.join('198.51.100.7 n%d.example\n' % number for number in range(50))
                                    + ''.join('198.51.100.8 n%d.d.example\n' % number for number in range(50)))
    monkeypatch.setattr(resolver, 'UNRULED', 5)
    found = resolver.known_here(rules_for('.d.example', 'n49.example'), str(tmp_path / 'hosts'))
    assert len(found) == 51 + 5 and list(found)[0] == 'n49.example'
    assert resolver.known_here(rules_for('x.example'), str(tmp_path / 'none')) == {}


def test_the_host_s_own_names(files, monkeypatch):
    monkeypatch.setattr(resolver.os, 'uname', lambda: type('', (), {'nodename': 'ME.'}))
    assert resolver.own_names(*files) == ['me', 'me.corp.example', 'me.lab.example']
    monkeypatch.setattr(resolver.os, 'uname', lambda: type('', (), {'nodename': 'a.corp.example'}))
    assert resolver.own_names(*files) == ['a', 'a.corp.example', 'a.corp.example.corp.example', 'a.corp.example.lab.example',
                                          'a.lab.example']
    monkeypatch.setattr(resolver.os, 'uname', lambda: type('', (), {'nodename': '(none)'}))
    assert resolver.own_names(*files) == []
