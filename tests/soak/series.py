# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What does not show in a campaign: many guards beside each other, many after each other, many exchanges under load.

Each series returns its figures: {what, wrong (sentences), and a figure by its name}.
"""

from __future__ import annotations

import itertools
import os
import re
import statistics
import time
from pathlib import Path

import calls
import host
import leaks
import targets
from campaign import SETTLES, Campaign, Guard

BESIDE, AFTER, EXCHANGES = 50, 200, 300
GROWS = 1.5     # times: a later call may take this much longer than an early one
ENFORCING = [number for number, (_flips, mode) in enumerate(targets.POLICIES) if mode != "monitor"]


def done(call):
    while not call.is_over():
        time.sleep(0.002)
    return call


def beside(_directory, _options):
    """Many guards at once."""
    wrong, names = [], [f"beside-{number}" for number in range(BESIDE)]
    free = available()
    up = [done(calls.present(name, targets.written(0))) for name in names]
    wrong += [f"{name}: {call.sentence}" for name, call in zip(names, up) if not call.is_well]
    sizes = [leaks.resident(agent) for name in names for agent in leaks.agents(name)]
    ids = [cgroup_id(name) for name, call in zip(names, up) if call.is_well]
    objects = leaks.in_kernel(ids)
    maps, took = leaks.map_memory(objects["maps"]), free - available()
    shown = done(calls.info())
    if not shown.is_well or len(shown.result["guards"]) != BESIDE:
        wrong.append(f"info does not know them all: {shown.sentence[:500]}")
    down = [done(calls.absent(name)) for name in names]
    wrong += [f"{name}: {call.sentence}" for name, call in zip(names, down) if not call.is_well] + left(ids)
    return {"what": f"{BESIDE} guards at once", "wrong": wrong,
            "`state: present`": grown(up), "`state: absent`": grown(down), "`ebpf_guard_info` of all": f"{shown.took:.2f} s",
            "agents": f"{len(sizes)}, {statistics.median(sizes) / 1024:.1f} MiB each, what they share included",
            "kernel memory of the maps of a guard": f"{maps / BESIDE / 2**20:.1f} MiB",
            "less memory available on the machine, by guard": f"{took / BESIDE / 1024:.1f} MiB",
            "maps, programs and links of a guard": ", ".join(f"{len(objects[kind]) / BESIDE:.0f}" for kind in objects)}


def after(_directory, _options):
    """Many guards, one after the other."""
    wrong, ids, up, down = [], [], [], []
    free, slab = available(), leaks.slab()
    for number in range(AFTER):
        name = f"after-{number}"
        up.append(done(calls.present(name, targets.written(number % len(targets.POLICIES)))))
        if not up[-1].is_well:
            wrong.append(f"{name}: {up[-1].sentence}")
            continue
        ids.append(cgroup_id(name))
        down.append(done(calls.absent(name)))
        if not down[-1].is_well:
            wrong.append(f"{name}: {down[-1].sentence}")
    wrong += left(ids)
    return {"what": f"{AFTER} guards, one after the other", "wrong": wrong,
            "`state: present`": grown(up), "`state: absent`": grown(down),
            "less memory available on the machine afterwards": f"{(free - available()) / 1024:.0f} MiB",
            "more slab of the machine afterwards": f"{(leaks.slab() - slab) / 1024:.0f} MiB"}


def exchanges(directory, options):
    """Many exchanges of rules while processes inside try what is denied before and after."""
    campaign = Campaign(directory, options.seed, 24 * 3600, kills=(), faults=(), judges_down=False, pause=options.pause)
    guard = Guard(campaign, "exchanges", options.clients)
    guard.life = 1

    def life():
        yield from guard.begin(ENFORCING)
        for policy in itertools.islice(itertools.cycle(ENFORCING), EXCHANGES):
            yield from guard.exchange(policy)
            yield from guard.wait(0.02)
        yield from guard.end()
    campaign.run([guard], [life()])
    took = [call for call in campaign.calls if call.what == "present"][1:]
    sums = {word: sum(one[word] for one in campaign.attempts.values()) for word in ("begun", "through", "denied")}
    wrong = [one["what"] for one in campaign.wrong]
    ratio = last(took) / first(took)
    if ratio > GROWS:
        wrong.append(f"the last exchanges take {ratio:.2f} times as long as the first ones")
    return {"what": f"{EXCHANGES} exchanges under load", "wrong": wrong, "time of an exchange": grown(took),
            "attempts meanwhile": f"{sums['begun']:,}: {sums['through']:,} came through, {sums['denied']:,} denied",
            "denied in both policies, and came through": sum(one["what"].endswith("came through") for one in campaign.wrong),
            "allowed in both policies, and was denied": sum("was denied" in one["what"] for one in campaign.wrong)}


def cgroup_id(name):
    return os.stat(host.cgroup2() / "ebpf_guard" / name).st_ino


def first(those):
    return statistics.median(call.took for call in those[:min(30, len(those) // 2)])


def last(those):
    return statistics.median(call.took for call in those[-min(30, len(those) // 2):])


def grown(those):
    count = min(30, len(those) // 2)
    return (f"median of the first {count} {first(those):.3f} s, of the last {count} {last(those):.3f} s, "
            f"longest {max(call.took for call in those):.2f} s")


def left(ids):
    """Sentences on what is left behind when all guards have ended."""
    until = time.monotonic() + SETTLES
    while (leaks.of_host() or any(leaks.in_kernel(ids).values())) and time.monotonic() < until:
        time.sleep(0.5)
    found = leaks.in_kernel(ids)
    kernel = [f"left in the kernel: {found}"] if any(found.values()) else []
    return [f"left behind: {what}" for what in leaks.of_host()] + kernel


def available():
    """KiB of the machine's memory: others have a share in what happens to it."""
    return int(re.search(r"MemAvailable: +(\d+)", Path("/proc/meminfo").read_text())[1])


ALL = {"beside": beside, "after": after, "exchanges": exchanges}
