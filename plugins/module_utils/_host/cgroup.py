# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Cgroups: where those of a guard are below the cgroup2 mount; making, listing, emptying and removing one."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import signal
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files, processes, systemd

PARENT = 'ebpf_guard'  # below the cgroup2 mount, or below the guard's service; one directory a guard
AGENT = '.agent'  # the end of the agent's, beside the guard's
MOUNTINFO = '/proc/self/mountinfo'


def mounts(mountinfo=MOUNTINFO):
    """(mount point, root within the file system, file system type) of each mount, as in proc(5)."""
    for fields in files.words(mountinfo):
        yield _unescape(fields[4]), _unescape(fields[3]), fields[fields.index('-') + 1]


def _unescape(path):
    for code, character in (('\\040', ' '), ('\\011', '\t'), ('\\012', '\n'), ('\\134', '\\')):
        path = path.replace(code, character)
    return path


def mount_point(mountinfo=MOUNTINFO):
    """Where the whole cgroup2 hierarchy is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid host."""
    parts = []
    for point, root, kind in mounts(mountinfo):
        if kind == 'cgroup2' and os.path.exists(os.path.join(point, 'cgroup.procs')):
            if root == '/':
                return point
            parts.append('%s is %s of it' % (point, root))
    if parts:
        raise GuardError('Only a part of cgroup2 is mounted here (%s), as in a container without a cgroup namespace. Bring the '
                         'guard up on the machine itself, or give the container a cgroup namespace of its own '
                         '(--cgroupns=private).' % ', '.join(parts))
    raise GuardError('This host has no cgroup2 mounted, and the guard needs it to tell the deployment from the rest '
                     'of the host. On a systemd host, boot with systemd.unified_cgroup_hierarchy=1.')


def check_writable():
    """Raises GuardError where no cgroup can be made here."""
    point = mount_point()
    if os.statvfs(point).f_flag & os.ST_RDONLY:
        raise GuardError('cgroup2 is read-only here (%s), and a guard is a cgroup of its own. A container has it so, and so has a '
                         'service with ProtectControlGroups=yes: bring the guard up on the machine itself, or take that '
                         'setting out of the service that runs the controller or sshd.' % point)


def path_of(name):
    return os.path.join(home(name), PARENT, name)


def home(name):
    """What the guard's cgroups are below: its service's, or all."""
    return mount_point() + systemd.cgroup_of(name)


def names():
    """The guards that have a deploy cgroup."""
    found = (os.path.basename(path) for path in glob.glob(path_of('*')))
    return {name for name in found if '.' not in name}  # else it is an agent's, or a file of the parent's


def existing(name):
    """The path of a cgroup that is there, from its name below the mount."""
    if any(part in ('', '.', '..') for part in name.rstrip('/').split('/')):
        raise GuardError("cgroup: '%s' is no name of a cgroup below %s. Write it as system.slice/nginx.service, without a "
                         '/ at the front and without . or .. in it. The root can not be guarded, because it is the whole '
                         'host.' % (name, mount_point()))
    path = os.path.join(mount_point(), name.rstrip('/'))
    if not os.path.exists(os.path.join(path, 'cgroup.procs')):
        raise GuardError('cgroup: there is no cgroup %s. /proc/PID/cgroup tells the name of a process that is in it, and '
                         'one of a service or a container is there while that runs.' % path)
    kind, frozen = _read(path, 'cgroup.type').strip(), 'frozen 1' in _read(path, 'cgroup.events')
    if kind != 'domain' or frozen:
        raise GuardError('cgroup: a guard can not prove itself in %s, because it is %s.'
                         % (path, 'frozen' if frozen else "of the type '%s'" % kind))
    return path


def overlap(one, other):
    """Is one of them the other, or below it?"""
    return os.path.commonpath((one, other)) in (one, other)


def _read(path, name):
    return files.text(os.path.join(path, name))


def relative(path):
    """The cgroup's name as /proc/PID/cgroup shows it."""
    return '/' + os.path.relpath(path, mount_point())


def make(path):
    usual = os.umask(0o022)  # a launcher looks into it, as any user
    try:
        for attempt in range(100):
            try:
                return os.makedirs(path, mode=0o755, exist_ok=True)
            except FileNotFoundError:  # the last guard but this one has removed the parent
                if attempt == 99:
                    raise
    finally:
        os.umask(usual)


def frozen(path):
    """The cgroup by which nothing in this one runs, itself or one above it; None where it is not frozen."""
    top = mount_point()
    while path not in (top, '/'):
        with contextlib.suppress(OSError):
            if _read(path, 'cgroup.freeze').strip() == '1':
                return path
        path = os.path.dirname(path)
    return None


def why_frozen(path):
    """What to say of such a cgroup."""
    return 'The cgroup %s is frozen, so nothing in it runs.' % path


def identity(path):
    """The kernel's id of the cgroup, as BPF links tell it; 0 where there is none."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def pids(path):
    """Every process in the cgroup or below it."""
    found = set()
    for directory, _below, _files in os.walk(path):
        try:
            with open(os.path.join(directory, 'cgroup.procs')) as lines:
                found.update(int(line) for line in lines)
        except OSError:
            continue  # removed in the meantime
    return sorted(found)


def enter(path, pid=0):
    """Move a process (0: this one) into the cgroup."""
    with open(os.path.join(path, 'cgroup.procs'), 'w') as procs:
        procs.write(str(pid))


def kill(found):
    """End these processes, but this one."""
    for pid in found - {os.getpid()}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def of(pid):
    """The name of the cgroup that a process is in, as relative() has it."""
    lines = files.text('/proc/%d/cgroup' % pid).split('\n')
    return next((line[len('0::'):] for line in lines if line.startswith('0::/')), '/')


def is_guarded(pid):
    """Is the process in the deploy cgroup of some guard?"""
    return '/%s/' % PARENT in of(pid)


def running(path):
    """[{pid, command}] of what is inside, the caller and what it runs in left out."""
    ourselves = set(processes.ancestors(os.getpid()))
    return [{'pid': pid, 'command': processes.command_of(pid)} for pid in pids(path) if pid not in ourselves]


def evict(path, kills=False):
    """Move every process out, and remove the cgroup: from then on nobody comes in. Returns what empty() does.

    `kills`: end them in place of that.
    """
    moved = {}

    def goes():
        if kills:
            kill(set(pids(path)))
        else:
            moved.update((one['pid'], one) for one in empty(path))  # somebody may have been on the way in
        return all(_goes(directory) for directory, _below, _files in os.walk(path, topdown=False))

    _until(goes, path)
    return list(moved.values())


def empty(path):
    """Move every process out, to the root of the hierarchy.

    Returns [{pid, command}] of what was still running, the caller and what it runs in left out.
    """
    moved = {}
    ourselves = set(processes.ancestors(os.getpid()))
    for _round in range(100):  # a process may fork while it is moved: its child is there in the next round
        left = pids(path)
        if not left:
            return [{'pid': pid, 'command': moved[pid]} for pid in sorted(set(moved) - ourselves)]
        for pid in left:
            moved.setdefault(pid, processes.command_of(pid))
            try:
                enter(mount_point(), pid)
            except OSError as error:
                if error.errno != errno.ESRCH:  # ended: fine
                    raise GuardError('Process %d (%s) could not be moved out of the cgroup %s: %s.'
                                     % (pid, moved[pid], path, error.strerror))
    raise GuardError('The cgroup %s does not become empty: processes there start others faster than they can be '
                     'moved out.' % path)


def remove(path):
    """Remove the empty cgroup and what is below it, then the collection's own parent where nothing else is in it."""
    remove_alone(path)
    parent = os.path.dirname(path)
    if parent != mount_point():
        with contextlib.suppress(OSError):  # another guard is in it, or it is gone
            os.rmdir(parent)


def remove_alone(path):
    """Remove the empty cgroup and what is below it."""
    for directory, _below, _files in os.walk(path, topdown=False):
        _remove_empty(directory)


def _remove_empty(directory):
    if not os.path.exists(directory):
        return  # on a file system that is read-only, the kernel would not say so
    _until(lambda: _goes(directory), directory)


def _until(goes, path):
    """A cgroup is busy for a moment after its last process has ended."""
    for _attempt in range(200):
        if goes():
            return
        time.sleep(0.02)
    raise GuardError('The cgroup %s could not be removed: %s.' % (path, os.strerror(errno.EBUSY)))


def _goes(directory):
    """Is this one gone? Not where it is busy."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise GuardError('The cgroup %s could not be removed: %s.' % (directory, error.strerror))
        return False
    return True
