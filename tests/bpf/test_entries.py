# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who comes in is counted, with the moment; who leaves for another cgroup is noted, unless something of it comes back."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time

import pytest
from workbench import PATIENCE

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import moves

LOADERS = ('libbpf', 'bcc')
BORN_CODE = """
import ctypes, os, sys
arguments = (ctypes.c_uint64 * 11)()  # struct clone_args
arguments[0], arguments[4], arguments[10] = 0x200000000, 17, os.open(sys.argv[1], os.O_RDONLY)  # CLONE_INTO_CGROUP, SIGCHLD
child = ctypes.CDLL(None).syscall(435, arguments, ctypes.c_size_t(ctypes.sizeof(arguments)))
if not child:
    os._exit(0)
os.waitpid(child, 0)
"""

IN, OUT = 'echo $$ > %(guard)s/cgroup.procs', 'echo $$ > %(other)s/cgroup.procs'
PROCS, THREADS = '%(guard)s/cgroup.procs', '%(guard)s/below/cgroup.threads'
BORN = sys.executable + ' -c "$BORN"'  # DIRECTORY: a child is born there, by clone3(2), and waited for

# name, a shell script, how many come in, how many leave and nothing of them comes back
MOVES = [
    ('nobody', ':', 0, 0),
    ('one', IN, 1, 0),
    ('twice the same', IN + '; ' + IN, 1, 0),
    ('deeper, and up again', IN + '; echo $$ > %(guard)s/below/cgroup.procs; ' + IN, 1, 0),
    ('what it starts', IN + '; sh -c "true; true"; (true)', 1, 0),
    ('past it', OUT, 0, 0),
    ('in and out', IN + '; ' + OUT, 1, 1),
    ('out, and further', IN + '; ' + OUT + '; echo $$ > %(top)s/cgroup.procs', 1, 1),
    ('out, and in again', IN + '; ' + OUT + '; ' + IN, 2, 0),
    ('another program leaves', IN + '; exec sh -c "' + OUT + '"', 1, 1),
    ('a child leaves', IN + '; sh -c "' + OUT.replace('$$', '\\$\\$') + '"', 1, 1),
    ('a copy leaves', IN + '; (read pid rest < /proc/self/stat; echo $pid > %(other)s/cgroup.procs; :)', 1, 1),
    ('sent out by another', IN + '; sleep 60 & echo $! > %(other)s/cgroup.procs; kill $!', 1, 1),
    ('sent in by another', 'sleep 60 & echo $! > ' + PROCS + '; kill $!', 1, 0),
    ('what it starts comes back', IN + '; sh -c "' + (OUT + '; sh -c \'' + IN.replace('$$', '\\$\\$') + '\'; true').replace(
        '$$ > %(other)s', '\\$\\$ > %(other)s') + '"', 2, 0),
    ('born inside', BORN + ' %(guard)s', 1, 0),
    ('born below', BORN + ' %(guard)s/below', 1, 0),
    ('born outside', IN + '; ' + BORN + ' %(other)s', 1, 1),
]


@pytest.fixture
def moved(guards):
    """Runs a script beside a guard, and gives the guard and the directories it has."""
    made = []

    def run(script, guard=None):
        guard = guard or guards(deny=[])
        places = {'guard': guard.cgroup, 'top': cgroup.mount_point(), 'other': guard.cgroup + '-other'}
        made.append(places['other'])
        for path in (places['other'], guard.cgroup + '/below'):
            cgroup.make(path)
        subprocess.run(['sh', '-c', script % places], check=False, timeout=PATIENCE, stderr=subprocess.DEVNULL,
                       env=dict(os.environ, BORN=BORN_CODE))
        return guard, places
    yield run
    for path in made:
        cgroup.remove_alone(path)


def entered(guard):
    return guard.totals()[_abi.COUNTER_ENTERED]


def moments(guard):
    kept, = guard.kernel.values(guard.maps['ebg_entered'], 1, _abi.Entered)
    return [one.value for one in guard.kernel.values(guard.maps['ebg_entries'], kept.kept, ctypes.c_uint64)]


def leavings(guard):
    return list(guard.kernel.items(guard.maps['ebg_leavings'], _abi.Run, _abi.Leaving))


@pytest.mark.parametrize('script, comes, leaves', [row[1:] for row in MOVES], ids=[row[0] for row in MOVES])
def test_moves_are_counted(moved, script, comes, leaves):
    guard, _places = moved(script)
    assert (entered(guard), guard.counters()['left'], len(leavings(guard))) == (comes, leaves, leaves)


def test_what_is_told_of_a_leaving(moved):
    before = time.time()
    guard, places = moved(IN + '; exec sh -c "' + OUT + '; true --password hunter2"')
    one, = moves.leavings(leavings(guard), time.time() - time.clock_gettime(time.CLOCK_MONOTONIC))
    assert one['cgroup'] == cgroup.relative(places['other'])
    assert one['command'].startswith('sh -c echo') and 'hunter2' not in one['command']
    assert one['time'] >= time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(before))


def test_the_moments(moved):
    """Those that follow at once are told by the first one's."""
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    guard, places = moved('for turn in 1 2 3; do sh -c "echo \\$\\$ > %(guard)s/cgroup.procs"; done; sleep 0.05; ' + IN)
    kept = moments(guard)
    assert entered(guard) == 4 and 2 <= len(kept) <= 4
    assert began < kept[0] and kept[-1] < time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert all(later - earlier >= _abi.ENTRY_GAP for earlier, later in zip(kept, kept[1:]))


def test_two_generations_side_by_side_count_once(moved, guards):
    """As during an exchange: the ledger goes on, and the programs of both are there."""
    guard, places = moved(IN)
    other = guards(deny=[], after=guard, attach=False)
    other.kernel.update(other.object.map_fd('ebg_places'), ctypes.c_uint32(_abi.PLACE_GUARD),
                        ctypes.c_uint64(os.stat(guard.cgroup).st_ino))
    directory = os.open(guard.cgroup, os.O_RDONLY)
    other.kernel.update(other.object.map_fd('ebg_scope'), ctypes.c_uint32(0), ctypes.c_uint32(directory))
    os.close(directory)
    other.links = [other.kernel.attach_hook(other.object.program_fd(name), name, other.object.tracepoint(name))
                   for name in filter(programs.is_everywhere, programs.of_object(programs.GUARD))]
    moved(IN + '; ' + BORN + ' %(other)s; sh -c "' + OUT.replace('$$', '\\$\\$') + '"', guard)
    assert (entered(guard), guard.counters()['left'], len(leavings(guard))) == (2, 2, 2)


def test_the_agents_own_cgroup_is_no_leaving(moved):
    guard, places = moved(IN)
    guard.kernel.update(guard.object.map_fd('ebg_places'), ctypes.c_uint32(_abi.PLACE_DESK),
                        ctypes.c_uint64(os.stat(places['other']).st_ino))
    moved(IN + '; ' + OUT + '; echo $$ > %(top)s/cgroup.procs', guard)
    assert (entered(guard), guard.counters()['left']) == (2, 0)
