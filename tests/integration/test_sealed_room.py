# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sealed room tells what was tried in it, as rules that can be pasted into its policy."""

from __future__ import annotations

import pytest
import yaml

SEALED = {"version": 1, "default": "deny", "allow": [{"id": "mirror", "hosts": ["mirror.example"], "ports": [80]}]}
TRY = [{"name": "Try", "ansible.builtin.shell": """
    curl -sS --max-time 5 http://mirror.example/
    curl -sS --max-time 5 http://mirror.example:8080/
    curl -sS --max-time 5 http://notgithub.com/ http://203.0.113.41/ 'http://[2001:db8:3::40]/'
    getent hosts alias.example
    exit 0
"""}]
NAMES = """\
allow:
  - id: alias-example
    hosts: [alias.example]
  - id: mirror-example-8080
    hosts: [mirror.example]
    ports: [8080]
  - id: notgithub-com
    hosts: [notgithub.com]
"""
# What stands behind a denied name is not tried: only in monitor mode this address is known as that of a name
ENFORCED = NAMES + """\
  - id: addresses-tcp-80
    networks: ["2001:db8:3::40", 203.0.113.41]
    ports: [tcp/80]
"""
MONITORED = NAMES + """\
  - id: address-203-0-113-41-tcp-80
    networks: [203.0.113.41]
    ports: [tcp/80]
"""


def pasted(run):
    """The policy with the rules that the run printed, and their text."""
    text = run.output.split("for its policy:\n", 1)[1].split("\n\n", 1)[0].rstrip("\n") + "\n"
    return {**SEALED, "allow": SEALED["allow"] + yaml.safe_load(text)["allow"]}, text


@pytest.mark.parametrize("mode, hosts, status, verdict, rules", [
    ("enforce", "web1:web2", 2, "DENIED", ENFORCED), ("monitor", "web1", 0, "WOULD DENY", MONITORED)])
def test_the_rules_that_are_told_let_everything_pass(controller, mode, hosts, status, verdict, rules):
    first = controller.guarded(TRY, policy={**SEALED, "mode": mode}, hosts=hosts).ended(status).said(verdict)
    policy, text = pasted(first)
    assert text == rules, first
    again = controller.guarded(TRY, policy=policy, hosts=hosts).ended(0).said("GUARD deploy on web1 [enforce]: clean")
    assert "RULES that would let pass" not in again.output
