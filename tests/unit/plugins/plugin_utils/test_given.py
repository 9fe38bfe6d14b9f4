# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a play gives to the role. Whole plays are in tests/integration/test_bad_input.py."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _given
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._tasks import OURS

ROOT = Path(__file__).resolve().parents[4]
ROLE = SimpleNamespace(get_name=lambda: OURS)
DEFAULTS = {name: default for name, default in _given.OPTIONS.items() if default is not _given._NONE}


def told(**variables):
    """The warning about the variables of a `start`."""
    task = SimpleNamespace(_role=ROLE, _parent=None)
    named = {'ebpf_guard_' + name: value for name, value in variables.items()}
    return _given.check(task, {**DEFAULTS, 'ebpf_guard_by': 'start', **named}, None, lambda value: value)


@pytest.mark.parametrize('name, meant', [('taks', 'tasks'), ('task', 'tasks'), ('failon_denied', 'fail_on_denied'), ('polcy', 'policy'),
                                         ('tll', 'ttl'), ('nam', 'name'), ('observed', 'observe'), ('modus', 'mode')])
def test_a_variable_that_is_like_one_of_the_roles(name, meant):
    with pytest.raises(GuardError, match=f'^ebpf_guard_{name} is no variable of the role {OURS}. Did you mean ebpf_guard_{meant}'):
        told(**{name: 'x'})


@pytest.mark.parametrize('variables', [
    {'policies': {'a': 'a.yml'}, 'policy': '{{ ebpf_guard_policies.a }}'}, {'names': ['a'], 'name': 'a'}, {'enabled': True}])
def test_a_variable_of_somebody_elses_is_a_warning(variables):
    assert told(**variables).startswith(f"ebpf_guard_{list(variables)[0]} says nothing to the role")


def test_what_is_no_mistake():
    task = {'changed': False, 'failed': False}
    assert not told(policy='a.yml', tasks='b.yml', modes=task, require=['dns'])
    assert _given.check(SimpleNamespace(_role=None, _parent=None), {'ebpf_guard_taks': 1}, None, None) is None


def test_every_variable_of_the_collection_is_known():
    """What the role and the playbooks read and write, in their files."""
    files = [*(ROOT / 'roles/ebpf_guard').rglob('*.yml'), *(ROOT / 'playbooks').glob('*.yml')]
    used = set().union(*(re.findall(r'\bebpf_guard_[a-z_]+\b', path.read_text()) for path in files))
    assert used == set(_given.OPTIONS) | _given.OTHERS
