# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fleet of three hosts for all integration tests; each test leaves every host as it found it."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import cores
import pytest
import pythons
import shapes
from controller import Controller
from fleet import Fleet
from hosts import remains
from lacking import Lack, skip

ENDS = cores.OLDEST, cores.NEWEST
UNTRIED = {}     # {a version of ansible-core: why it can't run here}


def pytest_configure(config):
    config.pluginmanager.register(shapes.Table(), "shapes")


@pytest.fixture(scope="session")
def fleet():
    with Fleet(f"tests-{os.getpid()}", hosts=3) as fleet:
        yield fleet


def pytest_generate_tests(metafunc):
    """Each test of a module that names LOADERS is run with each of them; one that is marked `libbpf` with that alone."""
    if "controller" not in metafunc.fixturenames:
        return
    loaders, marked = getattr(metafunc.module, "LOADERS", None), metafunc.definition.get_closest_marker
    if loaders:
        metafunc.parametrize("loader", loaders[:1] if marked("libbpf") else loaders, indirect=True)
    versions = _cores(metafunc.config.getoption("core"), metafunc.function.__name__, marked)
    if versions:
        metafunc.parametrize("core", versions, indirect=True)


def _cores(asked, name, marked):
    """The versions of ansible-core that run a test. Without any: the one that the tests run in."""
    if asked:
        return cores.SUPPORTED if asked == "all" else [asked]
    if marked("cores"):
        return ENDS
    # each shape has one of the two, always the same
    return [ENDS[zlib.crc32(name.encode()) % 2]] if marked("shape") else []


@pytest.fixture
def loader(request):
    return getattr(request, "param", None)


@pytest.fixture
def core(request, monkeypatch):
    """Another ansible-core than the one that the tests run in, for all controllers of the test."""
    version = getattr(request, "param", None)
    try:
        if version:
            monkeypatch.setattr(Controller, "bin", cores.environment(version))
    except cores.CoreError as error:
        UNTRIED[version] = str(error)
        skip(Lack.CORE, str(error))


@pytest.fixture
def controller(request, fleet, tmp_path, loader, core):
    """Each test takes its guards down; what it leaves is a defect of the product or of the test."""
    fleet.forget_logs()
    controller = Controller(fleet, tmp_path, loader=loader)
    if request.node.get_closest_marker("shape"):
        request.config.pluginmanager.get_plugin("shapes").ran_with(request.node, controller.core)
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
    for version, why in UNTRIED.items():
        terminalreporter.section(f"NOTHING WAS TESTED WITH ANSIBLE-CORE {version}", red=True)
        terminalreporter.line(why)
