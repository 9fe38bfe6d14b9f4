# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guards for one test each, and none without root."""

from __future__ import annotations

import os

import pytest
from policies import RESOLVERS, policy_of
from workbench import Guard


def pytest_generate_tests(metafunc):
    """Each test of a module that names LOADERS is run with the programs of each of them."""
    loaders = getattr(metafunc.module, 'LOADERS', None)
    if loaders and 'guards' in metafunc.fixturenames:
        metafunc.parametrize('guards', loaders, indirect=True)


@pytest.fixture
def guards(request):
    """Makes guards, and takes them down after the test."""
    Guard.loader = getattr(request, 'param', 'libbpf')
    made = []

    def make(policy=None, attach=True, observe=False, heard=(), sizes=(), after=None, resolvers=RESOLVERS,
             host=(), **short_policy):
        made.append(Guard(policy or policy_of(**short_policy), observe, heard, sizes, after, resolvers, host))
        return made[-1].attach() if attach else made[-1]

    yield make
    for guard in made:
        guard.close()
    Guard.loader = 'libbpf'


@pytest.fixture(scope='session', autouse=True)
def as_root():
    if os.geteuid():
        pytest.fail('These tests load BPF programs: run them as root.')


@pytest.fixture(scope='module', autouse=True)
def closed():
    """What a module opens it closes: many hosts give a process no more than 1,024 descriptors."""
    before = len(os.listdir('/proc/self/fd'))
    yield
    assert len(os.listdir('/proc/self/fd')) <= before + 20, 'tests of this module leave descriptors open'
