# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tools that look at the collection. They find the Python environment of the tests, and a home of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / 'build' / 'quality'
HOME = WORK / 'home'


def run(*command, cwd=ROOT, **variables):
    """What the command said on both channels, and its exit status."""
    HOME.mkdir(parents=True, exist_ok=True)
    # make's own variables would lead a make inside it to a job server that it can't reach
    environment = {name: value for name, value in os.environ.items() if not name.startswith('MAKE')}
    environment.update(dict(HOME=str(HOME), PATH='%s:%s' % (Path(sys.executable).parent, os.environ['PATH']),
                            NO_COLOR='1', ANSIBLE_NOCOLOR='1', COLUMNS='120'), **variables)
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace', check=False)
    return done.stdout, done.returncode


def must(*command, cwd=ROOT, **variables):
    """What the command said. The test fails with it when the command does."""
    said, status = run(*command, cwd=cwd, **variables)
    assert status == 0, '%s ended with %d:\n%s' % (' '.join(str(word) for word in command), status, said)
    return said
