# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service map as people and programs read it: who closes a circle with whom."""

from __future__ import annotations

import json

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import services
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _map

FOUR = {
    'mysql': None,
    'github.com': {'endpoints': {'hosts': ['.github.com'], 'networks': ['192.0.2.0/24'], 'ports': [443], 'sockets': ['@x']},
                   'depends_on': ['mysql', 'wiki'], 'owner': 'web-team', 'runbook': 'https://wiki.example/x'},
    'migrations': {'endpoints': {'paths': ['/mnt/a']}, 'depends_on': ['github.com']},
    'wiki': {'depends_on': ['mysql', 'migrations']},
}


def view(found, service=None):
    return _map.view(services.check(services.entries(found, Where('p', {})), service, Where('service', {})), service)


def test_one_service_as_text():
    assert _map.text(view(FOUR, 'mysql')) == '''\
3 services close a circle with mysql, so its deployment must do without:

  github.com → mysql
    endpoints  .github.com, 192.0.2.0/24 (ports 443), @x
    owner      web-team
    runbook    https://wiki.example/x
  wiki → mysql
    endpoints  not in the map, so nothing can be denied for it
  migrations → github.com → mysql
    endpoints  /mnt/a

Services without endpoints, for which nothing can be denied:
  mysql, wiki'''
    assert _map.text(view({'a': None, 'b': {'endpoints': {'hosts': ['b']}, 'depends_on': ['a']}}, 'b')) == (
        'No service depends on b, so its deployment closes no circle.')


def test_all_services_as_text():
    lines = _map.text(view(FOUR)).split('\n')
    assert lines[:3] == ['Circles in the map itself, of services that depend on themselves through others:', '',
                         '  github.com → wiki → migrations → github.com']
    assert [line for line in lines if 'close' in line] == [
        '3 services close a circle with mysql:', '2 services close a circle with github.com:',
        '2 services close a circle with migrations:', '2 services close a circle with wiki:']
    chain = {'s%02d' % number: {'depends_on': ['s%02d' % (number - 1)] if number else []} for number in range(20)}
    lines = _map.text(view(chain)).split('\n')
    assert lines[0].startswith('The map itself has no circle') and '1 service closes a circle with s18:' in lines
    assert '  … 9 more, told with -e ebpf_guard_service=s00' in lines and max(map(len, lines)) <= _map.WIDTH


@pytest.mark.parametrize('found, circles', [
    ({'a': 'b', 'b': 'a'}, ['aba']), ({'c': 'ab', 'b': 'c', 'a': 'b'}, ['bcb', 'abca']), ({'a': 'b', 'b': ''}, []),
    ({'a': 'b', 'b': 'cd', 'c': 'a', 'd': 'a'}, ['abca', 'abda'])])
def test_each_circle_of_a_map_once(found, circles):
    seen = view({name: {'depends_on': list(others)} for name, others in found.items()})
    assert list(map(''.join, seen.circles)) == circles


def test_graphs():
    seen = view(FOUR, 'github.com')
    assert _map.mermaid(seen).split('\n') == [
        'graph LR', '  s0["github.com"]:::deployed', '  s1["migrations"]', '  s2["wiki"]:::unknown', '  s0 --> s2', '  s1 --> s0',
        '  s2 --> s1', '  classDef deployed stroke-width:3px', '  classDef unknown stroke-dasharray:4']
    assert _map.dot(seen).split('\n') == [
        'digraph services {', '  rankdir=LR', '  "github.com" [style=bold]', '  "migrations"', '  "wiki" [style=dashed]',
        '  "github.com" -> "wiki"', '  "migrations" -> "github.com"', '  "wiki" -> "migrations"', '}']
    assert '"mysql"' in _map.dot(view(FOUR))


def test_as_data():
    data = json.loads(_map.as_json(view(FOUR, 'mysql')))
    assert (data['service'], data['without_endpoints']) == ('mysql', ['mysql', 'wiki'])
    assert data['circles'] == [['github.com', 'mysql'], ['wiki', 'mysql'], ['migrations', 'github.com', 'mysql']]
    assert data['services'][1] == {'name': 'github.com', 'owner': 'web-team', 'runbook': 'https://wiki.example/x',
                                   'depends_on': ['mysql', 'wiki'], 'endpoints': {
                                       'hosts': ['.github.com'], 'networks': ['192.0.2.0/24'], 'ports': ['443'], 'sockets': ['@x']}}
