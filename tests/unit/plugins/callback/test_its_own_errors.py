# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An error of the callback itself, wherever it is: ansible-core only warns of it, so it has to end the run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.executor.stats import AggregateStats

from ansible_collections.loopbreak.deploy.plugins.callback import ebpf_guard

PARTS = ['fleet', '_up', '_unguarded', 'commands', '_output', '_tried', '_briefs']


@pytest.mark.parametrize('broken', PARTS)
def test_it_ends_the_run(broken):
    callback = ebpf_guard.CallbackModule()
    if broken == '_output':  # then there has to be something to print
        callback._judge.fleet.note('web1', 'deploy', 'enforce', 'up')
    for owner in (callback, callback._judge):
        if hasattr(owner, broken):
            setattr(owner, broken, SimpleNamespace() if broken != '_output' else None)
    with pytest.raises(SystemExit) as end:
        callback.v2_playbook_on_stats(AggregateStats())
    assert end.value.code == 2


def test_unless_nothing_is_to_end_it():
    callback = ebpf_guard.CallbackModule()
    callback._fail, callback._judge.fleet = False, None
    callback.v2_playbook_on_stats(AggregateStats())
    assert len(callback._judge.faults) > 0
