# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supported versions of ansible-core, each in an environment of its own below build/, made when it is not there.

The newest need a newer Python than Debian 12 has. One on the PATH serves. Without one, Debian 13's is unpacked below build/
with the C library that it needs, and its ELF header leads there. So it runs as any program, and what it starts is the host's.
"""

from __future__ import annotations

import fcntl
import functools
import shutil
import subprocess
import sys
from pathlib import Path

from images import Apt, VmError

BUILD = Path(__file__).resolve().parents[2] / "build"
BIN = Path(sys.executable).parent
SUPPORTED = "2.17", "2.18", "2.19", "2.20", "2.21"
OLDEST, NEWEST = SUPPORTED[0], SUPPORTED[-1]
NEEDS_PYTHON = {"2.20": (3, 12), "2.21": (3, 12)}     # the others: what runs the tests
ON_THE_PATH = "python3.14", "python3.13", "python3.12", "python3"
SUITE, UNPACKED = "trixie", "python3.13"


class CoreError(Exception):
    """A whole sentence: which ansible-core can't run here, and why."""


@functools.cache
def environment(core: str) -> Path:
    """The directory of the programs of this ansible-core."""
    home = BUILD / f"core-{core}"
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / "cores.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "bin" / "ansible-playbook").exists():
            try:
                _run(BIN / "virtualenv", "--quiet", "--clear", "--no-download", "--python", _python(NEEDS_PYTHON.get(core)), home)
                _run(home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", f"ansible-core=={core}.*")
            except (VmError, subprocess.CalledProcessError) as error:
                raise CoreError(f"ansible-core {core} can't run here. {getattr(error, 'stderr', '') or error}") from error
    return home / "bin"


def _python(least: tuple[int, int] | None) -> Path:
    """A Python that is not older."""
    if not least or sys.version_info >= least:
        return Path(sys.executable)
    check = f"import sys; sys.exit(sys.version_info < {least})"
    for found in filter(None, map(shutil.which, ON_THE_PATH)):
        if subprocess.run([found, "-c", check], check=False, capture_output=True).returncode == 0:
            return Path(found)
    return _unpacked()


def _unpacked() -> Path:
    """Debian 13's Python, whose header names its loader and libraries."""
    home, draft = BUILD / f"{SUITE}-python", BUILD / f"{SUITE}-python.draft"
    program = Path("usr/bin") / UNPACKED
    if not home.exists():
        shutil.rmtree(draft, ignore_errors=True)
        architecture = _run("dpkg", "--print-architecture").strip()
        for package in Apt(SUITE, architecture, draft / "apt").download_all(UNPACKED):
            _run("dpkg-deb", "-x", package, draft)
        shutil.rmtree(draft / "apt")
        loader = Path("usr") / _run(BIN / "patchelf", "--print-interpreter", draft / program).strip().lstrip("/")
        libraries = next(draft.glob("usr/lib/*/libc.so.6")).parent.relative_to(draft)
        _run(BIN / "patchelf", "--set-interpreter", home / loader, "--force-rpath", "--set-rpath", home / libraries, draft / program)
        draft.rename(home)
    return home / program


def _run(*command) -> str:
    """What a command prints."""
    return subprocess.run([str(part) for part in command], text=True, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
