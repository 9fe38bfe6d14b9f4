# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A minute of the campaign that `make soak` runs for as long as one likes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEED = 7


def test_a_short_campaign_finds_nothing_wrong(tmp_path):
    kept = tmp_path / 'soak.json'
    # the Python of a target, as on a host
    done = subprocess.run(['/usr/bin/python3', HERE / 'soak.py', '--minutes', '1', '--seed', str(SEED), '--out', kept], check=False)
    told = json.loads(kept.read_text())
    assert not told['wrong']
    assert done.returncode == 0
    figures = told['figures']
    assert figures['lives'] and figures['denials'] and all(one['calls'] for one in figures['calls'].values())
