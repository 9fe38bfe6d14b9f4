# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's thread that answers denied questions, beside a guard of a test."""

from __future__ import annotations

import ctypes

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import answers
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records


def ids(guard):
    return [guard.kernel.map_info(guard.maps[name]).id for name in ('ebg_questions', 'ebg_answering')]


def note(guard, slot, value):
    guard.kernel.update(guard.maps['ebg_answering'], ctypes.c_uint32(slot), ctypes.c_uint64(value))


def answered(guard, families=('ipv4', 'ipv6')):
    """From now on. For a process outside the guard, in the network of those who ask."""
    answers.begin(*ids(guard), [records.describe(rule) for rule in guard.policy.all_rules])
    answers.turn_on(guard.kernel, guard.maps['ebg_answering'], dict.fromkeys(families, True))


def present(guard):
    """An agent that is there, and reads nothing."""
    present.agent = answers.Answerer(*ids(guard), [])  # as long as the process
    present.agent.sign()
    present.agent.beat()
    answers.turn_on(guard.kernel, guard.maps['ebg_answering'], {'ipv4': True})
