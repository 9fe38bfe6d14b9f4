# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hundred thousand networks, and more denials than fit."""

from __future__ import annotations

import random

from controller import policy
from hosts import inside

TRY = r"""
import socket, sys
for line in sys.stdin:
    address = line.strip()
    knock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        knock.connect((address, 9))
        print(0)
    except OSError as error:
        print(error.errno)
    knock.close()
"""


def tried(fleet, addresses):
    output = inside(fleet, "/usr/bin/python3", "-c", TRY, input="\n".join(addresses)).stdout
    return [int(word) for word in output.split()]


def test_100_000_networks_load_and_are_enforced(controller, fleet):
    """Every second /24 or /28 of a part of the documentation prefix's IPv6 space, and IPv4 networks in between."""
    picked = random.Random(1)
    ipv6 = [f"2001:db8:{high:x}:{low:x}::/64" for high in range(0x4000, 0x4080) for low in range(0, 1560, 2)]
    ipv4 = [f"203.0.113.{last}" for last in range(128, 256, 2)] + [f"198.51.100.{last}" for last in range(128, 256, 2)]
    networks = (ipv6 + ipv4)[:100_000]
    many = policy("drill")
    many["deny"][0]["networks"] = networks + [f"10.{a}.{b}.0/24" for a in range(3) for b in range(0, 256)][:200]
    path = controller.write(many)
    _results, run = controller.adhoc("ebpf_guard", {"policy_file": path.name}, "web1", "-vvv", timeout=300)
    run.ended(0)
    assert len(many["deny"][0]["networks"]) >= 100_000
    assert networks[0] not in run.output  # with all that -vvv tells
    sample = picked.sample(ipv6, 200)
    refused = tried(fleet, [network.replace("::/64", "::7") for network in sample])
    assert set(refused) == {13}
    beside = [network.replace("::/64", "").rsplit(":", 1) for network in sample]
    free = tried(fleet, [f"{head}:{int(tail, 16) + 1:x}::7" for head, tail in beside])
    assert 13 not in free
    assert tried(fleet, ["203.0.113.130", "203.0.113.131"])[0] == 13
    few = controller.call("ebpf_guard", policy=policy("drill"))  # the large table is emptied, and the new one is not
    assert few["changed"] and tried(fleet, ["192.0.2.1"]) == [13]
    assert 13 not in tried(fleet, ["203.0.113.130", *(network.replace("::/64", "::7") for network in sample[:20])])
    report = controller.call("ebpf_guard", state="absent")
    assert report["counters"]["connect"]["denied"] == 202


def test_more_denials_than_fit_are_counted(controller, fleet):
    wide = policy("drill")
    wide["deny"][0]["networks"] = ["2001:db8:2::/48"]
    controller.call("ebpf_guard", policy=wide)
    count = 17_000  # the table has room for 16,384
    assert set(tried(fleet, [f"2001:db8:2::{number:x}" for number in range(1, count + 1)])) == {13}
    report = controller.call("ebpf_guard", state="absent")
    assert report["counters"]["connect"]["denied"] == count
    assert report["counters"]["lost"] == count - 16_384 == count - sum(row["count"] for row in report["denied"])
    assert report["rows_left_out"]["denied"] == 16_384 - len(report["denied"]) + 1 > 0  # one row stands for them
