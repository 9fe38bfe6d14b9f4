# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine may lack, so that some tests can't run on it. In CI that is a failure: nothing is skipped in silence."""

from __future__ import annotations

import enum
import os

import pytest


class Lack(enum.Enum):
    """All reasons for which a test may be skipped."""

    VIRTUAL_MACHINES = 'there are no virtual machines'
    SANITY_TOOLS = 'ansible-test did not do everything'
    CORE = 'a supported ansible-core can not run here'
    MPTCP = 'this kernel has no MPTCP'
    FLEET_HEADERS = "the headers of this machine's kernel are not the fleet's, so no test can take them away"


def skip(lack, detail=''):
    reason = '%s: %s' % (lack.value, detail) if detail else lack.value
    if os.environ.get('CI') == 'true':
        pytest.fail(reason)
    pytest.skip(reason)
