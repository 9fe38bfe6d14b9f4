# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What developers of collections type, works here: ansible-test, with each supported ansible-core."""

from __future__ import annotations

import os

import cores
import pytest

from lacking import Lack, skip
from tools import must


def ansible_test(tree, core, *command):
    try:
        programs = cores.environment(core)
    except cores.CoreError as error:
        skip(Lack.CORE, str(error))
    version = must(programs / 'python', '-c', 'import sys; print("%d.%d" % sys.version_info[:2])').strip()
    must('ansible-test', *command, '--local', '--python', version, '--color', 'no', cwd=tree,
         PATH='%s:%s' % (programs, os.environ['PATH']))


@pytest.mark.parametrize('core', [pytest.param(core, marks=() if core == cores.NEWEST else pytest.mark.large)
                                  for core in cores.SUPPORTED])
def test_the_targets_of_ansible_test(tree, core):
    """On this machine itself, as root."""
    ansible_test(tree, core, 'integration')
