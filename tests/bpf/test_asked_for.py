# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that are no questions for a host: for a service of a name, and for the host's own name."""

from __future__ import annotations

import pytest
from policies import UDP, policy_of
from reference import judge_question
from wire import question
from workbench import frame, passes

LOADERS = ('libbpf', 'bcc')

RULES = dict(
    deny=[('one', ['one.test']), ('both', ['.both.test']), ('below', ['*.below.test']), ('port', ['port.test'], [443]),
          ('wide', ['.wide.test']), ('said', ['_http._tcp.said.test']), ('all', ['.all.example'])],
    allow=[('ok', ['ok.test']), ('w', ['*.w.test']), ('in', ['in.wide.test']), ('proto', ['.said.test']),
           ('under', ['*.x.all.example'])])
NAMES = ['one.test', 'both.test', 'below.test', 'x.below.test', 'port.test', 'in.wide.test', 'y.wide.test', 'ok.test',
         'said.test', 'w.test', 'x.w.test', 'test', 'fine.test', 'x.all.example', 'y.x.all.example']
FRONTS = ['_http._tcp', '_HTTP._Tcp', '_a.b', 'a._tcp', '_tcp', '_dmarc', '_a._b._c', 'x._a._b', 'x', '_._']


def asks(guard, name, kind=33):
    return passes(guard, frame('127.0.0.53', 53, UDP, payload=question(name, kind=kind)))


@pytest.mark.parametrize('default', ['allow', 'deny'])
def test_a_question_for_a_service_is_one_for_the_name(guards, default):
    policy = policy_of(default=default, **RULES)
    guard = guards(policy, attach=False)
    for name in NAMES:
        if name not in ('said.test', 'below.test', 'w.test', 'x.all.example'):
            for kind in (1, 33):
                assert asks(guard, '_http._tcp.' + name, kind) == asks(guard, name), name
        for front in FRONTS:
            asked = '%s.%s' % (front, name)
            assert asks(guard, asked) != judge_question(policy, asked)[0], asked
    for name, passed in (('_http._tcp.said.test', False), ('_ldap._tcp.said.test', True), ('_http._tcp.x.all.example', False),
                         ('_http._tcp.below.test', False), ('_ldap._tcp.w.test', True)):
        assert asks(guard, name) == passed, name
    assert asks(guard, '_http._tcp') == asks(guard, '_http') == (default == 'allow')


def test_the_own_name_may_be_asked_for_in_a_sealed_room(guards):
    rules = dict(RULES, deny=[*RULES['deny'], ('named', ['named-host'])], default='deny')
    guard = guards(attach=False, host=['host', 'host.corp.example', 'one.test', 'named-host', 'ok.test'], **rules)
    for name, passed in (('host', True), ('host.corp.example', True), ('x.host', False), ('corp.example', False),
                         ('one.test', False), ('named-host', False), ('ok.test', True), ('other', False)):
        assert asks(guard, name, 1) == passed, name
    open_ = guards(attach=False, host=['host', 'one.test'], **RULES)
    assert asks(open_, 'host', 1) and not asks(open_, 'one.test', 1)
