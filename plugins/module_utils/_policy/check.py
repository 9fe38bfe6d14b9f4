# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A mapping, as YAML or JSON gave it, in; a checked Policy out, or one clear PolicyError.

Pure. Runs on the controller, before any target is touched; on the target only where no action plugin has sent the policy.
"""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import (
    encrypted_dns, file_matchers, rule, services, shapes)
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where, did_you_mean, show
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import OUTAGES
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.policy import (
    INTERVAL, MODES, ON_DENIED, ON_NEW, UNRESOLVABLE, Policy)

DEFAULTS = ('allow', 'deny')
ENCRYPTED_DNS = ('deny', 'allow')
LONGEST_INTERVAL = 86400  # seconds
OWN = ('allow', 'deny')
KEYS = ('version', 'service', 'mode', 'default', 'deny', 'allow', 'expected', 'services', 'own', 'resolve',
        'baseline', 'on_new', 'on_denied', 'outage', 'unresolvable', 'limits', 'lock', 'ways_out', 'encrypted_dns')

MOST = 1_000_000  # networks and names of all rules
LIMITS = {'memory': r'[1-9][0-9]*[KMGT]?', 'cpus': r'[0-9]*[1-9][0-9]*(\.[0-9]+)?|0?\.[0-9]*[1-9][0-9]*',
          'pids': r'[1-9][0-9]*'}
UNITS = {'K': 2 ** 10, 'M': 2 ** 20, 'G': 2 ** 30, 'T': 2 ** 40}
# What the kernel takes, and for memory what a task needs to start at all
BOUNDS = {'memory': (2 ** 20, 2 ** 62, '1M', '4194304T'), 'cpus': (0.01, 10000, '0.01', '10000'),
          'pids': (1, 2 ** 22, '1', '4194304')}


def check(mapping, source='policy', lines=None, entries=None):
    """Return the Policy that `mapping` means, or raise PolicyError.

    `source` is the file's name; `lines` has line numbers by path, such as {('deny', 0, 'networks', 1): 9}, or a get() as that has.
    `entries`: what the files that `services` names have, as services.entries() returns it.
    """
    where = Where(source, lines or {})
    if not isinstance(mapping, dict):
        raise where.error('%s is not a policy. Write a mapping that starts with version: 1.' % show(mapping))
    _check_version(mapping, where)  # first: another version may well have other keys
    shapes.check_keys(mapping, KEYS, where)

    rules, taken = [], {}
    for action in ('deny', 'allow'):
        items = shapes.items(mapping, action, '[{id: ...}]', where) if action in mapping else ()
        for number, (here, item) in enumerate(items, 1):
            # Until its id is known, a rule goes by its number.
            rules.append(rule.check(item, action, taken, here._replace(words=('%s rule %d' % (action, number),))))
    service = _service(mapping['service'], where.inside('service')) if 'service' in mapping else None
    derived = _derived(mapping, service, entries, where)
    denies = sum(one.action == 'deny' for one in rules)
    rules[denies:denies] = [one for one, _names in derived]  # on a tie, the report has the rule that a person wrote
    many = sum(len(one.hosts) + len(one.networks) for one in rules)
    if many > MOST:
        raise where.error('the rules have %s networks and names, and a guard takes %s at most. Join networks to wider ones, and '
                          'name a domain with all that is below it by a dot in front: .github.com.' % (
                              format(many, ','), format(MOST, ',')))
    encrypted = shapes.choice(mapping.get('encrypted_dns', encrypted_dns.usual(rules)), ENCRYPTED_DNS,
                              where.inside('encrypted_dns'))
    outage = shapes.choice(mapping.get('outage', OUTAGES[0]), OUTAGES, where.inside('outage'))
    expected = _expected(mapping, rules, derived, encrypted, where) if 'expected' in mapping else frozenset()
    return Policy(
        version=1,
        service=service,
        mode=shapes.choice(mapping.get('mode', 'enforce'), MODES, where.inside('mode')),
        default=shapes.choice(mapping.get('default', 'allow'), DEFAULTS, where.inside('default')),
        rules=tuple(dataclasses.replace(one, expected=one.id in expected) for one in rules),
        expected=expected,
        encrypted_dns=encrypted,
        interval=_interval(mapping, where) if 'resolve' in mapping else INTERVAL,
        lock=_lock(mapping['lock'], where.inside('lock')) if 'lock' in mapping else False,
        ways_out=_ways_out(mapping, where) if 'ways_out' in mapping else (),
        limits=_limits(mapping, where) if 'limits' in mapping else (),
        baseline=shapes.text(mapping['baseline'], 'mysql.deps.yml', where.inside('baseline')) if 'baseline' in mapping else None,
        on_new=_on_new(mapping, where),
        on_denied=shapes.choice(mapping.get('on_denied', ON_DENIED[0]), ON_DENIED, where.inside('on_denied')),
        outage=outage,
        unresolvable=_unresolvable(mapping, {outage, *(one.outage for one in rules)}, where),
    )


def _check_version(mapping, where):
    if 'version' not in mapping:
        raise where.error('version is missing. Write version: 1 at the top.')
    version = mapping['version']
    if not shapes.is_integer(version) or version != 1:
        raise where.inside('version').error(
            '%s is not supported. Write version: 1, without quotes.' % show(version))


def _derived(mapping, service, entries, where):
    """[(rule, the services that it denies)] of what follows from the service map."""
    own = shapes.choice(mapping.get('own', 'allow'), OWN, where.inside('own'))
    if 'services' not in mapping:
        if 'own' in mapping:
            raise where.inside('own').error('there is no service map that says what belongs to the service. Add services.')
        return []
    if service is None:
        raise where.inside('services').error('a service map says nothing without what is deployed. Add service: mysql.')
    if entries is None:
        entries = services.entries(mapping['services'], where.inside('services'))
    return services.derive(services.check(entries, service, where.inside('service')), service, own)


def _on_new(mapping, where):
    here = where.inside('on_new')
    if 'on_new' in mapping and 'baseline' not in mapping:
        raise here.error('nothing is new without a baseline. Name its file: baseline: mysql.deps.yml, or take on_new out.')
    return shapes.choice(mapping.get('on_new', ON_NEW[0]), ON_NEW, here)


def _unresolvable(mapping, outages, where):
    here = where.inside('unresolvable')
    if 'unresolvable' in mapping and 'unresolvable' not in outages:
        raise here.error('nothing is unresolvable here. Write outage: unresolvable, for the policy or in a deny rule, or take '
                         'unresolvable out.')
    return shapes.choice(mapping.get('unresolvable', UNRESOLVABLE[0]), UNRESOLVABLE, here)


def _lock(value, where):
    if not isinstance(value, bool):
        raise where.error('%s is neither true nor false.' % show(value))
    return value


def _ways_out(mapping, where):
    return tuple(sorted({file_matchers.socket(item, here)
                         for here, item in shapes.items(mapping, 'ways_out', '[/run/mydaemon.sock]', where)}))


def _interval(mapping, where):
    here = shapes.filled_mapping(mapping, 'resolve', ('interval',), '{interval: %d}' % INTERVAL, where).inside('interval')
    interval = mapping['resolve']['interval']
    if not shapes.is_integer(interval) or not 0 <= interval <= LONGEST_INTERVAL:
        raise here.error('%s is not a number of seconds from 0 to %d. Write interval: %d; 0 looks names up once, '
                         'when the guard starts.' % (show(interval), LONGEST_INTERVAL, INTERVAL))
    return interval


def _limits(mapping, where):
    here = shapes.filled_mapping(mapping, 'limits', tuple(LIMITS), '{memory: 2G, cpus: 1.5, pids: 512}', where)
    return tuple((key, _limit(key, mapping['limits'][key], here.inside(key)))
                 for key in LIMITS if key in mapping['limits'])


def _limit(key, value, where):
    text = show(value).strip("'")
    if isinstance(value, (dict, list)) or not re.fullmatch(LIMITS[key], text):
        raise where.error('%s is not a limit. Write it as in memory: 2G, cpus: 1.5, pids: 512.' % show(value))
    number = float(text) if key == 'cpus' else int(text.rstrip('KMGT')) * UNITS.get(text[-1], 1)
    least, most, shown_least, shown_most = BOUNDS[key]
    if not least <= number <= most:
        raise where.error('%s is no limit that a task could run under, or the kernel take. Write one from %s to %s.'
                          % (show(value), shown_least, shown_most))
    return int(number) if number == int(number) else number


def _service(value, where):
    return services.name(shapes.text(value, 'mysql', where), where)


def _expected(mapping, rules, derived, encrypted, where):
    actions = {one.id: one.action for one in rules}
    actions.update((services.rule_id([name]), 'deny') for _rule, names in derived for name in names)
    if encrypted == 'deny':
        actions[encrypted_dns.BUILT_IN] = 'deny'
    denying = [name for name, action in actions.items() if action == 'deny']
    names = set()
    for here, item in shapes.items(mapping, 'expected', '[github]', where):
        name = shapes.text(item, 'github', here)
        if actions.get(name) == 'allow':
            raise here.error('%s is an allow rule, and those never deny. Name deny rules only.' % show(name))
        if name == encrypted_dns.BUILT_IN and name not in actions:
            raise here.error('encrypted DNS passes under this policy. Take %s out, or write encrypted_dns: deny.'
                             % name)
        if name not in actions:
            raise here.error('there is no deny rule %s.%s Deny rules here: %s.' % (
                show(name), did_you_mean(name, denying), ', '.join(denying[:20]) or 'none'))
        names.add(name)
    # An endpoint that several services have is expected where each of them is
    named = {one.id for one, those in derived if names.issuperset(services.rule_id([name]) for name in those)}
    return frozenset(names.intersection({one.id for one in rules} | {encrypted_dns.BUILT_IN}) | named)
