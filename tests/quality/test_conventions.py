# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What developers of collections type, works here: ansible-test, with each supported ansible-core."""

from __future__ import annotations

import os
import re

import cores
import pytest
import yaml

from lacking import Lack, skip
from tools import must


def ansible_test(tree, core, *command):
    try:
        programs = cores.environment(core)
    except cores.CoreError as error:
        skip(Lack.CORE, str(error))
    version = must(programs / 'python', '-c', 'import sys; print("%d.%d" % sys.version_info[:2])').strip()
    return must('ansible-test', *command, '--local', '--python', version, '--color', 'no', cwd=tree,
                PATH='%s:%s' % (programs, os.environ['PATH']))


@pytest.mark.parametrize('core', [pytest.param(core, marks=() if core == cores.NEWEST else pytest.mark.large)
                                  for core in cores.SUPPORTED])
def test_the_targets_of_ansible_test(tree, core):
    """On this machine itself, as root."""
    ansible_test(tree, core, 'integration')


@pytest.mark.large
@pytest.mark.parametrize('core', cores.SUPPORTED)
def test_the_units_of_ansible_test(tree, core):
    said = ansible_test(tree, core, 'units', '--requirements')
    parts = re.findall(r'^Unit test (\w+) with.*\n(?:.*\n)*?=+ \d+ passed in', said, re.MULTILINE)
    assert parts == ['module_utils', 'controller'], said  # each whole, nothing skipped


def test_a_workflow_has_a_job_for_each(tree):
    [job] = yaml.safe_load((tree / '.github/workflows/cores.yml').read_text())['jobs'].values()
    assert job['strategy']['matrix']['core'] == list(cores.SUPPORTED)
