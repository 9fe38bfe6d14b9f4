# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the tests find what they import: helpers beside them, and what users get.

That is the built and installed artifact below build/, which `make` keeps fresh.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
COLLECTIONS = HERE.parent / 'build' / 'collections'

HELPERS = ('support', 'fleet', 'bpf', 'integration', 'vm', 'quality', 'house', 'life', 'drills')
DEBIAN = '/usr/lib/python3/dist-packages'

sys.path[:0] = [str(HERE / folder) for folder in HELPERS]
sys.path.append(str(COLLECTIONS))  # last: a PYTHONPATH that leads to a checkout goes first


def pytest_addoption(parser):
    parser.addoption('--core', metavar='VERSION', help='the ansible-core that runs the plays of the integration tests, as 2.17; all: each of them')


def pytest_configure(config):
    """Here, and not in pytest.ini, so that ansible-test knows them, too."""
    config.addinivalue_line('markers', 'libbpf: not with the BCC loader, where a module names LOADERS')
    config.addinivalue_line('markers', 'large: takes long, or needs what tests/large-packages.txt names; `make matrix` runs it')
    config.addinivalue_line('markers', 'cores: with the oldest and with the newest ansible-core; of most tests `make matrix` alone does so')
    config.addinivalue_line('markers', 'shape(what, holds): a shape of plays, and what holds for it, in a sentence each; a row of docs/shapes.md')


def _installed():
    try:
        return importlib.util.find_spec('ansible_collections.loopbreak.deploy.plugins') is not None
    except ModuleNotFoundError:
        return False


if not _installed():
    pytest.exit('There is no collection to test below %s. Run `make dist` first, or `make test`.' % COLLECTIONS, 4)


class Bcc:
    """Finds BCC's package, which is Debian's alone: not in the environment of the tests, to which nothing else is added."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.machinery.PathFinder.find_spec(name, [DEBIAN]) if name == 'bcc' else None


sys.meta_path.append(Bcc)
