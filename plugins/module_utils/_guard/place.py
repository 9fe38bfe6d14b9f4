# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Where a guard lives on the target, and what it remembers of itself between two calls."""

from __future__ import annotations

import contextlib
import json
import os
import shutil

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import memory, standby
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import command, files, labels, locks, privileges, systemd
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup as cgroups
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, memo, refusal

BPFFS = '/sys/fs/bpf'
RUN = '/run/ebpf_guard'
LOG = '/var/log/ebpf_guard'
TOLD = {'guard': dict, 'denied': list, 'observed': list, 'counters': dict, 'entries': dict, 'faults': list, 'damages': list,
        'holders': list}  # what a last report has at least
TRIAL = '_trial'  # a guard that is taken down before its call ends; no user's begins with _


class LostMemory(GuardError):
    """Nobody knows any more what was guarded, and for whom."""


class Place:
    """The paths of one guard. Nothing is made by asking for them.

    `own` is the guard's own cgroup, `cgroup` the one that is guarded. An existing one is what `link` leads to.
    """

    def __init__(self, name):
        self.name = name
        self.own = cgroups.path_of(name)
        self.desk = self.own + cgroups.AGENT
        self.bed = os.path.join(self.desk, 'service')  # of the process that sleeps: who is at the desk works
        self.pins = os.path.join(BPFFS, 'ebpf_guard', name)
        self.run = os.path.join(RUN, name)
        self.link = os.path.join(self.run, 'cgroup')
        self.launcher = os.path.join(self.run, 'launcher')
        self.doors = os.path.join(self.run, 'join')
        self.flag = os.path.join(self.run, 'stopped')  # why no further task starts
        self.state = os.path.join(self.run, 'state.json')
        self.last = os.path.join(self.run, 'last.json')
        self.compiled = os.path.join(self.run, 'compiled.json')
        self.agent = os.path.join(self.run, 'agent')  # root's alone: what the agent is started again from
        self.code = os.path.join(self.agent, 'code.zip')
        self.notes = os.path.join(self.agent, 'notes.json')
        self.serving = os.path.join(self.agent, standby.SERVING)
        self.waiting = os.path.join(self.agent, standby.WAITING)
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
        return os.path.isfile(self.last) and not os.path.exists(self.state)

    def lock(self, doing, patience=None):
        """One call at a time changes a guard. No other guard waits for it."""
        return locks.hold(self.name, doing, patience)

    @property
    def has_launcher(self):
        return os.path.isfile(self.launcher) and os.access(self.launcher, os.X_OK)

    def remains(self):
        """What of the guard exists on this host. A tombstone is no part of it."""
        paths = (self.own, self.desk, self.pins) if self.is_buried else (self.own, self.desk, self.pins, self.run)
        return [path for path in paths if os.path.lexists(path)]

    def read(self):
        """The guard's memory; None where no guard was ever brought up completely. Where the file is lost, from its copy in
        the kernel: then `found` says so.
        """
        try:
            return memory.unsealed(files.content(self.state))
        except FileNotFoundError:
            fault = None
        except (OSError, ValueError) as error:
            fault = error
        with contextlib.suppress(GuardError, TypeError, ValueError):  # no libbpf, no copy, or a damaged one
            state = memory.unsealed(memo.kept(bpf.kernel(), self.pins))
            return dict(state, **{memory.FOUND: "The memory of guard '%s', %s, was %s. It was read from its copy in the kernel."
                                  % (self.name, self.state, 'damaged (%s)' % fault if fault else 'removed')})
        if isinstance(fault, memory.OtherVersion):
            raise GuardError("Guard '%s' was brought up by another version of this collection, which keeps its records "
                             'in another form, so the guard has to be taken down (state=absent).' % self.name)
        if fault:
            raise LostMemory("The memory of guard '%s', %s, is damaged (%s), so the guard has to be taken down "
                             '(state=absent).' % (self.name, self.state, fault))
        return None

    def write(self, state):
        text = memory.sealed(state)
        _replace(self.state, text, 0o600)
        with contextlib.suppress(GuardError, OSError):  # the pins are gone, or can't be written: health tells
            memo.keep(bpf.kernel(), self.pins, text)

    def read_last(self):
        """The last report of a guard that has ended, or is about to; None where there is none, or none that is whole."""
        try:
            last = json.loads(files.content(self.last))
            if type(last['ended']['by']) is type(last['ended']['at']) is str and TOLD.items() <= {
                    key: type(value) for key, value in last.items()}.items():
                return last
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass
        return None

    def write_last(self, report):
        _replace(self.last, json.dumps(report), 0o600)

    def write_launcher(self, script):
        _replace(self.launcher, script, 0o755, labels.EXECUTED)

    def close(self):
        """Nobody finds the way in any more. Who does not see the launcher change finds none."""
        remove(self.launcher)
        remove(self.doors)

    def raise_flag(self, text):
        _replace(self.flag, text, 0o644, labels.READ)

    def lower_flag(self):
        remove(self.flag)

    @property
    def is_stopped(self):
        return os.path.exists(self.flag)

    def write_compiled(self, text):
        """What BCC has compiled, for the next exchange of rules."""
        _replace(self.compiled, text, 0o600)

    def write_code(self, content):
        """What the agent runs, for the time when it has to be started again."""
        _replace(self.code, content, 0o600)

    def write_notes(self, text):
        _replace(self.notes, text, 0o600)

    def make_cgroups(self):
        """The agent's, and the guard's own. No process may be above them, or no controller could be enabled for them."""
        home = cgroups.home(self.name)
        started = not os.path.exists(home)
        if started:
            systemd.start(self.name, os.path.basename(self.cgroup), lambda: cgroups.pids(home))
        cgroups.make(self.desk)
        cgroups.make(self.cgroup)
        for pid in cgroups.pids(home) if started else ():
            cgroups.make(self.bed)
            cgroups.enter(self.bed, pid)

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
        with locks.shared():
            self.refuse_overlap(cgroup or self.own)  # another guard may have come up since the call began
            make_open(RUN)
            if os.statvfs(RUN).f_flag & os.ST_NOEXEC:
                command.run('mount', '-t', 'tmpfs', '-o', 'mode=755,size=16m,nosuid,nodev', 'ebpf_guard', RUN)
            make_open(self.run)
            os.makedirs(self.agent, mode=0o700, exist_ok=True)
            if cgroup and self.cgroup != cgroup:
                remove(self.link)
                os.symlink(cgroup, self.link)

    def refuse_overlap(self, wanted):
        """No process is in two guards: the programs of both would want its sockets. A guard is there with its run directory."""
        for name in {*names(), self.name}:
            other = Place(name)
            for taken in {other.own, other.cgroup} - ({wanted} if name == self.name else set()):
                if cgroups.overlap(taken, wanted):
                    raise GuardError("The cgroup %s can't be guarded, because %s is that of guard '%s' or of its agent, and "
                                     'no process can be in two guards.' % (wanted, taken, name))

    def make_pins(self):
        if not os.path.isdir(BPFFS):
            raise GuardError('This kernel has no %s: it is built without CONFIG_BPF_SYSCALL, which the guard needs.'
                             % BPFFS)
        with locks.shared():
            if not has_bpffs():
                command.run('mount', '-t', 'bpf', '-o', 'mode=700', 'bpf', BPFFS)
            os.makedirs(self.pins, mode=0o700, exist_ok=True)

    def remove_cgroups(self):
        """The empty ones. What is left in them is moved out before. An existing one stays, as it was."""
        if self.cgroup != self.own:
            cgroups.remove_alone(self._below)
        home = cgroups.home(self.name)
        if systemd.cgroup_of(self.name) and os.path.exists(home):
            try:
                systemd.stop(self.name)
            except command.TooLate:  # the service is one process that sleeps: without it, systemd has nothing to stop
                cgroups.kill(set(cgroups.pids(home)) - set(cgroups.pids(self.own)))
                cgroups.remove_alone(home)
        cgroups.remove(self.desk)
        cgroups.remove(self.own)

    def remove_pins(self):
        """End what the pins hold in the kernel."""
        _remove_tree(self.pins)

    def remove_run(self, buries=False):
        """`buries`: the launcher and the last report stay. Else they go last: who is killed here has not lost the report."""
        stays = {os.path.basename(path) for path in (self.launcher, self.last)}
        if os.path.isdir(self.run) and not os.path.islink(self.run):
            for entry in sorted(set(os.listdir(self.run)) - stays):
                remove(os.path.join(self.run, entry))
        if buries:
            return
        remove(self.launcher)
        _remove_tree(self.run)
        with locks.shared():
            if os.path.isdir(RUN) and not os.listdir(RUN):
                command.run('umount', '-l', RUN)  # it was mounted for the launcher: else it went with its last guard
                os.rmdir(RUN)


def check():
    """Raises GuardError where this host, or what is seen of it here, has no room for a guard."""
    privileges.check()
    refusal.check()
    cgroups.check_writable()
    for path in (RUN if os.path.isdir(RUN) else os.path.dirname(RUN),) + (BPFFS,) * has_bpffs():
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            raise GuardError('%s is read-only here, and a guard keeps things there while it is up. Mount it writable; where '
                             'this is a container, or a service with ProtectSystem= or ReadOnlyPaths=, bring the guard up on '
                             'the machine itself, or take that setting out.' % path)


def names():
    """The guards of this host, whole or not, also those that are no more than a tombstone; not the doctor's."""
    found = cgroups.names()
    for directory in (RUN, os.path.join(BPFFS, 'ebpf_guard')):
        with contextlib.suppress(OSError):
            found.update(entry for entry in os.listdir(directory) if os.path.isdir(os.path.join(directory, entry)))
    return found - {TRIAL}


def has_bpffs():
    return any(point == BPFFS and kind == 'bpf' for point, _root, kind in cgroups.mounts())


def make_open(path):
    """A directory that users find the launcher and their door by, whatever the umask of root is."""
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
        os.unlink(path)
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o755)


def remove(path):
    """Whatever it is, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)


def _remove_tree(path):
    """Remove a directory of the guard's, and the collection's own parent where nothing else is in it."""
    remove(path)
    with locks.shared(), contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def _replace(path, text, mode, label=None):
    """Write a whole file, or nothing of it. It survives a loss of power where its file system does. `label`: as in labels.py."""
    draft = path + '.new'
    for other in (draft, path):
        if os.path.isdir(other) and not os.path.islink(other):
            remove(other)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, 'w' if isinstance(text, str) else 'wb') as content:
        os.fchmod(descriptor, mode)
        content.write(text)
        content.flush()
        os.fsync(descriptor)
    if label:
        labels.give(draft, label)
    os.rename(draft, path)
