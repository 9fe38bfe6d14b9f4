# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Is this root less than the machine's, as in a container?"""

from __future__ import annotations

import contextlib

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files

CAP_SYS_ADMIN = 21  # with it a process has what BPF needs; containers take it away
WHOLE_MACHINE = '0 0 4294967295'  # the uid_map of a process in no user namespace of its own


def check(status='/proc/self/status', uid_map='/proc/self/uid_map'):
    """Raises GuardError where it is."""
    if ' '.join(_words(uid_map)) not in ('', WHOLE_MACHINE):
        raise GuardError('Root is that of a user namespace here, as in a container without root, and the kernel takes BPF '
                         'programs from root of the machine alone. Bring the guard up on the machine itself.')
    words = _words(status)
    if not int(words[words.index('CapEff:') + 1], 16) >> CAP_SYS_ADMIN & 1:
        raise GuardError('Root lacks CAP_SYS_ADMIN here, as in a container. Bring the guard up on the machine itself, or give '
                         'the container that capability.')


def _words(path):
    with contextlib.suppress(FileNotFoundError):  # the kernel may know no user namespaces
        return files.text(path).split()
    return []
