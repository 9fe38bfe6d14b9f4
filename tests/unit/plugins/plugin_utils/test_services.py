# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a service map -> services, or one error that names the place: maps, catalogues, and both. The tables come first."""

from __future__ import annotations

import pytest
import yaml
from any_policy import only_policy_errors
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _services

MAP = '''\
services:
  mysql: {}
  github.com:
    endpoints: {hosts: [.github.com], networks: [192.0.2.0/24]}
    depends_on: [mysql]
    owner: web-team
  migrations:
    endpoints: {hosts: [migrations.internal]}
    depends_on: [github.com]
'''


def entity(kind, name, spec='{}', version='v1alpha1', **metadata):
    more = ''.join(f'  {key}: {value}\n' for key, value in metadata.items())
    return f'apiVersion: backstage.io/{version}\nkind: {kind}\nmetadata:\n  name: {name}\n{more}spec: {spec}\n'


def at(endpoints):
    return {'annotations': '{"loopbreak.deploy/endpoints": "%s"}' % endpoints}


def catalogue(*entities):
    return '---\n'.join(entities)


CATALOGUE = catalogue(
    entity('Resource', 'mysql'),
    entity('Component', 'migrations', '{dependsOn: [component:github.com]}', **at('migrations.internal')),
    entity('Component', 'github.com', '{dependsOn: [resource:default/mysql], owner: web-team}', 'v1beta1',
           **at('.github.com, 192.0.2.0/24')))


def files_of(**files):
    """Reads these in place of the controller's: a_yml for a.yml."""
    def read(path):
        key = path.replace('.', '_')
        if key not in files:
            raise GuardError("There is no service map '%s' on the controller." % path)
        return '/etc/' + path, files[key]
    return read


def policy(services='a.yml', service='mysql', **files):
    mapping, where = {'version': 1, 'service': service, 'services': services}, Where('p.yml', {('services',): 3})
    return check(mapping, 'p.yml', {('services',): 3}, _services.of_policy(mapping, where, files_of(**files)))


def reasons(*entities, service='a'):
    """The reasons of the rules that follow for a service, of a catalogue in two files."""
    return [one.reason for one in policy(['a.yml', 'b.yml'], service, a_yml=catalogue(*entities[::2]),
                                         b_yml=catalogue(*entities[1::2])).rules]


@pytest.mark.parametrize('files', [
    {'a_yml': CATALOGUE}, {'a_yml': '# one\n---\n' + CATALOGUE + '---\n'},
    {'a_yml': CATALOGUE.partition('---\n')[0], 'b_yml': CATALOGUE.partition('---\n')[2]},
    {'a_yml': MAP.partition('  migrations')[0], 'b_yml': 'services:\n  migrations' + MAP.partition('  migrations')[2]}])
def test_a_catalogue_or_several_files_in_place_of_the_map(files):
    by_map, other = policy(a_yml=MAP), policy([name.replace('_', '.') for name in files], **files)
    assert packed.pack(by_map) == packed.pack(other) and len(other.rules) == 2


def test_a_map_beside_a_catalogue():
    of_both = policy(['a.yml', 'b.yml'], a_yml=CATALOGUE, b_yml='services: {wiki: {depends_on: [migrations]}}')
    assert [one.id for one in of_both.rules] == ['service:github.com', 'service:migrations', 'service:wiki']


RELATIONS = [  # name, entities, the reasons of what follows for a
    ('other spellings', [entity('component', 'A'), entity('Component', 'b', '{dependsOn: ["Component:Default/a"]}')], 'A', ['b → A']),
    ('without a kind', [entity('Resource', 'a'), entity('Component', 'b', '{dependsOn: [a]}')], 'a', ['b → a']),
    ('dependencyOf', [entity('Resource', 'a', '{dependencyOf: [component:b]}'), entity('Component', 'b')], 'a', ['b → a']),
    ('said twice', [entity('Resource', 'a', '{dependencyOf: [component:b]}'), entity('Component', 'b', '{dependsOn: [a, a]}')],
     'a', ['b → a']),
    ('in its own namespace', [entity('Component', 'a', namespace='x'), entity('Component', 'b', '{dependsOn: [a, component:default/c]}',
     namespace='x'), entity('Component', 'c')], 'a', ['b → a']),
    ('in another namespace', [entity('Component', 'a', namespace='X'), entity('Component', 'b', '{dependsOn: [component:x/a]}')],
     'a', ['b → a']),
    ('an API', [entity('Component', 'a', '{providesApis: [p]}'), entity('API', 'p'), entity('Component', 'b', '{consumesApis: [p]}'),
                entity('System', 's')], 'a', ['b → a']),
    ('an API that nobody provides', [entity('API', 'a'), entity('Component', 'b', '{consumesApis: [api:a]}')], 'a', ['b → a']),
    ('an API of two', [entity('Component', 'a', '{providesApis: [p]}'), entity('API', 'p'),
                       entity('Component', 'c', '{providesApis: [p]}'), entity('Resource', 'b', '{consumesApis: [p]}')], 'a', ['b → a']),
    ('an API that its provider uses', [entity('Component', 'a', '{providesApis: [p], consumesApis: [p]}'), entity('API', 'p')], 'a', []),
    ('an API by dependsOn', [entity('Component', 'a', '{providesApis: [p]}'), entity('API', 'p'),
                             entity('Component', 'b', '{dependsOn: [api:p]}')], 'a', ['p → a', 'b → p → a']),
    ('an API with endpoints', [entity('Component', 'a', '{providesApis: [p]}'), entity('API', 'p', **at('x'))], 'a', ['p → a']),
    ('a system', [entity('System', 'a'), entity('Component', 'b', '{dependsOn: [system:a]}')], 'a', ['b → a']),
    ('kinds of one name', [entity('Component', 'a'), entity('Resource', 'A', '{dependsOn: [component:a]}'), entity('System', 'a')],
     'component:default/a', ['resource:default/A → component:default/a']),
    ('an API of the name of its component', [entity('Component', 'a', '{providesApis: [a]}'), entity('API', 'a'),
                                             entity('Component', 'b', '{consumesApis: [a], dependsOn: [a]}')], 'a', ['b → a']),
    ('other kinds', [entity('Component', 'a'), entity('Template', 'a', '{dependsOn: 7}', 'v1beta2'), entity('Group', 'a'),
                     'apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {n: 0443}}\n'], 'a', []),
]


@pytest.mark.parametrize('entities, service, wanted', [row[1:] for row in RELATIONS], ids=[row[0] for row in RELATIONS])
def test_relations(entities, service, wanted):
    assert reasons(*entities, service=service) == reasons(*entities[::-1], service=service) == wanted


LINKS = '[{url: "https://Wiki.example:8443/x"}, {url: "http://[2001:db8::1]/"}, {title: x}, {url: "mailto:a@b"}]'
ENDPOINTS = [  # the annotation, the links, hosts, networks
    ('api.internal,.x.example , 192.0.2.1,2001:db8::/32', '[]', ('.x.example', 'api.internal'), ('192.0.2.1/32', '2001:db8::/32')),
    ('links', LINKS, ('wiki.example',), ('2001:db8::1/128',)), ('links, a', LINKS, ('a', 'wiki.example'), ('2001:db8::1/128',)),
    ('face.cafe', LINKS, ('face.cafe',), ())]


@pytest.mark.parametrize('annotation, links, hosts, networks', ENDPOINTS)
def test_endpoints(annotation, links, hosts, networks):
    found = policy(a_yml=catalogue(entity('Resource', 'mysql'), entity(
        'Component', 'b', '{dependsOn: [mysql]}', links=links, **at(annotation)))).rules[0]
    assert (found.hosts, found.networks) == (hosts, networks)


def test_links_alone_count_for_nothing():
    assert policy(a_yml=catalogue(entity('Resource', 'mysql'), entity('Component', 'b', '{dependsOn: [mysql]}', links=LINKS))
                  ).unknown == ['b']


def test_what_is_not_looked_at_may_be_anything():
    odd = 'apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: {name: p, labels: {x: 0443, x: 2}}\nspec:\n  definition: !mine 20:22\n'
    assert reasons(entity('Component', 'a'), odd) == []


B = entity('Component', 'b')
BAD = [  # name, services, files, how the error begins, what else it says
    ('no file', 'x.yml', {}, "p.yml:3: services: There is no service map 'x.yml'", []),
    ('not a path', ['a.yml', 7], {'a_yml': MAP}, 'p.yml:3: services: 7 where text is needed.', ['quotes']),
    ('neither', 'a.yml', {'a_yml': 'x: 1'}, '/etc/a.yml:1: this is neither a service map', []),
    ('empty', 'a.yml', {'a_yml': ''}, '/etc/a.yml: the file is empty', []),
    ('no YAML', 'a.yml', {'a_yml': 'services:\n  a: [\n'}, '/etc/a.yml:3: not readable as YAML', []),
    ('no YAML in the second document', 'a.yml', {'a_yml': B + '---\nkind: [\n'}, '/etc/a.yml:8: not readable', []),
    ('key on top', 'a.yml', {'a_yml': MAP + 'x: 1\n'}, "/etc/a.yml:10: unknown key 'x'. Allowed here: services.", []),
    ('in the map', 'a.yml', {'a_yml': MAP + '    endpoint: x\n'}, "/etc/a.yml:10: service 'migrations': unknown key 'endpoint'.", []),
    ('unknown in the map', 'a.yml', {'a_yml': MAP + '  x: {depends_on: [msql]}\n'},
     "/etc/a.yml:10: service 'x': depends_on: there is no service 'msql' in the map. Did you mean mysql?", []),
    ('twice in two maps', ['a.yml', 'b.yml'], {'a_yml': MAP, 'b_yml': '\nservices:\n  mysql: {}\n'},
     "/etc/b.yml:3: service 'mysql': there are two services of this name.", ['/etc/a.yml:2.']),
    ('twice in map and catalogue', ['b.yml', 'a.yml'], {'a_yml': MAP, 'b_yml': CATALOGUE},
     "/etc/b.yml:1: Resource 'mysql': there are two services of this name.", ['/etc/a.yml:2.']),
    ('twice in two catalogues', ['a.yml', 'b.yml'], {'a_yml': B, 'b_yml': '# x\n' + B},
     "/etc/b.yml:2: Component 'b': there are two entities of this name.", ['/etc/a.yml:1.']),
    ('version', 'a.yml', {'a_yml': entity('Component', 'b', version='v2')},
     "/etc/a.yml:1: 'backstage.io/v2' of a Component is not supported.", ['backstage.io/v1alpha1 and backstage.io/v1beta1']),
    ('no version', 'a.yml', {'a_yml': 'kind: API\n'}, '/etc/a.yml:1: nothing of a API is not supported.', []),
    ('no kind', 'a.yml', {'a_yml': B + '---\nx: 1\n'}, '/etc/a.yml:7: a mapping without kind in a catalogue', []),
    ('a list', 'a.yml', {'a_yml': B + '---\n- 1\n'}, '/etc/a.yml:7: a list in a catalogue', []),
    ('no name', 'a.yml', {'a_yml': 'apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata: {}\n'}, '/etc/a.yml:3: metadata: name is', []),
    ('no mapping', 'a.yml', {'a_yml': entity('API', 'b', '[]')}, '/etc/a.yml:5: spec: an empty list where a mapping', []),
    ('unknown reference', 'a.yml', {'a_yml': CATALOGUE + '---\n' + entity('API', 'x', '\n  consumesApis:\n    - a\n    - y')},
     "/etc/a.yml:27: API 'x': spec: consumesApis: no entity 'a' is in these catalogue files.", []),
    ('misspelt reference', 'a.yml', {'a_yml': entity('Component', 'b', '{dependsOn: [component:bb]}')},
     "/etc/a.yml:5: Component 'b': spec: dependsOn: no entity 'component:bb'", ['Did you mean component:default/b?']),
    ('of another namespace', 'a.yml', {'a_yml': catalogue(B, entity('Component', 'c', '{dependsOn: [b]}', namespace='x'))},
     "/etc/a.yml:12: Component 'c': spec: dependsOn: no entity 'b' is in these catalogue files.", []),
    ('no reference', 'a.yml', {'a_yml': entity('Component', 'b', '{dependsOn: ["a b"]}')},
     "/etc/a.yml:5: Component 'b': spec: dependsOn: 'a b' is no reference.", ['[kind:][namespace/]name']),
    ('of another kind', 'a.yml', {'a_yml': entity('Component', 'b', '{dependsOn: [group:x]}')},
     "/etc/a.yml:5: Component 'b': spec: dependsOn: 'group:x' is of a kind", ['component, resource, system, api']),
    ('which of two', 'a.yml', {'a_yml': catalogue(B, entity('Resource', 'b'), entity('API', 'c', '{dependsOn: [b]}'))},
     "/etc/a.yml:17: API 'c': spec: dependsOn: 'b' may be component:default/b or resource:default/b.", []),
    ('itself', 'a.yml', {'a_yml': entity('Component', 'mysql', '\n  dependsOn:\n    - mysql')},
     "/etc/a.yml:7: Component 'mysql': depends_on: a service depends on others", []),
    ('no host', 'a.yml', {'a_yml': entity('Component', 'b', **at('a, b c'))},
     "/etc/a.yml:5: Component 'b': endpoints: hosts: 'b c' is not a host name.", []),
    ('no network', 'a.yml', {'a_yml': entity('Component', 'b', **at('192.0.2.0/99'))},
     "/etc/a.yml:5: Component 'b': endpoints: networks: '192.0.2.0/99' is not a network.", []),
    ('a port', 'a.yml', {'a_yml': entity('Component', 'b', **at('x.y:80'))},
     "/etc/a.yml:5: Component 'b': endpoints: hosts: 'x.y:80' is more than a host name.", []),
    ('annotation is a list', 'a.yml', {'a_yml': entity('Component', 'b', annotations='{loopbreak.deploy/endpoints: [a]}')},
     "/etc/a.yml:5: Component 'b': metadata: annotations: loopbreak.deploy/endpoints: a list where text", []),
    ('bad link', 'a.yml', {'a_yml': entity('Component', 'b', links='[{url: "http://[x"}]', **at('links'))},
     "/etc/a.yml:5: Component 'b': metadata: links: 'http://[x' is no web address.", []),
]


@pytest.mark.parametrize('services, files, begins, says', [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_files(services, files, begins, says):
    with pytest.raises(PolicyError) as caught:
        policy(services, **files)
    error = str(caught.value)
    assert error.startswith(begins)
    assert [part for part in says if part not in error] == []
    assert len(error) < 400 and '\n' not in error


# --- any file ---

leaves = st.one_of(st.none(), st.booleans(), st.integers(0, 9), st.dates(), st.sampled_from(
    ['a', 'b', 'A', 'component:a', 'api:b', 'links', 'a b', '', 'Component', 'API', 'http://[x', 'http://a/', '10.0.0.1']))
values = st.recursive(leaves, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(
    st.sampled_from(['name', 'namespace', 'annotations', 'links', 'url', 'loopbreak.deploy/endpoints', 'dependsOn', 'owner']), inner)))
entities = st.fixed_dictionaries(
    {'apiVersion': st.just('backstage.io/v1alpha1'), 'kind': st.sampled_from(['Component', 'API', 'System'])},
    optional={'metadata': st.one_of(values, st.fixed_dictionaries({'name': st.sampled_from('abA')}, optional={
        'namespace': values, 'links': values, 'annotations': st.fixed_dictionaries({'loopbreak.deploy/endpoints': values})})),
        'spec': st.one_of(values, st.fixed_dictionaries({}, optional=dict.fromkeys(
            ('dependsOn', 'dependencyOf', 'providesApis', 'consumesApis', 'owner'), st.one_of(values, st.lists(leaves)))))})


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(entities, values), min_size=1, max_size=3), st.booleans())
def test_garbage_raises_policy_errors_only(documents, on_top):
    text = yaml.safe_dump_all([{'kind': 'Group'}, *documents]) if on_top else yaml.safe_dump({'services': documents[0]})
    only_policy_errors(lambda: policy(a_yml=text))
