# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The service map: who depends on whom in, the deny rules that follow for the deployed service out. Pure.

Which file a service stands in, and in which order, makes no other rules.
"""

from __future__ import annotations

import re
import typing

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import rule, shapes
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where, did_you_mean, show
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import MATCHERS, Rule

KEYS = ('endpoints', 'depends_on', 'owner', 'runbook')
TEXTS = ('owner', 'runbook')
ENDPOINTS = tuple(rule.PARSERS)
EXAMPLE = '{migrations: {endpoints: {hosts: [migrations.internal]}, depends_on: [mysql]}}'
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._:/-]*')
SHOWN = 3  # services in an id, and paths in a reason: hundreds may share the address of a load balancer


class Service(typing.NamedTuple):
    where: Where
    depends_on: tuple  # names, in the order of the file
    owner: str | None
    runbook: str | None
    endpoints: dict  # what a rule with these endpoints has: {matcher, or ports: what its list means}

    def is_empty(self):
        return not any(self.endpoints[kind] for kind in MATCHERS)


def name(text, where):
    if not NAME.fullmatch(text):
        raise where.error('%s is not a plain word. Use letters, digits, ".", "_", "-", ":" and "/".' % show(text))
    return text


def entries(value, where):
    """{name: (where it stands, its entry)} of what stands under `services:`."""
    if isinstance(value, (str, list)) and value:
        raise where.error('%s is for the controller to read, and this came without it: the module was called in place of its '
                          'action plugin. Write here what stands under services: in the file.' % (
                              show(value) if isinstance(value, str) else 'a list of files'))
    if not isinstance(value, dict) or not value:
        raise where.error('%s where services are needed. Write %s.' % (show(value), EXAMPLE))
    return {key: (where.inside(key)._replace(words=('service %s' % show(key),)), entry) for key, entry in value.items()}


def check(found, deployed=None, where=None):
    """{name: Service} of such entries.

    `deployed`: needs no entry of its own where others depend on it. `where` the policy names it.
    """
    services = {key: _service(key, entry, here) for key, (here, entry) in found.items()}
    for key, one in list(services.items()):
        for number, other in enumerate(one.depends_on):
            here = one.where.inside('depends_on').inside(number)
            if other == key:
                raise here.error('a service depends on others, not on itself. Take it out.')
            if other == deployed:
                services.setdefault(deployed, _service(deployed, None, where))
            if other not in services:
                raise here.error('there is no service %s in the map.%s Add it, also where nothing is known of it: %s: {}.' % (
                    show(other), did_you_mean(other, services), other))
    if deployed is not None and deployed not in services:
        raise where.error('there is no service %s in the map.%s' % (show(deployed), did_you_mean(deployed, services)))
    return services


def _service(key, entry, where):
    if not isinstance(key, str):
        raise where.error('%s where a name is needed. Put it in quotes.' % show(key))
    name(key, where)
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        raise where.error('%s where a mapping is needed. Write endpoints, and depends_on.' % show(entry))
    shapes.check_keys(entry, KEYS, where)
    endpoints, inside = entry.get('endpoints'), where.inside('endpoints')
    endpoints = {} if endpoints is None else endpoints
    if not isinstance(endpoints, dict):
        raise inside.error('%s where a mapping is needed. Write {hosts: [%s]}.' % (show(endpoints), 'migrations.internal'))
    shapes.check_keys(endpoints, ENDPOINTS, inside)
    return Service(where, _depends_on(entry, where), endpoints=rule.matched(endpoints, inside),
                   **rule.texts(entry, TEXTS, where))


def _depends_on(entry, where):
    """Names, each with its place in the list."""
    if entry.get('depends_on') in (None, []):  # as programs write maps
        return ()
    return tuple(shapes.text(other, 'mysql', here) for here, other in shapes.items(entry, 'depends_on', '[mysql]', where))


def dependents(services):
    """{name: those that depend on it, by name}"""
    found = {key: [] for key in services}
    for key in sorted(services):
        for other in services[key].depends_on:
            found[other].append(key)
    return found


def steps(those, deployed):
    """{name: the next service on the shortest path from it to the deployed one} of that one and of all that depend on it.

    The nearest come first, and of those as near, and of paths as short, the first by name. `those`: the dependents of each.
    """
    found, level = {deployed: None}, [deployed]
    while level:
        further = {}
        for key in level:
            for dependent in those[key]:
                if dependent not in found and dependent not in further:
                    further[dependent] = key
        level = sorted(further)
        found.update((key, further[key]) for key in level)
    return found


def path(found, key):
    """The path itself, both ends in it. `found`: by steps()."""
    names = []
    while key is not None:
        names.append(key)
        key = found[key]
    return tuple(names)


def derive(services, deployed, own='allow'):
    """[(rule, the services that it denies)], of the nearest service first.

    There is a rule of each service that depends on the deployed one, also of one without endpoints. Endpoints that several
    services have are in a rule of all of these; where they narrow them by other ports, in several rules with one id.
    """
    found = steps(dependents(services), deployed)
    denied = {key: path(found, key) for key in found if key != deployed or own == 'deny'}
    parts = _parts(services, denied)
    ids, taken = {}, set()
    for names, _ports in parts:
        if names not in ids:
            ids[names] = _unique(rule_id(names), taken)
            taken.add(ids[names])
    return [_rule(ids[names], names, ports, endpoints, services, denied) for (names, ports), endpoints in parts.items()]


def _parts(services, denied):
    """{(the services that have these endpoints, ports): {matcher: endpoints}} of what is to be denied."""
    having, parts, taken = _having(services, denied), {}, set()
    for key in denied:
        endpoints = services[key].endpoints
        if services[key].is_empty():
            parts[(key,), ()] = {}
        for kind in MATCHERS:
            for endpoint in endpoints[kind]:
                # ports narrow hosts and networks alone, so one rule is enough for what else is shared
                what = (kind, endpoint, endpoints['ports'] if kind in ('hosts', 'networks') else None)
                if what not in taken:
                    taken.add(what)
                    parts.setdefault((having[kind, endpoint], endpoints['ports']), {}).setdefault(kind, []).append(endpoint)
    return parts


def _having(services, denied):
    """{(kind, endpoint): the services that have it}: those that are denied first, and then others by name."""
    having = {}
    for key in dict.fromkeys([*denied, *sorted(services)]):
        for kind in MATCHERS:
            for endpoint in services[key].endpoints[kind]:
                having.setdefault((kind, endpoint), []).append(key)
    return {what: tuple(names) for what, names in having.items()}


def rule_id(names):
    """`service:github.com`; of endpoints that several services have `service:github.com+wiki`."""
    return 'service:' + '+'.join([*names[:SHOWN], *(['%d-more' % (len(names) - SHOWN)] if names[SHOWN:] else [])])


def _unique(wanted, taken):
    unique, number = wanted, 1
    while unique in taken:
        number += 1
        unique = '%s.%d' % (wanted, number)
    return unique


def _rule(its_id, names, ports, endpoints, services, denied):
    those, others = [key for key in names if key in denied], [key for key in names if key not in denied]
    reason = _listed([_reason(denied[key]) for key in those], '; ')
    reason += ' (shared with %s)' % _listed(others, ', ') if others else ''
    owners = dict.fromkeys(services[key].owner for key in those if services[key].owner)
    runbooks = [services[key].runbook for key in those if services[key].runbook]
    return Rule(id=its_id, action='deny', reason=reason, owner=_listed(list(owners), ', ') or None,
                runbook=runbooks[0] if runbooks else None, expected=False, via=denied[those[0]],
                ports=ports if 'hosts' in endpoints or 'networks' in endpoints else (),
                **{kind: tuple(sorted(endpoints.get(kind, ()))) for kind in MATCHERS}), those


def _reason(names):
    return ' → '.join(names) if names[1:] else '%s is what is deployed, and the policy says own: deny' % names


def _listed(texts, comma):
    return comma.join(texts[:SHOWN]) + (' and %d more' % (len(texts) - SHOWN) if texts[SHOWN:] else '')
