# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Commands of the host that a guard needs: mount, and systemd's."""

from __future__ import annotations

import signal
import subprocess

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, reason

PATIENCE = 30  # seconds for a command
GRACE = 5  # the same for one that is killed: who waits for a dead file server does not end


class TooLate(GuardError):
    """A command did not end in time."""


def run(*command):
    """What the command said. Raises GuardError with it, where it fails.

    It inherits the locks of the call: who clears up after a killed call waits until the command has ended, too. A timer
    ends it, whatever becomes of the call.
    """
    words = ' '.join(command)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   close_fds=False, preexec_fn=_limit)
    except OSError as error:
        raise GuardError('`%s` could not be run: %s' % (words, reason(error)))
    try:
        said = process.communicate(timeout=PATIENCE + GRACE)[0].decode('utf-8', 'replace').strip()
    except subprocess.TimeoutExpired:
        process.kill()
        process.stdout.close()
        raise _late(words)
    if process.returncode == -signal.SIGALRM:
        raise _late(words)
    if process.returncode:
        raise GuardError('`%s` failed: %s' % (words, said))
    return said


def _limit():
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(PATIENCE)


def _late(words):
    return TooLate('`%s` did not end within %d seconds, so it was killed. Try that command on the host.' % (words, PATIENCE))
