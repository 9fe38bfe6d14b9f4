# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. One rule of the file in, a checked Rule out."""

from __future__ import annotations

import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import (
    encrypted_dns, file_matchers, matchers, shapes)
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import show
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import Rule

MATCHERS = ('hosts', 'networks', 'paths', 'filesystems', 'sockets')
KEYS = ('id', 'reason', 'owner', 'runbook', 'ports') + MATCHERS
TEXTS = {'reason': 'why nothing may reach it', 'owner': 'db-team', 'runbook': 'https://wiki.example/page'}


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

    texts = {key: shapes.text(value[key], example, where.inside(key)) if key in value else None
             for key, example in TEXTS.items()}
    if action == 'deny' and not texts['reason']:
        raise where.error('reason is missing. Write why nothing may reach it, for those whom the rule stops.')
    if texts['runbook'] and not re.fullmatch(r'https?://[^\s/]+\S*', texts['runbook']):
        raise where.inside('runbook').error(
            '%s is not a web address. Start it with https:// or http://.' % show(texts['runbook']))
    _check_matchers(value, where)
    return Rule(
        id=name, action=action, expected=False,
        hosts=_parsed(value, 'hosts', matchers.host, '[github.com]', where, matchers.normal_host),
        networks=_parsed(value, 'networks', matchers.network, '[192.0.2.0/24]', where, matchers.normal_network),
        ports=_parsed(value, 'ports', matchers.ports, '[443]', where),
        paths=_parsed(value, 'paths', file_matchers.path, '[/mnt/artifacts]', where),
        filesystems=_parsed(value, 'filesystems', file_matchers.filesystem, '[nfs4]', where),
        sockets=_parsed(value, 'sockets', file_matchers.socket, '[/run/docker.sock]', where),
        **texts)


def _parsed(rule, key, parse, example, where, normal=lambda item: None):
    """What a list means, in an order of its own, so that the author's order makes no other policy.

    `normal`: returns what is in its normal form already, as most is, and None for the rest: a policy may list 100,000,
    and parse() takes its time.
    """
    items = shapes.sequence(rule, key, example, where) if key in rule else ()
    where = where.inside(key)
    found = {normal(item) or parse(item, where.inside(number)) for number, item in enumerate(items)}
    return tuple(sorted(found, key=str))


def _check_matchers(rule, where):
    if 'ports' in rule and 'hosts' not in rule and 'networks' not in rule:
        raise where.error('ports only narrows hosts and networks, and this rule has neither. Add one of '
                          'them; networks: ["0.0.0.0/0", "::/0"] means every address.')
    if not any(key in rule for key in MATCHERS):
        raise where.error('it matches nothing. Add %s.' % _one_of_the_matchers())


def _one_of_the_matchers():
    return '%s or %s' % (', '.join(MATCHERS[:-1]), MATCHERS[-1])
