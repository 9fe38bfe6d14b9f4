# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What names mean, asked of the real resolver library in namespaces with an /etc/hosts and a network of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils import _resolve

HOSTS = '''127.0.0.1 localhost
198.51.100.1 two.example
198.51.100.2 two.example
2001:db8::1 two.example six.example
198.51.100.1 same.example
'''
FILES_ONLY, ASKS_DNS = 'hosts: files\n', 'hosts: files dns\n'  # nobody answers on port 53: refused at once
ASK = '''
import json, sys
from ansible_collections.loopbreak.deploy.plugins.module_utils import _errors, _policy, _resolve
try:
    print(json.dumps(_resolve.resolve(_policy.check(json.loads(sys.argv[1])), {})))
except _errors.GuardError as error:
    print(json.dumps({'error': str(error), 'facts': error.facts}))
'''


@pytest.fixture
def resolve(tmp_path):
    def ask(rules, nsswitch=FILES_ONLY, **settings):
        contents = {'hosts': HOSTS, 'resolv.conf': 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n',
                    'nsswitch.conf': nsswitch}
        for name, content in contents.items():
            (tmp_path / name).write_text(content)
        mounts = ''.join('mount --bind %s /etc/%s && ' % (tmp_path / name, name) for name in contents)
        policy = dict({'version': 1, 'deny': rules}, **settings)
        done = subprocess.run(
            ['unshare', '-m', '-n', 'sh', '-c', 'ip link set lo up && ' + mounts + 'exec "$@"', 'sh', sys.executable,
             '-c', ASK, json.dumps(policy)], stdout=subprocess.PIPE, check=True, timeout=30,
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


@pytest.mark.parametrize('mode', ['enforce', 'drill', 'monitor'])
def test_a_name_that_does_not_exist_is_a_warning(resolve, mode):
    found, warnings = resolve([rule('none.example')], mode=mode)
    assert found == {'none.example': []}
    assert len(warnings) == 1 and warnings[0].startswith("Rule 'r': none.example has no address on this host (")


@pytest.mark.parametrize('rules, settings, fails', [
    ([rule('none.example')], {}, True), ([rule('none.example')], {'mode': 'drill'}, True),
    ([rule('none.example')], {'mode': 'monitor'}, False), ([rule('none.example', 'two.example')], {}, True),
    ([rule('none.example', networks=['198.51.100.0/24'])], {}, False),
    ([rule('two.example')], {'allow': [{'id': 'a', 'hosts': ['none.example']}]}, False)],
    ids=['enforce', 'drill', 'monitor', 'other name', 'networks', 'allow'])
def test_a_resolver_that_does_not_answer(resolve, rules, settings, fails):
    told = resolve(rules, ASKS_DNS, **settings)
    if fails:
        assert told['facts'] == {'rule': 'r'}
        assert told['error'].startswith("Rule 'r' can't be enforced on this host: its resolver gave no answer for "
                                        'none.example (')
    else:
        assert 'none.example has no address' in told[1][0] and len(told[1]) == 1


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
    assert _resolve.resolvers(str(tmp_path / 'resolv.conf')) == found
