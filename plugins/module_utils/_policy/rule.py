# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. One rule of the file in, a checked Rule out."""

from __future__ import annotations

import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import (
    encrypted_dns, file_matchers, matchers, shapes)
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import show
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import MATCHERS, OUTAGES, Rule

KEYS = ('id', 'reason', 'owner', 'runbook', 'outage', 'ports') + MATCHERS
TEXTS = {'reason': 'why nothing may reach it', 'owner': 'db-team', 'runbook': 'https://wiki.example/page'}
PARSERS = {'hosts': (matchers.host, '[github.com]', matchers.normal_host),
           'networks': (matchers.network, '[192.0.2.0/24]', matchers.normal_network),
           'ports': (matchers.ports, '[443]', None),
           'paths': (file_matchers.path, '[/mnt/artifacts]', None),
           'filesystems': (file_matchers.filesystem, '[nfs4]', None),
           'sockets': (file_matchers.socket, '[/run/docker.sock]', None)}


def check(value, action, taken, where):
    """The Rule that `value` means. `taken`: {id: (action, where) of the rule that has it}, which this one is added to."""
    if not isinstance(value, dict):
        raise where.error('%s is not a rule. Write a mapping with id, reason and %s.' % (
            show(value), _one_of_the_matchers()))
    if 'id' not in value:
        raise where.error('id is missing. Give the rule a short name such as id: github.')
    name = shapes.text(value['id'], 'github', where.inside('id'))
    where = where._replace(words=('rule %s' % show(name),))
    if not re.fullmatch(r'[a-z0-9][a-z0-9_-]*', name):
        raise where.inside('id').error(
            '%s is not an id. Use a-z, 0-9, "_" and "-"; start with a letter or a digit.' % show(name))
    if name == encrypted_dns.BUILT_IN:
        raise where.inside('id').error('this id stands for the built-in rule against encrypted DNS. Choose another.')
    if name in taken:
        first, there = taken[name][0], taken[name][1].line()
        raise where.inside('id').error('used twice: the %s rule%s has it. Every rule needs its own.' % (
            first, ' in line %d' % there if there else ''))
    taken[name] = action, where
    shapes.check_keys(value, KEYS, where)

    said = texts(value, TEXTS, where)
    if action == 'deny' and not said['reason']:
        raise where.error('reason is missing. Write why nothing may reach it, for those whom the rule stops.')
    found = matched(value, where)
    if not any(key in value for key in MATCHERS):
        raise where.error('it matches nothing. Add %s.' % _one_of_the_matchers())
    outage = _outage(value, action, where.inside('outage')) if 'outage' in value else None
    return Rule(id=name, action=action, expected=False, outage=outage, **found, **said)


def _outage(value, action, where):
    if action != 'deny':
        raise where.error('an allow rule takes nothing down. Write outage in a deny rule, or for the whole policy.')
    if 'hosts' not in value and 'networks' not in value:
        raise where.error('it says how hosts and networks are down, and here is neither. Files and unix sockets are always '
                          'denied with an error. Take it out.')
    return shapes.choice(value['outage'], OUTAGES, where)


def texts(value, keys, where):
    """{key: text, or None} of what people read."""
    said = {key: shapes.text(value[key], TEXTS[key], where.inside(key)) if key in value else None for key in keys}
    if said['runbook'] and not re.fullmatch(r'https?://[^\s/]+\S*', said['runbook']):
        raise where.inside('runbook').error(
            '%s is not a web address. Start it with https:// or http://.' % show(said['runbook']))
    return said


def matched(value, where):
    """{matcher, or ports: what its list means}."""
    if 'ports' in value and 'hosts' not in value and 'networks' not in value:
        raise where.error('ports only narrows hosts and networks, and here is neither. Add one of '
                          'them; networks: ["0.0.0.0/0", "::/0"] means every address.')
    return {key: _parsed(value, key, where) for key in PARSERS}


def _parsed(value, key, where):
    """What a list means, in an order of its own, so that the author's order makes no other policy.

    What is in its normal form already, as most is, is not parsed: a policy may list 100,000, and parsing takes its time.
    """
    if key not in value:
        return ()
    parse, example, normal = PARSERS[key]
    items, where = shapes.sequence(value, key, example, where), where.inside(key)
    found = {normal and normal(item) or parse(item, where.inside(number)) for number, item in enumerate(items)}
    return tuple(sorted(found, key=str))


def _one_of_the_matchers():
    return '%s or %s' % (', '.join(MATCHERS[:-1]), MATCHERS[-1])
