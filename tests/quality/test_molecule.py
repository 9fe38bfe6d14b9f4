# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The molecule scenarios: the installed role on hosts that molecule creates, verifies and destroys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import fleet_registry
import pytest
from fleet import Fleet
from tools import ROOT

PATIENCE = 300  # seconds; it takes about 15 on an idle machine


@pytest.fixture
def home():
    """Everything that molecule and Ansible keep. A short path, because ssh makes its sockets below it."""
    with tempfile.TemporaryDirectory(prefix='molecule-') as directory:
        yield Path(directory)
        Fleet('molecule').down()  # it is up only where molecule was cut off


@pytest.mark.timeout(PATIENCE + 60)
@pytest.mark.parametrize('scenario', ['default', 'bcc'])
def test_molecule(home, scenario):
    said = home / 'output'
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('ANSIBLE_', 'MOLECULE_', 'XDG_', 'MAKE'))}
    environment.update(HOME=str(home), MOLECULE_EPHEMERAL_DIRECTORY=str(home / 'scenario'), NO_COLOR='1',
                       PATH='%s:%s' % (Path(sys.executable).parent, os.environ['PATH']))
    with said.open('w') as output:
        process = subprocess.Popen(['molecule', 'test', '--scenario-name', scenario], cwd=ROOT, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   start_new_session=True)
    try:
        status = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail('molecule has not ended within %d s:\n%s' % (PATIENCE, said.read_text()))
    assert status == 0, said.read_text()
    assert not fleet_registry.read_state('molecule'), 'its hosts are still up:\n' + said.read_text()
