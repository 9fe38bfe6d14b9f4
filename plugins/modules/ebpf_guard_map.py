#!/usr/bin/python
# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ebpf_guard_map
short_description: Tell which services close a circle with which
version_added: 1.0.0
description:
  - Reads a service map as the policy of M(loopbreak.deploy.ebpf_guard) has it, and prints what follows from it. The playbook
    C(loopbreak.deploy.map) does this from the command line.
  - Works on the controller alone. No host is asked.
author:
  - The Loopbreak authors (@loopbreak)
extends_documentation_fragment:
  - loopbreak.deploy.attributes
options:
  services:
    description:
      - A file on the controller, a list of files, or what stands under C(services) in one. A file is a service map or a
        Backstage catalogue.
      - A relative path is looked up as in M(ansible.builtin.copy), and then in the working directory.
    type: raw
    required: true
  service:
    description:
      - Tell which services depend on this one, directly or through others. Its deployment must do without these.
      - By default the circles are told that the map itself has, and what depends on the services that most depend on.
    type: str
  format:
    description:
      - What is printed. V(mermaid) and V(dot) are the graph, with O(service) of what depends on that one.
    type: str
    choices: [text, mermaid, dot, json]
    default: text
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: posix
seealso:
  - module: loopbreak.deploy.ebpf_guard
"""

EXAMPLES = r"""
- name: What must a deployment of mysql do without?
  loopbreak.deploy.ebpf_guard_map:
    services: policies/services.yml
    service: mysql

- name: The graph of a catalogue
  loopbreak.deploy.ebpf_guard_map:
    services: [catalog-info.yaml, platform/catalog-info.yaml]
    format: mermaid
"""

RETURN = r"""
service:
  description: What O(service) says.
  returned: always
  type: str
  sample: mysql
circles:
  description:
    - With O(service) the shortest path to it of each service that depends on it, the nearest first.
    - Without O(service) the circles that the map itself has, the shortest one of each service. Each has its first service at
      its end again.
  returned: always
  type: list
  elements: list
  sample: [[github.com, mysql], [migrations, github.com, mysql]]
without_endpoints:
  description: The services of RV(services) without endpoints.
  returned: always
  type: list
  elements: str
  sample: [migrations]
services:
  description:
    - Each service with C(name), C(endpoints), C(depends_on), C(owner) and C(runbook). With O(service) that one and those that
      depend on it.
  returned: always
  type: list
  elements: dict
  sample:
    - name: github.com
      endpoints: {hosts: [.github.com]}
      depends_on: [mysql]
      owner: web-team
      runbook: https://wiki.example/github
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            'services': {'type': 'raw', 'required': True},
            'service': {'type': 'str'},
            'format': {'type': 'str', 'choices': ['text', 'mermaid', 'dot', 'json'], 'default': 'text'},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg='A service map is read on the controller, and this came without it: the module was called in place of '
                         'its action plugin.')


if __name__ == '__main__':
    main()
