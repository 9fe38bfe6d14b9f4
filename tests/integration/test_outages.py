# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills over SSH: each access is down as the policy says, with the right error and in the right time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from controller import FILES, GUARD_NETS, REASON
from hosts import KILL_AGENT, inside
from names import PYTHON, until

LOADERS = ("libbpf", "bcc")
ADDRESSED = ("TCP", "TCP6", "UDP", "UDP6", "connected UDP", "connected UDP6")
ASKED = ("DNS", "DNS6", "DNS by TCP", "DNS6 by TCP")
PRESENTED = ("TLS", "HTTP", "HTTP6")
STREAMS, DATAGRAMS = ("open TCP", "open TCP6"), ("open UDP",)
TOOLS = ("getent", "getent by TCP", "dig by TCP")
ALLOWED = ("allowed TCP", "allowed UDP6", "allowed name", "allowed name by TCP")
DIG_WAITED = "status 9"
QUICK = 2.5  # seconds, on a busy machine: what waits does so for longer
# how each of the groups above ends
ENDS = {
    "refused": ("ECONNREFUSED", "ok", "ECONNRESET", "ECONNRESET", "ECONNREFUSED", ("status 0", "status 0", "status 0")),
    "timeout": ("waits", "waits", "waits", "waits", "waits", ("waits", "waits", DIG_WAITED)),
    "unresolvable": ("ECONNREFUSED", "NXDOMAIN", "ECONNRESET", "ECONNRESET", "ECONNREFUSED", ("status 2", "status 2", "status 0")),
}


def rules(**changes):
    rule = {"id": "github", "reason": REASON, "hosts": [".github.com"], "networks": GUARD_NETS}
    return {"version": 1, "mode": "drill", "resolve": {"interval": 0}, "deny": [rule], **changes}


def met(controller, fleet, policy, prepare=lambda: None):
    """What one process meets that was inside before the drill began: {access: (how it ends, seconds)}. And the guard's report."""
    before = rules()
    before["deny"][0] = {"id": "none", "reason": REASON, "hosts": ["none.example"]}
    controller.call("ebpf_guard", policy=before)
    place = fleet.exec("web1", "mktemp", "-d").stdout.strip()
    fleet.exec("web1", "tee", f"{place}/outages.py", input=(FILES / "outages.py").read_text())
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(inside, fleet, PYTHON, f"{place}/outages.py", place)
        until(lambda: running.done() or fleet.exec("web1", "test", "-e", f"{place}/open", check=False).returncode == 0, 30)
        guard = controller.call("ebpf_guard", policy=policy)["guard"]
        prepare()
        fleet.exec("web1", "touch", f"{place}/drill")
        told = json.loads(running.result(120).stdout)
    fleet.exec("web1", "rm", "-r", place)
    report = controller.call("ebpf_guard", state="absent", fail_on_denied=False)
    assert guard["enforced"][policy["outage"]] is True
    return told, report


def wanted(outage):
    address, asked, presented, stream, datagram, tools = ENDS[outage]
    return {**dict.fromkeys(ADDRESSED, address), **dict.fromkeys(ASKED, asked), **dict.fromkeys(PRESENTED, presented),
            **dict.fromkeys(STREAMS, stream), **dict.fromkeys(DATAGRAMS, datagram), **dict(zip(TOOLS, tools)),
            "allowed TCP": "ok", "allowed UDP6": "ok", "allowed name": "status 0", "allowed name by TCP": "status 0"}


def goes_down(controller, fleet, outage):
    told, report = met(controller, fleet, rules(outage=outage))
    assert {name: said for name, (said, _seconds) in told.items()} == wanted(outage), told
    assert not {name for name, (said, seconds) in told.items() if said not in ("waits", DIG_WAITED) and seconds > QUICK}, told
    assert report["faults"] == [] and {row["outage"] for row in report["denied"]} == {outage}
    # once each, however often the kernel tried to send it
    own = [row for row in report["denied"] if "outages.py" in row["command"]]
    counts = {kind: sum(row["count"] for row in own if row["kind"] == kind) for kind in ("connect", "tls", "http")}
    assert counts == {"connect": 4, "tls": 1, "http": 2}, own


@pytest.mark.libbpf
@pytest.mark.parametrize("outage", ["refused", "timeout"])
def test_each_access_is_down_as_the_policy_says(controller, fleet, outage):
    goes_down(controller, fleet, outage)


def test_a_name_that_nobody_knows(controller, fleet):
    """The one of all outages in which the agent has the largest part: so with what BCC compiles, too."""
    goes_down(controller, fleet, "unresolvable")


@pytest.mark.libbpf
def test_without_its_agent_errors_come_and_nothing_gets_through(controller, fleet):
    told, report = met(controller, fleet, rules(outage="unresolvable"), lambda: fleet.exec("web1", "sh", "-c", KILL_AGENT))
    ended = {name: said for name, (said, _seconds) in told.items() if name not in TOOLS}
    without = {**dict.fromkeys((*PRESENTED, *STREAMS, "DNS by TCP", "DNS6 by TCP"), "ETIMEDOUT"),
               **dict.fromkeys(("DNS", "DNS6", *DATAGRAMS), "EPERM")}
    assert ended == {name: said for name, said in {**wanted("unresolvable"), **without}.items() if name not in TOOLS}
    assert max(seconds for _said, seconds in told.values()) < 2 * QUICK, told
    assert not [line for line in fleet.log("github.com") if line["event"] == "request"]
    assert "has ended" in str(report["faults"] + report["damages"])
