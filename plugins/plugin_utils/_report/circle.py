# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The circle as a drawing: deployed service, task, command, endpoint, and the services that lead back to the deployed one.

Findings go in, and boxes and lines with their places come out; what draws them knows no more than these.
"""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._report.outcome import WOULD_DENY
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import clean
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.folded import place
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.text import clip, short

CHAINS = 6  # that one drawing has room for
SERVICES = 3  # of a path, from the nearest on; of a longer one the middle is left out
WIDTHS = {'service': 130, 'task': 190, 'command': 250, 'endpoint': 190, 'between': 140, 'rule': 216}
ALONE = 272  # the width of a box where all stand below each other
HEIGHT, GAP, BETWEEN, DOWN = 60, 16, 44, 28
BUS, CORNER = 22, 10  # how far from the boxes the way back runs, and how round its corners are
LETTER, SMALL, MONO, STEP = 7.7, 6.4, 6.9, 16  # px, about, of a letter of the three kinds of text, and from line to line


class Box(NamedTuple):
    kind: str
    title: str
    lines: tuple


class Placed(NamedTuple):
    box: Box
    x: float
    y: float
    width: float
    texts: list  # (y of its base, is it the title?, text)


class Line(NamedTuple):
    kind: str  # plain, cut, would or back
    path: str
    x: float  # of its mark
    y: float


class Chain(NamedTuple):
    boxes: list
    would: bool  # denied, or only watched
    closes: bool  # is it known that the last one needs the first?
    cut: int  # the box that was not reached


class Drawing(NamedTuple):
    width: float
    height: float
    boxes: list
    lines: list
    told: list  # the same in sentences


def chains(findings):
    """One way of each finding, that of most hosts. What was denied on some hosts and watched on others is there once."""
    found = {}
    for one in findings:
        if one.ways and len(found) < CHAINS:
            chain = _chain(one, max(one.ways.values(), key=lambda way: len(way.hosts)))
            found.setdefault(tuple(box[:2] for box in chain.boxes), chain)
    return list(found.values())


def _chain(finding, way):
    deployed = Box('service', way.service, ('is deployed',)) if way.service else Box('service', 'The service', (
        'that is deployed here',))
    task = way.task or {}
    boxes = [deployed, Box('task', task.get('name') or 'a task that is not known', (place(task) if task else '',)),
             Box('command', short(way.command), ()),
             Box('endpoint', finding.what, (', '.join(filter(None, (_beside(where, finding.what) for where in way.endpoints))),
                                            f'on {len(finding.hosts):,} {"host" if len(finding.hosts) == 1 else "hosts"}'))]
    cut = len(boxes) - 1
    if way.path:
        between = list(way.path[:-1])
        if len(between) > SERVICES:
            between[1:-1] = [f'{len(between) - 2} more between']
        boxes += [Box('between', name, (f'needs {needed}',)) for name, needed in zip(between, [*between[1:], way.path[-1]])]
    elif finding.rule:
        boxes.append(Box('rule', f'rule {finding.rule}', (finding.reason or '',)))
    else:
        boxes.append(Box('rule', 'no rule', (finding.reason or '',)))
    return Chain(boxes, finding.sort == WOULD_DENY, bool(finding.rule), cut)


def _beside(where, what):
    """An endpoint as it is told, without the name that stands above it."""
    rest = where.removeprefix(what).strip()
    return rest[1:-1] if rest.startswith('(') else rest


def across(found):
    """All in one drawing from left to right. What several have in common is drawn once."""
    found = sorted(found, key=lambda chain: [box[:2] for box in chain.boxes[:3]])
    length = max(len(chain.boxes) for chain in found)
    columns = [[] for _number in range(length)]  # [[box, rows in which it stands]]
    for row, chain in enumerate(found):
        for column, box in zip(_columns(chain, length), chain.boxes):
            known = next((one for one in columns[column] if one[0][:2] == box[:2]), None)
            if known:
                known[1].append(row)
            else:
                columns[column].append([box, [row]])
    widths = [max(WIDTHS[box.kind] for box, _rows in column) for column in columns]
    places, x, bottom = {}, 0, 0
    for number, (column, width) in enumerate(zip(columns, widths)):
        y = 0
        for box, rows in sorted(column, key=lambda one: sum(one[1]) / len(one[1])):
            y = max(y, sum(rows) / len(rows) * (HEIGHT + GAP))
            places[number, box[:2]] = _placed(box, x, y, width)
            y += HEIGHT + GAP
        x, bottom = x + width + BETWEEN, max(bottom, y - GAP)
    right, base = x - BETWEEN + BUS, bottom + BUS
    lines = {}
    for chain in found:
        stations = [places[column, box[:2]] for column, box in zip(_columns(chain, length), chain.boxes)]
        for number, (one, other) in enumerate(zip(stations, stations[1:])):
            line = _right(one, other, _kind(chain, number))
            lines.setdefault(line.path, line)
        if chain.closes:
            line = _back(stations[-1], stations[0], right, base)
            lines.setdefault(line.path, line)
    return Drawing(right + 4, base + 26, list(places.values()), list(lines.values()), told(found))


def _columns(chain, length):
    """The last one stands at the right, so that the way back is free."""
    return [*range(len(chain.boxes) - 1), length - 1]


def downward(chain):
    """One of them for narrow screens, from top to bottom."""
    stations = [_placed(box, 0, number * (HEIGHT + DOWN), ALONE) for number, box in enumerate(chain.boxes)]
    lines, middle = [], ALONE / 2
    for number, one in enumerate(stations[:-1]):
        y = one.y + HEIGHT
        lines.append(Line(_kind(chain, number), f'M{middle:g} {y:g}v{DOWN}m-4-7 4 7 4-7', middle, y + DOWN / 2 - 2))
    if chain.closes:
        right, bottom, top = ALONE + BUS, stations[-1].y + HEIGHT / 2, HEIGHT / 2
        lines.append(Line('back', f'M{ALONE} {bottom:g}H{right - CORNER}q{CORNER} 0 {CORNER}-{CORNER}V{top + CORNER:g}'
                                  f'q0-{CORNER}-{CORNER}-{CORNER}H{ALONE}m7-4-7 4 7 4', right, (top + bottom) / 2))
    return Drawing(ALONE + BUS + 4, stations[-1].y + HEIGHT + 4, stations, lines, told([chain]))


def _kind(chain, number):
    if number + 1 != chain.cut:
        return 'plain'
    return 'would' if chain.would else 'cut'


def _placed(box, x, y, width):
    room = width - 24
    if box.kind == 'command':
        texts = [(False, part) for part in _wrapped(box.title, int(room / MONO), 2)]
    else:
        lines = [line for line in box.lines if line]
        lines = _wrapped(lines[0], int(room / SMALL), 2) if len(lines) == 1 else lines
        texts = [(True, clip(box.title, int(room / LETTER))), *((False, clip(line, int(room / SMALL))) for line in lines)]
    first = HEIGHT / 2 + 4 - STEP / 2 * (len(texts) - 1)
    return Placed(box, x, y, width, [(first + STEP * number, *text) for number, text in enumerate(texts)])


def _wrapped(text, width, most):
    parts = textwrap.wrap(clean(text), width) or ['']
    return [*parts[:most - 1], clip(' '.join(parts[most - 1:]), width)] if len(parts) > most else parts


def _right(one, other, kind):
    x, y, to_x, to_y = one.x + one.width, one.y + HEIGHT / 2, other.x, other.y + HEIGHT / 2
    middle = (x + to_x) / 2
    # the mark stands nearer to the end, where lines that begin together are apart: at 0.7 of the curve
    return Line(kind, f'M{x:g} {y:g}C{middle:g} {y:g} {middle:g} {to_y:g} {to_x:g} {to_y:g}m-7-4 7 4-7 4',
                round(0.027 * x + 0.63 * middle + 0.343 * to_x, 1), round(0.216 * y + 0.784 * to_y, 1))


def _back(last, first, right, base):
    x, y, to = last.x + last.width, last.y + HEIGHT / 2, first.x + first.width / 2
    return Line('back', f'M{x:g} {y:g}H{right - CORNER:g}q{CORNER} 0 {CORNER} {CORNER}V{base - CORNER:g}'
                        f'q0 {CORNER}-{CORNER} {CORNER}H{to + CORNER:g}q-{CORNER} 0-{CORNER}-{CORNER}'
                        f'V{first.y + HEIGHT:g}m-4 7 4-7 4 7', (right + to) / 2, base)


def told(found):
    """For those who don't see the drawing."""
    return [_sentence(chain) for chain in found]


def _sentence(chain):
    deployed, task, command, endpoint, *rest = chain.boxes
    reached = 'would have been denied' if chain.would else 'was denied'
    said = [f'{deployed.title}: task {task.title} runs {command.title}, which reaches for {endpoint.title} and {reached}']
    said += [f'{box.title} {box.lines[0]}' if box.kind == 'between' else f'{box.title}: {box.lines[0]}' for box in rest]
    return clean('; '.join(said)) + '.'
