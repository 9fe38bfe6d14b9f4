# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fleet of three hosts for all integration tests; each test leaves every host as it found it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import pythons
import shapes
from controller import Controller
from fleet import Fleet
from hosts import remains


def pytest_configure(config):
    if config.getoption("core"):
        Controller.bin = shapes.environment(config.getoption("core"))
    config.pluginmanager.register(shapes.Table(), "shapes")


@pytest.fixture(scope="session")
def fleet():
    with Fleet(f"tests-{os.getpid()}", hosts=3) as fleet:
        yield fleet


def pytest_generate_tests(metafunc):
    """Each test of a module that names LOADERS is run with each of them; one that is marked `libbpf` with that alone."""
    loaders = getattr(metafunc.module, "LOADERS", None)
    if loaders and "controller" in metafunc.fixturenames:
        alone = metafunc.definition.get_closest_marker("libbpf")
        metafunc.parametrize("controller", loaders[:1] if alone else loaders, indirect=True)


@pytest.fixture
def controller(request, fleet, tmp_path):
    """Each test takes its guards down; what it leaves is a defect of the product or of the test."""
    fleet.forget_logs()
    controller = Controller(fleet, tmp_path, loader=getattr(request, "param", None))
    if request.node.get_closest_marker("shape"):
        request.config.pluginmanager.get_plugin("shapes").core = controller.core
    yield controller
    left = {host: found for host in fleet.hosts if (found := remains(fleet, host))}
    for host, found in left.items():
        for name in {Path(path).name for path in found if Path(path).parent.name == "ebpf_guard"}:
            controller.adhoc("ebpf_guard", {"state": "absent", "name": name}, host)
    assert not left, f"left on the hosts: {left}"


def pytest_terminal_summary(terminalreporter):
    ran = [report for reports in terminalreporter.stats.values() for report in reports if "test_pythons.py" in getattr(report, "nodeid", "")]
    if ran and not pythons.here(pythons.PROMISED):
        terminalreporter.section(f"NO PYTHON {pythons.PROMISED} ON THIS MACHINE", red=True)
        terminalreporter.line(f"The oldest Python that ran as a target's was {pythons.oldest()}. For {pythons.PROMISED}, the promised "
                              "one, only vermin has looked at the code. Install one on the PATH, or with pyenv.")
