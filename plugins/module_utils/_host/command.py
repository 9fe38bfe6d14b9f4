# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Commands of the host that a guard needs: mount, and systemd's."""

from __future__ import annotations

import subprocess

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, reason


def run(*command):
    """What the command said. Raises GuardError with it, where it fails.

    It inherits the lock of the call: who clears up after a killed call waits until the command has ended, too.
    """
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              close_fds=False, check=False)
    except OSError as error:
        raise GuardError('`%s` could not be run: %s' % (' '.join(command), reason(error)))
    said = done.stdout.decode('utf-8', 'replace').strip()
    if done.returncode:
        raise GuardError('`%s` failed: %s' % (' '.join(command), said))
    return said
