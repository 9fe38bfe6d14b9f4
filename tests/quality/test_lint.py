# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-lint, and yamllint through it, over everything that the repository holds; and whose each file is."""

from __future__ import annotations

import pytest

from tools import must


def test_ansible_lint(tree):
    must('ansible-lint', '--offline', '--strict', '--profile', 'production', cwd=tree,
         ANSIBLE_COLLECTIONS_PATH=str(tree.parents[2]))


def test_every_file_says_whose_it_is(tree):
    """By itself, by a file beside it, or in REUSE.toml."""
    must('reuse', '--root', tree, 'lint')


@pytest.mark.parametrize('schema, files', [
    ('github-workflows', '.github/workflows/*.yml'), ('github-issue-forms', '.github/ISSUE_TEMPLATE/[!c]*.yml'),
    ('github-issue-config', '.github/ISSUE_TEMPLATE/config.yml')])
def test_what_github_reads_has_the_keys_that_it_knows(tree, schema, files):
    found = sorted(tree.glob(files))
    assert found
    must('check-jsonschema', '--builtin-schema', f'vendor.{schema}', *found)


def test_the_unit_tests_have_the_versions_of_all_tests(tree):
    of_all, of_unit = (set((tree / path).read_text().splitlines()) for path in ('tests/requirements.txt', 'tests/unit/requirements.txt'))
    assert {line for line in of_unit if not line.startswith('#')} <= of_all
