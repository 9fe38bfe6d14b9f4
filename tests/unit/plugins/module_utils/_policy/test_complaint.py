# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors for people: where they point to, and what travels with them."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check


def test_without_lines_the_source_opens_the_error():
    with pytest.raises(PolicyError, match="^policy: rule 'x': reason is missing"):
        check({'version': 1, 'deny': [{'id': 'x', 'hosts': ['a']}]})


def test_the_longest_known_path_gives_the_line():
    bad = {'version': 1, 'deny': [{'id': 'x', 'reason': 'r', 'networks': ['10.0.0.0/8', '10.0.0.0/99']}]}
    for lines, where in (({('deny', 0, 'networks', 1): 9, ('deny', 0): 4}, 'f:9: '),
                         ({('deny', 0): 4}, 'f:4: '),
                         ({('deny', 0, 'networks', 0): 8, (): 1}, 'f:1: '), ({('deny', 1): 4}, 'f: ')):
        with pytest.raises(PolicyError) as caught:
            check(bad, 'f', lines)
        assert str(caught.value).startswith(where + 'rule')


def test_facts_travel_with_the_error():
    error = GuardError('It failed.', left_running=[])
    assert (str(error), error.facts) == ('It failed.', {'left_running': []})
    assert PolicyError('x').facts == {}
