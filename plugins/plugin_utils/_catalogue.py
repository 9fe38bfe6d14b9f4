# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Backstage catalogue files (catalog-info.yaml) as a service map: the same entries as people write them. Pure.

A component or a resource is a service. A system or an API is one where it has endpoints, or others depend on it: who consumes
an API depends on the components that provide it, and on the API itself only where none does.
"""

from __future__ import annotations

import ipaddress
import re
import typing
from collections import Counter
from urllib.parse import urlsplit

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import shapes
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where, did_you_mean, show
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _policy_file

VERSIONS = ('backstage.io/v1alpha1', 'backstage.io/v1beta1')
SERVICES, OTHERS, API = ('component', 'resource'), ('system', 'api'), 'api'
KINDS = SERVICES + OTHERS
ENDPOINTS = 'loopbreak.deploy/endpoints'
LINKS = 'links'  # as an endpoint: the hosts of the entity's links
REFERENCE = re.compile(r'(?:([^\s:/]+):)?(?:([^\s:/]+)/)?([^\s:/]+)')
RELATIONS = ('dependsOn', 'dependencyOf', 'providesApis', 'consumesApis')
WANTED = {'apiVersion': None, 'kind': None, 'spec': dict.fromkeys(('owner', *RELATIONS)),
          'metadata': {**dict.fromkeys(('name', 'namespace', 'links')), 'annotations': {ENDPOINTS: None}}}


class Entity(typing.NamedTuple):
    where: Where
    reference: tuple  # kind, namespace and name in lower case, as references mean them
    name: str
    metadata: dict
    spec: dict

    def full_name(self):
        return '%s:%s/%s' % (*self.reference[:2], self.name)


def entries(files):
    """{name: (where, entry)} of the services in catalogue files, as (source, text). References lead from one to another."""
    entities = {}
    for source, text in files:
        for value, lines in _policy_file.documents(text, source, WANTED):
            entity = _entity(value, Where(source, lines))
            if entity and entity.reference in entities:
                raise entity.where.error('there are two entities of this name. The other one is in %s.'
                                         % entities[entity.reference].where.place())
            if entity:
                entities[entity.reference] = entity
    needs = _needs(entities)
    endpoints = {reference: _endpoints(entity) for reference, entity in entities.items()}
    needed = {other for others in needs.values() for other in others}
    used = [entity for reference, entity in entities.items()
            if reference[0] in SERVICES or reference in needed or needs[reference] or endpoints[reference]]
    many = Counter(entity.reference[2] for entity in used)
    names = {entity.reference: entity.name if many[entity.reference[2]] == 1 else entity.full_name() for entity in used}
    return {names[one]: _entry(entities[one], needs[one], endpoints[one], names) for one in names}


def _entity(value, where):
    """None of another kind."""
    if not isinstance(value, dict) or not isinstance(value.get('kind'), str):
        raise where.error('%s in a catalogue, where each document is an entity: a mapping with apiVersion, kind, metadata and '
                          'spec.' % (show(value) if not isinstance(value, dict) else 'a mapping without kind'))
    kind = value['kind'].lower()
    if kind not in KINDS:
        return None
    if value.get('apiVersion') not in VERSIONS:
        raise where.inside('apiVersion')._replace(words=()).error('%s of a %s is not supported. Supported are %s.' % (
            show(value.get('apiVersion')), value['kind'], ' and '.join(VERSIONS)))
    metadata = _mapping(value, 'metadata', where)
    inside = where.inside('metadata')
    if 'name' not in metadata:
        raise inside.error('name is missing.')
    name = shapes.text(metadata['name'], 'mysql', inside.inside('name'))
    namespace = shapes.text(metadata.get('namespace', 'default'), 'default', inside.inside('namespace'))
    return Entity(where._replace(words=('%s %s' % (value['kind'], show(name)),)), (kind, namespace.lower(), name.lower()),
                  name, metadata, _mapping(value, 'spec', where))


def _mapping(value, key, where):
    found = value.get(key)
    found = {} if found is None else found
    if not isinstance(found, dict):
        raise where.inside(key).error('%s where a mapping is needed.' % show(found))
    return found


def _needs(entities):
    """{reference: {what it depends on: the line that says so, where it is of this entity}}."""
    needs, provided, consumed = {reference: {} for reference in entities}, {}, []
    for reference, entity in entities.items():
        for here, other in _references(entity, 'dependsOn', entities):
            needs[reference].setdefault(other, here.line())
        for here, other in _references(entity, 'dependencyOf', entities):
            needs[other].setdefault(reference, here.line() if other == reference else None)
        for _here, api in _references(entity, 'providesApis', entities, (API,)):
            provided.setdefault(api, []).append(reference)
        consumed += [(reference, here, api) for here, api in _references(entity, 'consumesApis', entities, (API,))]
    for reference, here, api in consumed:
        for other in provided.get(api) or [api]:
            if other != reference:  # who provides it may use it as well
                needs[reference].setdefault(other, here.line())
    needed = {other for others in needs.values() for other in others}
    for api, providers in provided.items():
        if api in needed or _annotation(entities[api]):
            needs[api].update((other, None) for other in providers)
    return needs


def _references(entity, key, entities, kinds=None):
    """[(where, reference)] of a list of the entity. `kinds`: what one without a kind may be; else any, a service first."""
    where = entity.where.inside('spec')
    if entity.spec.get(key) in (None, []):
        return []
    return [(here, _found(item, entity, entities, kinds, here)) for here, item in
            shapes.items(entity.spec, key, '[component:default/mysql]', where)]


def _found(item, entity, entities, kinds, where):
    text = shapes.text(item, 'component:default/mysql', where)
    match = REFERENCE.fullmatch(text)
    if not match:
        raise where.error('%s is no reference. Write [kind:][namespace/]name, such as component:default/mysql.' % show(text))
    kind, namespace, name = (part and part.lower() for part in match.groups())
    if kind and kind not in KINDS:
        raise where.error('%s is of a kind that is not read here. Read are %s.' % (show(text), ', '.join(KINDS)))
    for choice in [(kind,)] if kind else [kinds] if kinds else [SERVICES, OTHERS]:
        found = [(one, namespace or entity.reference[1], name) for one in choice]
        found = [reference for reference in found if reference in entities]
        if found[1:]:
            raise where.error('%s may be %s. Write which of them.' % (show(text), ' or '.join(
                entities[reference].full_name() for reference in found)))
        if found:
            return found[0]
    raise where.error('no entity %s is in these catalogue files.%s' % (show(text), did_you_mean(
        text, [one.full_name() if kind or one.reference[1] != entity.reference[1] else one.name for one in entities.values()
               if not kinds or one.reference[0] in kinds])))


def _annotation(entity):
    return _mapping(entity.metadata, 'annotations', entity.where.inside('metadata')).get(ENDPOINTS)


def _endpoints(entity):
    """{'hosts': [...], 'networks': [...]}, with no empty list."""
    if _annotation(entity) is None:
        return {}
    here = entity.where.inside('metadata').inside('annotations').inside(ENDPOINTS)
    found = {}
    for item in shapes.text(_annotation(entity), 'api.internal, 192.0.2.0/24', here).split(','):
        for one in _hosts_of_links(entity) if item.strip() == LINKS else [item.strip()]:
            found.setdefault('networks' if _is_network(one) else 'hosts', []).append(one)
    return found


def _is_network(text):
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return '/' in text and '://' not in text


def _hosts_of_links(entity):
    links, where = entity.metadata.get('links') or [], entity.where.inside('metadata').inside('links')
    if not isinstance(links, list):
        raise where.error('%s where a list is needed.' % show(links))
    for number, link in enumerate(links):
        url = link.get('url') if isinstance(link, dict) else None
        try:
            host = urlsplit(url).hostname if isinstance(url, str) else None
        except ValueError:
            raise where.inside(number).error('%s is no web address.' % show(url)) from None
        if host:
            yield host


def _entry(entity, needs, endpoints, names):
    """(where, entry): a complaint about the entry has the lines of the catalogue."""
    where = entity.where
    lines = {(): where.line(), ('owner',): where.inside('spec').inside('owner').line(),
             ('endpoints',): where.inside('metadata').inside('annotations').inside(ENDPOINTS).line()}
    lines.update((('depends_on', number), line) for number, line in enumerate(needs.values()) if line)
    entry = {'endpoints': endpoints, 'depends_on': [names[other] for other in needs], 'owner': entity.spec.get('owner')}
    return Where(where.source, lines, words=where.words), {key: value for key, value in entry.items() if value}
