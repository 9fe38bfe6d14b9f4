# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks: one call at a time, whoever dies or hangs, and nothing is left."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import time

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import command, locks, processes

FORK = multiprocessing.get_context('fork')


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, 'DIRECTORY', str(tmp_path / 'locks'))
    return tmp_path / 'locks'


@pytest.fixture
def holder(directory):
    """A process that has the lock of a guard."""
    def hold():
        with locks.hold('deploy', 'present'):
            there.send(True)
            time.sleep(600)

    here, there = FORK.Pipe()
    process = FORK.Process(target=hold)
    process.start()
    here.recv()
    yield process
    process.kill()
    process.join()


def test_nothing_is_left_and_only_root_gets_there(directory):
    with locks.hold('deploy', 'present'), locks.hold('other', 'absent'), locks.shared():
        assert sorted(os.listdir(directory)) == ['.shared', 'deploy', 'other']
        assert {os.stat(path).st_mode & 0o77 for path in (directory, *directory.iterdir())} == {0}
    assert not directory.exists()


def test_who_waits_too_long_is_told_who_has_it(holder):
    with locks.hold('other', 'present', patience=0):
        pass
    told = r"Guard 'deploy' is being changed by process %d \(present\), since 20\S+Z\. .* end it \(kill %d\)\."
    with pytest.raises(locks.NotTaken, match=told % (holder.pid, holder.pid)):
        with locks.hold('deploy', 'absent', patience=0.1):
            pass
    os.kill(holder.pid, signal.SIGSTOP)
    while not processes.is_stopped(holder.pid):
        time.sleep(0.01)
    with pytest.raises(locks.NotTaken, match=r'is stopped: .*kill -CONT %d' % holder.pid):
        with locks.hold('deploy', 'absent', patience=0):
            pass


def test_the_dead_hold_nothing(holder, directory):
    holder.kill()
    holder.join()
    assert os.listdir(directory) == ['deploy']
    with locks.hold('other', 'present', patience=0):  # whoever comes next clears up
        pass
    assert not directory.exists()


def test_a_command_of_a_call_that_was_killed_has_its_lock(directory):
    def run():
        with locks.hold('deploy', 'present'):
            command.run('sh', '-c', 'echo $$ > %s; exec sleep 600' % pid)

    pid = directory.parent / 'pid'
    process = FORK.Process(target=run)
    process.start()
    while not (pid.exists() and pid.read_text().endswith('\n')):
        time.sleep(0.01)
    process.kill()
    process.join()
    with pytest.raises(locks.NotTaken, match=r'has ended, and what it had started has not: %s \(sleep 600\)'
                       % pid.read_text().strip()):
        with locks.hold('deploy', 'present', patience=0):
            pass
    os.kill(int(pid.read_text()), signal.SIGKILL)
    with locks.hold('deploy', 'present'):
        pass


def test_a_directory_that_is_removed_meanwhile(directory):
    """As a cleaner may do."""
    with locks.hold('deploy', 'present'):
        subprocess.run(['rm', '-r', directory], check=True)
        with locks.hold('deploy', 'absent', patience=0):
            assert os.listdir(directory) == ['deploy']
    assert not directory.exists()


@pytest.mark.parametrize('make', [lambda path: path.write_text(''), lambda path: path.symlink_to('/tmp'),
                                  lambda path: (path.mkdir(), path.chmod(0o777)), lambda path: (path.mkdir(), os.chown(path, 65534, 0))])
def test_a_place_that_is_not_roots_alone(directory, make):
    make(directory)
    with pytest.raises(locks.NotTaken, match=re.escape(str(directory)) + ' is no directory that root alone can write to'):
        with locks.hold('deploy', 'present'):
            pass


def test_many_at_once(directory):
    """Each adds one to a number that is read before and written after: two at a time would lose some."""
    def add():
        for _turn in range(20):
            with locks.hold('deploy', 'present'):
                found = int(number.read_text())
                time.sleep(0.001)
                number.write_text(str(found + 1))

    number = directory.parent / 'number'
    number.write_text('0')
    adding = [FORK.Process(target=add) for _process in range(6)]
    for process in adding:
        process.start()
    for process in adding:
        process.join()
    assert number.read_text() == '120' and not directory.exists()
