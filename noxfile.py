# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that collections have in common, for who knows them by nox. They need no root; antsibull-nox.toml has them."""

import sys

try:
    import antsibull_nox
except ImportError:
    sys.exit('nox needs antsibull-nox beside it: pip install nox antsibull-nox')

antsibull_nox.load_antsibull_nox_toml()
