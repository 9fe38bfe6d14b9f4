# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who came in and who left, in the words of a report."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import moves


def leaving(pid, path, args=b'', time=10 ** 9):
    value = _abi.Leaving(time=time, args_length=len(args), comm=b'sudo')
    value.args[:len(args)], value.path[:len(path)] = args, path
    return _abi.Run(pid=pid), value


def test_entries_are_told_without_those_of_proofs():
    told = moves.entries(5, [3 * 10 ** 9, 10 ** 9, 2 * 10 ** 9], [[10 ** 9 - 5, 10 ** 9 + 5]], 1000.0004)
    assert told == {'count': 4, 'first': 1002.0, 'last': 1003.0, 'times': [1002.0, 1003.0]}
    assert moves.entries(0, [], [], 0) == {'count': 0, 'first': None, 'last': None, 'times': []}


def test_leavings_are_told_in_order_and_without_secrets():
    told = moves.leavings([leaving(8, b'/later', b'sh\0--password=x\0', 2 * 10 ** 9), leaving(7, b''),
                           leaving(9, b'/system.slice/ebpf_guard-b.service/ebpf_guard/b')], 100)
    assert [(one['pid'], one['cgroup']) for one in told] == [(7, None), (8, '/later')]
    assert told[0] == {'time': '1970-01-01T00:01:41.000Z', 'pid': 7, 'command': 'sudo', 'cgroup': None}
    assert told[1]['command'].startswith('sh --password=*')


def test_the_faults():
    one, = moves.leavings([leaving(7, b'/user.slice/user-1000.slice/session-c2.scope', b'/usr/bin/sudo\0-u\0plain\0secret\0')], 0)
    sentence, = moves.faults([one], 1)
    assert sentence.startswith('Process 7 (sudo) left the guard at 1970-01-01T00:00:01.000Z for /user.slice/')
    assert 'pam_systemd' in sentence and 'secret' not in sentence
    assert 'pam_systemd' not in moves.faults([dict(one, cgroup='/other')], 1)[0]
    assert moves.faults([], 0) == []
    assert moves.faults([], 2)[0].startswith('2 processes left')
    assert len(moves.faults([one] * 30, 40)) == moves.SHOWN + 1
    assert moves.faults([one] * 30, 40)[-1].startswith('30 more processes left')
