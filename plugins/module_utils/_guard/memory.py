# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The memory of a guard as text: sealed, so that a damage of any byte shows. Pure."""

from __future__ import annotations

import hashlib
import json

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi

FORM = 5  # of what is remembered, beside the form of the kernel's tables
FOUND = 'found'  # how it was found, where not in its file: is never written


class OtherVersion(ValueError):
    """It is whole, as far as can be seen, and of another version of this collection."""


def sealed(state):
    kept = dict(state, form=FORM)
    kept.pop(FOUND, None)
    return json.dumps(dict(kept, seal=_seal(kept)))


def unsealed(text):
    """Raises ValueError where it is not as it was written."""
    try:
        state = json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    if not isinstance(state, dict):
        raise ValueError('it is no mapping')
    if state.get('abi') != _abi.ABI_VERSION or 'form' in state and state['form'] != FORM:
        raise OtherVersion('it is of another version')
    if state.pop('seal', None) != _seal(state):
        raise ValueError('its checksum does not fit')
    return state


def _seal(state):
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
