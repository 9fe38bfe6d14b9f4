# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every stage raises. Only a module's main() turns it into fail_json. Private to this collection."""

from __future__ import annotations


class GuardError(Exception):
    """A failure told in one whole human message; `facts` are further keys for fail_json."""

    def __init__(self, message, **facts):
        super().__init__(message)
        self.facts = facts


class NotTried(GuardError):
    """A guard could not be tried out. That says nothing of the guard."""


class PolicyError(GuardError):
    """The policy can't be accepted; nothing on the target was touched."""
