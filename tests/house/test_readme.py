# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README.md has the sections that certified collections have, and stays short."""

from __future__ import annotations

import re

from import_graph import ROOT

README = (ROOT / "README.md").read_text()
SECTIONS = ["Description", "What do you want to do?", "Requirements", "Installation", "Use cases", "Testing", "Support",
            "Release notes and roadmap", "Related information", "License information"]


def test_the_sections_are_those_of_certified_collections():
    assert re.findall("^## (.*)", README, re.MULTILINE) == SECTIONS


def test_it_is_short():
    assert len(re.findall(r"\S*\w\S*", README)) <= 1200
