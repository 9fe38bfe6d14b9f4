#!/usr/bin/python
# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ebpf_guard_info
short_description: Look at the guards of a host
version_added: 1.0.0
description:
  - Tells which guards are on the target, whether each is whole, and what it has recorded so far.
  - Reads only. A guard that is up goes on as it was.
author:
  - The Loopbreak authors (@loopbreak)
extends_documentation_fragment:
  - loopbreak.deploy.attributes
options:
  name:
    description:
      - Look at this guard alone. By default at all of them.
    type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - libbpf 0.5 or later on the target, when a guard is there.
  - root on the target.
seealso:
  - module: loopbreak.deploy.ebpf_guard
"""

EXAMPLES = r"""
- name: Is the guard whole, and what has it denied so far?
  loopbreak.deploy.ebpf_guard_info:
  become: true
  register: info
"""

RETURN = r"""
guards:
  description: Each guard of the host, sorted by name. Empty when there is none.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The guard's name.
      type: str
    whole:
      description: Whether the guard is as it was made. V(false) when anything below C(faults) is broken.
      type: bool
    faults:
      description: What is broken, a sentence each.
      type: list
      elements: str
    guard:
      description: As in M(loopbreak.deploy.ebpf_guard). Null when the guard was never completely up.
      type: dict
    denied:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: list
      elements: dict
    observed:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: list
      elements: dict
    counters:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.loopbreak.deploy.plugins.module_utils import _guard
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError


def look(name):
    found = _guard.inspect(name)
    del found['policy']
    return dict(found, name=name, whole=not found['faults'])


def main():
    module = AnsibleModule(argument_spec={'name': {'type': 'str'}}, supports_check_mode=True)
    try:
        if os.geteuid() != 0:
            raise GuardError('Only root can look at a guard: run this with become: true.')
        names = [name for name in _guard.names() if module.params['name'] in (None, name)]
        module.exit_json(changed=False, guards=[look(name) for name in names])
    except (GuardError, OSError) as error:
        module.fail_json(msg=str(error), **getattr(error, 'facts', {}))


if __name__ == '__main__':
    main()
