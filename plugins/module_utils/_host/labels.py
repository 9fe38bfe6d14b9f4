# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What SELinux is to take a file for that every user needs on the way in, also one whom it confines.

Below /run everything is var_run_t, which such users neither execute nor write to. These types are those of the reference
policy, which distributions build on. What the modes of the files forbid stays forbidden.
"""

from __future__ import annotations

import contextlib
import os

ATTRIBUTE = 'security.selinux'
EXECUTED, READ, WRITTEN = 'bin_t', 'usr_t', 'user_tmp_t'


def give(path, kind):
    """Without SELinux this does nothing. Nor where it forbids that: then whom it keeps out is told so."""
    with contextlib.suppress(OSError, ValueError):
        _user, role, _type, *level = os.fsdecode(os.getxattr(path, ATTRIBUTE)).rstrip('\0').split(':', 3)
        # a file of another confined user would be out of reach whatever its type is; one of the system's is not
        os.setxattr(path, ATTRIBUTE, os.fsencode(':'.join(['system_u', role, kind, *level])))
