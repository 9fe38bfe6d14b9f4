# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of noxfile.py, each with the newest tools that there are."""

from __future__ import annotations

import sys

import pytest

from tools import WORK, must


@pytest.mark.large
def test_nox():
    """In an environment of its own: what nox needs, other tools need in another version."""
    environment = WORK / 'nox'
    must(sys.executable, '-m', 'venv', '--clear', environment)
    must(environment / 'bin/pip', 'install', '--quiet', 'nox', 'antsibull-nox')
    said = must(environment / 'bin/nox')
    assert said.count(': success') == 3, said
