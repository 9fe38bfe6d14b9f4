# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the deployments of the bench fetch and compile: `make bench` gets it once and keeps it below build/bench/supplies.

source/ is a program's source; debs/, simple/ and git/ are what a mirror of Debian, a package index and a git server serve.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from images import OWN, Apt

ROOT = Path(__file__).resolve().parent.parent
SUPPLIES = ROOT / "build" / "bench" / "supplies"
SUITE = "trixie"    # of the virtual machine's root file system, into which the packages go
SOURCE = "lua5.4"   # a Debian source package: 35 files of C, and nothing to configure
DEBIAN = ("nginx", "redis-server")  # with all that they need
PYTHON = "ansible-core"             # likewise, in the version of tests/requirements.txt
TRACKED, DIRECTORIES = 20_000, 400  # files in the repository


def run(*command, **options):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, **options)


def source(apt, target):
    """The program as its authors release it, without Debian's changes."""
    lists = apt.directory / "sources.list"
    lists.write_text(re.sub(r"^deb ", "deb-src ", lists.read_text(), flags=re.MULTILINE))
    run("apt-get", *apt.options, "-qq", "--error-on=any", "update")
    run("apt-get", *apt.options, "-qq", "--download-only", "source", SOURCE, cwd=apt.directory)
    [archive] = apt.directory.glob("*.orig.tar.*")
    target.mkdir()
    run("tar", "-x", "-f", archive, "-C", target, "--strip-components=1", "--no-same-owner")


def debs(apt, target):
    target.mkdir()
    for package in apt.download_all(*DEBIAN):
        package.rename(target / package.name)
    with open(target / "Packages", "w", encoding="utf-8") as index:
        subprocess.run(["dpkg-scanpackages", "--multiversion", "."], cwd=target, check=True, stdout=index,
                       stderr=subprocess.DEVNULL)


def simple(target):
    """A directory for each project, as an index has them."""
    [wanted] = re.findall(rf"^{PYTHON}==\S+", (ROOT / "tests" / "requirements.txt").read_text(), re.MULTILINE)
    with tempfile.TemporaryDirectory() as wheels:
        run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--only-binary=:all:",
            "--dest", wheels, wanted)
        for wheel in Path(wheels).iterdir():
            project = target / re.sub(r"[-_.]+", "-", wheel.name.partition("-")[0]).lower()
            project.mkdir(parents=True, exist_ok=True)
            shutil.move(wheel, project)


def repository(target):
    """A bare one, with one commit of very many files."""
    run("git", "init", "--quiet", "--bare", "--initial-branch=main", target)
    files = "".join(f"M 644 inline d{number % DIRECTORIES}/{number}\ndata {len(text)}\n{text}\n"
                    for number, text in ((number, f"setting {number}\n" * 20) for number in range(TRACKED)))
    run("git", "-C", target, "fast-import", "--quiet", input=(
        f"commit refs/heads/main\ncommitter bench <bench@example> 1700000000 +0000\ndata 3\nall\n{files}").encode())


def main():
    shutil.rmtree(SUPPLIES, ignore_errors=True)
    SUPPLIES.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as directory:
        apt = Apt(SUITE, OWN, Path(directory))
        debs(apt, SUPPLIES / "debs")
        source(apt, SUPPLIES / "source")
    simple(SUPPLIES / "simple")
    repository(SUPPLIES / "git" / "repository.git")


if __name__ == "__main__":
    main()
