# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual machine for each kernel that is supported, for all tests here."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from images import ARM64, CONFINED, USERLANDS, VmError, images
from lacking import Lack, skip
from machines import Machines

HERE = Path(__file__).resolve().parent
RELEASES, UNAVAILABLE = {}, []


@contextlib.contextmanager
def booted(*kernels, **options):
    """{kernel: Machine}, all up; options: as of Machine. Without QEMU or Debian's archive: skipped, and told at the end; in
    CI a failure."""
    try:
        images(*kernels)
    except VmError as error:
        UNAVAILABLE.append(str(error))
        skip(Lack.VIRTUAL_MACHINES, str(error))
    with Machines(*kernels, **options) as machines:
        RELEASES.update({kernel: machine.image.release for kernel, machine in machines.items()})
        yield machines


@pytest.fixture(scope="session")
def machines():
    with booted() as machines:
        yield machines


def serve(machines):
    """On each machine: files/outside.py, and the files that files/attempts.py tries."""
    def start(machine):
        machine.put(HERE / "files/outside.py", HERE / "files/attempts.py", to="/opt")
        machine.exec("sh", "-c", "setsid /usr/bin/python3 /opt/outside.py > /run/outside 2>&1 < /dev/null & "
                     "mkdir /opt/matrix; cp /bin/true /opt/matrix/program; touch /opt/matrix/file; "
                     "until grep -q ready /run/outside; do sleep 1; done")
    with ThreadPoolExecutor() as pool:
        list(pool.map(start, machines.values()))


@pytest.fixture(scope="session")
def servers(machines):
    serve(machines)


@pytest.fixture(scope="module")
def arm64():
    """The machines of the other architecture, with the same. They have no systemd."""
    with booted(*ARM64) as machines:
        serve(machines)
        yield machines


@pytest.fixture(scope="module")
def counting():
    """A machine whose clock counts instructions."""
    with booted("6.12", counting=True) as machines:
        yield machines["6.12"]


@pytest.fixture(scope="module")
def confined():
    """The machines whose security modules confine what runs."""
    with booted(*CONFINED, cpus=1) as machines:
        yield machines


@pytest.fixture
def fresh():
    """A machine that no other test has used, with the same."""
    with booted("6.12") as machines:
        serve(machines)
        yield machines["6.12"]


@pytest.fixture(scope="module")
def userlands():
    """The machines with the releases of Debian, with the same. They have no systemd."""
    with booted(*USERLANDS) as machines:
        serve(machines)
        yield machines


def pytest_terminal_summary(terminalreporter):
    if RELEASES:
        terminalreporter.section("kernels")
        for kernel, release in RELEASES.items():
            terminalreporter.line(f"{kernel:<10} {release}")
    if UNAVAILABLE:
        terminalreporter.section("NO KERNEL BUT THIS MACHINE'S WAS TESTED", red=True)
        terminalreporter.line(UNAVAILABLE[0])
