# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of measurements in, a table for people and a mapping for machines out. Pure."""

from __future__ import annotations

import operator
import statistics
from dataclasses import dataclass, field

COMPARISONS = {"<=": operator.le, ">=": operator.ge}


@dataclass
class Check:
    """A figure; where it has a target, the median decides."""

    what: str
    values: list[float]     # one a round
    comparison: str | None
    limit: float | None
    unit: str = "x"

    def met(self):
        """None where there is no target."""
        return self.comparison and COMPARISONS[self.comparison](statistics.median(self.values), self.limit)


@dataclass
class Row:
    """The same work in several ways, in rounds: each round has done it once in every way."""

    title: str
    unit: str
    samples: dict[str, list[float]]     # {way: one value a round}; the first way is what the others are compared with
    checks: list[Check] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)   # {way: why it could not be measured here}

    def ratios(self, way, to=None):
        """One a round: what shakes the machine in a round shakes both sides of the ratio."""
        return [one / other for one, other in zip(self.samples[way], self.samples[to or next(iter(self.samples))])]

    def more(self, way, than):
        return [one - other for one, other in zip(self.samples[way], self.samples[than])]

    def target(self, way, comparison, limit):
        """The ratio of this way to the first is to be at most or at least so much."""
        self.checks.append(Check(way, self.ratios(way), comparison, limit))

    def figure(self, what, values, unit):
        """Something to know that has no target."""
        self.checks.append(Check(what, values, None, None, unit))


def interleaved(ways, rounds, warm_up=True):
    """{way: [value of each round]}. The order turns from round to round; a first round only warms up."""
    names = list(ways)
    samples = {name: [] for name in names}
    for number in range(-warm_up, rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            value = ways[name]()
            if number >= 0:
                samples[name].append(value)
    return samples


def spread(values):
    """(lower quartile, median, upper quartile)"""
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def as_table(row):
    lines = [f"{row.title} ({row.unit})"]
    for number, (way, values) in enumerate(row.samples.items()):
        line = f"  {way:<42}{statistics.median(values):>11,.1f}"
        if number:
            low, middle, high = spread(row.ratios(way))
            line += f"  {middle:6.2f} x ({low:.2f} to {high:.2f})"
        lines.append(line)
    lines += [f"  {way:<42} NOT MEASURED HERE: {why}" for way, why in row.missing.items()]
    for check in row.checks:
        low, middle, high = spread(check.values)
        said = {True: "met: ", False: "NOT MET: ", None: ""}[check.met()]
        line = f"  {said:>9}{check.what}: {middle:.2f} {check.unit} ({low:.2f} to {high:.2f})"
        lines.append(line + (f", target {check.comparison} {check.limit:g} {check.unit}" if said else ""))
    return "\n".join(lines) + "\n"


def as_mapping(row):
    def told(values):
        low, middle, high = spread(values)
        return {"median": middle, "quartiles": [low, high], "rounds": values}

    return {"title": row.title, "unit": row.unit,
            "ways": {way: dict(told(values), ratio=statistics.median(row.ratios(way)))
                     for way, values in row.samples.items()},
            "missing": row.missing,
            "targets": [dict(told(check.values), what=check.what, comparison=check.comparison, limit=check.limit,
                             unit=check.unit, met=check.met()) for check in row.checks]}
