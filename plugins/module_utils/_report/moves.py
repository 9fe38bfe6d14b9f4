# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Who came into the guard, and who left it for another cgroup, as users read it. Pure.

`began`, here and below: when CLOCK_MONOTONIC stood at zero, in seconds since the epoch.
"""

from __future__ import annotations

import datetime
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _secrets

SHOWN = 10  # leavings that faults tell, each in a sentence
SESSION = re.compile(r'/session-[^/]+\.scope\Z')
GUARDED = '/ebpf_guard/'  # in the path of a cgroup that belongs to some guard of this host


def entries(total, moments, spans, began):
    """{count, first, last, times}. `total`: how many came in. `moments`: those that the kernel kept, in any order.

    `spans`: [begin, end] of each time that a proof came in, which is counted in neither.
    """
    times = [round(began + moment / 1e9, 3) for moment in sorted(moments)
             if not any(begin <= moment <= end for begin, end in spans)]
    return {'count': total - len(spans), 'first': times[0] if times else None, 'last': times[-1] if times else None,
            'times': times}


def leavings(items, began):
    """[{time, pid, command, cgroup}] of those who left, from the entries of ebg_leavings, in the order of time.

    `cgroup` is None where the kernel did not say its path. What went into another guard is watched there.
    """
    found = []
    for key, value in sorted(items, key=lambda item: item[1].time):
        path = bytes(value.path).partition(b'\0')[0].decode('utf-8', 'backslashreplace')
        if GUARDED in path:
            continue
        moment = datetime.datetime.fromtimestamp(began + value.time / 1e9, datetime.timezone.utc)
        arguments = _secrets.arguments(bytes(value.args[:value.args_length]))
        command = _secrets.shown(arguments, value.args_length == _abi.ARGS) if any(arguments) else value.comm.decode(
            'utf-8', 'replace')
        found.append({'time': moment.isoformat(timespec='milliseconds').replace('+00:00', 'Z'), 'pid': key.pid,
                      'command': command, 'cgroup': path or None})
    return found


def faults(left, number):
    """The same as faults, a sentence or two each. `number`: how many left in all; not each has its details in `left`."""
    told = [_fault(one) for one in left[:SHOWN]]
    if number > len(told):
        told.append('%d %sprocesses left the guard for other cgroups, and what they did from then on was not watched.'
                    % (number - len(told), 'more ' if told else ''))
    return told


def _fault(one):
    """Names the program alone: its arguments may be those of a task with no_log."""
    where = one['cgroup'] or 'a cgroup in which it was born'
    sentence = 'Process %d (%s) left the guard at %s for %s, and what it did from then on was not watched.' % (
        one['pid'], one['command'].split(' ', 1)[0].rsplit('/', 1)[-1], one['time'], where)
    if SESSION.search(where):
        sentence += (' pam_systemd gave it a login session: take pam_systemd out of the PAM service of sudo or su on this '
                     'host, or become that user by become_user, and list the user in join_users.')
    return sentence
