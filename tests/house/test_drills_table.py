# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/drills.md has what was measured last of each tool in each outage."""

from __future__ import annotations

import re

import drills


def test_the_tables_of_the_docs_are_of_the_tools_that_are_tried():
    _before, *parts = re.split(r"^### (.*)\n", drills.PAGE.read_text().partition(drills.MARKERS[0])[2], flags=re.M)
    found = {title: re.findall(r"^\| ([^|]+) \| `", rows, re.M) for title, rows in zip(parts[::2], parts[1::2])}
    assert found == {outage.title: [tool.name for tool in drills.tools_of(outage)] for outage in drills.OUTAGES}, \
        "docs/drills.md is out of date. `make drills` writes its tables."
