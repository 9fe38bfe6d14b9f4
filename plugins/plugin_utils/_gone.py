# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""A guard that ended while its run went on, as a task's result shows it. What stays in the launcher's place tells so."""

from __future__ import annotations

import json
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._said import GONE

PARTS = ('msg', 'stdout', 'module_stdout', 'stderr', 'module_stderr')  # of a result, where others pass its answer on
# What the login's shell says where nothing is in the launcher's place, and what Ansible tells of that
NO_LAUNCHER = re.compile(r'/run/ebpf_guard/([a-z0-9_-]+)/launcher: (?:not found|No such file)'
                         r'|Failed to create temporary directory.* exited with result 127\b', re.DOTALL)


def seen(data):
    """{name, by, at, report} of the guard that a failed task did not find any more; None where it did.

    The name is None where the result does not tell it.
    """
    for one in (data, *(item for item in data.get('results') or () if isinstance(item, dict))):
        if isinstance(one.get(GONE), dict):
            return one[GONE]
        for text in (one[part] for part in PARTS if isinstance(one.get(part), str)):
            found = _told(text) if GONE in text else None
            if found:
                return found
            lost = NO_LAUNCHER.search(text)
            if lost:
                return {'name': lost[1], 'by': 'the loss of its launcher, as by a reboot', 'at': None, 'report': None}
    return None


def _told(text):
    start = text.find('{"%s"' % GONE)
    try:
        return json.JSONDecoder().raw_decode(text[start:])[0][GONE] if start >= 0 else None
    except (ValueError, KeyError):
        return None


def details(gone):
    """(label, text) for the reader."""
    found = [('ended by', gone['by'] + (' at %s' % gone['at'] if gone['at'] else ''))]
    return found + ([('report', '%s on the host' % gone['report'])] if gone['report'] else [])
