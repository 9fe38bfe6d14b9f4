# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A checked policy as text: on its way from the controller to the target, and in a guard's memory there.

Who unpacks it does not check it again: with 100,000 names that takes its time. The text says in which form it is, and has a
digest, which tells whether it is whole. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import many
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.policy import Policy

FORM = '2'


def pack(policy):
    squeezed, digest, content = zlib.compressobj(), hashlib.sha256(), bytearray()
    for piece in policy.pieces(many.packed):
        digest.update(piece.encode('ascii'))
        content += squeezed.compress(piece.encode('ascii'))
    content += squeezed.flush()
    return ':'.join((FORM, digest.hexdigest(), base64.b64encode(content).decode('ascii')))


def unpack(text):
    form, _colon, rest = text.partition(':')
    if form != FORM:
        raise GuardError('The checked policy came in a form that this version of the collection does not know. Install the '
                         'same version of loopbreak.deploy for all that takes part, and no copy of its module in library/.')
    digest, _colon, content = rest.partition(':')
    try:
        content = zlib.decompress(base64.b64decode(content))
    except (binascii.Error, ValueError, zlib.error):
        content = b''
    if hashlib.sha256(content).hexdigest() != digest:
        raise GuardError('The checked policy is damaged: it is not the one that its digest was made of. Give it again, with '
                         'state: present.')
    return Policy.of(json.loads(content))
