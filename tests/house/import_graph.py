# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The imports of the collection's own Python files, also those inside functions, as a graph.

`python3 tests/house/import_graph.py [CHECKOUT]` prints its numbers, and a line for each room.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = 'ansible_collections.loopbreak.deploy.'
ENTRY_POINTS = ('modules', 'action', 'callback', 'doc_fragments')


def files(root=ROOT):
    """{dotted name below the collection: path} of every Python file in plugins/, packages' empty files left out."""
    return {'.'.join(path.relative_to(root).with_suffix('').parts): path
            for path in sorted(root.glob('plugins/**/*.py')) if path.stem != '__init__'}


def imported(path, known):
    """The files that this one imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] + ['%s.%s' % (node.module, alias.name) for alias in node.names]
        found.update(name[len(PACKAGE):] for name in names if name.startswith(PACKAGE))
    return found & set(known)


def graph(root=ROOT):
    """{file: files that it imports}"""
    known = files(root)
    return {name: imported(path, known) for name, path in known.items()}


def room(name):
    """The folder of a file. The entry points are one room, and each file that lies on the ground is part of one."""
    parts = name.split('.')[1:-1]
    return 'entry points' if parts[0] in ENTRY_POINTS else 'ground' if parts == ['module_utils'] else '/'.join(parts)


def circles(arrows):
    """Sets of files that import each other in a circle."""
    reached = {}

    def reach(name):
        if name not in reached:
            reached[name], waiting = set(), [name]
            while waiting:
                for other in arrows[waiting.pop()] - reached[name]:
                    reached[name].add(other)
                    waiting.append(other)
        return reached[name]
    return {frozenset(other for other in reach(name) if name in reach(other)) for name in arrows if name in reach(name)}


def floors(arrows):
    """How many files the longest way down passes; the files of a circle are on one floor."""
    circle_of = {name: circle for circle in circles(arrows) for name in circle}
    height = {}

    def floor(name):
        if name not in height:
            below = [other for other in arrows[name] if circle_of.get(other) != circle_of.get(name, name)]
            height[name] = 1 + max(map(floor, below), default=0)
        return height[name]
    return max(map(floor, arrows))


def between_rooms(arrows):
    """{room: rooms that its files import from}"""
    found = {room(name): set() for name in arrows}
    for name, others in arrows.items():
        found[room(name)].update(room(other) for other in others)
    return {name: others - {name} for name, others in found.items()}


def numbers(root=ROOT):
    """The table of the graph: [(what, number)]."""
    arrows = graph(root)
    rooms = between_rooms(arrows)
    widest = max(arrows, key=lambda name: len(arrows[name]))
    lines = {name: len(path.read_text().splitlines()) for name, path in files(root).items()}
    longest = max((name for name in lines if room(name) != 'entry points' and '_abi' not in name), key=lines.get)
    return [
        ('files', len(arrows)),
        ('arrows between files', sum(map(len, arrows.values()))),
        ('floors of files', floors(arrows)),
        ('circles of files', len(circles(arrows))),
        ('rooms', len(rooms)),
        ('arrows between rooms', sum(map(len, rooms.values()))),
        ('floors of rooms', floors(rooms)),
        ('circles of rooms', len(circles(rooms))),
        ('largest fan-out (%s)' % widest, len(arrows[widest])),
        ('longest file but entry points (%s), lines' % longest, lines[longest]),
    ]


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    for what, number in numbers(root):
        print('%-90s %4d' % (what, number))
    count = Counter(map(room, files(root)))
    for name, others in sorted(between_rooms(graph(root)).items()):
        print('%-24s %2d files  -> %s' % (name, count[name], ', '.join(sorted(others)) or '-'))


if __name__ == '__main__':
    main()
