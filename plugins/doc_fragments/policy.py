# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What a policy may contain: the same in a file, in an option, and in a variable of the role."""

    DOCUMENTATION = r"""
options:
  policy:
    description:
      - The policy as a mapping. Needed for O(state=present), unless O(policy_file) is given. A policy file has the same keys.
      - What rules mean, and which one wins, is told in U(https://github.com/loopbreak/loopbreak.deploy/blob/main/docs/policy.md).
      - Files of a service map, which it names in C(services), are looked up as O(policy_file) is.
    type: dict
    suboptions:
      version:
        description: The form of the policy.
        type: int
        choices: [1]
        required: true
      service:
        description: What this deployment changes. Needed with O(policy.services).
        type: str
      mode:
        description: As O(mode), which takes its place.
        type: str
        choices: [monitor, enforce, drill]
        default: enforce
      default:
        description: What becomes of an access over the network that no rule speaks of. V(deny) is a sealed room.
        type: str
        choices: [allow, deny]
        default: allow
      deny:
        description: What the deployment must not reach. Each rule has at least one thing to deny.
        type: list
        elements: dict
        suboptions: &rule
          id:
            description: A short name, once in the policy. Lower case letters, digits, C(_) and C(-).
            type: str
            required: true
          reason:
            description: Why, for those whom the rule stops. A deny rule needs it.
            type: str
          owner:
            description: Whose rule it is.
            type: str
          runbook:
            description: Where to read on, a web address.
            type: str
          hosts:
            description:
              - Names. C(github.com) is that name, C(*.github.com) every name below it, and C(.github.com) both.
            type: list
            elements: str
          networks:
            description: Addresses and networks, such as C(192.0.2.0/24) and C(2001:db8::/32).
            type: list
            elements: str
          ports:
            description: Narrows hosts and networks, and nothing else. V(443), V(8000-8080) or V(udp/443).
            type: list
            elements: str
          paths:
            description: Files, and directories with all that is below them.
            type: list
            elements: str
          filesystems:
            description: Types of file systems, such as V(nfs4), V(fuse.sshfs) and V(fuse.*).
            type: list
            elements: str
          sockets:
            description: Unix sockets, by path or as C(@name).
            type: list
            elements: str
          outage:
            description: Of a deny rule, takes the place of O(policy.outage).
            type: str
            choices: [denied, refused, timeout, unresolvable]
      allow:
        description: Exceptions from deny rules, and with O(policy.default=deny) what is needed. They have the same keys.
        type: list
        elements: dict
        suboptions: *rule
      expected:
        description: The ids of deny rules whose denials are reported and fail nothing.
        type: list
        elements: str
      services:
        description:
          - The service map, who depends on whom. What depends on O(policy.service) is denied.
          - A path, a list of paths, or the map itself. A file is a map or a Backstage catalogue.
        type: raw
      own:
        description: What becomes of the endpoints that the map has for O(policy.service) itself.
        type: str
        choices: [allow, deny]
        default: allow
      encrypted_dns:
        description:
          - Whether DNS over TLS and well-known servers of DNS over HTTPS are denied. By default that is so where a rule has
            hosts.
        type: str
        choices: [deny, allow]
      resolve:
        description: How names of rules are looked up on the host.
        type: dict
        suboptions:
          interval:
            description: The seconds between two looks. V(0) looks them up once, when the guard starts.
            type: int
            default: 30
      lock:
        description: Whether no process may leave the guard, root's neither.
        type: bool
        default: false
      ways_out:
        description: Unix sockets of daemons that act outside on request, besides those that are known. They are recorded.
        type: list
        elements: str
      limits:
        description: What the deployment as a whole may use.
        type: dict
        suboptions:
          memory:
            description: Bytes, or with K, M, G or T behind the number.
            type: str
          cpus:
            description: How many processors.
            type: float
          pids:
            description: How many processes.
            type: int
      baseline:
        description: The file with the dependencies that are known, by its path from the policy file on.
        type: str
      on_new:
        description: What it means that something was reached that O(policy.baseline) does not have.
        type: str
        choices: [report, fail]
        default: report
      on_denied:
        description: What becomes of the tasks after a denial in the mode V(enforce). V(stop) starts no further one on the host.
        type: str
        choices: [finish, stop]
        default: finish
      outage:
        description: How what is denied is down in the mode V(drill), where its rule does not say.
        type: str
        choices: [denied, refused, timeout, unresolvable]
        default: denied
      unresolvable:
        description: What a DNS question gets for a name that is unresolvable.
        type: str
        choices: [nxdomain, servfail]
        default: nxdomain
"""
