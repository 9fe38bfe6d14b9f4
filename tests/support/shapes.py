# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of docs/shapes.md: the marks of the tests that are its rows, and the versions with which all of them passed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "shapes.md"
TESTS = ROOT / "tests" / "integration"
MARKERS = "<!-- what `make shapes` found -->\n", "<!-- end -->\n"
PASSED = "\nAll of it passed with ansible-core "


def marked(path):
    """[(test's name, what, what holds)] of a file, as they are written there."""
    return [(function.name, *map(ast.literal_eval, mark.args))
            for function in ast.parse(path.read_text()).body if isinstance(function, ast.FunctionDef)
            for mark in function.decorator_list
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.shape"]


def rows():
    """The table, in the order of the files and of their lines."""
    found = ["| a play | what holds |\n| --- | --- |\n"]
    found += [f"| {what} | {holds} |\n" for path in sorted(TESTS.glob("test_*.py")) for _name, what, holds in marked(path)]
    return "".join(found)


def parts():
    """What stands before the table, the table, the versions, and what stands after."""
    before, _marker, rest = TABLE.read_text().partition(MARKERS[0])
    stands, _marker, after = rest.partition(MARKERS[1])
    table, _said, versions = stands.partition(PASSED)
    return before, table, re.findall(r"[\d.]*\d", versions), after


class Table:
    """A plugin of pytest that writes the table, when every test that is a row of it has run and passed with one ansible-core."""

    def __init__(self):
        self.versions, self.passed, self.failed = {}, set(), set()

    def ran_with(self, test, version):
        self.versions[test.nodeid] = version

    def pytest_runtest_logreport(self, report):
        if report.nodeid not in self.versions:
            return
        name = Path(report.fspath).name, report.nodeid.partition("::")[2].partition("[")[0]
        if report.failed or report.skipped:
            self.failed.add(name)
        elif report.when == "call":
            self.passed.add((self.versions[report.nodeid], name))

    def pytest_sessionfinish(self):
        wanted = {(path.name, name) for path in TESTS.glob("test_*.py") for name, *_row in marked(path)}
        for version in sorted(set(self.versions.values())):
            if wanted <= {name for which, name in self.passed if which == version} - self.failed:
                write(".".join(map(str, version)))


def write(version):
    """The table anew, and that all of it passed with this version, too."""
    before, table, versions, after = parts()
    others = [one for one in versions if one.rpartition(".")[0] != version.rpartition(".")[0]] if table == rows() else []
    *most, last = sorted([*others, version], key=lambda one: [int(part) for part in one.split(".")])
    passed = f"{', '.join(most)} and {last}" if most else last
    TABLE.write_text(f"{before}{MARKERS[0]}{rows()}{PASSED}{passed}.\n{MARKERS[1]}{after}")
