# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the action plugins send to their modules. ansible-test wants it in the docs; no user writes it."""

    DOCUMENTATION = r"""
options:
  _objects:
    description:
      - Internal. The programs, from the action plugin, which ignores what a playbook writes here. So it does for every option
        whose name begins with C(_).
    type: dict
"""

    GUARD = r"""
options:
  _policy:
    description:
      - Internal. The policy, checked and compressed.
    type: str
  _is_secret:
    description:
      - Internal. Whether the policy came from a vault.
    type: bool
  _shell:
    description:
      - Internal. The shell that the launcher leads to.
    type: str
  _remote_user:
    description:
      - Internal. The connecting user.
    type: str
  _run:
    description:
      - Internal. The run that asks.
    type: dict
  _baseline:
    description:
      - Internal. Where the policy's baseline is on the controller.
    type: str
"""

    INFO = r"""
options:
  _since:
    description:
      - Internal. What is told already.
    type: dict
"""
