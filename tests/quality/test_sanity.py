# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity, for the Python that runs the tests; and the oldest Python of targets, which is not here."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from ansible_test._internal import python_requirements

from lacking import Lack, skip
from tools import HOME, must, run

PIP = re.search("pip='([0-9.]+)'", Path(python_requirements.__file__).read_text()).group(1)
# a locale that no test of ours depends on, and what ansible-test says before it says its warnings again
HARMLESS = ('Using locale ', 'Reviewing previous ')


@pytest.fixture(scope='module')
def sanity(tree):
    """What ansible-test said, and its exit status. The environments that it makes are kept for the next time."""
    cache = HOME / '.ansible' / 'test' / 'cache'
    must('pip', 'download', '--quiet', '--no-deps', '--dest', cache, 'pip==' + PIP)
    shutil.copy(Path(__file__).with_name('get_pip.py'), cache / ('get_pip_%s.py' % PIP.replace('.', '_')))
    command = ('ansible-test', 'sanity', '--local', '--requirements', '--color', 'no',
               '--python', '%d.%d' % sys.version_info[:2])
    must(*command, '--prime-venvs', cwd=tree)  # on its own, because pip says so much
    return run(*command, cwd=tree)


def test_sanity_passes(sanity):
    said, status = sanity
    assert status == 0, said


def test_sanity_ran_whole(sanity):
    """ansible-test only warns when it misses a tool. That must not look like a test that passed."""
    warnings = re.findall('^WARNING: (.*)', sanity[0], re.MULTILINE)
    missing = sorted({warning for warning in warnings if not warning.startswith(HARMLESS)})
    if missing:
        skip(Lack.SANITY_TOOLS, ' '.join(missing))


def test_targets_need_no_newer_python_than_3_8(tree):
    must('vermin', '--no-tips', '--violations', '--target=3.8-', 'plugins/modules', 'plugins/module_utils', cwd=tree)


def test_every_ignored_finding_has_a_reason(tree):
    for ignored in (tree / 'tests' / 'sanity').glob('ignore-*.txt'):
        for line in ignored.read_text().splitlines():
            assert re.fullmatch(r'\S+ \S+ # \S.{20,}', line), '%s: %s' % (ignored.name, line)
