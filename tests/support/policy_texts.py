# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies as text: what is read of one, and what is said where it is refused."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _policy_file

RULE = 'version: 1\ndeny:\n  - id: github\n    reason: it runs on this database\n'  # what is added has line 5
GITHUB = RULE + '    hosts: [github.com]\n'  # what is added has line 6

FULL = '''
version: 1
service: mysql
mode: drill
default: deny
deny:
  - id: github
    reason: >
      github.com runs on the database
      that this play deploys
    owner: db-team
    runbook: https://wiki.example/no-github-in-deploys
    outage: timeout
    hosts: [GitHub.com., api.github.com, github.com]
    networks: ["2001:db8::/32", 192.0.2.0/24]
    ports: [udp/443, 8000-8080, 443]
    paths: [/mnt/tools/, /mnt/artifacts]
    filesystems: [nfs4, fuse.sshfs]
    sockets: ["@tool", /run//docker.sock]
  - {id: 2nd_rule, reason: é, networks: [10.0.0.1]}
allow:
  - id: mirror
    hosts: [mirror.github.com]
    paths: [/mnt/artifacts/public]
expected: [github]
resolve: {interval: 30}
lock: false
ways_out: ["@helper", /run//mydaemon.sock, /run/mydaemon.sock]
encrypted_dns: deny
baseline: mysql.deps.yml
on_new: fail
on_denied: stop
outage: unresolvable
unresolvable: servfail
'''


def read(text):
    mapping, lines = _policy_file.parse(text, 'p.yml')
    return check(mapping, 'p.yml', lines)


def one_rule(added):
    """The one rule of a policy whose fifth line is `added`."""
    return read(RULE + '    ' + added + '\n').rules[0]


def refusal(text):
    with pytest.raises(PolicyError) as caught:
        read(text)
    return str(caught.value)
