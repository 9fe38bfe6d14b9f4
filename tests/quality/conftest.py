# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its tools want it: below ansible_collections/loopbreak/deploy, in a repository of its own."""

from __future__ import annotations

import shutil

import pytest

from tools import ROOT, WORK, must


@pytest.fixture(scope='session')
def tree():
    """A copy of what git lists: ansible-test refuses a symbolic link, and tests nothing that a repository ignores."""
    copy = WORK / 'tree' / 'ansible_collections' / 'loopbreak' / 'deploy'
    shutil.rmtree(copy, ignore_errors=True)
    for name in must('git', 'ls-files', '-co', '--exclude-standard', '-z').split('\0'):
        source = ROOT / name
        if name and (source.is_symlink() or source.exists()):  # git lists a deleted file until that is committed
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy / name, follow_symlinks=False)
    must('git', 'init', '--quiet', cwd=copy)
    return copy
