# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a campaign, and of the two series: as plain data, and as a table for people."""

from __future__ import annotations

import platform
import statistics
import time


def of_campaign(campaign, seconds):
    calls = {}
    for what in ("present", "info", "absent"):
        those = [call for call in campaign.calls if call.what == what]
        well = [call.took for call in those if call.is_well]
        calls[what] = {"calls": len(those), "killed": campaign.killed.get(what, 0),
                       "failed by a fault": sum(not call.is_well and call.killed_after is None for call in those),
                       "median": round(statistics.median(well), 3) if well else None,
                       "longest": round(max((call.took for call in those), default=0), 3)}
    return {"what": "campaign", "kernel": platform.release(), "seed": campaign.seed, "asked for": seconds,
            "seconds": round(time.monotonic() - campaign.began), "lives": campaign.lives,
            "cycles": len(campaign.calls), "calls": calls,
            "kills": campaign.killed, "faults": campaign.faulted, "attempts": campaign.attempts, "clients": campaign.clients,
            "programs": campaign.programs, "entrants": campaign.entrants,
            "denials": campaign.denials, "compared": campaign.compared, "exact": campaign.exact, "widest": campaign.widest,
            "growth": campaign.growth,
            "wrong": {kind: sum(one["kind"] == kind for one in campaign.wrong) for kind in WRONG}}


# what can be wrong: the word in a description, and what a reader calls it
WRONG = {"verdict": "wrong verdicts", "count": "counts off", "leak": "leaks", "call": "calls that failed, hung or said nothing",
         "client": "clients that ended by themselves", "entrant": "entrants that were refused without cause"}


def rows(found):
    """(what, figure) of a campaign."""
    yield "kernel", found["kernel"]
    yield "seed", found["seed"]
    yield "time", f"{found['seconds']} s"
    yield "lives of a guard", _number(found["lives"])
    yield "cycles (calls of a module)", _number(found["cycles"])
    for what, one in found["calls"].items():
        yield (f"calls of {'`ebpf_guard_info`' if what == 'info' else '`state: ' + what + '`'}",
               f"{_number(one['calls'])}: {one['killed']} killed, {one['failed by a fault']} failed by a fault, "
               f"median {one['median']} s, longest {one['longest']} s")
    yield "SIGKILLs", _listed(found["kills"])
    yield "faults", _listed(found["faults"])
    yield "clients started inside", f"{_number(found['clients'])}, which ran {_number(found['programs'])} more processes"
    yield "entrants at any moment", f"{_number(found['entrants']['inside'])} inside, {found['entrants']['refused']} refused"
    for way, one in found["attempts"].items():
        yield (f"attempts: {way}", f"{_number(one['begun'])}: {_number(one['through'])} came through, "
               f"{_number(one['denied'])} denied, {one['silent']} without any answer")
    yield "denials in reports", _number(found["denials"])
    yield "sums compared", (f"{_number(found['compared'])}; {_number(found['exact'])} of them the clients know to the unit, "
                            f"the others to {found['widest']} at worst")
    yield "largest growth of an agent", f"{found['growth']} KiB"
    yield "slab of the machine, before and after", " and ".join(f"{_number(size // 1024)} MiB" for size in found["slab"])
    for kind, words in WRONG.items():
        yield words, f"**{found['wrong'][kind]}**"


def table(pairs):
    lines = ["| what | figure |", "|---|---|"]
    return "\n".join(lines + [f"| {what} | {figure} |" for what, figure in pairs])


def text(pairs):
    pairs = [(what.replace("`", ""), str(figure).replace("**", "")) for what, figure in pairs]
    width = max(len(what) for what, _figure in pairs)
    return "\n".join(f"  {what:<{width}}  {figure}" for what, figure in pairs)


def series_rows(found):
    """(what, figure) of guards beside or after each other, and of exchanges."""
    for what, figure in found.items():
        if what not in ("what", "wrong"):
            yield what, figure
    yield "wrong", f"**{len(found['wrong'])}**" + "".join(f"; {sentence}" for sentence in found["wrong"][:3])


def _listed(numbers):
    return ", ".join(f"{what} {_number(number)}" for what, number in numbers.items()) or "none"


def _number(number):
    return f"{number:,}"
