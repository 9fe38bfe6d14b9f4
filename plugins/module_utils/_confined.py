# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What confines a process besides the rights of its user, as far as the process itself can see that."""

from __future__ import annotations

import re

ATTRIBUTES, STATUS, ENFORCES = '/proc/self/attr', '/proc/self/status', '/sys/fs/selinux/enforce'
FREE = ('complain', 'unconfined')  # modes of a profile that denies nothing


def told(attributes=ATTRIBUTES, status=STATUS, enforces=ENFORCES):
    """In a clause without an end: who confines it, and where to look for what was denied. Empty where nothing is seen."""
    label = _read(attributes + '/apparmor/current') or _read(attributes + '/current')
    profile, clauses = re.fullmatch(r'(.+) \((\w+)\)', label), []
    if profile and profile.group(2) not in FREE:
        clauses.append("AppArmor confines this process by the profile '%s', and dmesg has what that would have to allow "
                       '(apparmor="DENIED")' % profile.group(1))
    elif label.count(':') > 1 and _read(enforces) == '1':
        clauses.append('SELinux is enforcing, this process runs as %s, and dmesg, or `ausearch -m avc -ts recent`, has what was '
                       'denied to it (audit2allow makes rules of that)' % label)
    if re.search(r'^Seccomp:\s*2$', _read(status), re.M):
        clauses.append('a seccomp filter is on this process, as a container has one, or a service with SystemCallFilter=')
    return '; '.join(clauses)


def _read(path):
    """What stands there; nothing where there is no such file, or where nobody may read it, as without such a module."""
    try:
        with open(path, errors='replace') as content:
            return content.read().strip('\0\n')
    except OSError:
        return ''
