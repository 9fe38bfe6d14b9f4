# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Denied questions by way of the resolvers that a host may have; by many at once; and by clients that are large."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shlex
import subprocess

import pytest
from controller import FILES, ROOT
from hosts import LAUNCHER
from names import PYTHON, Try, attempts, file_with, name_rules, unguarded, until

MIRROR4 = "203.0.113.21"
RESOLVER4, RESOLVER6, DEAD, STUB = "203.0.113.53", "2001:db8:3::53", "203.0.113.99", "127.0.0.53"
RULES = name_rules(allow=["mirror.github.com"])
BLOCKED = "EDE: 15 (Blocked): (rule github: github.com runs on"
DENIED, ALLOWED, DIG = "getent ahosts github.com", "getent ahosts mirror.github.com", "dig github.com"
TRIES = [Try(DENIED, "dns", "github.com", status=2), Try(ALLOWED, says=MIRROR4), Try(DIG, "dns", "github.com", BLOCKED, status=0)]


def install(fleet, path, content):
    fleet.exec("web1", "sh", "-c", f"mkdir -p $(dirname {path}); base64 -d > {path}; chmod 755 {path}",
               input=base64.b64encode(content).decode())


@contextlib.contextmanager
def resolvers(fleet, *addresses):
    text = "".join(f"nameserver {address}\n" for address in addresses) + "options timeout:3\n"
    with file_with(fleet, "/etc/resolv.conf", lambda _before: text):
        yield


@contextlib.contextmanager
def running(process, is_ready):
    try:
        until(is_ready, 30)
        yield
    finally:
        process.kill()
        process.wait()


def answers(fleet, server):
    said = fleet.exec("web1", "dig", "+tries=1", "+time=1", f"@{server}", "mirror.example", check=False).stdout
    return "status: NOERROR" in said


@contextlib.contextmanager
def forwarder(fleet):
    """A stub resolver on the host, as many have one."""
    process = fleet.popen("web1", "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
                          "--pid-file=", "--user=root", "--bind-interfaces", f"--listen-address={STUB}", f"--server={RESOLVER4}")
    with running(process, lambda: answers(fleet, STUB)):
        yield


@contextlib.contextmanager
def nothing(_fleet):
    yield


@pytest.mark.parametrize("servers, beside", [((DEAD, RESOLVER4, RESOLVER6), nothing), ((RESOLVER6,), nothing), ((STUB,), forwarder)],
                         ids=["three, of which the first is dead", "IPv6 alone", "a stub"])
def test_whatever_resolvers_the_host_has(controller, fleet, servers, beside):
    """A denied question is answered as if by the first of them. An allowed one takes the way that it takes without a guard."""
    with beside(fleet), resolvers(fleet, *servers):
        usual = unguarded(fleet, [ALLOWED])[ALLOWED]
        run, outcomes, report = attempts(controller, TRIES, RULES)
    run.ended(2)
    assert report["guard"]["answered"] == ["ipv4", "ipv6"]
    assert outcomes[ALLOWED]["said"] == usual["said"]
    if DEAD in servers:  # the C library waits for 3 seconds before it asks the next one
        assert min(usual["ms"], outcomes[ALLOWED]["ms"]) >= 3000 > max(outcomes[DENIED]["ms"], outcomes[DIG]["ms"])
    print({command: one["ms"] for command, one in outcomes.items()})


# --- many at once ---

FLOOD = "/usr/local/bin/flood"
BYSTANDER = """
import select, socket, sys
heard, waiting, sockets = 0, select.poll(), {}
for number in range(int(sys.argv[1])):
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        one = socket.socket(family, socket.SOCK_DGRAM)
        one.bind((address, 0))
        sockets[one.fileno()] = one
        waiting.register(one, select.POLLIN)
waiting.register(0, select.POLLIN | select.POLLHUP)
print("ready", flush=True)
while True:
    for descriptor, _event in waiting.poll():
        if descriptor == 0:
            print(heard, flush=True)
            sys.exit()
        sockets[descriptor].recv(4096)
        heard += 1
"""


@pytest.fixture(scope="module")
def flood(fleet, tmp_path_factory):
    built = tmp_path_factory.mktemp("flood") / "flood"
    subprocess.run(["clang-14", "-O2", "-static", "-Wall", "-Wextra", "-Wno-unused-result", "-Werror", ROOT / "bench/flood.c",
                    "-o", built], check=True)
    install(fleet, FLOOD, built.read_bytes())


def asking(fleet, server, name, rate, seconds):
    return fleet.popen("web1", LAUNCHER, "-c", shlex.join([FLOOD, server, name, str(rate), str(seconds), "16"]), stdout=subprocess.PIPE)


def test_each_of_many_questions_has_its_own_answer(controller, fleet, flood):
    """Denied ones over IPv4 and IPv6, and allowed ones beside them. Who asks nothing gets nothing.

    Then more than anybody could answer: an error tells, and ends the socket. How many that is depends on how busy the machine is:
    700 may wait at once. FLOOD="10000 10" asks so many a second, for so many seconds.
    """
    rate, seconds = (int(word) for word in os.environ.get("FLOOD", "300 4").split())
    asked = [(RESOLVER4, "github.com", rate), (RESOLVER6, "github.com", rate), (RESOLVER4, "other.example", 100)]
    controller.call("ebpf_guard", policy=RULES)
    bystander = fleet.popen("web1", PYTHON, "-c", BYSTANDER, "200", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert bystander.stdout.readline() == "ready\n"
    floods = [asking(fleet, *one, seconds) for one in asked]
    told = [json.loads(one.communicate(timeout=120)[0]) for one in floods]
    too_many = json.loads(asking(fleet, RESOLVER4, "github.com", 100_000, 1).communicate(timeout=120)[0])
    print(*told, too_many, sep="\n")
    assert bystander.communicate("", timeout=60)[0] == "0\n"
    for one, (_server, name, each) in zip(told, asked):
        assert one["sent"] == each * seconds and one["astray"] == one["open"] == one["failed"] == 0, told
        assert one["answers"] == one["nxdomain"] == one["sent"] - one["refused"] > 0, told
        assert name == "github.com" or not one["refused"]
    assert too_many["astray"] == 0 < too_many["refused"]
    report = controller.call("ebpf_guard", state="absent", fail_on_denied=False)
    denied = 2 * rate * seconds + too_many["sent"] - too_many["failed"]  # what a socket that has ended takes no more is not asked
    assert report["counters"]["dns"]["denied"] == sum(record["count"] for record in report["denied"]) == denied


# --- large clients ---

GO, JAVA = "/usr/local/bin/lookup-go", "java -XX:TieredStopAtLevel=1 -cp /usr/local/lib/lookup Lookup"


@pytest.mark.large
def test_go_and_java_end_at_once_and_allowed_names_work(controller, fleet, tmp_path):
    subprocess.run(["go", "build", "-o", tmp_path / "lookup", FILES / "lookup.go"], check=True,
                   env={**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off"})
    subprocess.run(["javac", "-d", tmp_path, FILES / "Lookup.java"], check=True)
    install(fleet, GO, (tmp_path / "lookup").read_bytes())
    install(fleet, "/usr/local/lib/lookup/Lookup.class", (tmp_path / "Lookup.class").read_bytes())
    denied = {GO: "no such host", f"{JAVA} net": "UnknownHostException", f"{JAVA} dns": "NameNotFoundException"}
    tries = [one for client, says in denied.items() for one in (Try(f"{client} github.com", "dns", "github.com", says),
                                                                Try(f"{client} mirror.github.com", says=MIRROR4))]
    run, outcomes, _report = attempts(controller, tries, RULES, compare=True)
    run.ended(2)
    print({one.command: outcomes[one.command]["ms"] for one in tries})


RESOLVED = "/usr/local/lib/resolved"


@contextlib.contextmanager
def resolved(fleet, directory):
    """systemd-resolved, as a process: its package would change this machine's own resolver."""
    subprocess.run(["apt-get", "download", "-q", "systemd-resolved", "libsystemd-shared"], cwd=directory, check=True)
    for package in directory.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, directory / "root"], check=True)
    [program], [library] = ([*(directory / "root").rglob(name)] for name in ("lib/systemd/systemd-resolved", "libsystemd-shared-*.so"))
    install(fleet, f"{RESOLVED}/systemd-resolved", program.read_bytes())
    install(fleet, f"{RESOLVED}/{library.name}", library.read_bytes())
    fleet.exec("web1", "sh", "-c", "grep -q ^systemd-resolve: /etc/passwd || "
               "{ echo systemd-resolve:x:996:996::/:/usr/sbin/nologin >> /etc/passwd; echo systemd-resolve:x:996: >> /etc/group; }; "
               "mkdir -p /etc/systemd /run/systemd/resolve; "
               f"printf '[Resolve]\\nDNS={RESOLVER4}\\nLLMNR=no\\nMulticastDNS=no\\n' > /etc/systemd/resolved.conf; "
               "chown 996:996 /run/systemd/resolve")
    process = fleet.popen("web1", "env", f"LD_LIBRARY_PATH={RESOLVED}", f"{RESOLVED}/systemd-resolved")
    with running(process, lambda: answers(fleet, STUB)):
        yield


@pytest.mark.large
def test_the_stub_of_systemd_resolved(controller, fleet, tmp_path):
    """A denied question never gets to it, and an allowed one does."""
    with resolved(fleet, tmp_path), resolvers(fleet, STUB):
        run, outcomes, _report = attempts(controller, TRIES, RULES, compare=True)
    run.ended(2)
    print({one.command: outcomes[one.command]["ms"] for one in TRIES})
