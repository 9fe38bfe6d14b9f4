# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What a guard's report means for its host. The module and the callback both ask here. Pure."""

from __future__ import annotations

from collections import Counter

DENIED, DRILL, WOULD_DENY, EXPECTED, EARLIER = 'denied', 'drill', 'would deny', 'expected', 'earlier'


def of_record(record, mode, earlier_fails=False):
    """What one denial means; only DENIED fails a host. `mode`: the guard's, for a record that does not tell its own.

    `earlier_fails`: what was denied before the run took the guard over counts as the rest does.
    """
    if record.get('earlier') and not earlier_fails:
        return EARLIER
    mode = record.get('mode') or mode
    if mode == 'monitor':
        return WOULD_DENY
    if record.get('expected'):
        return EXPECTED
    return DRILL if mode == 'drill' else DENIED


def totals(denied, counters, mode, earlier_fails=False):
    """How many accesses had which outcome: those that are recorded, and those that the counters alone know."""
    sums = Counter()
    for record in denied:
        sums[of_record(record, mode, earlier_fails)] += record.get('count', 1)
    denials, would_be = unrecorded(denied, counters, mode)
    sums[DRILL if mode == 'drill' else DENIED] += denials
    sums[WOULD_DENY] += would_be
    return sums


def unrecorded(denied, counters, mode):
    """(denials, would-be denials) whose details did not fit. Nobody can tell whether they were expected.

    What the search list of the resolver made up is in the counters, and in no record: it is no denial of anything that
    somebody wanted. It belongs to the guard's mode; only where the mode was changed can it be more than that explains.
    """
    recorded = Counter()
    for record in (record for record in denied if not record.get('earlier')):  # nor are they in the counters
        recorded['would_deny' if (record.get('mode') or mode) == 'monitor' else 'denied'] += record.get('count', 1)
    kinds = [kind for kind in counters.values() if isinstance(kind, dict)]
    left = {verdict: max(0, sum(kind.get(verdict, 0) for kind in kinds) - recorded[verdict])
            for verdict in ('denied', 'would_deny')}
    made_up = counters.get('search_list', 0)
    for verdict in ('would_deny', 'denied') if mode == 'monitor' else ('denied', 'would_deny'):
        explained = min(made_up, left[verdict])
        left[verdict] -= explained
        made_up -= explained
    return left['denied'], left['would_deny']


def must_fail(denied, mode, earlier_fails=False):
    """The recorded denials for which a host has to fail."""
    return [record for record in denied if of_record(record, mode, earlier_fails) == DENIED]


def must_fail_for_news(report, mode):
    """The records of what the policy's baseline does not have, where a host has to fail for them.

    That is so in mode monitor, too: nothing else would come of on_new: fail there. A drill fails nothing by itself.
    """
    if (report.get('baseline') or {}).get('on_new') != 'fail' or mode == 'drill':
        return []
    earlier_fails = (report.get('earlier') or {}).get('fails', False)
    return [record for record in report['observed'] if record.get('new') and (earlier_fails or not record.get('earlier'))]


def forgotten(counters):
    """What the kernel had no room for, as faults: the addresses of names that rules speak of."""
    number = counters.get('forgotten', 0)
    return ['The kernel had no room for %d addresses of names in the rules, so connections to them that present no name '
            'were judged as if the names were not known.' % number] if number else []


def is_broken(faults, mode):
    """Did accesses maybe pass unseen where they should have been denied?"""
    return bool(faults) and mode == 'enforce'
