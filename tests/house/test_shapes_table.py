# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/shapes.md says what the tests of plays say."""

from __future__ import annotations

import shapes


def test_the_table_of_the_docs_is_what_the_tests_say():
    assert shapes.parts()[1] == shapes.rows(), "docs/shapes.md is out of date. `make shapes` writes it, once all tests in it pass."
