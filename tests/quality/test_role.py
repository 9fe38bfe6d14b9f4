# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role says the same in its argument specs, its defaults, its README and the module's options."""

from __future__ import annotations

import re

import pytest
import yaml
from pages import part_of

from tools import ROOT

ROLE = ROOT / 'roles' / 'ebpf_guard'
ENTRY_POINTS = yaml.safe_load((ROLE / 'meta' / 'argument_specs.yml').read_text())['argument_specs']


@pytest.mark.parametrize('entry_point', sorted(ENTRY_POINTS))
def test_defaults_are_those_of_the_argument_specs(entry_point):
    defaults = yaml.safe_load((ROLE / 'defaults' / 'main.yml').read_text())
    specified = {name: option['default'] for name, option in ENTRY_POINTS[entry_point]['options'].items()
                 if 'default' in option}
    assert specified == {name: defaults[name] for name in specified}


@pytest.mark.parametrize('entry_point', sorted(ENTRY_POINTS))
def test_readme_lists_the_variables(entry_point):
    rows = re.findall(r'^\| `(ebpf_guard_\w+)` \| (.*?) \| (.*?) \| ', (ROLE / 'README.md').read_text(), re.MULTILINE)
    listed = {name for name, _default, where in rows if where == 'all' or entry_point in where.split(', ')}
    assert listed == set(ENTRY_POINTS[entry_point]['options'])


def test_readme_tells_the_defaults():
    rows = re.findall(r'^\| `(ebpf_guard_\w+)` \| `(.*?)` \| ', (ROLE / 'README.md').read_text(), re.MULTILINE)
    defaults = yaml.safe_load((ROLE / 'defaults' / 'main.yml').read_text())
    assert {name: yaml.safe_load(default) for name, default in rows} == defaults


def test_every_option_of_the_module_is_a_variable():
    options = yaml.safe_load(part_of(ROOT / 'plugins' / 'modules' / 'ebpf_guard.py', 'DOCUMENTATION'))['options']
    wanted = {*options, 'policy'} - {'state', 'policy_file'}  # a documentation fragment has the policy
    variables = {name[len('ebpf_guard_'):] for point in ENTRY_POINTS.values() for name in point['options']}
    assert variables - wanted == {'tasks', 'roles', 'install', 'cold'} and wanted <= variables
