# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The object of the file rules in this machine's kernel, in monitor mode: what it says of programs that are executed.

A kernel that lets programs answer for security hooks has them judged where they are opened, any other by a tracepoint;
what is said of them is the same. tests/vm tries every way to a file, and what is denied, on kernels of their own.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from policies import compiled

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, files, paths, programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records

OBJECT = Path(_abi.__file__).parents[1] / 'ebpf_guard_files.bpf.o'


def policy_of(*deny, allow=()):
    """A policy in monitor mode; each rule has one path, or one type of file systems, and goes by it."""
    def rule(number, what):
        return {'id': 'rule-%d' % number, 'reason': 'a test', 'paths' if what[0] == '/' else 'filesystems': [what]}

    rules = [rule(number, what) for number, what in enumerate((*deny, *allow))]
    mapping = {'version': 1, 'mode': 'monitor', 'deny': rules[:len(deny)], 'allow': rules[len(deny):]}
    return check({key: value for key, value in mapping.items() if value})


@pytest.fixture
def room(tmp_path):
    """A directory whose path has no symlink, with a program in it."""
    directory = tmp_path / 'room'
    directory.mkdir()
    shutil.copy('/bin/true', directory / 'tool')
    return directory


@pytest.fixture
def watch(guards, tmp_path):
    """Has a policy's file rules judge what a function does in a guard.

    Returns {path: its rule, UNREADABLE, or None} of what was executed.
    """
    opened, loads = [], []

    def run(policy, act):
        guard = guards(policy, observe=True)
        shared = {name: guard.object.map_fd(name) for name in programs.SHARED}
        directory = os.open(guard.cgroup, os.O_RDONLY)
        opened.append(directory)
        loaded = files.load(guard.kernel, {programs.FILES: OBJECT.read_bytes()}, shared,
                            compiled(policy, observe=True), str(tmp_path / 'run'), directory)
        assert not loaded.warnings
        loads.append(loaded)
        guard.kernel.update(guard.object.map_fd('ebg_current'), ctypes.c_uint32(0), ctypes.c_uint32(guard.generation))
        guard.inside(act)
        reader = guard.reader()
        records = reader.denials(guard.denials()) + reader.observations(guard.observations())
        assert {record['kind'] for record in records} <= {'exec'}
        return {record['path']: record['rule'] or record['reason'] for record in records}

    yield run
    bpf.close(opened)
    for loaded in loads:
        loaded.close()


def ends_well(*command):
    return lambda: subprocess.run(command, check=True) and None


def test_a_program_is_observed_by_its_path(watch, room):
    tool = str(room / 'tool')
    assert watch(policy_of('/nowhere'), ends_well(tool)) == {tool: None}


@pytest.mark.parametrize('rule, judged', (
    ('', True), ('/tool', True), ('/too', False), ('/tool2', False), ('/tool/x', False), ('2', False)))
def test_a_rule_means_whole_parts_of_a_path(watch, room, rule, judged):
    tool = str(room / 'tool')
    assert watch(policy_of(str(room) + rule), ends_well(tool)) == {tool: 'rule-0' if judged else None}


def test_the_longest_path_wins(watch, room):
    (room / 'deep' / 'er').mkdir(parents=True)
    for name in ('deep/tool', 'deep/er/tool'):
        shutil.copy(room / 'tool', room / name)
    policy = policy_of(str(room), str(room / 'deep/er/tool'), allow=[str(room / 'deep')])
    said = watch(policy, lambda: [ends_well(str(room / name))() for name in ('tool', 'deep/tool', 'deep/er/tool')])
    assert said == {str(room / 'tool'): 'rule-0', str(room / 'deep/tool'): 'rule-2', str(room / 'deep/er/tool'): 'rule-1'}


def test_a_file_is_known_by_every_name(watch, room, tmp_path):
    other = tmp_path / 'other'
    os.link(room / 'tool', other)
    (tmp_path / 'symlink').symlink_to(room / 'tool')
    said = watch(policy_of(str(room / 'tool')), lambda: [ends_well(str(path))() for path in (other, tmp_path / 'symlink')])
    assert said == {str(other): 'rule-0', str(room / 'tool'): 'rule-0'}


def test_a_rule_on_a_symlink_means_what_it_leads_to(watch, room, tmp_path):
    (tmp_path / 'current').symlink_to(room)
    assert watch(policy_of(str(tmp_path / 'current')), ends_well(str(room / 'tool'))) == {str(room / 'tool'): 'rule-0'}


def test_what_is_made_later_is_met_by_its_path(watch, room):
    later = room / 'later'

    def act():
        later.mkdir()
        shutil.copy(room / 'tool', later / 'tool')
        ends_well(str(later / 'tool'))()
    assert watch(policy_of(str(later)), act) == {str(later / 'tool'): 'rule-0'}


def test_mounts_hide_nothing(watch, room, tmp_path):
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    script = ('mount --bind %s %s && %s/tool && mount -t tmpfs none %s && cp /bin/true %s/other && %s/other'
              % (room, elsewhere, elsewhere, room, room, room))
    said = watch(policy_of(str(room)), ends_well('unshare', '-m', 'sh', '-ec', script))
    assert said[str(elsewhere / 'tool')] == 'rule-0'  # the same files by another mount
    assert said[str(room / 'other')] == 'rule-0'      # other files by the same path
    assert {said[path] for path in said if not path.startswith(str(tmp_path))} == {None}


def test_types_of_file_systems(watch, room):
    script = 'mount -t tmpfs none %s && cp /bin/true %s/tool && %s/tool' % (room, room, room)
    said = watch(policy_of('tmpfs'), ends_well('unshare', '-m', 'sh', '-ec', script))
    assert said[str(room / 'tool')] == 'rule-0'
    assert [rule for path, rule in said.items() if path.endswith('/cp')] == [None]


def test_a_path_has_the_last_word_over_a_type(watch, room):
    script = 'mount -t tmpfs none %s && cp /bin/true %s/tool && %s/tool' % (room, room, room)
    said = watch(policy_of('tmpfs', allow=[str(room)]), ends_well('unshare', '-m', 'sh', '-ec', script))
    assert said[str(room / 'tool')] == 'rule-1'


def test_long_paths_keep_their_end(watch, room):
    path = str(room)
    for _depth in range(12):
        path += '/' + 'x' * 100
    os.makedirs(path)
    shutil.copy('/bin/true', path + '/tool')
    said = watch(policy_of(str(room)), ends_well(path + '/tool'))
    assert said == {'...' + (path + '/tool')[-252:]: 'rule-0'}


def test_what_lies_too_deep_to_be_judged_is_not_let_through(watch, room):
    deep = str(room) + '/d' * 80
    shallow = str(room) + '/d' * 40
    os.makedirs(deep)
    for directory in (deep, shallow):
        shutil.copy('/bin/true', directory + '/tool')
    said = watch(policy_of('/nowhere'), lambda: [ends_well(path + '/tool')() for path in (deep, shallow)] and None)
    assert said == {deep + '/tool': records.UNREADABLE['reason'], shallow + '/tool': None}


@pytest.mark.parametrize('path', (b'/', b'/a', b'/srv/den', b'/srv/denie', b'/srv/denied', b'/' + b'x' * 4000))
def test_the_hash_counts_every_byte(path):
    others = {path[:-1], path + b'a', b'/' + path, path[:-1] + b'\0', path + b'\0', b'\0' + path}
    assert paths.path_hash(path) not in {paths.path_hash(other) for other in others}
