# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deploy cgroup, in this machine's real hierarchy. Needs root."""

from __future__ import annotations

import os
import re
import subprocess
import time
import uuid

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup as cgroups
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import processes
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

REAL = cgroups.mount_point()  # what a mount table has to name, for it to be believed


@pytest.fixture
def cgroup():
    path = os.path.join(REAL, 'ebg-test-' + uuid.uuid4().hex[:12], 'guard')
    cgroups.make(path)
    yield path
    for pid in cgroups.pids(os.path.dirname(path)):
        os.kill(pid, 9)
    cgroups.remove(path)


def start(cgroup, command):
    return subprocess.Popen(['sh', '-c', command], preexec_fn=lambda: cgroups.enter(cgroup), stdout=subprocess.DEVNULL)


def cgroup_of(pid):
    with open('/proc/%d/cgroup' % pid) as lines:
        return next(line.strip()[3:] for line in lines if line.startswith('0::'))


# --- the mount table ---

def line(point, root='/', kind='cgroup2', options='shared:9 '):
    return '35 24 0:30 %s %s rw,nosuid %s- %s cgroup2 rw\n' % (root, point, options, kind)


@pytest.mark.parametrize('table', [
    line(REAL), line('/proc', kind='proc') + line(REAL), line(REAL, options=''),
    line(REAL, options='shared:1 master:2 '),
    line('/mnt', root='/ebpf_guard') + line(REAL), line('/sys/fs/cgroup', kind='cgroup') + line(REAL),
    line('/nowhere') + line(REAL), line(REAL) + line('/other')])
def test_the_mount_that_shows_the_whole_hierarchy(tmp_path, table):
    (tmp_path / 'mountinfo').write_text(table)
    assert cgroups.mount_point(str(tmp_path / 'mountinfo')) == REAL


@pytest.mark.parametrize('table', ['', line('/mnt', kind='tmpfs'), line('/nowhere', root='/part'), line(REAL, kind='cgroup')])
def test_a_host_without_cgroup2(tmp_path, table):
    (tmp_path / 'mountinfo').write_text(table)
    with pytest.raises(GuardError, match='no cgroup2 mounted.*unified_cgroup_hierarchy=1'):
        cgroups.mount_point(str(tmp_path / 'mountinfo'))


def test_a_container_that_sees_a_part_of_cgroup2(tmp_path):
    (tmp_path / 'mountinfo').write_text(line(REAL, root='/machine.slice/web.scope'))
    with pytest.raises(GuardError, match=re.escape('(%s is /machine.slice/web.scope of it), as in a container' % REAL)):
        cgroups.mount_point(str(tmp_path / 'mountinfo'))


@pytest.mark.parametrize('written, meant', [
    (r'/a\040b', '/a b'), (r'/a\011b', '/a\tb'), (r'/a\012b', '/a\nb'), (r'/a\134b', '/a\\b'),
    (r'/a\134040', r'/a\040')])
def test_names_in_the_mount_table(tmp_path, written, meant):
    (tmp_path / 'mountinfo').write_text(line(written, root=written))
    assert list(cgroups.mounts(str(tmp_path / 'mountinfo'))) == [(meant, meant, 'cgroup2')]


# --- one cgroup ---

def test_paths():
    assert cgroups.path_of('deploy') == REAL + '/ebpf_guard/deploy'
    assert cgroups.relative(REAL + '/ebpf_guard/deploy') == '/ebpf_guard/deploy'


def test_a_cgroup_that_is_there(cgroup):
    name = os.path.relpath(cgroup, REAL)
    assert cgroups.existing(name) == cgroups.existing(name + '/') == cgroup


@pytest.mark.parametrize('name, said', [
    ('', 'the whole host'), ('/', 'the whole host'), ('.', 'without . or ..'), ('a/../..', 'without . or ..'),
    ('a//b', 'no name of a cgroup'), (REAL, 'without a / at the front'), ('no/such', 'there is no cgroup'),
    ('cgroup.procs', 'there is no cgroup')])
def test_no_cgroup_that_could_be_guarded(name, said):
    with pytest.raises(GuardError, match=said):
        cgroups.existing(name)


@pytest.mark.parametrize('file, written, said', [('cgroup.freeze', '1', 'it is frozen'),
                                                 ('cgroup.type', 'threaded', "of the type 'threaded'")])
def test_a_cgroup_in_which_nothing_can_be_tried(cgroup, file, written, said):
    path = cgroup + '/below'
    cgroups.make(path)
    with open(os.path.join(path, file), 'w') as setting:
        setting.write(written)
    with pytest.raises(GuardError, match=said):
        cgroups.existing(os.path.relpath(path, REAL))


@pytest.mark.parametrize('one, other, yes', [('/a/b', '/a/b', True), ('/a/b', '/a', True), ('/a', '/a/b', True),
                                             ('/a/b', '/a/bc', False), ('/a/b', '/a/c', False)])
def test_overlaps(one, other, yes):
    assert cgroups.overlap(one, other) == yes


def test_a_cgroup_that_is_made_anew_is_another(cgroup):
    first = cgroups.identity(cgroup)
    cgroups.make(cgroup)
    assert cgroups.identity(cgroup) == first != 0
    os.rmdir(cgroup)
    assert cgroups.identity(cgroup) == 0
    cgroups.make(cgroup)
    assert cgroups.identity(cgroup) not in (0, first)


def test_processes_enter_and_are_listed_with_those_below(cgroup):
    cgroups.make(cgroup + '/below')
    running = [start(cgroup, 'exec sleep 60'), start(cgroup + '/below', 'exec sleep 61')]
    assert cgroups.pids(cgroup) == sorted(process.pid for process in running)
    assert cgroup_of(running[0].pid) == cgroups.relative(cgroup)
    assert cgroups.pids(cgroup + '/none') == []


def test_what_runs_is_moved_out_and_told(cgroup):
    cgroups.make(cgroup + '/below')
    running = [start(cgroup, 'exec sleep 60'), start(cgroup + '/below', 'exec sleep 61')]
    time.sleep(0.1)  # for the exec
    assert cgroups.empty(cgroup) == sorted(
        ({'pid': process.pid, 'command': 'sleep %d' % (60 + index)} for index, process in enumerate(running)),
        key=lambda told: told['pid'])
    assert cgroups.pids(cgroup) == [] and [process.poll() for process in running] == [None, None]
    assert {cgroup_of(process.pid) for process in running} == {'/'}
    for process in running:
        process.kill()
        process.wait()


def test_a_process_that_forks_all_the_time_is_moved_out(cgroup):
    forking = start(cgroup, 'while :; do sleep 0.001 & done')
    time.sleep(0.2)
    try:
        told = cgroups.empty(cgroup)
        assert forking.pid in [process['pid'] for process in told] and cgroups.pids(cgroup) == []
    finally:
        forking.kill()
        forking.wait()


def test_the_caller_is_moved_out_and_not_told(cgroup):
    child = os.fork()
    if not child:
        cgroups.enter(cgroup)
        os._exit(0 if cgroups.empty(cgroup) == [] and cgroup_of(os.getpid()) == '/' else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_ended_processes_do_not_hold_a_cgroup(cgroup):
    ended = start(cgroup, 'true')
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert cgroups.empty(cgroup) == []
    cgroups.remove(cgroup)
    assert not os.path.exists(os.path.dirname(cgroup))
    ended.wait()


def test_removal_takes_what_is_below_and_leaves_a_neighbour(cgroup):
    neighbour = os.path.join(os.path.dirname(cgroup), 'neighbour')
    for path in (cgroup + '/a/b', cgroup + '/c', neighbour):
        cgroups.make(path)
    cgroups.remove(cgroup)
    assert not os.path.exists(cgroup) and os.path.exists(neighbour)
    cgroups.remove(cgroup)  # what is gone is gone
    cgroups.remove(neighbour)
    assert not os.path.exists(os.path.dirname(cgroup))


def test_a_busy_cgroup_is_not_removed_in_silence(cgroup):
    busy = start(cgroup, 'exec sleep 60')
    with pytest.raises(GuardError, match='could not be removed: Device or resource busy'):
        cgroups.remove(cgroup)
    busy.kill()
    busy.wait()


def test_command_lines():
    process = subprocess.Popen(['sleep', '60'])
    time.sleep(0.1)
    assert processes.command_of(process.pid) == 'sleep 60'
    process.kill()
    process.wait()
    assert processes.command_of(process.pid) == ''
