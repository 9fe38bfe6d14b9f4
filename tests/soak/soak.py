# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A campaign that stays: guards come, change, are killed and go, while processes inside count what reaches whom.

`make soak` runs it for five minutes, `make soak MINUTES=60` for an hour; SEED=7 repeats what was drawn by lot. KERNEL=6.12
runs it on a virtual machine with that kernel. `--series` measures many guards and many exchanges instead.

Prints a table; writes build/soak.json. The exit status is 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import host

ROOT = Path(__file__).resolve().parents[2]


def main():
    options = parsed()
    if options.kernel:
        return on_machine(options)
    directory = host.enter()
    os.nice(options.nice)
    import campaign     # pylint: disable=import-outside-toplevel; it needs what only the host has
    import figures      # pylint: disable=import-outside-toplevel
    host.serve()
    if options.series:
        import series   # pylint: disable=import-outside-toplevel
        found = []
        for which in options.series.split(","):
            found.append(series.ALL[which](directory, options))
            show(figures, options, found[-1]["what"], figures.series_rows(found[-1]))
        wrong = [sentence for one in found for sentence in one["wrong"]]
    else:
        found, wrong = soak(campaign, figures, directory, options)
        show(figures, options, "A campaign", figures.rows(found))
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps({"figures": found, "wrong": wrong}, indent=1) + "\n")
    print(f"\n{len(wrong)} wrong. {options.out}" + (f"; again: --seed {options.seed}" if wrong else ""))
    return 1 if wrong else 0


def show(figures, options, title, rows):
    rows = list(rows)
    print(f"\n### {title}\n\n{figures.table(rows)}" if options.markdown else f"\n{title}\n{figures.text(rows)}", flush=True)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=None, help="what is drawn by lot; default: a new one, which is printed")
    parser.add_argument("--guards", type=int, default=2, help="that live side by side")
    parser.add_argument("--clients", type=int, default=20, help="processes inside, of all guards")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two attempts of a client, on average")
    parser.add_argument("--without", default="", metavar="WHAT,...", help="kills and faults to be left out: present, absent, "
                        "info, agent, client, entrant, log, run, memory, pids, files; down: what a guard does that goes down")
    parser.add_argument("--clock", action="store_true", help="let the clock of the whole machine jump, too")
    parser.add_argument("--series", nargs="?", const="beside,after,exchanges", default="", metavar="WHICH,...",
                        help="measure 50 guards at once, 200 one after the other, 300 exchanges: beside, after, exchanges")
    parser.add_argument("--kernel", default="", help="run on a virtual machine with this kernel")
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--markdown", action="store_true", help="print the tables as docs/reliability.md has them")
    parser.add_argument("--out", type=Path, default=ROOT / "build/soak.json")
    options = parser.parse_args()
    if set(filter(None, options.series.split(","))) - {"beside", "after", "exchanges"}:
        parser.error(f"--series: there is no {options.series}")
    if options.seed is None:
        options.seed = random.randrange(1 << 32)
        sys.argv += ["--seed", str(options.seed)]   # of the same campaign on a host of its own
    if host.INSIDE not in os.environ:
        print(f"seed {options.seed}", flush=True)
    return options


def soak(campaign, figures, directory, options):
    """(figures, what was wrong) of a campaign."""
    import leaks    # pylint: disable=import-outside-toplevel
    without = set(filter(None, options.without.split(","))) | (set() if options.clock else {"clock"})
    slab, began = leaks.slab(), (leaks.descriptors(), leaks.mounts())
    kills, faults = ([one for one in those if one not in without] for those in (campaign.KILLS, campaign.FAULTS))
    it = campaign.Campaign(directory, options.seed, options.minutes * 60, kills, faults, campaign.DOWN not in without,
                           options.pause)
    each, more = divmod(options.clients, options.guards)
    guards = [campaign.Guard(it, f"soak-{number}", each + (number < more)) for number in range(options.guards)]
    it.run(guards)
    ids, ends = set().union(*(guard.cgroup_ids for guard in guards)), time.monotonic() + campaign.SETTLES
    while (leaks.of_host() or any(leaks.in_kernel(ids).values())) and time.monotonic() < ends:
        time.sleep(0.5)
    for what in leaks.of_host():
        it.tell("leak", f"left at the end: {what}")
    left = leaks.in_kernel(ids)
    if any(left.values()):
        it.tell("leak", f"left in the kernel at the end: {left}")
    if leaks.descriptors() > began[0] + len(guards) or leaks.mounts() > began[1]:
        it.tell("leak", f"descriptors and mounts were {began}, and are {(leaks.descriptors(), leaks.mounts())}")
    if it.growth > campaign.GROWS:
        it.tell("leak", f"an agent grew by {it.growth} KiB")
    found = figures.of_campaign(it, options.minutes * 60)
    return dict(found, slab=[slab, leaks.slab()]), it.wrong


def on_machine(options):
    """The same program on a virtual machine, which is thrown away: its clock may jump."""
    sys.path.append(str(ROOT / "tests/vm"))
    from machines import Machines   # pylint: disable=import-outside-toplevel
    with Machines(options.kernel, memory=2048) as machines:
        machine = machines[options.kernel]
        machine.put(*(ROOT / "tests" / part for part in ("soak", "support", "fleet")), to="/root/loopbreak/tests")
        machine.put(ROOT / "build/collections", to="/root/loopbreak/build")
        site, = (ROOT / "build/venv").glob("lib/python3*/site-packages")
        to = f"/root/loopbreak/build/venv/lib/{site.parent.name}/site-packages/ansible"
        machine.put(*(site / "ansible" / part for part in ("__init__.py", "_vendor", "release.py", "module_utils")), to=to)
        arguments = [word for word in sys.argv[1:] if word != f"--kernel={options.kernel}"]
        if "--kernel" in arguments:
            at = arguments.index("--kernel")
            del arguments[at:at + 2]
        print(f"Linux {machine.image.release}", flush=True)
        status = subprocess.call([*machine.ssh(), "/usr/bin/python3", "/root/loopbreak/tests/soak/soak.py", "--clients=6",
                                  "--pause=0.5", *arguments, "--clock", "--out", "/root/soak.json"])
        options.out.write_text(machine.exec("cat", "/root/soak.json", check=not status).stdout)
        return status


if __name__ == "__main__":
    sys.exit(main())
