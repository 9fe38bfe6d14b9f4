# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ansible-doc` answers. That samples are true to what comes is tested in tests/integration/test_lifecycle.py."""

from __future__ import annotations

import re

import pages
import pytest
import yaml

from ansible_collections.loopbreak.deploy.plugins.doc_fragments import policy
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import check, rule
from tools import ROOT, must

RETURNED = pages.returned()


def fields(described, path=()):
    for name, field in described.items():
        yield (*path, name), field
        yield from fields(field.get('contains', {}), (*path, name))


@pytest.mark.parametrize('module', RETURNED)
def test_every_field_has_a_sample_of_its_type(module):
    for path, field in fields(RETURNED[module]):
        if 'contains' in field and 'sample' not in field:
            continue  # its fields have some
        sample = field.get('sample')
        assert isinstance(sample, pages.TYPES[field['type']]) and not (field['type'] == 'int' and isinstance(sample, bool)), path
        assert all(isinstance(item, pages.TYPES[field['elements']]) for item in (sample if field['type'] == 'list' else ())), path


def test_the_keys_of_a_policy_are_documented():
    keys = yaml.safe_load(policy.ModuleDocFragment.DOCUMENTATION)['options']['policy']['suboptions']
    assert set(check.KEYS) == set(keys)
    assert set(rule.KEYS) == set(keys['deny']['suboptions'])
    assert set(check.LIMITS) == set(keys['limits']['suboptions'])
    for key, choices in (('mode', check.MODES), ('default', check.DEFAULTS), ('own', check.OWN), ('on_new', check.ON_NEW),
                         ('on_denied', check.ON_DENIED), ('encrypted_dns', check.ENCRYPTED_DNS),
                         ('outage', check.OUTAGES), ('unresolvable', check.UNRESOLVABLE)):
        assert set(keys[key]['choices']) == set(choices), key


def test_antsibull_has_nothing_to_say(tree):
    """It reads what ansible-doc says of every plugin and of the role, and the links of docs/docsite."""
    must('antsibull-docs', 'lint-collection-docs', '--plugin-docs', '--validate-collection-refs', 'self', tree)


@pytest.mark.parametrize('module', RETURNED)
def test_ansible_doc_shows_options_of_users_alone(module):
    shown = must('ansible-doc', 'loopbreak.deploy.' + module, ANSIBLE_COLLECTIONS_PATH=str(ROOT / 'build' / 'collections'))
    options = re.findall(r'^ *[-=] (\w+)', shown, re.MULTILINE)
    assert options and not [name for name in options if name.startswith('_')], shown
