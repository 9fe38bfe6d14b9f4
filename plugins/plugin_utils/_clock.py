# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The controller's clock as it was set when the run began. Whoever sets it meanwhile moves no task of the run.

The processes in which action plugins run are forks of the one in which the callback runs, so all have the same.
"""

from __future__ import annotations

import time

_zero = time.time() - time.monotonic()


def now():
    """In seconds since the epoch."""
    return _zero + time.monotonic()
