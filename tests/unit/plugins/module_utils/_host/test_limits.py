# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits in a tree of files that looks like cgroup2's, to which nobody listens; tests/vm has the kernel's."""

from __future__ import annotations

from collections import namedtuple

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import limits

Place = namedtuple('Place', 'own run')


@pytest.fixture
def top(tmp_path, monkeypatch):
    """A mount with all controllers, none of which is enabled, and a cgroup of somebody else's."""
    top = tmp_path / 'cgroup'
    for directory in (top, top / 'ebpf_guard', top / 'other'):
        directory.mkdir()
        (directory / 'cgroup.subtree_control').write_text('')
    (top / 'cgroup.controllers').write_text('cpuset cpu io memory pids\n')
    monkeypatch.setattr(limits, 'mount_point', lambda: str(top))
    return top


def place(top, name):
    cgroup, run = top / 'ebpf_guard' / name, top.parent / 'run' / name
    for directory in (cgroup, run):
        directory.mkdir(parents=True)
    for file in ('memory.max', 'memory.swap.max', 'cpu.max', 'pids.max'):
        (cgroup / file).write_text('max')
    return Place(str(cgroup), str(run))


def enabled(directory):
    """What was written last, where a kernel would keep the sum."""
    return (directory / 'cgroup.subtree_control').read_text()


@pytest.mark.parametrize('wanted, files', [
    ({'memory': 2 ** 31, 'cpus': 1.5, 'pids': 512}, ['2147483648', '0', '150000 100000', '512']),
    ({'memory': 2 ** 20}, ['1048576', '0', 'max 100000', 'max']),
    ({'cpus': 0.01}, ['max', 'max', '1000 100000', 'max']),
    ({}, ['max', 'max', 'max 100000', 'max']),
])
def test_limits_are_written_and_earlier_ones_lifted(top, wanted, files):
    guard = place(top, 'deploy')
    limits.impose(*guard, {'memory': 2 ** 21, 'cpus': 3, 'pids': 7})
    limits.impose(*guard, wanted)
    assert [(top / 'ebpf_guard/deploy' / name).read_text()
            for name in ('memory.max', 'memory.swap.max', 'cpu.max', 'pids.max')] == files


def test_controllers_are_enabled_from_the_mount_down_and_disabled_again(top):
    guard = place(top, 'deploy')
    limits.impose(*guard, {'pids': 5})
    assert [enabled(top), enabled(top / 'ebpf_guard'), enabled(top / 'other')] == ['+pids', '+pids', '']
    for directory in (top, top / 'ebpf_guard'):
        (directory / 'cgroup.subtree_control').write_text('')  # as a kernel would show it, once the guard's cgroup is gone
    (top / 'ebpf_guard/deploy/pids.max').unlink()
    limits.restore(guard.run)
    assert [enabled(top), enabled(top / 'ebpf_guard')] == ['-pids', '-pids']


def test_what_was_enabled_before_stays(top):
    for directory in (top, top / 'ebpf_guard'):
        (directory / 'cgroup.subtree_control').write_text('memory pids')
    guard = place(top, 'deploy')
    limits.impose(*guard, {'memory': 2 ** 30})
    limits.restore(guard.run)
    assert [enabled(top), enabled(top / 'ebpf_guard')] == ['memory pids', 'memory pids']


@pytest.mark.parametrize('file, content', [('memory.max', '1048576'), ('cgroup.subtree_control', 'memory')])
def test_what_somebody_else_uses_by_now_stays(top, file, content):
    guard = place(top, 'deploy')
    limits.impose(*guard, {'memory': 2 ** 30})
    (top / 'other' / file).write_text(content)
    limits.restore(guard.run)
    assert enabled(top) == '+memory'


def test_the_last_of_two_guards_disables_it(top):
    one, two = place(top, 'one'), place(top, 'two')
    limits.impose(*one, {'memory': 2 ** 30})
    for directory in (top, top / 'ebpf_guard'):
        (directory / 'cgroup.subtree_control').write_text('memory')
    limits.impose(*two, {'memory': 2 ** 30})
    limits.restore(one.run)
    assert [enabled(top), enabled(top / 'ebpf_guard')] == ['memory', 'memory']
    (top / 'ebpf_guard/one/memory.max').write_text('max')
    (top / 'ebpf_guard/two/memory.max').write_text('max')
    limits.restore(two.run)
    assert enabled(top / 'ebpf_guard') == '-memory'


@pytest.mark.parametrize('listing, why', [
    ('memory\t8\t9\t1\n', 'cgroup v1 has it. On a systemd host, boot with systemd.unified_cgroup_hierarchy=1'),
    ('memory\t0\t9\t0\n', 'cgroup_disable=memory'),
    ('cpu\t0\t9\t1\n', 'the kernel was built without it'),
    ('memory\t0\t9\t1\n', 'taken away from this container'),
])
def test_a_controller_that_is_not_there_is_told_by_name(tmp_path, listing, why):
    (tmp_path / 'cgroups').write_text('#subsys_name\thierarchy\tnum_cgroups\tenabled\n' + listing)
    assert why in limits._why_not('memory', str(tmp_path / 'cgroups'))


def test_without_it_nothing_is_touched(top):
    (top / 'cgroup.controllers').write_text('cpu pids\n')
    with pytest.raises(GuardError, match='has no memory controller for them: .*take that limit out of the policy'):
        limits.impose(*place(top, 'deploy'), {'pids': 5, 'memory': 2 ** 30})
    assert enabled(top) == ''


def test_limits_that_were_changed_are_told(top):
    guard, wanted = place(top, 'deploy'), {'memory': 1500000, 'cpus': 1.5, 'pids': 9}
    limits.impose(*guard, wanted)
    (top / 'ebpf_guard/deploy/memory.max').write_text('1499136\n')  # whole pages, as a kernel keeps it
    assert list(limits.changes(guard.own, wanted)) == []
    (top / 'ebpf_guard/deploy/pids.max').write_text('max\n')
    assert list(limits.changes(guard.own, wanted)) == [
        f'The limit {top}/ebpf_guard/deploy/pids.max was changed from 9 to max.']
    assert list(limits.changes(str(top / 'gone'), wanted)) == []


def test_what_the_kernel_counted_is_told(top):
    cgroup = top / 'ebpf_guard' / 'deploy'
    guard = place(top, 'deploy')
    wanted = {'memory': 2 ** 30, 'cpus': 1.5, 'pids': 9}
    assert limits.reached(guard.own, wanted) == {
        'memory': {'limit': 2 ** 30, 'peak': None, 'oom_kills': None}, 'cpus': {'limit': 1.5, 'throttled': None},
        'pids': {'limit': 9, 'peak': None, 'refused': None}}
    for name, content in (('memory.events', 'low 0\nmax 9\noom_kill 2\n'), ('memory.peak', '4096\n'),
                          ('pids.events', 'max 3\n'), ('pids.peak', '8\n'), ('cpu.stat', 'usage_usec 1\nnr_throttled 7\n')):
        (cgroup / name).write_text(content)
    assert limits.reached(guard.own, wanted) == {
        'memory': {'limit': 2 ** 30, 'peak': 4096, 'oom_kills': 2}, 'cpus': {'limit': 1.5, 'throttled': 7},
        'pids': {'limit': 9, 'peak': 8, 'refused': 3}}
    assert limits.reached(guard.own, {}) == {}


@pytest.mark.parametrize('files, full', [
    ({}, None), ({'pids.current': '9', 'pids.max': 'max'}, None), ({'pids.current': '9', 'pids.max': '14'}, None),
    ({'pids.current': '9', 'pids.max': '12'}, 'pids.max is 12'),
    ({'memory.current': '900', 'memory.max': '1000', 'memory.stat': 'anon 100\nactive_file 300\ninactive_file 500'}, None),
    ({'memory.current': '900', 'memory.max': '1000', 'memory.stat': 'anon 900\nactive_file 0\ninactive_file 0'}, 'memory.max is 1000'),
])
def test_whether_there_is_room(tmp_path, files, full):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    said = limits.no_room(str(tmp_path), {'memory': 500, 'pids': 4})
    assert said is None if full is None else full in said
