# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients try, which policies a guard may have, and what each policy makes of each attempt."""

from __future__ import annotations

from collections import namedtuple

RESOLVER, OPEN, SHARED = "192.0.2.53", "198.51.100.1", "198.51.100.2"
ALWAYS, FLIP = "203.0.113.1", "192.0.2.66"
OPEN6, ALWAYS6 = "2001:db8:1::1", "2001:db8:3::1"
ADDRESSES = (RESOLVER, OPEN, SHARED, ALWAYS, FLIP, OPEN6, ALWAYS6)
ECHO, HTTP, TLS, DNS = 7, 80, 443, 53

# way: how it is tried. kind: what a record calls it. where: an address, or a name. rule: the id of what denies it; None:
# nothing does. flips: the rule is in every second policy only
Target = namedtuple("Target", "way kind where rule flips")
TARGETS = (
    Target("tcp", "connect", OPEN, None, False),
    Target("tcp", "connect", ALWAYS, "always", False),
    Target("tcp", "connect", FLIP, "flip", True),
    Target("tcp", "connect", OPEN6, None, False),
    Target("tcp", "connect", ALWAYS6, "always", False),
    Target("udp", "send", OPEN, None, False),
    Target("udp", "send", ALWAYS, "always", False),
    Target("udp", "send", FLIP, "flip", True),
    Target("udp", "send", ALWAYS6, "always", False),
    Target("dns", "dns", "www.open.example", None, False),
    Target("dns", "dns", "www.denied.example", "names", False),
    Target("dns", "dns", "www.flip.example", "flip-names", True),
    Target("http", "http", "www.open.example", None, False),
    Target("http", "http", "www.denied.example", "names", False),
    Target("tls", "tls", "www.open.example", None, False),
    Target("tls", "tls", "www.denied.example", "names", False),
)
RULES = tuple(sorted({target.rule for target in TARGETS if target.rule}))
KINDS = tuple(sorted({target.kind for target in TARGETS}))

MODES = ("enforce", "drill", "monitor")
POLICIES = tuple((flips, mode) for flips in (True, False) for mode in MODES)

PASSES, RECORDED, DENIED = "passes", "is recorded", "is denied"


def expected(policy, target):
    """What a policy, by its number, makes of an attempt."""
    flips, mode = POLICIES[policy]
    if target.rule is None or (target.flips and not flips):
        return PASSES
    return RECORDED if mode == "monitor" else DENIED


def written(policy):
    """The policy as a user writes it."""
    flips, mode = POLICIES[policy]
    deny = [{"id": "always", "reason": "every policy denies it", "networks": ["203.0.113.0/24", "2001:db8:3::/48"]},
            {"id": "names", "reason": "every policy denies it", "hosts": [".denied.example"]}]
    if flips:
        deny += [{"id": "flip", "reason": "every second policy denies it", "networks": ["192.0.2.64/26"]},
                 {"id": "flip-names", "reason": "every second policy denies it", "hosts": [".flip.example"]}]
    return {"version": 1, "mode": mode, "deny": deny, "resolve": {"interval": 1}}


def told(policy):
    flips, mode = POLICIES[policy]
    return mode + ("" if flips else ", fewer rules")
