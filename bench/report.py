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
    """A figure with a target; the median decides."""

    what: str
    values: list[float]     # one a round
    comparison: str
    limit: float
    unit: str = "x"

    def met(self):
        return COMPARISONS[self.comparison](statistics.median(self.values), self.limit)


@dataclass
class Row:
    """The same work in several ways, in rounds: each round has done it once in every way."""

    title: str
    unit: str
    samples: dict[str, list[float]]     # {way: one value a round}; the first way is what the others are compared with
    checks: list[Check] = field(default_factory=list)

    def ratios(self, way, to=None):
        """One a round: what shakes the machine in a round shakes both sides of the ratio."""
        return [one / other for one, other in zip(self.samples[way], self.samples[to or next(iter(self.samples))])]

    def more(self, way, than):
        return [one - other for one, other in zip(self.samples[way], self.samples[than])]

    def target(self, way, comparison, limit):
        """The ratio of this way to the first is to be at most or at least so much."""
        self.checks.append(Check(way, self.ratios(way), comparison, limit))


def interleaved(ways, rounds):
    """{way: [value of each round]}. The order turns from round to round; the first round only warms up."""
    names = list(ways)
    samples = {name: [] for name in names}
    for number in range(rounds + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            value = ways[name]()
            if number:
                samples[name].append(value)
    return samples


def _spread(values):
    """(lower quartile, median, upper quartile)"""
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def as_table(row):
    lines = [f"{row.title} ({row.unit})"]
    for number, (way, values) in enumerate(row.samples.items()):
        line = f"  {way:<42}{statistics.median(values):>11,.1f}"
        if number:
            low, middle, high = _spread(row.ratios(way))
            line += f"  {middle:6.2f} x ({low:.2f} to {high:.2f})"
        lines.append(line)
    for check in row.checks:
        low, middle, high = _spread(check.values)
        said = "met" if check.met() else "NOT MET"
        lines.append(f"  {said:>7}: {check.what}: {middle:.2f} {check.unit} ({low:.2f} to {high:.2f}), "
                     f"target {check.comparison} {check.limit:g} {check.unit}")
    return "\n".join(lines) + "\n"


def as_mapping(row):
    def told(values):
        low, middle, high = _spread(values)
        return {"median": middle, "quartiles": [low, high], "rounds": values}

    return {"title": row.title, "unit": row.unit,
            "ways": {way: dict(told(values), ratio=statistics.median(row.ratios(way)))
                     for way, values in row.samples.items()},
            "targets": [dict(told(check.values), what=check.what, comparison=check.comparison, limit=check.limit,
                             unit=check.unit, met=check.met()) for check in row.checks]}
