# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The report of a guard that is up: what every call returns of it. Changes nothing."""

from __future__ import annotations

import ctypes
import os
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent, answers, holders, notes, stats, ttl
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import clock, limits, resolver
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, outward, pinned
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import KernelError
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import moves, records, rows, search_list

GUARD = ('name', 'mode', 'loader', 'loader_reason', 'cgroup', 'launcher', 'policy_sha256', 'started_at', 'load_ms',
         'enforced')


def report(place, state):
    """{guard, policy (as it may be shown), denied, observed, counters, entries, left, limits, agent, stats, rows_left_out}. `state`: the
    guard's memory; None where none is up.
    """
    return bounded(whole(place, state), state)


def bounded(found, state):
    """A report as a result has room for it."""
    return rows.bounded(found, [holders.as_told(one)['since'] for one in holders.of(state) if one['before'] is not None])


def whole(place, state):
    """The report with every row."""
    if state is None:
        return {'guard': None, 'policy': None, 'denied': [], 'observed': [],
                'counters': dict(records.counters([0] * _abi.COUNTERS), search_list=0),
                'entries': moves.entries(0, (), (), 0), 'left': [], 'limits': {}, 'agent': None, 'stats': None, 'baseline': None}
    guard = dict({key: state[key] for key in GUARD}, started_at=clock.told(state['started_at']),
                 service=state['policy'].get('service'), observes=state.get('observe'), answered=answered(place),
                 **ttl.told(state))
    return dict(_ledger(place, state), guard=guard, policy=shown(state),
                limits=limits.reached(place.cgroup, state['policy'].get('limits', {})), agent=notes.watched(place),
                stats=stats.wanted(place, state), baseline=_baseline(state))


def _baseline(state):
    """What the records are to be compared with, where the policy has a baseline: the controller does that."""
    name, on_new = (state['policy'].get(key) for key in ('baseline', 'on_new'))
    return {'file': state.get('baseline') or name, 'on_new': on_new or 'report'} if name else None


def shown(state):
    """The policy, packed, or what may be shown of one that came from a vault. `state`: a guard's memory."""
    if state.get('secret'):
        return {'policy': '(hidden: the policy came from a vault)', 'policy_sha256': state['policy_sha256']}
    return state['packed']


def answered(place):
    """The families in which denied DNS questions are answered, by now."""
    kernel = bpf.kernel()
    try:
        board = kernel.open(pinned.path(place.pins, answers.BOARD))
    except KernelError:  # health tells of it
        return []
    try:
        return answers.families(kernel, board)
    finally:
        os.close(board)


def counted(place):
    """The sums of ebg_counters: whether they have changed is seen without reading the records."""
    kernel = bpf.kernel()
    counters = kernel.open(pinned.path(place.pins, 'ebg_counters'))
    try:
        return kernel.totals(counters, _abi.COUNTERS)
    finally:
        os.close(counters)


def _ledger(place, state):
    """{denied, observed, counters, entries, left}; of a table that is lost, none: health tells of it."""
    kernel = bpf.kernel()
    maps = pinned.ledger(kernel, place.pins)

    def items(name, key, value):
        if name not in maps:
            return ()
        info = kernel.map_info(maps[name])  # what another version left, where nobody remembers which, has another form
        return kernel.items(maps[name], key, value) if (info.key_size, info.value_size) == (
            ctypes.sizeof(key), ctypes.sizeof(value)) else ()

    began = clock.zero(time.CLOCK_MONOTONIC)
    totals = (kernel.totals(maps['ebg_counters'], _abi.COUNTERS) if 'ebg_counters' in maps
              else [0] * _abi.COUNTERS)
    try:
        reader = records.Reader(state['rules'],
                                records.names_by_address(items('ebg_heard', _abi.HeardKey, _abi.Heard)),
                                {bytes(run): image for run, image in items('ebg_ancestors', _abi.Run, _abi.Image)},
                                state['mode'], state['policy'].get('outage', 'denied'))
        denied, made_up = search_list.without_expansions(
            items('ebg_denied', _abi.Denial, _abi.Record),
            {(key.pid, key.name) for key, _yes in items('ebg_asked', _abi.Asked, ctypes.c_uint8)},
            resolver.search_domains())
        # what is older than the guard is so by the clock of that time and by that of today, whoever has set it in between
        named = state['policy'].get('ways_out', ())
        up_since = min(state['started_at'][1], clock.wall(state['started_at']))
        observed = outward.ways_out(
            [record for record in reader.observations(items('ebg_observed', _abi.Observation, _abi.Record))
             if not agent.went_out(place, record)], named, up_since)
        return {'denied': reader.denials(denied), 'observed': observed,
                'counters': dict(records.counters(totals), search_list=made_up),
                'entries': moves.entries(totals[_abi.COUNTER_ENTERED], list(_moments(kernel, maps)), state['entered'], began),
                'left': moves.leavings(items('ebg_leavings', _abi.Run, _abi.Leaving), began)}
    finally:
        bpf.close(maps.values())


def _moments(kernel, maps):
    """When processes came in, as far as the kernel kept that: CLOCK_MONOTONIC, ns."""
    if 'ebg_entered' in maps and 'ebg_entries' in maps:
        entered, = kernel.values(maps['ebg_entered'], 1, _abi.Entered)
        yield from (moment.value for moment in kernel.values(
            maps['ebg_entries'], min(entered.kept, _abi.MAX_ENTRIES), ctypes.c_uint64))
