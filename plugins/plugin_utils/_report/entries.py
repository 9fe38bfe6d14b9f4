# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Which tasks ran outside their host's guard: those during which nobody entered it.

The kernel of the target tells when somebody entered, the controller knows when each task ran, and how far the two clocks
are apart is known only roughly. So first comes the offset by which most entries fall into the time of some task. Knows
nothing of Ansible.
"""

from __future__ import annotations

import bisect
import itertools
from typing import NamedTuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi

FOLD = _abi.ENTRY_GAP / 1e9  # seconds after a moment that is kept in which others may have entered
SLACK = 0.02  # seconds by which an entry that is in no task may miss its own: clocks are set while they run
WAY_BACK = 0.03  # seconds that an answer takes from the target to the controller, about
DID_NOT_ENTER = 'did not enter'


class Ran(NamedTuple):
    """One task of a host, on the controller's clock."""

    start: float
    end: float
    task: object  # what names it
    why: str | None = None  # how it goes around the guard, as far as that shows without a look at who entered
    sure: bool = False  # part of it ran outside, whoever entered


class Missed(NamedTuple):
    outside: list  # (how, task) of each that did not enter
    unknown: int  # of so many more nobody knows: the kernel keeps the latest entries only
    nobody: bool  # tasks ran that should have entered, and none did


def compare(ran, others, entries, between):
    """Missed. `others`: (start, end) of what else may have entered. `between`: least and greatest clock offset (target minus
    controller); None: not known. `entries`: as the module returned them; None: it did not.
    """
    certain = [(one.why, one.task) for one in ran if one.why and (one.sure or entries is None)]
    if entries is None:
        return Missed(certain, 0, False)
    times = entries['times']
    expected = [one for one in ran if not one.why]
    spans = sorted([(one.start, one.end) for one in ran if not one.why or one.sure] + others)
    offset = _offset(spans, times, between or (0.0, 0.0))
    moments = [time - offset for time in times]
    oldest = moments[0] if len(moments) >= _abi.MAX_ENTRIES else float('-inf')
    left, explained = _without(moments, spans, SLACK), set(moments).difference(_without(moments, spans, 0))
    outside, unknown = [], 0
    for one in ran:
        if one.sure or not _any_in(left if one.why else moments, explained, one.start, one.end):
            if one.end < oldest and not one.why:
                unknown += 1
            else:
                outside.append((one.why or DID_NOT_ENTER, one.task))
    missed = sum(how == DID_NOT_ENTER for how, _task in outside)
    return Missed(outside, unknown, bool(expected) and missed == len(expected))


def _any_in(moments, explained, start, end):
    first, last = bisect.bisect_left(moments, start - SLACK - FOLD), bisect.bisect_right(moments, end + SLACK)
    return any(moment in explained and start - FOLD <= moment <= end or moment not in explained
               for moment in moments[first:last])


def _without(moments, spans, slack):
    """The moments that lie in none of these spans: somebody else entered then."""
    found, ends = [], list(itertools.accumulate((end for _start, end in spans), max))
    for moment in moments:
        before = bisect.bisect_right(spans, (moment + slack + FOLD, float('inf')))
        if not before or ends[before - 1] < moment - slack:
            found.append(moment)
    return found


def _offset(spans, times, between):
    """The offset by which most entries are explained; of several, the one nearest to what is likely beforehand.

    That is none where the clocks may be the same, else about the least: what takes time is the way to the module's start,
    and its answer comes back soon.
    """
    least, greatest = between
    likely = 0.0 if least <= 0 <= greatest else min(greatest, least + WAY_BACK)
    steps = {}  # offset -> how many more entries are explained from there on
    ends = list(itertools.accumulate((end for _start, end in spans), max))
    for time in times:
        for low, high in _explaining(spans, ends, time, least, greatest):
            steps[low] = steps.get(low, 0) + 1
            steps[high] = steps.get(high, 0) - 1
    best, chosen, explained = 0, likely, 0
    edges = sorted(steps)
    for edge, following in zip(edges, edges[1:]):
        explained += steps[edge]
        nearest = min(max(likely, edge), following)
        if explained > best or (explained == best and abs(nearest - likely) < abs(chosen - likely)):
            best, chosen = explained, nearest
    return chosen


def _explaining(spans, ends, time, least, greatest):
    """The offsets by which this entry falls into some span: [low, high] pairs that do not overlap, in order."""
    last, found = bisect.bisect_right(spans, (time + FOLD - least, float('inf'))), []
    for number in range(last - 1, -1, -1):
        if ends[number] < time - greatest:
            break
        start, end = spans[number]
        low, high = max(least, time - end), min(greatest, time + FOLD - start)
        if low < high:
            found.append((low, high))
    merged = []
    for low, high in sorted(found):
        if merged and low <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    return merged
