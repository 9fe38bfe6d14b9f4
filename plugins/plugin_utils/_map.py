# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""A checked service map for people and programs: who closes a circle with whom, as text, mermaid, dot and JSON. Pure.

Of a service, a circle is the path to it of one that depends on it: a deployment that needs that one closes it. Without a
service, the circles are those that the map itself has: of each service the shortest, each once.
"""

from __future__ import annotations

import json
import textwrap
import typing

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import services as the_map
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import MATCHERS

WIDTH = 80
HEADS, ROWS = 20, 10  # services, and paths to each, that are listed where none is asked for
ARROW = ' → '
NOTHING = 'not in the map, so nothing can be denied for it'


class View(typing.NamedTuple):
    """What every format shows."""

    services: dict
    service: str | None
    circles: list  # tuples of names
    shown: list  # names: all services, or the one that was asked for and what depends on it
    empty: list  # names of those without endpoints
    heads: list  # where no service was asked for, those that most depend on: (how many do, the paths of some)


def view(services, service=None):
    those = the_map.dependents(services)
    if service is not None:
        found = the_map.steps(those, service)
        return View(services, service, _paths(found), list(found), _empty(services, found), [])
    circles, numbers = {}, {}
    for name in sorted(services):
        found = the_map.steps(those, name)
        numbers[name] = len(found) - 1
        if not found.keys().isdisjoint(services[name].depends_on):
            ways = [the_map.path(found, other) for other in services[name].depends_on if other in found]
            back = (name,) + min(ways, key=_order)
            first = back.index(min(back))
            circles[back[first:-1] + back[:first] + (back[first],)] = None
    most = sorted((name for name in numbers if numbers[name]), key=lambda name: (-numbers[name], name))[:HEADS]
    heads = [(numbers[name], _paths(the_map.steps(those, name), ROWS)) for name in most]
    return View(services, None, sorted(circles, key=_order), sorted(services), _empty(services, sorted(services)), heads)


def _paths(found, most=None):
    """Those of steps(), but for that of its first one."""
    return [the_map.path(found, name) for name in list(found)[1:most and most + 1]]


def _order(path):
    return len(path), path


def _empty(services, names):
    return [name for name in names if services[name].is_empty()]


def endpoints(service):
    """{matcher, or ports: texts}, with no empty list."""
    return {kind: list(map(str, found)) for kind, found in service.endpoints.items() if found}


def text(seen):
    if seen.service is None:
        lines = _itself(seen) + _by_service(seen)
    elif seen.circles:
        lines = [f'{_services(len(seen.circles))} a circle with {seen.service}, so its deployment must do without:', '']
        lines += [line for path in seen.circles for line in _row(path, seen)]
    else:
        lines = [f'No service depends on {seen.service}, so its deployment closes no circle.']
    if seen.empty:
        lines += ['', 'Services without endpoints, for which nothing can be denied:', *_wrapped(', '.join(seen.empty), '  ')]
    return '\n'.join(lines)


def _services(number):
    return '1 service closes' if number == 1 else f'{number} services close'


def _row(path, seen, indent='  '):
    """A path, and what it leads from."""
    service = seen.services[path[0]]
    lines = [*_wrapped(ARROW.join(path), indent), *_wrapped(_written(service) or NOTHING, f'{indent}  endpoints  ')]
    for label in the_map.TEXTS:
        lines += [f'{indent}  {label:<9}  {getattr(service, label)}'] if getattr(service, label) else []
    return lines


def _written(service):
    found = endpoints(service)
    ports = f' (ports {", ".join(found["ports"])})' if 'ports' in found else ''
    network = ', '.join(found.get('hosts', []) + found.get('networks', []))
    return ', '.join(filter(None, [network + ports, *(', '.join(found.get(kind, [])) for kind in MATCHERS[2:])]))


def _wrapped(text, indent):
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=' ' * len(indent), break_long_words=False,
                         break_on_hyphens=False)


def _itself(seen):
    if not seen.circles:
        return ['The map itself has no circle: no service depends on itself through others.']
    lines = ['Circles in the map itself, of services that depend on themselves through others:', '']
    return lines + [line for path in seen.circles for line in _wrapped(ARROW.join(path), '  ')]


def _by_service(seen):
    lines = []
    for number, paths in seen.heads:
        service, left = paths[0][-1], number - len(paths)
        lines += ['', f'{_services(number)} a circle with {service}:', *(line for path in paths for line in _row(path, seen))]
        lines += [f'  … {left} more, told with -e ebpf_guard_service={service}'] if left else []
    return lines


def _edges(seen):
    shown = set(seen.shown)
    return [(name, other) for name in seen.shown for other in dict.fromkeys(seen.services[name].depends_on) if other in shown]


def mermaid(seen):
    """Names are in quotes, and each service has a number: a name may be a word of the language."""
    numbers = {name: f's{number}' for number, name in enumerate(seen.shown)}
    styles = {**dict.fromkeys(seen.empty, ':::unknown'), seen.service: ':::deployed'}
    return '\n'.join(['graph LR', *(f'  {numbers[name]}["{name}"]{styles.get(name, "")}' for name in seen.shown),
                      *(f'  {numbers[name]} --> {numbers[other]}' for name, other in _edges(seen)),
                      '  classDef deployed stroke-width:3px', '  classDef unknown stroke-dasharray:4'])


def dot(seen):
    styles = {**dict.fromkeys(seen.empty, ' [style=dashed]'), seen.service: ' [style=bold]'}
    return '\n'.join(['digraph services {', '  rankdir=LR', *(f'  "{name}"{styles.get(name, "")}' for name in seen.shown),
                      *(f'  "{name}" -> "{other}"' for name, other in _edges(seen)), '}'])


def as_data(seen):
    """The same as plain values."""
    services = [(name, seen.services[name]) for name in seen.shown]
    return {'service': seen.service, 'circles': list(map(list, seen.circles)), 'without_endpoints': seen.empty, 'services': [
        {'name': name, 'endpoints': endpoints(one), 'depends_on': sorted(set(one.depends_on)),
         **{key: getattr(one, key) for key in the_map.TEXTS}} for name, one in services]}


def as_json(seen):
    return json.dumps(as_data(seen), indent=2, ensure_ascii=False)


FORMATS = {'text': text, 'mermaid': mermaid, 'dot': dot, 'json': as_json}
