# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Is this root less than the machine's, as in a container?"""

from __future__ import annotations

import contextlib
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files

# CAP_SYS_ADMIN has what BPF needs, and containers take it away. CAP_NET_RAW is for a guard's proof.
NEEDED = {'CAP_SYS_ADMIN': 21, 'CAP_NET_RAW': 13}
MACHINE = 0xEFFFFFFD  # the number of the user namespace that the kernel begins with (<linux/proc_ns.h>)


def check(status='/proc/self/status', namespace='/proc/self/ns/user'):
    """Raises GuardError where it is."""
    if _number(namespace) not in (None, MACHINE):
        raise GuardError('Root is that of a user namespace here, as in a container without root, and the kernel takes BPF '
                         'programs from root of the machine alone. Bring the guard up on the machine itself.')
    words = files.text(status).split()
    effective = int(words[words.index('CapEff:') + 1], 16)
    lacking = [name for name, number in NEEDED.items() if not effective >> number & 1]
    if lacking:
        raise GuardError('Root lacks %s here, as in a container. Bring the guard up on the machine itself, or give the container '
                         'that.' % ' and '.join(lacking))


def _number(path):
    """Of a namespace: what the kernel calls it, as AppArmor forbids to look at it; None where the kernel has no such ones."""
    with contextlib.suppress(OSError, ValueError):
        return int(os.readlink(path).partition('[')[2].rstrip(']'))
    return None
