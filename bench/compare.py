# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs of the bench side by side: `bench/compare.py BEFORE.json AFTER.json`, each as build/bench.json has it.

A ratio, or a figure, counts as changed where the quartiles of the two runs do not touch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from report import spread


def measured(run):
    """{(row, what): (unit, values of the rounds)}: each way as the ratio to the first, and each figure."""
    found = {}
    for row in run["rows"]:
        first, *others = row["ways"].items()
        for way, told in others:
            ratios = [one / other for one, other in zip(told["rounds"], first[1]["rounds"])]
            found[row["title"], way] = "x", ratios
        for check in row["targets"]:
            if (row["title"], check["what"]) not in found:
                found[row["title"], check["what"]] = check["unit"], check["rounds"]
    return found


def compared(before, after):
    """The lines to print."""
    yield from (f"{which}: Linux {run['machine']['kernel']}, {run['machine']['cpus']} CPUs, {run['machine']['cpu']}"
                for which, run in (("before", before), ("after", after)))
    old, new, title = measured(before), measured(after), None
    for key in {**old, **new}:
        if key[0] != title:
            title = key[0]
            yield f"\n{title}"
        if key not in old or key not in new:
            yield f"  {key[1]:<58} only {'after' if key in new else 'before'}"
            continue
        (unit, one), (_unit, other) = old[key], new[key]
        low, middle, high = spread(one)
        its_low, its_middle, its_high = spread(other)
        apart = "  CHANGED" if its_low > high or its_high < low else ""
        yield f"  {key[1]:<58}{middle:>11,.2f}{its_middle:>11,.2f} {unit}{apart}"


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: compare.py BEFORE.json AFTER.json")
    print("\n".join(compared(*(json.loads(Path(path).read_text()) for path in sys.argv[1:]))))


if __name__ == "__main__":
    main()
