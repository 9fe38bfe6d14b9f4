# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/kernels.md have a column for each machine, and a row for all that is tried there."""

from __future__ import annotations

import matrix
import pytest

TABLES = (matrix.OF_KERNELS, "make kernels"), (matrix.OF_ARM64, "make kernels"), (matrix.OF_USERLANDS, "make matrix")


@pytest.mark.parametrize("table, by", TABLES, ids=("kernels", "arm64", "userlands"))
def test_the_table_of_the_docs_is_of_what_is_tried(table, by):
    stands = matrix.PAGE.read_text().partition(table.around[0])[2].partition(table.around[1])[0]
    rows = [line.strip("| ").split(" | ") for line in stands.splitlines() if line.startswith("| ")]
    assert rows and rows[0][1:] == list(table.machines) and [row[0] for row in rows[2:]] == matrix.titles(table), (
        f"docs/kernels.md is out of date. `{by}` writes its table.")
