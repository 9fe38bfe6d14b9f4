# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pythons that are older than this machine's own, for tests of what runs on targets.

The oldest that the collection promises is 3.8, which no release of Debian has had. Where a machine has one besides (on the PATH, or of
pyenv), it is taken. Else it is 3.9, of Debian 11, and a section at the end of the run says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from images import Apt

KEPT = Path(__file__).resolve().parents[2] / "build" / "pythons"
PROMISED = "3.8"
# What is unpacked of Debian 11, and not installed: {version: packages}. They run on the C library of any later Debian. Of the security
# updates of a release that has ended, Debian does not keep all files.
PACKAGES = {"3.9": ("python3.9-minimal", "libpython3.9-minimal", "libpython3.9-stdlib", "libffi7", "libmpdec3"),
            "2.7": ("python2.7-minimal", "libpython2.7-minimal")}


def oldest() -> Path:
    """The interpreter to run targets with."""
    return here(PROMISED) or of_debian_11("3.9")


def too_old() -> list[Path]:
    """Interpreters that a target's must not be; always one at least."""
    return [of_debian_11("2.7"), *filter(None, map(here, ("3.6", "3.7")))]


def here(version: str) -> Path | None:
    candidates = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")]
    for candidate in filter(None, candidates):
        done = subprocess.run([candidate, "-c", "import ctypes, sys; print(sys.executable)"], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if not done.returncode:
            return Path(done.stdout.strip())
    return None


def of_debian_11(version: str) -> Path:
    home = KEPT / f"debian-11-{version}"
    if not home.exists():
        draft = KEPT / f"{os.getpid()}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for package in Apt("bullseye", "amd64", draft / "apt", security=False).download(*PACKAGES[version]):
            subprocess.run(["dpkg-deb", "-x", package, draft], check=True)
        shutil.rmtree(draft / "apt")
        libraries = ":".join(f"$home/{path.relative_to(draft).parent}" for path in draft.glob("**/libffi.so.7"))
        (draft / "python").write_text(f"""#!/bin/sh
home=$(dirname "$(readlink -f "$0")")
PYTHONHOME=$home/usr LD_LIBRARY_PATH={libraries} exec $home/usr/bin/python{version} "$@"
""")
        (draft / "python").chmod(0o755)
        draft.rename(home)
    return home / "python"


def on(fleet, host: str, python: Path) -> Path:
    """Where a host of the fleet has it. One below build/ is taken there: a host does not see every directory of this machine."""
    if KEPT not in python.parents:
        return python
    there = Path("/opt") / python.parent.name
    packed = subprocess.run(["tar", "-c", "-C", python.parent, "."], check=True, stdout=subprocess.PIPE).stdout
    fleet.exec(host, "mkdir", "-p", str(there))
    fleet.exec(host, "tar", "-x", "-C", str(there), text=False, input=packed)
    return there / python.name
