# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-lint, and yamllint through it, over everything that the repository holds."""

from __future__ import annotations

from tools import must


def test_ansible_lint(tree):
    must('ansible-lint', '--offline', '--strict', '--profile', 'production', cwd=tree,
         ANSIBLE_COLLECTIONS_PATH=str(tree.parents[2]))
