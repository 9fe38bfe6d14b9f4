# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of docs/shapes.md: the marks of the tests that are its rows, and the versions with which all of them passed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "shapes.md"
TESTS = ROOT / "tests" / "integration"
MARKERS = "<!-- what `make shapes` found -->\n", "<!-- end -->\n"
PASSED = "\nAll of it passed with ansible-core "


def environment(core):
    """The directory of the programs of this ansible-core, in an environment of its own, which is made when it is not there."""
    home = ROOT / "build" / f"core-{core}"
    if not (home / "bin" / "ansible-playbook").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", f"ansible-core=={core}.*"],
                       check=True)
    return home / "bin"


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
    """A plugin of pytest that writes the table, when every test that is a row of it has run and passed."""

    def __init__(self):
        self.passed, self.failed, self.core = set(), set(), None

    def pytest_runtest_logreport(self, report):
        name = Path(report.fspath).name, report.nodeid.partition("::")[2].partition("[")[0]
        if report.failed or report.skipped:
            self.failed.add(name)
        elif report.when == "call":
            self.passed.add(name)

    def pytest_sessionfinish(self, session):
        wanted = {(path.name, name) for path in TESTS.glob("test_*.py") for name, *_row in marked(path)}
        if not wanted <= self.passed - self.failed:
            return
        version = ".".join(map(str, self.core))
        before, table, versions, after = parts()
        others = [one for one in versions if one.rpartition(".")[0] != version.rpartition(".")[0]] if table == rows() else []
        passed = " and ".join(sorted([*others, version], key=lambda one: [int(part) for part in one.split(".")]))
        TABLE.write_text(f"{before}{MARKERS[0]}{rows()}{PASSED}{passed}.\n{MARKERS[1]}{after}")
