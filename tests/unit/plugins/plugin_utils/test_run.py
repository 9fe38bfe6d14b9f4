# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a command ended, and which exit status a run takes over."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _run

RAN = {'end': '2026-01-01 00:00:00', 'stdout': '', 'stderr': ''}


@pytest.mark.parametrize('result, status', [
    (dict(RAN, rc=0), 0), (dict(RAN, rc=42), 42), (dict(RAN, rc=-9), 137), (dict(RAN, rc=-15), 143),
    ({'rc': 97, 'module_stderr': 'could not enter'}, None),  # the launcher's, not the command's
    ({'rc': None, 'end': None, 'msg': 'Unable to change directory'}, None),
    ({'rc': 0, 'end': None, 'skipped': True}, None),
    ({'msg': 'unreachable'}, None),
])
def test_exit_status(result, status):
    assert _run.exit_status(result) == status


@pytest.mark.parametrize('ended, failed, unreachable, verdict', [
    ({}, {}, {}, (0, [])),
    ({'a': 0}, {}, {}, (0, ['a'])),
    ({'a': 1, 'b': 42, 'c': 0}, {'a': 1, 'b': 1}, {}, (42, ['b'])),
    ({'b': 1, 'a': 1}, {'a': 1, 'b': 1}, {}, (1, ['a', 'b'])),
    ({'a': 42}, {'a': 1, 'b': 1}, {}, (0, [])),  # b failed without having run it
    ({'a': 42}, {'a': 1}, {'b': 1}, (0, [])),
])
def test_verdict(ended, failed, unreachable, verdict):
    commands = _run.Commands()
    commands.ended = ended
    assert commands.verdict(failed, unreachable) == verdict
