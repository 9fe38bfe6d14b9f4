# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The floors of the house. An import goes down, never up and never sideways; one inside a function counts as well."""

from __future__ import annotations

from import_graph import between_rooms, circles, graph

WINGS = ['module_utils/_policy', 'module_utils/_kernel', 'module_utils/_report']
# each room, and what it may import from
BELOW = {
    'ground': [],
    'module_utils/_host': ['ground'],
    **{wing: ['module_utils/_host', 'ground'] for wing in WINGS},
    'module_utils/_guard': [*WINGS, 'module_utils/_host', 'ground'],
    'plugin_utils/_report': ['module_utils/_policy', 'module_utils/_report', 'ground'],
    'plugin_utils': ['plugin_utils/_report', 'module_utils/_policy', 'module_utils/_report', 'ground'],
    'entry points': ['plugin_utils', 'plugin_utils/_report', 'module_utils/_guard', *WINGS, 'module_utils/_host', 'ground'],
}


def test_imports_go_down():
    wrong = {room: others - set(BELOW[room]) for room, others in between_rooms(graph()).items()}
    assert not {room: others for room, others in wrong.items() if others}


def test_no_files_import_each_other():
    assert not circles(graph())
