# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that only the search list of a resolver asked: which of them are no denials."""

from __future__ import annotations

import pytest
from records import GITHUB, endpoint_of, name_of, record_of

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import search_list

DOMAINS = ['corp.github.com', 'lan']


@pytest.mark.parametrize('name, rule, asked, is_one', [
    ('fine.test.corp.github.com', 'github', [(42, 'fine.test')], True),
    ('fine.test.corp.github.com', 'github', [(7, 'fine.test')], False),  # somebody else asked
    ('fine.test.corp.github.com', 'github', [], False), ('fine.test.lan', None, [(42, 'fine.test')], True),
    ('api.github.com', 'github', [(42, 'api')], False), ('corp.github.com', 'github', [(42, 'corp.github.com')], False),
    ('xcorp.github.com', 'github', [(42, 'x')], False),
    ('db.lan', None, [(42, 'db.corp.github.com')], True), ('db.lan', None, [(42, 'db.lan')], False),
    ('db.lan', None, [(42, 'db')], False), ('db.corp.github.com', 'github', [(42, 'db.lan')], False)])
@pytest.mark.parametrize('kind', [_abi.KIND_DNS, _abi.KIND_TLS])
def test_expansions_by_the_search_list(name, rule, asked, is_one, kind):
    key = _abi.Denial(endpoint=endpoint_of(kind=kind), rule=GITHUB if rule else _abi.RULE_DEFAULT)
    denial, other = (key, record_of(name=name_of(name))), (key, record_of())
    found = search_list.without_expansions([denial, other], {(pid, _names.name_hash(text)) for pid, text in asked}, DOMAINS)
    assert found == (([other], 3) if is_one and kind == _abi.KIND_DNS else ([denial, other], 0))
    assert search_list.without_expansions([denial], set(), []) == ([denial], 0)
