# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In place of the script that ansible-test downloads: some machines reach a package index, and nothing else.

test_sanity.py lays it into ansible-test's cache, beside the wheel of the pip that ansible-test asks for.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

WHEELS = Path(__file__).parent
PACKAGES = [word for word in sys.argv[1:] if word not in ('--no-setuptools', '--no-wheel')]

# a wheel of pip can be run as it is
pip = str(max(WHEELS.glob('pip-*.whl')) / 'pip')
os.execv(sys.executable, [sys.executable, pip, 'install', '--no-index', '--find-links', str(WHEELS)] + PACKAGES)
