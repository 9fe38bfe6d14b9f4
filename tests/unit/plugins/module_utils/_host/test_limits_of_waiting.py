# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call asks of the host may never answer: commands, file systems with a dead server, name services."""

from __future__ import annotations

import os
import pwd
import threading
import time

import pytest
from dead_server import dead

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import clock, command, file_servers, users


def test_a_command_that_does_not_end(monkeypatch):
    monkeypatch.setattr(command, 'PATIENCE', 1)
    with pytest.raises(command.TooLate, match='`sleep 600` did not end within 1 seconds, so it was killed'):
        command.run('sleep', '600')
    with pytest.raises(GuardError, match='`sh -c echo no; exit 3` failed: no'):
        command.run('sh', '-c', 'echo no; exit 3')


def test_a_file_system_whose_server_is_dead(tmp_path, monkeypatch):
    monkeypatch.setattr(file_servers, 'PATIENCE', 1)
    (tmp_path / 'there').write_text('')
    paths = [str(tmp_path / 'there'), str(tmp_path / 'dead' / 'file')]
    with dead(tmp_path / 'dead'):
        began = time.monotonic()
        found = file_servers.ask(lambda path: (os.stat(path).st_size, [os.open(path, os.O_RDONLY)]), paths)
        assert list(found) == paths[:1] and found[paths[0]][0] == 0 and time.monotonic() - began < 30
        [opened] = found[paths[0]][1]
        assert os.path.samestat(os.fstat(opened), os.stat(paths[0]))
        os.close(opened)


def _computes(path):
    while time.thread_time() < 1:
        pass
    return path, []


def _reads_a_slow_disk(path):
    for _block in range(100):
        time.sleep(0.01)
    return path, []


@pytest.mark.parametrize('question', [_computes, _reads_a_slow_disk])
def test_a_busy_host_is_no_dead_server(question, monkeypatch):
    """However long it takes: what is there must not be known by its path alone."""
    monkeypatch.setattr(file_servers, 'PATIENCE', 0.3)
    assert file_servers.ask(question, ['/srv']) == {'/srv': ('/srv', [])}
    monkeypatch.setattr(file_servers, 'LONGEST', 0.5)
    assert file_servers.ask(question, ['/srv']) == {}


def test_many_questions(tmp_path):
    paths = [str(tmp_path / str(number)) for number in range(300)]
    assert file_servers.ask(lambda path: (path, []), paths) == {path: (path, []) for path in paths}
    assert file_servers.ask(None, []) == {}


def test_a_name_service_that_does_not_answer(monkeypatch):
    silent = threading.Event()
    assert users.named('root').pw_uid == users.numbered(0).pw_uid == 0 and 0 in users.groups(users.numbered(0))
    assert users.named('no-such-user') is None
    monkeypatch.setattr(users, 'PATIENCE', 0.1)
    monkeypatch.setattr(pwd, 'getpwnam', lambda name: silent.wait())
    with pytest.raises(GuardError, match="did not tell who user 'deploy' is: a name service .* does not answer"):
        users.named('deploy')
    silent.set()


@pytest.mark.parametrize('by', [7 * 3600, -7 * 3600])
def test_a_clock_that_is_set(monkeypatch, by):
    """A moment stays where it was between what is recorded before and after it."""
    moment = clock.moment()
    first, recorded = clock.told(moment), time.clock_gettime(time.CLOCK_MONOTONIC) + 0.5
    assert clock.told(moment) == first
    monkeypatch.setattr(time, 'time', lambda real=time.time: real() + by)
    assert clock.told(moment) != first
    assert clock.wall(moment) == pytest.approx(moment[1] + by, abs=1)
    assert 0 < clock.zero(time.CLOCK_MONOTONIC) + recorded - clock.wall(moment) < 1
