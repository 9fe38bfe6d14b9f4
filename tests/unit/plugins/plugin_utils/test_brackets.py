# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The brackets of a play, as they are written. Whole plays are in tests/integration/test_shapes.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _brackets
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._brackets import FAILED, IGNORED, OURS, SKIPPED, UP, Watch


def task(name, action='command', args=None, **more):
    return SimpleNamespace(_uuid=name, action=action, args=args or {}, vars={}, _role=None, _parent=None, **more)


def module(uuid, state='present', **args):
    return task(uuid, OURS, {'state': state, **args})


def entry(name, point, **variables):
    one = task(name, 'ansible.builtin.include_role', _role_name=OURS, _from_files={'tasks': point} if point else {})
    one.vars = variables
    return one


def block(*tasks, rescue=(), always=()):
    one = SimpleNamespace(_uuid=object(), block=list(tasks), rescue=list(rescue), always=list(always), _role=None, _parent=None)
    for each in [*tasks, *rescue, *always]:
        each._parent = one
    return one


def watch(*blocks):
    found = Watch()
    found.begin(SimpleNamespace(compile=lambda: list(blocks)))
    return found


@pytest.fixture(autouse=True)
def no_options(monkeypatch):
    monkeypatch.setattr(_brackets, 'context', SimpleNamespace(CLIARGS={'tags': ['all'], 'skip_tags': [], 'step': False}))


@pytest.mark.parametrize('start, stop', [
    (module('start'), module('stop', 'absent')), (entry('start', 'start'), entry('stop', 'stop.yml')),
    (module('start', name='a'), entry('stop', 'stop', ebpf_guard_name='a'))])
def test_what_stands_between_is_told_unless_the_start_ran_or_was_skipped(start, stop):
    before, inside, after = map(task, ('before', 'inside', 'after'))
    seen = watch(block(before, start, block(inside), always=[stop]), block(after))
    assert seen.unguarded('web1', inside) and not seen.unguarded('web1', before) and not seen.unguarded('web1', after)
    for host, state in (('web1', UP), ('web2', SKIPPED)):
        seen.note(host, start, state)
        assert not seen.unguarded(host, inside)
    assert seen.unguarded('web3', inside)[1] == 'the start of its guard was not run'


def test_a_start_that_failed_is_for_rescue_and_always_to_see_to():
    start, inside, late = module('start'), task('inside'), task('late')
    seen = watch(block(start, inside, always=[late, module('stop', 'absent')]))
    seen.note('web1', start, FAILED)
    assert seen.unguarded('web1', inside)[1] == 'the start of its guard failed' and not seen.unguarded('web1', late)
    seen.note('web1', start, IGNORED)
    assert seen.unguarded('web1', late)


def test_what_can_not_guard_tasks_is_no_bracket():
    inside = task('inside')
    for start in (module('start', cgroup='system.slice'), entry('start', None), entry('start', 'start', ebpf_guard_cgroup='x')):
        assert not watch(block(start, inside, module('stop', 'absent'))).unguarded('web1', inside)


def test_what_nothing_comes_after():
    first, last, guarded = task('first'), task('last'), entry('guarded', None)
    play = SimpleNamespace(compile=lambda: [block(first, guarded)])
    assert not _brackets.is_last(first, play)
    role = SimpleNamespace(get_name=lambda: OURS)
    own = task('own', get_path=lambda: f'/x{_brackets.OUR_TASKS}inside.yml:4')
    wrapped = block(task('before'), last)
    wrapped._parent, own._parent = own, guarded
    for one in (own, *wrapped.block):
        one._role = role
        one.get_path = getattr(one, 'get_path', lambda: 'deploy.yml:1')
    assert [_brackets.is_last(one, play) for one in (*wrapped.block, own)] == [False, True, True]


def test_the_options_that_chose_are_named(monkeypatch):
    monkeypatch.setattr(_brackets.context, 'CLIARGS', {'tags': ['deploy'], 'start_at_task': 'x', 'step': False})
    assert _brackets.not_run() == 'the start of its guard was not run (--tags, --start-at-task)'


def test_what_a_rescue_comes_after():
    inside, deep, late = map(task, ('inside', 'deep', 'late'))
    included = task('included')
    block(deep)._parent = included
    block(inside, included, rescue=[late])
    assert [_brackets.is_rescued(one) for one in (inside, deep, late, task('alone'))] == [True, True, False, False]
    block(late._parent, rescue=[task('another')])
    assert _brackets.is_rescued(late)
