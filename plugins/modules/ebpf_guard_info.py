#!/usr/bin/python
# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ebpf_guard_info
short_description: Look at the guards of a host, and at what it is able to
version_added: 1.0.0
description:
  - Tells which guards are on the target, whether each is whole, and what it has recorded so far.
  - What it has recorded of files, with their C(path), and whether rules for files are in force, is told as in
    M(loopbreak.deploy.ebpf_guard).
  - With O(capabilities=true) also tells what the host has, which capabilities a guard could have there, and what to
    change to get the rest. The playbook C(loopbreak.deploy.doctor) asks every host.
  - Where the agent of a guard has ended, with its standby, it is started again, with a warning and C(changed). Nothing else is
    changed. It is not started in check mode, nor by a task that runs inside a guard.
  - Nothing stays of what O(capabilities=true) tries. A guard that is up goes on as it was.
author:
  - The Loopbreak authors (@loopbreak)
extends_documentation_fragment:
  - loopbreak.deploy.attributes
options:
  name:
    description:
      - Look at this guard alone. By default at all of them.
    type: str
  capabilities:
    description:
      - Find out what a guard could enforce on this host.
      - For that a guard of its own is brought up, as M(loopbreak.deploy.ebpf_guard) does it, on a cgroup that nobody else is
        in. It is taken down before the module ends, and by its agent where the module is killed.
      - In a task that runs inside a guard, the programs are loaded and nothing is attached.
    type: bool
    default: false
  follow:
    description:
      - Print each denial and each new endpoint of one guard as it happens, a line each, until the guard is down. First comes what
        has happened so far, the newest hundred.
      - The guard is that of O(name), by default V(deploy). Observations need mode V(monitor), or
        O(loopbreak.deploy.ebpf_guard#module:observe).
      - The playbook C(loopbreak.deploy.watch) does this for a whole inventory.
      - Nothing else is told. The commands of tasks with C(no_log) are hidden only in the run that has these tasks.
      - It can not run with C(async).
    type: bool
    default: false
  stats:
    description:
      - Tell for each guard what it costs, also where it was not brought up with
        O(loopbreak.deploy.ebpf_guard#module:stats).
      - The entries of every table are counted, which takes a second where there are a million.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - Python 3.8 or later on the target
  - root on the target
  - libbpf 0.5 or later on the target, where a guard is up
seealso:
  - module: loopbreak.deploy.ebpf_guard
"""

EXAMPLES = r"""
- name: Is the guard whole, and what has it denied so far?
  loopbreak.deploy.ebpf_guard_info:
  become: true
  register: info

# ansible db1 -b -m loopbreak.deploy.ebpf_guard_info -a follow=true
- name: What happens, until the guard is down
  loopbreak.deploy.ebpf_guard_info:
    follow: true
  become: true

- name: Could a guard deny hosts by name here?
  loopbreak.deploy.ebpf_guard_info:
    capabilities: true
  become: true
  register: info
  failed_when: info.capabilities.dns is not true
"""

RETURN = r"""
followed:
  description: How many lines O(follow=true) has printed.
  returned: when O(follow=true)
  type: int
  sample: 17
guards:
  description: Each guard of the host, sorted by name. Empty when there is none.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The guard's name.
      type: str
      sample: deploy
    whole:
      description: Whether the guard is as it was made. V(false) when anything below C(faults) is broken.
      type: bool
      sample: true
    faults:
      description: What is broken, a sentence each.
      type: list
      elements: str
      sample: []
    guard:
      description: As in M(loopbreak.deploy.ebpf_guard). Null when the guard was never completely up.
      type: dict
      sample: {name: deploy, mode: enforce}
    denied:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: list
      elements: dict
      sample: [{rule: github, kind: dns, name: github.com, count: 2}]
    observed:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: list
      elements: dict
      sample: [{kind: tls, name: mirror.example, count: 1}]
    baseline:
      description: The C(file) of the policy's baseline on the controller, and what is C(on_new). Else null.
      type: dict
      sample: {file: /srv/deploy/policies/mysql.deps.yml, on_new: report}
    rows_left_out:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: dict
      sample: {denied: 0, observed: 0}
    waited:
      description: As in M(loopbreak.deploy.ebpf_guard), until now.
      type: float
      sample: 12.318
    survived:
      description: As in M(loopbreak.deploy.ebpf_guard), until now.
      type: bool
      sample: true
    denied_tasks:
      description: As in M(loopbreak.deploy.ebpf_guard), until now.
      type: list
      elements: dict
      sample:
        - task: "mysql : Install the tool (roles/mysql/tasks/main.yml:12)"
          runs: 1
          first_denied: "2026-11-22T21:51:18.123456Z"
          until: "2026-11-22T21:51:30.441456Z"
          waited: 12.318
          outcome: passed
    counters:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: dict
      sample: {dns: {allowed: 9, denied: 2, would_deny: 0}, lost: 0}
    entries:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: dict
      sample: {count: 1, first: 1764460901.102, last: 1764460901.102, times: [1764460901.102]}
    left:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: list
      elements: dict
      sample: []
    limits:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: dict
      sample: {pids: {limit: 512, peak: 41, refused: 0}}
    agent:
      description: As in M(loopbreak.deploy.ebpf_guard). Of one that was started again just now, with that.
      type: dict
      sample: {restarts: 0, gone_seconds: 0.0}
    stats:
      description: As in M(loopbreak.deploy.ebpf_guard).
      type: dict
      sample: {measured: true, agent: {cpu_seconds: 0.21, memory: 23719936}}
ended:
  description: The guards that ended before their run took them down, and whose report the next C(state=absent) returns.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The guard's name.
      type: str
      sample: deploy
    by:
      description: By whom or what it was ended.
      type: str
      sample: its ttl
    at:
      description: When, in UTC by the target's clock.
      type: str
      sample: "2026-11-22T21:51:18.123456Z"
capabilities:
  description:
    - What a guard could enforce here. V(connect), V(send), V(dns), V(payload), V(unix), V(lock), V(file) and V(exec), as
      in
      RV(loopbreak.deploy.ebpf_guard#module:guard).
    - Each is V(true), or the reason why it can't be in force, and what to change.
  returned: when O(capabilities=true)
  type: dict
  sample:
    connect: true
    send: true
    dns: true
    payload: true
    unix: "this kernel can't deny unix sockets (Invalid argument), ..."
    lock: "nothing can keep a process from leaving the guard: this kernel ..."
    file: true
    exec: true
able:
  description:
    - V(fully) when all capabilities can be in force, V(partly) when some can't.
    - V(not) when no guard can be brought up at all.
  returned: when O(capabilities=true)
  type: str
  sample: partly
summary:
  description: The same for people. The first line is the verdict, the others are one for each thing that was looked at.
  returned: when O(capabilities=true)
  type: list
  elements: str
  sample: ["partly able, without lock: ...", "kernel    6.1.0-18-amd64 on x86_64", "BTF       yes"]
host:
  description: What the host has. Null stands for what is not there, or can't be told.
  returned: when O(capabilities=true)
  type: dict
  contains:
    kernel:
      description: The kernel's release.
      type: str
      sample: 6.1.0-18-amd64
    architecture:
      description: The machine's architecture, as C(uname -m) tells it.
      type: str
      sample: x86_64
    python:
      description: The version of the Python that ran the module.
      type: str
      sample: 3.11.2
    btf:
      description: Whether the kernel describes its types.
      type: bool
      sample: true
    lsm:
      description: The active security modules in their order. Null where securityfs is not mounted.
      type: list
      elements: str
      sample: [lockdown, capability, yama, apparmor]
    lockdown:
      description: V(none), V(integrity) or V(confidentiality). Null where securityfs is not mounted.
      type: str
      sample: none
    cgroup2:
      description: Where cgroup2 is mounted. Null where it is not.
      type: str
      sample: /sys/fs/cgroup
    cgroup_layout:
      description: V(unified), or V(hybrid) where cgroup v1 is mounted, too.
      type: str
      sample: unified
    bpffs:
      description: Whether the BPF file system is mounted. A guard mounts it where it is not.
      type: bool
      sample: true
    libbpf:
      description: The version of libbpf, or V(unknown) where its file has no usual name. Null where it is missing.
      type: str
      sample: 1.1.2
    bcc:
      description: Whether this Python could import C(bcc), which loads a guard where libbpf can't.
      type: bool
      sample: false
    loader:
      description: What would load a guard here, V(libbpf) or V(bcc). Null where neither can.
      type: str
      sample: libbpf
    kernel_headers:
      description: Whether the headers of the running kernel are there, which C(bcc) compiles with.
      type: bool
      sample: false
"""

import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, answered, failure
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import able, follow, look
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import processes
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import objects
from ansible_collections.loopbreak.deploy.plugins.module_utils._sent import Module


def inspect(name, measures):
    found = look.inspect(name, measures)
    del found['policy']
    return dict(found, name=name, whole=not found['faults'])


def main():
    processes.lift_limits()
    with answered('The module', 'started'):
        module = Module(
            argument_spec={
                'name': {'type': 'str'},
                'capabilities': {'type': 'bool', 'default': False},
                'stats': {'type': 'bool', 'default': False},
                'follow': {'type': 'bool', 'default': False},
            },
            supports_check_mode=True,
        )
    try:
        if os.geteuid() != 0:
            raise GuardError('Only root can look at a guard: run this with become: true.')
        if module.params['follow']:
            module.exit_json(changed=False, **follow.follow(module.params['name'] or 'deploy', module.sent['since']))
        result = able.look(objects.unpacked(module.sent['objects'])) if module.params['capabilities'] else {}
        # a host that was asked what it has may have no cgroup2, and so no guards
        found = look.names() if not result or result['host']['cgroup2'] else []
        asked = [name for name in found if module.params['name'] in (None, name)]
        revived = [] if module.check_mode else [name for name in asked if look.revive(name)]
        for name in revived:
            module.warn("The agent of guard '%s' had ended, and was started again." % name)
        guards = [inspect(name, module.params['stats']) for name in asked]
        ended = [one for one in look.ended() if module.params['name'] in (None, one['name'])]
        module.exit_json(changed=bool(revived), guards=guards, ended=ended, **result)
    except Exception as error:  # pylint: disable=broad-exception-caught
        module.fail_json(**failure(error, ("The guards of this host", 'looked at')))


if __name__ == '__main__':
    main()
