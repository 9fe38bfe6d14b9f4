# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A denied question gets an answer at once, whatever library asks: glibc, musl, c-ares, Node, dig; and where it gets none."""

from __future__ import annotations

import base64
import contextlib
import shlex
import subprocess
import time

import pytest
from controller import FILES
from hosts import AT_DESK, LAUNCHER, agents, inside, remains
from names import GETADDRINFO, PYTHON, Try, asked_inside, attempts, name_rules

LOADERS = ("libbpf", "bcc")
MIRROR4 = "203.0.113.21"
RULES = name_rules(allow=["mirror.github.com"])
BLOCKED = 'EDE: 15 (Blocked): (rule github: github.com runs on the database that this play deploys)'
RESOLVER4, RESOLVER6 = "203.0.113.53", "2001:db8:3::53"
MUSL, CARES = "/usr/local/bin/lookup-musl", "/usr/local/bin/cares.py"


@pytest.fixture(scope="module")
def clients(fleet, tmp_path_factory):
    """A program that is linked with musl, and one that asks by c-ares, on web1."""
    built = tmp_path_factory.mktemp("musl") / "lookup"
    subprocess.run(["musl-gcc", "-static", "-Wall", "-Werror", "-o", built, FILES / "lookup.c"], check=True)
    for path, content in ((MUSL, built.read_bytes()), (CARES, (FILES / "cares.py").read_bytes())):
        fleet.exec("web1", "sh", "-c", f"base64 -d > {path}; chmod 755 {path}", input=base64.b64encode(content).decode())


def node(question):
    return (f"node -e 'require(`dns`).{question}, (error, found) => "
            "{ console.log(error ? error.code : found); process.exitCode = error ? 1 : 0 })'")


def down(controller):
    return controller.call("ebpf_guard", state="absent", fail_on_denied=False)


def test_every_library_ends_at_once_and_allowed_names_work(controller, fleet, clients):
    tries = [
        Try("getent ahosts github.com", "dns", "github.com", status=2), Try("getent ahosts mirror.github.com", says=MIRROR4),
        Try(f"{PYTHON} -c '{GETADDRINFO}' www.github.com", "dns", "www.github.com", "[Errno -2] Name or service not known"),
        Try(f"{MUSL} github.com", "dns", "github.com", "Name does not resolve"),
        Try(f"{MUSL} mirror.github.com", says="2001:db8:3::21"),
        Try(f"{PYTHON} {CARES} github.com", "dns", "github.com", "github.com ARES_ENOTFOUND", status=0),
        Try(f"{PYTHON} {CARES} mirror.github.com", says=f"mirror.github.com {MIRROR4}"),
        # Node asks by the C library, and by c-ares of its own
        Try(node("lookup(`github.com`, 4"), "dns", "github.com", "ENOTFOUND"), Try(node("lookup(`mirror.github.com`, 4"), says=MIRROR4),
        Try(node("resolve4(`github.com`"), "dns", "github.com", "ENOTFOUND"), Try(node("resolve4(`mirror.github.com`"), says=MIRROR4),
        Try(f"dig @{RESOLVER4} github.com", "dns", "github.com", BLOCKED, status=0),
        Try(f"dig @{RESOLVER6} github.com aaaa", "dns", "github.com", BLOCKED, status=0),
        Try(f"dig @{RESOLVER6} +noedns www.github.com", "dns", "www.github.com", "status: NXDOMAIN", status=0),
        Try(f"dig @{RESOLVER4} +dnssec GitHub.COM", "dns", "github.com", "GitHub.COM.", status=0),
        Try(f"dig @{RESOLVER6} +short mirror.github.com", says=MIRROR4),
        Try("host -W 1 github.com", "dns", "github.com", "Host github.com not found: 3(NXDOMAIN)"),
        Try("curl -sS https://github.com/", "dns", "github.com", "Could not resolve host: github.com"),
        Try("ping -c 1 github.com", "dns", "github.com", "Name or service not known"),
    ]
    run, outcomes, report = attempts(controller, tries, RULES, compare=True)
    run.ended(2)
    assert report["guard"]["answered"] == ["ipv4", "ipv6"]
    assert {name for name in asked_inside(fleet) if name.endswith("github.com")} == {"mirror.github.com"}
    print({one.command: outcomes[one.command]["ms"] for one in tries})


def test_allowed_and_denied_names_on_one_socket(controller, fleet, clients):
    """c-ares asks all of them at once. The resolver knows none of these names, but each answer that comes is its own."""
    names = [f"{number}.example" for number in range(20)] + ["mirror.example", "cdn.example", "mirror.github.com"]
    denied = [f"n{number}.github.com" for number in range(20)]
    controller.call("ebpf_guard", policy=RULES)
    began = time.monotonic()
    told = dict(line.split() for line in inside(fleet, PYTHON, CARES, *names, *denied).stdout.splitlines())
    assert time.monotonic() - began < 2
    assert told == {**dict.fromkeys([*names, *denied], "ARES_ENOTFOUND"), "mirror.example": "203.0.113.20",
                    "mirror.github.com": MIRROR4, "cdn.example": told["cdn.example"]} and told["cdn.example"][0].isdigit()
    report = down(controller)
    assert report["counters"]["dns"]["denied"] == len(denied)


def test_an_answer_names_the_rule_that_holds_by_now(controller, fleet):
    controller.call("ebpf_guard", policy=RULES)
    assert "rule github: github.com runs on" in inside(fleet, "dig", "github.com").stdout
    other = name_rules(mode="drill", deny=[])
    other["deny"] = [{"id": "later", "reason": "we try to live without", "hosts": [".github.com"]}]
    result = controller.call("ebpf_guard", policy=other)
    assert result["changed"] and result["guard"]["answered"] == ["ipv4", "ipv6"]
    assert "rule later: we try to live without" in inside(fleet, "dig", "github.com").stdout
    result = controller.call("ebpf_guard", policy=other)
    assert not result["changed"] and result["guard"]["answered"] == ["ipv4", "ipv6"]
    assert "rule later" in inside(fleet, "dig", "github.com").stdout
    down(controller)


def test_an_exchange_by_a_task_inside_answers_as_well(controller):
    """Its agent starts inside, too. The answers of one that stayed there would be judged."""
    exchange = {"name": "deploy", "policy": name_rules(deny=[".github.com", "more.example"])}
    if controller.loader:
        exchange["loader"] = controller.loader
    run = controller.guarded([
        {"name": "Exchange", "loopbreak.deploy.ebpf_guard": exchange, "register": "exchanged"},
        {"name": "Ask", "ansible.builtin.command": "dig more.example", "register": "asked"},
        {"name": "Tell", "ansible.builtin.debug": {
            "msg": "TOLD {{ [exchanged.changed, exchanged.guard.answered, asked.stdout] | to_json }}"}},
    ], policy=RULES)
    [(changed, answered, said)] = run.values("TOLD")
    assert changed and answered == ["ipv4", "ipv6"] and BLOCKED in said


@pytest.mark.parametrize("rules", [name_rules(mode="monitor"), {"version": 1, "mode": "enforce", "deny": [
    {"id": "net", "reason": "r", "networks": ["192.0.2.0/24"]}]}], ids=["monitor", "no names"])
def test_where_no_question_is_denied_none_is_answered(controller, fleet, rules):
    assert controller.call("ebpf_guard", policy=rules)["guard"]["answered"] == []
    assert "192.0.2.10" in inside(fleet, "dig", "+short", "github.com").stdout
    down(controller)


# --- where the path does not take it ---

@contextlib.contextmanager
def firewall(fleet, *servers):
    """A host that takes no packet from these DNS servers by the loopback device, as a strict one may."""
    rules = "".join(f"add rule inet strict in iif lo udp sport 53 {'ip6' if ':' in server else 'ip'} saddr {server} drop; "
                    for server in servers)
    fleet.exec("web1", "nft", "add table inet strict; add chain inet strict in { type filter hook input priority 0; }; "
               + rules)
    try:
        yield
    finally:
        fleet.exec("web1", "nft", "delete table inet strict")


@pytest.mark.parametrize("dropped", [(RESOLVER4, RESOLVER6), (RESOLVER4,), (RESOLVER6,)], ids=str)
def test_a_host_whose_firewall_drops_answers_gives_errors(controller, fleet, dropped):
    with firewall(fleet, *dropped):
        guard = controller.call("ebpf_guard", policy=RULES)["guard"]
        assert guard["answered"] == [family for family, server in (("ipv4", RESOLVER4), ("ipv6", RESOLVER6))
                                     if server not in dropped] and guard["enforced"]["dns"] is True
        for server in (RESOLVER4, RESOLVER6):
            began = time.monotonic()
            said = inside(fleet, "dig", f"@{server}", "github.com", check=False).stdout
            assert ("connection reset" if server in dropped else BLOCKED) in said
            assert time.monotonic() - began < 1
        began = time.monotonic()
        assert inside(fleet, "getent", "hosts", "github.com", check=False).returncode == 2
        assert time.monotonic() - began < 1
        down(controller)


def test_a_start_that_fails_late_leaves_nothing(controller, fleet):
    """The agent answers by then. Here the proof itself misses an answer."""
    with firewall(fleet, "127.0.0.1"):
        _results, run = controller.adhoc("ebpf_guard", {"policy": RULES})
        run.said("The guard did not prove itself")
    assert remains(fleet) == [] and agents(fleet) == []


@pytest.mark.parametrize("rp_filter", [1, 2])
def test_a_reverse_path_filter_lets_answers_through(controller, fleet, rp_filter):
    devices = " ".join(f"/proc/sys/net/ipv4/conf/{device}/rp_filter" for device in ("all", "lo", "eth0"))
    fleet.exec("web1", "sh", "-c", f"for file in {devices}; do echo {rp_filter} > $file; done")
    try:
        assert controller.call("ebpf_guard", policy=RULES)["guard"]["answered"] == ["ipv4", "ipv6"]
        assert BLOCKED in inside(fleet, "dig", "github.com").stdout
        down(controller)
    finally:
        fleet.exec("web1", "sh", "-c", f"for file in {devices}; do echo 0 > $file; done")


# --- without the agent ---

HELD = """
import os, signal, socket, sys
message = bytes.fromhex("beef01000001000000000000") + b"".join(
    bytes([len(label)]) + label for label in b"www.github.com".split(b".")) + bytes.fromhex("0000010001")
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.settimeout(60)
os.kill(int(sys.argv[1]), signal.SIGSTOP)
asker.sendto(message, (sys.argv[2], 53))
print("asked", flush=True)
answer = asker.recv(512)
print(answer[:2].hex(), answer[3] & 15)
"""


@pytest.mark.parametrize("then", ["absent", "an exchange"])
def test_what_an_agent_had_not_answered_when_it_was_ended(controller, fleet, then):
    controller.call("ebpf_guard", policy=RULES)
    [agent] = agents(fleet)
    asking = fleet.popen("web1", LAUNCHER, "-c", shlex.join([PYTHON, "-c", HELD, str(agent), RESOLVER4]),
                         stdout=subprocess.PIPE)
    assert asking.stdout.readline() == "asked\n"
    if then == "an exchange":
        controller.call("ebpf_guard", policy=name_rules(deny=["more.example"]))
    assert down(controller)["counters"]["dns"]["denied"] == 1
    assert asking.communicate(timeout=60)[0] == "beef 3\n"


def test_without_the_agent_the_next_question_has_its_error(controller, fleet, clients):
    controller.call("ebpf_guard", policy=RULES)
    inside(fleet, "getent", "hosts", "github.com", check=False)
    # until the last thread has ended: only then the kernel has closed its sockets
    kill = f"for one in $(cat {AT_DESK}); do set -- \"$@\" $one; done; kill -9 $@; " \
           "for one; do while grep -qs State:.[^ZX] /proc/$one/task/*/status; do :; done; done"
    script = ("import socket, subprocess, sys, time\n"
              "subprocess.run(sys.argv[1], shell=True, check=True)\n"
              "for number in range(3):\n"
              "    began = time.monotonic()\n"
              "    try:\n"
              "        socket.getaddrinfo('github.com', 443)\n"
              "    except OSError as error:\n"
              "        print(error.errno, time.monotonic() - began)\n")
    # the kill comes from inside, so that the question follows at once
    told = [line.split() for line in inside(fleet, PYTHON, "-c", script, kill).stdout.splitlines()]
    assert [code for code, _seconds in told] == ["-3"] * 3 and max(float(seconds) for _code, seconds in told) < 1, told
    assert agents(fleet) == []
    report = controller.call("ebpf_guard", policy=RULES)
    assert report["repaired"] and report["guard"]["answered"] == ["ipv4", "ipv6"]
    assert BLOCKED in inside(fleet, "dig", "github.com").stdout
    assert MIRROR4 in inside(fleet, "getent", "ahosts", "mirror.github.com").stdout
    down(controller)
