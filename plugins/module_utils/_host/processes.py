# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Processes of the host: what runs there, since when, and who started it."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _secrets


def started(pid):
    """When a process started, in clock ticks since boot; None where there is no such process."""
    try:
        with open('/proc/%d/stat' % pid) as stat:
            fields = stat.read().rpartition(')')[2].split()
    except OSError:
        return None
    return None if fields[0] in 'ZX' else int(fields[19])


def command_of(pid):
    """The command line as records have it: without secrets, and cut."""
    try:
        with open('/proc/%d/cmdline' % pid, 'rb') as content:
            kept = content.read(_abi.ARGS)
    except OSError:
        return ''
    return _secrets.shown(_secrets.arguments(kept), len(kept) == _abi.ARGS)


def ancestors(pid):
    """This process and those that started it."""
    while pid:
        yield pid
        try:
            with open('/proc/%d/stat' % pid) as stat:
                pid = int(stat.read().rpartition(')')[2].split()[1])
        except OSError:
            return
