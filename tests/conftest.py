# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tested is the built and installed artifact below build/, which `make` keeps fresh: what users get."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
COLLECTIONS = HERE.parent / 'build' / 'collections'

sys.path.insert(0, str(HERE / 'support'))
sys.path.append(str(COLLECTIONS))  # last: a PYTHONPATH that leads to a checkout goes first


def _installed():
    try:
        return importlib.util.find_spec('ansible_collections.loopbreak.deploy.plugins') is not None
    except ModuleNotFoundError:
        return False


if not _installed():
    pytest.exit('There is no collection to test below %s. Run `make dist` first, or `make test`.' % COLLECTIONS, 4)


def pytest_configure(config):
    config.addinivalue_line('markers', 'libbpf: not with the BCC loader, where a module names LOADERS')
