# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Where a guard lives on the target, and what it remembers of itself between two calls."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import command, files, privileges, systemd
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup as cgroups

BPFFS = '/sys/fs/bpf'
RUN = '/run/ebpf_guard'
LOG = '/var/log/ebpf_guard'
TOLD = {'guard': dict, 'denied': list, 'observed': list, 'counters': dict, 'entries': dict, 'faults': list, 'damages': list,
        'holders': list}  # what a last report has at least
TRIAL = '_trial'  # a guard that is taken down before its call ends; no user's begins with _


class Place:
    """The paths of one guard. Nothing is made by asking for them.

    `own` is the guard's own cgroup, `cgroup` the one that is guarded. An existing one is what `link` leads to.
    """

    def __init__(self, name):
        self.name = name
        self.own = cgroups.path_of(name)
        self.desk = self.own + cgroups.AGENT
        self.pins = os.path.join(BPFFS, 'ebpf_guard', name)
        self.run = os.path.join(RUN, name)
        self.link = os.path.join(self.run, 'cgroup')
        self.launcher = os.path.join(self.run, 'launcher')
        self.doors = os.path.join(self.run, 'join')
        self.state = os.path.join(self.run, 'state.json')
        self.last = os.path.join(self.run, 'last.json')
        self.compiled = os.path.join(self.run, 'compiled.json')
        self.log = os.path.join(LOG, name + '.jsonl')

    @property
    def cgroup(self):
        try:
            return os.readlink(self.link)
        except OSError:
            return self.own

    @property
    def is_buried(self):
        """Has the guard ended, and is its last report waiting for the run that used it (tombstone.py)?"""
        return os.path.exists(self.last) and not os.path.exists(self.state)

    def remains(self):
        """What of the guard exists on this host. A tombstone is no part of it."""
        paths = (self.own, self.desk, self.pins) if self.is_buried else (self.own, self.desk, self.pins, self.run)
        return [path for path in paths if os.path.exists(path)]

    def read(self):
        """The guard's memory; None where no guard was ever brought up completely."""
        try:
            with open(self.state) as content:
                state = json.load(content)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise GuardError("The memory of guard '%s', %s, is damaged (%s), so the guard has to be taken down "
                             '(state=absent).' % (self.name, self.state, error))
        if state.get('abi') != _abi.ABI_VERSION:
            raise GuardError("Guard '%s' was brought up by another version of this collection, which keeps its records "
                             'in another form, so the guard has to be taken down (state=absent).' % self.name)
        return state

    def write(self, state):
        _replace(self.state, json.dumps(state), 0o600)

    def read_last(self):
        """The last report of a guard that is buried here; None where none is."""
        if not self.is_buried:
            return None
        try:
            last = json.loads(files.content(self.last))
            if type(last['ended']['by']) is type(last['ended']['at']) is str and TOLD.items() <= {
                    key: type(value) for key, value in last.items()}.items():
                return last
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass
        raise GuardError("The last report of guard '%s', %s, is damaged. What the guard recorded is in the event log, %s."
                         % (self.name, self.last, self.log))

    def write_last(self, report):
        _replace(self.last, json.dumps(report), 0o600)

    def write_launcher(self, script):
        _replace(self.launcher, script, 0o755)

    def write_compiled(self, text):
        """What BCC has compiled, for the next exchange of rules."""
        _replace(self.compiled, text, 0o600)

    def make_cgroups(self):
        """The agent's, and the guard's own. No process may be above them, or no controller could be enabled for them."""
        home = cgroups.home(self.name)
        started = not os.path.exists(home)
        if started:
            systemd.start(self.name, os.path.basename(self.cgroup), lambda: cgroups.pids(home))
        cgroups.make(self.desk)
        cgroups.make(self.cgroup)
        for pid in cgroups.pids(home) if started else ():
            cgroups.enter(self.desk, pid)

    @contextlib.contextmanager
    def trial(self):
        """The cgroup for a process that tries the guard out. An existing one may be no place for processes."""
        if self.cgroup == self.own:
            yield self.own
            return
        cgroups.make(self._below)
        try:
            yield self._below
        finally:
            cgroups.remove_alone(self._below)

    @property
    def _below(self):
        return os.path.join(self.cgroup, 'ebpf_guard.' + self.name)

    def make_run(self, cgroup=None):
        """Make the run directory. The launcher must be executable, and many hosts mount /run noexec.

        `cgroup`: an existing one, to be guarded in place of the guard's own.
        """
        make_open(RUN)
        if os.statvfs(RUN).f_flag & os.ST_NOEXEC:
            command.run('mount', '-t', 'tmpfs', '-o', 'mode=755,size=16m,nosuid,nodev', 'ebpf_guard', RUN)
        make_open(self.run)
        if cgroup and self.cgroup != cgroup:
            os.symlink(cgroup, self.link)

    def make_pins(self):
        if not os.path.isdir(BPFFS):
            raise GuardError('This kernel has no %s: it is built without CONFIG_BPF_SYSCALL, which the guard needs.'
                             % BPFFS)
        if not any(point == BPFFS and kind == 'bpf' for point, _root, kind in cgroups.mounts()):
            command.run('mount', '-t', 'bpf', '-o', 'mode=700', 'bpf', BPFFS)
        os.makedirs(self.pins, mode=0o700, exist_ok=True)

    def remove_cgroups(self):
        """The empty ones. What is left in them is moved out before. An existing one stays, as it was."""
        if self.cgroup != self.own:
            cgroups.remove_alone(self._below)
        if systemd.cgroup_of(self.name) and os.path.exists(cgroups.home(self.name)):
            systemd.stop(self.name)
        cgroups.remove(self.desk)
        cgroups.remove(self.own)

    def remove_pins(self):
        """End what the pins hold in the kernel."""
        _remove_tree(self.pins)

    def remove_run(self, buries=False):
        """`buries`: the launcher and the last report stay."""
        if buries:
            stays = {os.path.basename(path) for path in (self.launcher, self.last)}
            for entry in sorted(set(os.listdir(self.run)) - stays):
                path = os.path.join(self.run, entry)
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    os.unlink(path)
            return
        _remove_tree(self.run)
        if os.path.isdir(RUN) and not os.listdir(RUN):
            command.run('umount', '-l', RUN)  # it was mounted for the launcher: else it went with its last guard
            os.rmdir(RUN)


def check():
    """Raises GuardError where this host, or what is seen of it here, has no room for a guard."""
    privileges.check()
    cgroups.check_writable()
    has_bpffs = any(point == BPFFS and kind == 'bpf' for point, _root, kind in cgroups.mounts())
    for path in (RUN if os.path.isdir(RUN) else os.path.dirname(RUN),) + (BPFFS,) * has_bpffs:
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            raise GuardError('%s is read-only here, and a guard keeps things there while it is up. Mount it writable; where '
                             'this is a container, or a service with ProtectSystem= or ReadOnlyPaths=, bring the guard up on '
                             'the machine itself, or take that setting out.' % path)


def make_open(path):
    """A directory that users find the launcher and their door by, whatever the umask of root is."""
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o755)


def _remove_tree(path):
    """Remove a directory of the guard's, and the collection's own parent where nothing else is in it."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def _replace(path, text, mode):
    """Write a whole file, or nothing of it."""
    draft = path + '.new'
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, 'w') as content:
        os.fchmod(descriptor, mode)
        content.write(text)
    os.rename(draft, path)


@contextlib.contextmanager
def lock():
    """One call at a time changes guards on this host. It locks a directory that is there anyway: nothing is left."""
    descriptor = os.open('/run', os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(descriptor, True)  # for command.run
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
