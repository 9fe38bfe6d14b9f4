# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that only the search list of a resolver asked: which of them are no denials."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils import _names
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
@pytest.mark.parametrize('kind', ['dns', 'tls'])
def test_expansions_by_the_search_list(name, rule, asked, is_one, kind):
    record = {'kind': kind, 'name': name, 'rule': rule, 'pid': 42, 'count': 3}
    other = dict(record, name=None)
    found = search_list.without_expansions([record, other], {(pid, _names.name_hash(text)) for pid, text in asked}, DOMAINS)
    assert found == (([other], 3) if is_one and kind == 'dns' else ([record, other], 0))
    assert search_list.without_expansions([record], set(), []) == ([record], 0)
