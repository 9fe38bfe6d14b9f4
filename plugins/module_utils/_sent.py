# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action plugin sends to its module beside the options that a user writes. Private to this collection.

It is no option. So it is in no documentation, in no log of the target, and never sent back.
"""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

SENT = '_sent'


class Module(AnsibleModule):
    """`sent`: what its action plugin has sent along, by name."""

    def _load_params(self):
        """Takes it out before Ansible checks the options."""
        super()._load_params()
        self.sent = self.params.pop(SENT, {})


def of_user(options):
    """The options of a task, without what only an action plugin may send."""
    return {name: value for name, value in options.items() if name != SENT}
