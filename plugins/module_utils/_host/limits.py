# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The policy's limits on the deploy cgroup: {memory: bytes, cpus: number, pids: number}, each optional.

A limit needs its controller in every cgroup from the mount down. Which of them a guard has enabled stands in a file,
and before it is done: so it can be undone also after a start that was killed.
"""

from __future__ import annotations

import contextlib
import glob
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files, locks
from ansible_collections.loopbreak.deploy.plugins.module_utils._host.cgroup import mount_point

CONTROLLERS = {'memory': 'memory', 'cpus': 'cpu', 'pids': 'pids'}
FILES = {'memory': 'memory.max', 'cpus': 'cpu.max', 'pids': 'pids.max'}
PERIOD = 100000  # microseconds, the kernel's own choice
NONE = {'memory': 'max', 'cpus': 'max %d' % PERIOD, 'pids': 'max'}
PAGE = os.sysconf('SC_PAGE_SIZE')
MEMO = 'controllers'  # in the run directory of a guard; a line for each: the controller and the cgroup


def impose(cgroup, run, limits):
    """These limits from now on, and no others, on a guard's own cgroup; `run`: the guard's run directory."""
    controllers = [CONTROLLERS[key] for key in limits]
    _check_available(controllers)
    with locks.shared():
        for directory in reversed(list(_above(cgroup))):
            _enable(run, directory, controllers)
    for key, name in FILES.items():
        path = os.path.join(cgroup, name)
        if key in limits or os.path.exists(path):  # also what an earlier policy said
            _write(path, _value(key, limits))
    swap = os.path.join(cgroup, 'memory.swap.max')
    if os.path.exists(swap):  # what has reached the limit must not go on in the host's swap
        _write(swap, '0' if 'memory' in limits else 'max')


def changes(cgroup, limits):
    """Which limits are not as they were set, as sentences: root can lift them, inside the guard as well."""
    for key in limits:
        path, wanted = os.path.join(cgroup, FILES[key]), _value(key, limits)
        if key == 'memory':
            wanted = str(int(wanted) // PAGE * PAGE)  # what the kernel makes of it
        found = ' '.join(_words(path))
        if found not in ('', wanted):
            yield 'The limit %s was changed from %s to %s.' % (path, wanted, found)


def reached(cgroup, limits):
    """How far the guard's processes came: for each limit what it is, and what the kernel counted."""
    events = {'memory': _flat(cgroup, 'memory.events'), 'pids': _flat(cgroup, 'pids.events')}
    found = {
        'memory': {'peak': _number(cgroup, 'memory.peak'), 'oom_kills': events['memory'].get('oom_kill')},
        'cpus': {'throttled': _flat(cgroup, 'cpu.stat').get('nr_throttled')},
        'pids': {'peak': _number(cgroup, 'pids.peak'), 'refused': events['pids'].get('max')},
    }
    return {key: dict(found[key], limit=limit) for key, limit in limits.items()}


def restore(run):
    """Disable what this guard has enabled, where nothing else uses it. Its own cgroups are gone by now."""
    memo = os.path.join(run, MEMO)
    with locks.shared():
        others = _noted(path for path in _memos(run) if path != memo)  # one that is coming up may not have set its limits yet
        for controller, directory in reversed(_remembered(memo)):
            if os.path.isdir(directory) and (controller, directory) not in others and not _in_use(directory, controller):
                with contextlib.suppress(OSError):  # somebody else has begun to use it
                    _put(os.path.join(directory, 'cgroup.subtree_control'), '-' + controller)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(memo)


def _value(key, limits):
    if key not in limits:
        return NONE[key]
    return '%d %d' % (limits[key] * PERIOD, PERIOD) if key == 'cpus' else str(limits[key])


def _above(cgroup):
    """Every cgroup above it, the nearest first, up to the root of the hierarchy."""
    top = mount_point()
    while cgroup != top:
        cgroup = os.path.dirname(cgroup)
        yield cgroup


def _check_available(controllers):
    top = mount_point()
    there = _words(os.path.join(top, 'cgroup.controllers'))
    for controller in controllers:
        if controller not in there:
            raise GuardError("The policy has limits, and this host's cgroup2 (%s) has no %s controller for them: %s. Or "
                             'take that limit out of the policy.' % (top, controller, _why_not(controller)))


def _why_not(controller, listing='/proc/cgroups'):
    """In words, and what to do about it."""
    subsystems = {}
    with contextlib.suppress(OSError):
        subsystems = {fields[0]: fields[1:] for fields in files.words(listing) if len(fields) == 4}
    if controller not in subsystems:
        return 'the kernel was built without it, or it is taken away from this container'
    hierarchy, _cgroups, enabled = subsystems[controller]
    if enabled == '0':
        return 'it is disabled on the kernel command line (cgroup_disable=%s). Take that out and boot' % controller
    if hierarchy != '0':
        return ('cgroup v1 has it. On a systemd host, boot with systemd.unified_cgroup_hierarchy=1; elsewhere do not mount '
                'cgroup v1')
    return 'it is taken away from this container'


def _enable(run, directory, controllers):
    control = os.path.join(directory, 'cgroup.subtree_control')
    enabled = _words(control)
    ours = _noted(_memos(run))
    for controller in controllers:
        if controller not in enabled or (controller, directory) in ours:  # the last guard that needs it disables it
            with open(os.path.join(run, MEMO), 'a') as memo:
                memo.write('%s %s\n' % (controller, directory))
        if controller not in enabled:
            _write(control, '+' + controller)


def _in_use(directory, controller):
    """Whether a cgroup below has a limit by it, or hands it on."""
    names = [FILES[key] for key, name in CONTROLLERS.items() if name == controller]
    defaults = [NONE[key] for key, name in CONTROLLERS.items() if name == controller]
    for below in glob.glob(os.path.join(glob.escape(directory), '*', '')):
        if controller in _words(os.path.join(below, 'cgroup.subtree_control')):
            return True
        for name, default in zip(names, defaults):
            if ' '.join(_words(os.path.join(below, name))) not in ('', default):
                return True
    return False


def _memos(run):
    return glob.glob(os.path.join(os.path.dirname(run), '*', MEMO))


def _noted(memos):
    return {line for path in memos for line in _remembered(path)}


def _remembered(path):
    """[(controller, cgroup)]. What is damaged was not written here, and nothing is done for it."""
    with contextlib.suppress(OSError):
        lines = [line.partition(' ') for line in files.text(path).split('\n')]
        return [(controller, cgroup) for controller, _blank, cgroup in lines
                if controller in CONTROLLERS.values() and (cgroup + '/').startswith(mount_point() + '/')
                and '\0' not in cgroup and '..' not in cgroup.split('/')]
    return []


def _words(path):
    with contextlib.suppress(OSError):
        return files.text(path).split()
    return []


def _number(cgroup, name):
    """None where the kernel does not count it (memory.peak came with Linux 5.19, pids.peak with 6.10), and for `max`."""
    words = _words(os.path.join(cgroup, name))
    return int(words[0]) if words and words[0].isdigit() else None


def _flat(cgroup, name):
    words = _words(os.path.join(cgroup, name))
    return dict(zip(words[::2], map(int, words[1::2])))


def _write(path, text):
    try:
        _put(path, text)
    except OSError as error:
        raise GuardError("The policy's limits can't be set on this host: %s could not be written to %s: %s."
                         % (text, path, error.strerror))


def _put(path, text):
    with open(path, 'w') as content:
        content.write(text)


def no_room(cgroup, needs):
    """Why a few more processes would hit the limits of a cgroup, as a sentence; None where there is room.

    `needs`: {memory: bytes, pids: number}. Memory that the kernel would give back, that of files, is no obstacle.
    """
    flat = _flat(cgroup, 'memory.stat')
    used = {'memory': (_number(cgroup, 'memory.current') or 0) - flat.get('active_file', 0) - flat.get('inactive_file', 0),
            'pids': _number(cgroup, 'pids.current') or 0}
    for key, need in needs.items():
        limit = _number(cgroup, FILES[key])
        if limit is not None and limit - used[key] < need:
            return 'Its cgroup has no room for that (%s is %d).' % (FILES[key], limit)
    return None
