# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leads out, and what a program asks besides. In the kernel: tests/bpf/test_ways.py."""

from __future__ import annotations

import os
import socket
import time

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import outward

SSH = 'ssh -S /tmp/ctl web1 true'


def record(path, command=SSH, **more):
    return dict({'kind': 'unix', 'rule': None, 'path': path, 'command': command}, **more)


def test_the_list_is_well_formed():
    paths, endings = [path for path, _who in outward.SOCKETS], [ending for ending, _who in outward.ENDINGS]
    assert len(set(paths)) == len(paths) and len(set(endings)) == len(endings)
    assert all(path.startswith('/') and len(path) < 108 for path in paths + list(outward.SPOOLS))
    assert all(ending.count('/') <= 1 and not ending.startswith('/') for ending in endings)  # the programs look at two parts
    assert all(len(program) < 16 for program in outward.PROGRAMS)


@pytest.fixture
def listener(tmp_path):
    path = str(tmp_path / 'ctl')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        yield path


def test_a_socket_from_before_the_guard(listener):
    made = os.stat(listener).st_ctime
    assert outward.leads_out(record(listener), (), made + 1)
    assert not outward.leads_out(record(listener), (), made - 1)  # who listens began inside
    assert not outward.leads_out(record(listener + '.gone'), (), made + 1)  # it was the first to come
    assert outward.leads_out(record(listener + '.gone', '/usr/bin/python3 x'), (), 0)
    assert outward.leads_out(record(listener, rule='mine'), (), 0)
    assert outward.leads_out(record(listener), (listener,), 0)


@pytest.mark.parametrize('name', ['agent.123', 's.Ab1.agent.Xy9', 's.Ab1.sshd.Xy9', 'agent.sock', 'ssh-agent', 'S.gpg-agent.ssh'])
def test_an_agent_signs_and_no_more(tmp_path, name):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / name))
        assert not outward.leads_out(record(str(tmp_path / name)), (), time.time() + 9)
        assert outward.leads_out(record(str(tmp_path / name), 'docker ps'), (), 0)


@pytest.mark.parametrize('name', ['cm-root@agent1:22', 'agents', 'ctl', '3f2a9c'])
def test_a_master_is_no_agent(tmp_path, name):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / name))
        assert outward.leads_out(record(str(tmp_path / name)), (), time.time() + 9)


@pytest.mark.parametrize('path', ['/run/docker.sock', '/run/user/1/bus', '/etc/passwd', 'clone3(2) into a cgroup', '@name'])
def test_what_is_known_is_told_whoever_asks(path):
    assert outward.leads_out(record(path), (), 0)
