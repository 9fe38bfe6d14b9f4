# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that were made to have the hash of another: each is judged as the name that it is."""

from __future__ import annotations

import socket

import pytest
from policies import UDP
from reference import label_with_the_hash, reference_label_hash
from wire import A, CNAME, answer, answer_frame, made_hello, question, record, sni, wire_name
from workbench import child, frame, hears, listener, passes

from ansible_collections.loopbreak.deploy.plugins.module_utils import _names

LOADERS = ('libbpf', 'bcc')

SERVER = '127.0.0.2'  # of 127.0.0.1 no name is learned
SEALED = dict(default='deny', deny=[('closed', ['.closed.test'])],
              allow=[('ok', ['ok.example']), ('below', ['.open.example']), ('long', ['%s.%s.test' % ('l' * 63, 'm' * 63)])])


def twin(name, parent, end=b''):
    """The labels of a name below `parent` that has the hash of `name`."""
    return [label_with_the_hash(name, parent, end)] + ([label.encode() for label in parent.split('.')] if parent else [])


def asks(guard, labels):
    return passes(guard, frame('127.0.0.53', 53, UDP, payload=question('', name_bytes=wire_name(labels))))


def test_the_twin_has_the_hash():
    for name, parent in (('ok.example', 'other.example'), ('ok.example', ''), ('a.b.c', 'x')):
        state = _names.SEED
        for label in reversed(twin(name, parent)):
            state = _names.mixed(state, reference_label_hash(label))
        assert state == _names.name_hash(name)


@pytest.mark.parametrize('labels', [
    twin('ok.example', 'other.example'), twin('ok.example', 'test'), twin('ok.example', 'example'),
    twin('ok.example', ''), twin('ok.example', 'ok.example'), [b'x', *twin('open.example', 'other.example')],
    twin('open.example', 'other.example'), twin('%s.%s.test' % ('l' * 63, 'm' * 63), 'test'),
    twin('ok.example', 'closed.test'), twin('ok.example', '', b'\x02ok\x07example'),
    twin('ok.example', '', b'\x0a\x02ok\x07example')], ids=lambda labels: str(labels)[:40])
def test_a_question_for_a_twin_of_an_allowed_name_is_denied(guards, labels):
    guard = guards(attach=False, **SEALED)
    assert asks(guard, [b'ok', b'example']) and asks(guard, [b'OK', b'Example']) and asks(guard, [b'a', b'open', b'example'])
    for _time in range(2):  # the second time from memory
        assert not asks(guard, labels)
    assert asks(guard, [b'ok', b'example'])


def test_a_twin_gets_what_holds_for_the_next_shorter_end(guards):
    guard = guards(attach=False, deny=[('closed', ['.closed.test'])], allow=[('fine', ['.fine.closed.test'])],
                   encrypted_dns='allow')
    assert not asks(guard, twin('fine.closed.test', 'closed.test'))
    assert not asks(guard, [b'x', *twin('fine.closed.test', 'closed.test')])
    assert asks(guard, twin('closed.test', 'fine.closed.test'))
    assert asks(guard, twin('closed.test', 'other.test'))  # an innocent one


def presented(guard, names):
    """Does a server hear hellos with these names, each on a connection of its own? None: there is no connection."""
    def run():
        with listener(SERVER) as server:
            guard.enter()
            return [hears(server, made_hello(sni(b'.'.join(name)))) for name in names]

    return child(run)


def test_a_twin_is_presented_as_what_it_is(guards):
    guard = guards(deny=[('closed', ['.closed.test'])], allow=[('ok', ['ok.example'])], encrypted_dns='allow')
    assert presented(guard, [twin('ok.example', 'closed.test'), twin('closed.test', 'other.test'), [b'closed', b'test']]
                     ) == [False, True, False]


def tell_alias(guard, labels, target):
    message = answer(labels, [record(CNAME, wire_name(target)), record(A, socket.inet_aton(SERVER), wire_name(target))])
    return guard.hears(answer_frame(message))


def share_address(guard):
    """From now on the name that is presented decides."""
    assert guard.hears(answer_frame(answer('fine.test', [record(A, socket.inet_aton(SERVER))]))) == 1


def test_a_twin_of_an_alias_is_no_alias(guards):
    guard = guards(deny=[('closed', ['.closed.test'])], encrypted_dns='allow')
    assert tell_alias(guard, 'www.alias.test', 'x.closed.test') == 1
    alias = [b'www', b'alias', b'test']
    assert presented(guard, [alias]) == [None]
    share_address(guard)
    assert presented(guard, [alias, twin('www.alias.test', 'alias.test'), twin('www.alias.test', 'x.test')]
                     ) == [False, True, True]


def test_a_twin_of_an_alias_does_not_take_its_place(guards):
    guard = guards(deny=[('closed', ['.closed.test'])], allow=[('ok', ['ok.example'])], encrypted_dns='allow')
    assert tell_alias(guard, 'www.alias.test', 'x.closed.test') == 1
    assert tell_alias(guard, twin('www.alias.test', 'alias.test'), 'ok.example') == 0  # it does not arrive
    assert tell_alias(guard, 'www.alias.test', 'x.closed.test') == 1
    share_address(guard)
    assert presented(guard, [[b'www', b'alias', b'test']]) == [False]


def test_the_ledger_takes_no_twin_for_the_name(guards):
    guard = guards(attach=False, deny=[('closed', ['.closed.test'])])
    for name in (twin('a.closed.test', 'other.test'), 'a.closed.test'):
        guard.hears(answer_frame(answer(name, [record(A, socket.inet_aton(SERVER))])))
    assert [_names.from_wire(bytes(value.name)) for _key, value in guard.heard()] == ['a.closed.test']
