# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tools say in a drill, beside what they say when the same thing really happens. `make drills` writes it into docs/drills.md.

On web1 a guard drills. On web2 there is none: there the servers refuse or swallow, and the resolver knows no such name. A tool
has to end with the same error on both, and to end at once on both or to wait on both. Otherwise nothing is written.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from controller import FILES, GUARD_NETS, REASON, Controller
from fleet import Fleet

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "drills.md"
MARKERS = "<!-- what `make drills` found -->\n", "<!-- end -->\n"
OWN, PATIENCE = 3, 12  # seconds: the time-out that a tool is given, and when it is ended that takes none
AT_ONCE = 2.5  # seconds; a time-out takes longer
TRIES = 3  # of a tool with which it differs: the machine may be busy
MUSL, JAVA = "/usr/local/bin/client-musl", "/usr/local/lib/drills"
NODE = ("const socket = require('net').connect({{host: '{name}', port: 80}}); socket.setTimeout({own}000, () => "
        "{{console.log('setTimeout'); process.exit(1)}}); socket.on('error', error => {{console.log(error.code ?? "
        "error.errors[0].code); process.exit(1)}})")


class Tool(NamedTuple):
    name: str
    command: str  # {name}: what is reached; {own}: its time-out
    says: str | None  # what of its output is told; what it has printed last where nothing is like that. None: it says nothing
    connects: bool = True  # else it only asks for the name


TOOLS = (
    Tool("curl", "curl -sS --connect-timeout {own} http://{name}/", r"curl: .*"),
    Tool("wget", "wget -T {own} -t 1 -O /dev/null http://{name}/", r"failed: .*"),
    Tool("git", "git ls-remote http://{name}/tool.git", r"Fail.*|Could.*"),
    Tool("pip", "/usr/bin/python3 -m pip --isolated --disable-pip-version-check download --no-deps --timeout {own} --retries 0 -d /tmp "
         "http://{name}/x-1-py3-none-any.whl", r"\[Errno[^'\"]*|timed out"),
    Tool("apt", "/usr/lib/apt/apt-helper -o APT::Sandbox::User=root -o Acquire::Retries=0 -o Acquire::http::Timeout={own} "
         "download-file http://{name}/x /tmp/x", r"\(\d+: [^)]*\)|Could not resolve|Temporary failure.*(?= '|$)|connection timed out"),
    Tool("Python requests", "/usr/bin/python3 -c 'import requests; requests.get(\"http://{name}/\", timeout={own})'",
         r"\[Errno[^'\"]*|timed out"),
    Tool("Node", f'node -e "{NODE}"', r".+"),
    Tool("Java", f"java -cp {JAVA} Reach {{name}} {{own}}", r"java\..*"),
    Tool("psql", "env PGCONNECT_TIMEOUT={own} psql -h {name} -p 80 -c 'select 1' postgres", r"failed: .*|could not .*|timeout expired"),
    Tool("dig", "dig +time={own} +tries=1 {name}", r"status: \w+|no servers .*|timed out", connects=False),
    Tool("getent", "getent ahosts {name}", None, connects=False),
    Tool("musl, static", MUSL + " {name} 80", r".+"),
)


class Outage(NamedTuple):
    title: str
    policy: dict
    drilled: str = "github.com"  # what is reached in the drill
    real: str | None = "github.com"  # and without one; None: nothing like it happens by itself
    happens: str = ""  # what stands beside it
    swallows: str | None = None  # what the servers swallow meanwhile, as nftables says it


OUTAGES = (
    Outage("denied", {}, real=None),
    Outage("refused", {"outage": "refused"}, real="mirror.example", happens="a server that is down"),
    Outage("timeout", {"outage": "timeout"}, happens="a resolver that does not answer", swallows="meta l4proto { tcp, udp } th dport 53"),
    Outage("timeout, to an address", {"outage": "timeout"}, "192.0.2.10", "192.0.2.10", "an address that swallows",
           "ip daddr 192.0.2.0/24"),
    Outage("unresolvable", {"outage": "unresolvable"}, real="absent.example", happens="a resolver that says NXDOMAIN"),
    Outage("unresolvable: servfail", {"outage": "unresolvable", "unresolvable": "servfail"}, real="unstable.example",
           happens="a resolver that says SERVFAIL"),
)


class Outcome(NamedTuple):
    said: str
    seconds: float

    @property
    def waits(self):
        return self.seconds >= AT_ONCE


def tools_of(outage):
    """One that only asks for names has nothing to ask of an address."""
    return [tool for tool in TOOLS if tool.connects or not outage.drilled[0].isdigit()]


def tried(fleet, host, tool, target):
    command = tool.command.format(name=target, own=OWN)
    inside = ["/run/ebpf_guard/deploy/launcher", "-c", f"exec {command}"] if host == "web1" else ["sh", "-c", f"exec {command}"]
    began = time.monotonic()
    done = fleet.exec(host, "timeout", "--signal=KILL", str(PATIENCE), *inside, check=False, stderr=subprocess.STDOUT)
    return Outcome(said(tool, done, target), time.monotonic() - began)


def said(tool, done, target):
    """In words that are the same for every name, address and moment."""
    if done.returncode in (-9, 137):
        return "it waits on"
    found = tool.says and (re.findall(tool.says, done.stdout) or done.stdout.strip().splitlines())
    text = found[-1].strip() if found else ""
    for pattern, word in ((re.escape(target), "NAME"), (r"[0-9a-f:]+:[0-9a-f:.]+|\d+\.\d+\.\d+\.\d+", "ADDRESS"),
                          (r"\d+ (ms|milliseconds)", "… ms")):
        text = re.sub(pattern, word, text)
    return text or f"exit status {done.returncode}"


@contextmanager
def swallowing(fleet, what):
    """The servers drop what comes from web2 and is like this."""
    if what:
        fleet.exec("servers", "nft", f"add table inet swallow; add chain inet swallow in {{ type filter hook input priority 0; }}; "
                   f"add rule inet swallow in ip saddr 198.51.100.12 {what} drop; "
                   + (f"add rule inet swallow in ip6 saddr 2001:db8:51::12 {what} drop" if "ip " not in what else ""))
    try:
        yield
    finally:
        if what:
            fleet.exec("servers", "nft", "delete table inet swallow")


def measured(fleet, controller, outage):
    """[(tool, Outcome in the drill, Outcome of the real thing or None)]"""
    rule = {"id": "github", "reason": REASON, "hosts": [".github.com"], "networks": GUARD_NETS}
    controller.call("ebpf_guard", policy={"version": 1, "mode": "drill", "deny": [rule], **outage.policy})
    tools = tools_of(outage)
    # tools that wait do not slow each other down
    with swallowing(fleet, outage.swallows), ThreadPoolExecutor(6 if outage.swallows else 1) as pool:
        return list(pool.map(lambda tool: (tool, *both(fleet, outage, tool)), tools))


def both(fleet, outage, tool):
    for _number in range(TRIES):
        drilled = tried(fleet, "web1", tool, outage.drilled)
        real = tried(fleet, "web2", tool, outage.real) if outage.real else None
        if real and (drilled.said, drilled.waits) == (real.said, real.waits) or not real and not drilled.waits:
            break
    return drilled, real


def prepare(fleet):
    with tempfile.TemporaryDirectory() as built:
        subprocess.run(["musl-gcc", "-static", "-Wall", "-Werror", "-o", f"{built}/client", FILES / "lookup.c"], check=True)
        subprocess.run(["javac", "-d", built, HERE / "Reach.java"], check=True)
        files = {MUSL: Path(built, "client").read_bytes(), f"{JAVA}/Reach.class": Path(built, "Reach.class").read_bytes()}
    for host in fleet.hosts:
        for path, content in files.items():
            fleet.exec(host, "sh", "-ec", f"mkdir -p {Path(path).parent}; base64 -d > {path}; chmod 755 {path}",
                       input=base64.b64encode(content).decode())


def complaints(outage, rows):
    for tool, drilled, real in rows:
        if real is None and drilled.waits:
            yield f"{outage.title}, {tool.name}: denied, and not at once: {drilled}"
        if real is not None and (drilled.said, drilled.waits) != (real.said, real.waits):
            yield f"{outage.title}, {tool.name}: {drilled} in the drill, {real} in {outage.happens}"


def table(outage, rows):
    heads = ["tool", "what it says", "seconds in the drill", *([f"with {outage.happens}"] if outage.real else [])]
    lines = [f"\n### {outage.title}\n", heads, ["---"] * len(heads)]
    for tool, drilled, real in rows:
        says = drilled.said.replace("|", "\\|")
        lines.append([tool.name, f"`{says}`", *(seconds(one) for one in (drilled, real) if one)])
    return "".join(f"{line}\n" if isinstance(line, str) else f"| {' | '.join(line)} |\n" for line in lines)


def seconds(one):
    return f"{one.seconds:.1f}" if one.seconds < PATIENCE else f"more than {PATIENCE}"


def main():
    found = []  # (outage, its rows)
    with Fleet(f"drills-{os.getpid()}", hosts=2) as fleet, tempfile.TemporaryDirectory() as directory:
        controller = Controller(fleet, Path(directory))
        prepare(fleet)
        fleet.stop("mirror.example")
        for outage in OUTAGES:
            found.append((outage, measured(fleet, controller, outage)))
            print(table(*found[-1]), flush=True)
        controller.call("ebpf_guard", state="absent")
    wrong = [said for outage, rows in found for said in complaints(outage, rows)]
    if wrong:
        sys.exit("\n".join(["drills: not the same:", *wrong]))
    before, _marker, rest = PAGE.read_text().partition(MARKERS[0])
    after = rest.partition(MARKERS[1])[2]
    PAGE.write_text(before + MARKERS[0] + "".join(table(*one) for one in found) + MARKERS[1] + after)


if __name__ == "__main__":
    main()
