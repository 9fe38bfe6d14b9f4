# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guard can do on each supported kernel: the rows of the table, a play that tries them, and what holds after it.

A capability holds on a kernel, or `guard.enforced` tells why it does not. Neither of both is a failure.
"""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

from images import ARM64, KERNELS, USERLANDS
from tasks import findings, role, tell

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.programs import FILES as FILE_PROGRAMS, GUARD, UNIX, of_object

FILES = Path(__file__).resolve().parent / "files"
DENIED = ("EACCES", "EPERM", "NXDOMAIN", "ECONNABORTED")
GITHUB, GITHUB6, OTHER = "192.0.2.10", "2001:db8:2::10", "198.51.100.10"    # as in files/attempts.py
NETWORKS = ("192.0.2.0/24", "2001:db8:2::/48")
TREE = "/opt/matrix"
ALLOWED = ("allowed4", "allowed6", "other")

# A row of the table: what is denied. `attempt`: its name in files/attempts.py; `enforced`: its word in guard.enforced;
# `record`: what stands in its record of a denial, at least.
Denial = namedtuple("Denial", "title attempt enforced record")
DENIALS = (
    Denial("connect, TCP over IPv4", "tcp4", "connect", {"kind": "connect", "address": GITHUB, "protocol": "tcp"}),
    Denial("connect, TCP over IPv6", "tcp6", "connect", {"kind": "connect", "address": GITHUB6}),
    Denial("connect, IPv4 address on an IPv6 socket", "mapped", "connect", {"kind": "connect", "port": 443}),
    Denial("connect, UDP", "udp_connect", "connect", {"kind": "connect", "port": 80, "protocol": "udp"}),
    Denial("datagram without a connection, IPv4", "udp4", "send", {"kind": "send", "address": GITHUB, "port": 9000}),
    Denial("datagram without a connection, IPv6", "udp6", "send", {"kind": "send", "address": GITHUB6}),
    Denial("ICMP, raw socket", "raw", "send", {"kind": "send", "protocol": "icmp"}),
    Denial("ICMP, ping socket", "ping", "send", {"kind": "send", "protocol": "icmp"}),
    Denial("DNS question, UDP", "dns_udp", "dns", {"kind": "dns", "name": "api.github.com", "protocol": "udp"}),
    Denial("DNS question, by the C library", "dns_libc", "dns", {"kind": "dns", "name": "api.github.com", "protocol": "udp"}),
    Denial("DNS question, TCP", "dns_tcp", "dns", {"kind": "dns", "name": "api.github.com", "protocol": "tcp"}),
    Denial("address heard in a DNS answer", "alias", "dns", {"kind": "connect", "address": "203.0.113.30"}),
    Denial("TLS server name", "tls", "payload", {"kind": "tls", "name": "api.github.com"}),
    Denial("HTTP host", "http", "payload", {"kind": "http", "name": "api.github.com"}),
    Denial("file", "file", "file", {"kind": "file", "path": f"{TREE}/file"}),
    Denial("execution of a file", "exec", "exec", {"kind": "exec", "path": f"{TREE}/program"}),
    Denial("name service daemon's socket", "unix", "unix", None),   # counted, never a record
)


# Drills: how each kind of access is down, as a policy says it
ADDRESSED, ASKED, PRESENTED = ("tcp4", "tcp6", "udp_connect", "udp4", "udp6"), ("dns_udp", "dns_tcp"), ("tls", "http")
OUTAGES = {"refused": ("ECONNREFUSED", "ok", "ECONNRESET"), "timeout": ("waits",) * 3,
           "unresolvable": ("ECONNREFUSED", "NXDOMAIN", "ECONNRESET")}
WAIT = 4  # seconds, in which whatever is answered is


def drill(outage):
    """The tasks of a drill, or of one that this kernel does not take."""
    mark = outage.upper()
    return [{"name": f"A drill: {outage}", "block": [
        role("start", ebpf_guard_policy=dict(policy("drill", paths=()), outage=outage)),
        *attempts(mark, f"--wait={WAIT}", *ADDRESSED, *ASKED, *PRESENTED, *ALLOWED, become=True), *report(f"{mark}_REPORT"),
    ], "rescue": [tell(f"{mark}_FAILED", "ansible_failed_result.msg")]}, role("stop")]


def policy(mode, networks=NETWORKS, hosts=("*.github.com",), paths=(TREE,)):
    matchers = {"networks": networks, "hosts": hosts, "paths": paths}
    rules = [{"id": key, "reason": "a test", key: list(values)} for key, values in matchers.items() if values]
    return {"version": 1, "mode": mode, "deny": rules, "expected": [rule["id"] for rule in rules]}


def attempts(mark, *arguments, **task):
    """Two tasks: try everything, and tell how it went."""
    script = {"cmd": " ".join([str(FILES / "attempts.py"), *arguments]), "executable": "/usr/bin/python3"}
    return [{"name": f"Try ({mark})", "register": "tried", "changed_when": False, "ansible.builtin.script": script,
             **task}, tell(mark, "tried.stdout | from_json")]


def report(mark):
    return [{"name": "Look", "loopbreak.deploy.ebpf_guard_info": {"name": "deploy"}, "become": True,
             "register": "looked"}, tell(mark, "looked.guards[0]")]


def play(hosts="all", paths=(TREE,), then=(), exchanged="enforce", taken_down=True, outages=(), **options):
    """`paths`: what the guard denies of files, or {kernel: that}; `then`: tasks while it is up; `exchanged`: its mode under
    other rules; `taken_down`: before it watches; `outages`: of drills at the end; `options`: of the role.
    """
    tried = [row.attempt for row in DENIALS]
    first = policy("enforce", paths=paths) if isinstance(paths, tuple) else "{{ %s[inventory_hostname] }}" % {
        kernel: policy("enforce", paths=its) for kernel, its in paths.items()}
    # Deployments log in as a user who is not root, and become root where they have to.
    return {"hosts": hosts, "gather_facts": False, "remote_user": "deploy", "tasks": [
        role("start", ebpf_guard_policy=first, **options),
        *attempts("ENFORCE", *tried, *ALLOWED, "lineage", "alone", become=True), *then,
        *attempts("DEPLOY", "tcp4", "dns_udp", "http", "allowed4"), *report("ENFORCE_REPORT"),
        role("start", ebpf_guard_policy=policy(exchanged, ["198.51.100.0/24"], [], []), **options),
        *attempts("EXCHANGE", "tcp4", "udp4", "dns_udp", "http", "file", "other", become=True),
        *report("EXCHANGE_REPORT"),
        *([role("stop"), *attempts("ENFORCE_AFTER", "tcp4", become=True)] if taken_down else []),
        role("start", ebpf_guard_policy=policy("monitor"), **options),
        *attempts("MONITOR", *tried, *ALLOWED, become=True), *report("MONITOR_REPORT"),
        role("stop"), *(task for outage in outages for task in drill(outage)),
        *attempts("MONITOR_AFTER", "tcp4", become=True),
    ]}


class Measured:
    """What the play told: `of[mark][kernel]`."""

    def __init__(self, run):
        self.run = run
        self.of = findings(run)

    def tried(self, mark, kernel):
        return self.of[mark][kernel]["attempts"]

    def enforced(self, kernel):
        """In enforce mode; why not, as monitor mode tells it, which has rules for everything."""
        first, last = (self.of[mark][kernel]["guard"]["enforced"] for mark in ("ENFORCE_REPORT", "MONITOR_REPORT"))
        return {capability: found is True or last[capability] for capability, found in first.items()}


def measure(controller, one_play):
    run = controller.playbook([one_play], timeout=1800, ANSIBLE_TIMEOUT="120")
    run.ended(0)
    print(f"the play took {run.seconds:.0f} s")
    return Measured(run)


# What holds on a kernel: each of these returns True, or what is wrong as a sentence.

def denial(row, measured, kernel):
    outcome = measured.tried("ENFORCE", kernel)[row.attempt]
    if outcome not in DENIED:
        return f"in enforce mode the attempt ended with {outcome}"
    watched = measured.tried("MONITOR", kernel)[row.attempt]
    if watched != "ok":
        return f"in monitor mode the attempt ended with {watched}"
    if row.record is None:
        return counted(measured, kernel)
    for mode in ("enforce", "monitor"):
        records = measured.of[f"{mode.upper()}_REPORT"][kernel]["denied"]
        if not any({**row.record, "mode": mode}.items() <= record.items() for record in records):
            return f"no record of it in {mode} mode: {records}"
    return True


def counted(measured, kernel):
    return measured.of["ENFORCE_REPORT"][kernel]["counters"]["name_services"] > 0 or "it was not counted"


def programs(measured, kernel):
    """Of every object that holds something that is enforced."""
    enforced = measured.enforced(kernel)
    objects = [GUARD] + [its for its, capability in ((UNIX, "unix"), (FILE_PROGRAMS, "file")) if enforced[capability] is True]
    wanted = {name for its in objects for name in of_object(its)}
    missing = wanted - set(measured.of["ENFORCE"][kernel]["programs"])
    return not missing or f"not in the kernel: {missing}"


def down(outage, measured, kernel):
    """('yes', None) or ('no', the reason with which the start failed). Raises AssertionError for all else."""
    mark = outage.upper()
    if kernel in measured.of.get(f"{mark}_FAILED", ()):
        reason = measured.of[f"{mark}_FAILED"][kernel]
        assert f"The policy says outage: {outage}, and that can not be on this host: " in reason, reason
        return "no", reason.partition(" on this host: ")[2].partition(". For this host")[0]
    wanted = {name: end for names, end in zip((ADDRESSED, ASKED, PRESENTED), OUTAGES[outage]) for name in names}
    wanted.update(dict.fromkeys(ALLOWED, "ok"))
    assert measured.tried(mark, kernel) == wanted, f"outage: {outage}, Linux {kernel}: {measured.tried(mark, kernel)}"
    told = measured.of[f"{mark}_REPORT"][kernel]
    assert told["guard"]["enforced"][outage] is True and {row["outage"] for row in told["denied"]} == {outage}, told
    assert all(row["count"] == 1 for row in told["denied"]), told["denied"]
    return "yes", None


def others_pass(measured, kernel):
    outcomes = {name: measured.tried("ENFORCE", kernel)[name] for name in ALLOWED}
    return set(outcomes.values()) == {"ok"} or f"in enforce mode: {outcomes}"


def observed(measured, kernel):
    records = measured.of["MONITOR_REPORT"][kernel]["observed"]
    return any(record["address"] == "2001:db8:3::10" for record in records) or f"observed: {records}"


def exchange(measured, kernel):
    outcomes = measured.tried("EXCHANGE", kernel)
    passed = {name for name, outcome in outcomes.items() if outcome == "ok"}
    if passed != set(outcomes) - {"other"} or outcomes["other"] not in DENIED:
        return f"after the exchange: {outcomes}"
    told = measured.of["EXCHANGE_REPORT"][kernel]
    record = {"address": OTHER, "mode": told["guard"]["mode"]}
    return any(record.items() <= one.items() for one in told["denied"]) or f"after the exchange: {told['denied']}"


def nothing_remains(measured, kernel):
    for mark in sorted(mark for mark in measured.of if mark.endswith("_AFTER")):
        after = measured.of[mark][kernel]
        programs = [name for name in after["programs"] if name.startswith("ebg_")]
        if after["remains"] or programs or after["attempts"] != {"tcp4": "ok"}:
            return f"{mark}: {after}"
    return True


def unprivileged(measured, kernel):
    told = measured.of["DEPLOY"][kernel]
    denied = {name for name, outcome in told["attempts"].items() if outcome in DENIED}
    inside = told["cgroup"].endswith("/ebpf_guard/deploy")
    return inside and denied == set(told["attempts"]) - {"allowed4"} and told["attempts"]["allowed4"] == "ok" or str(told)


def lineage(measured, kernel):
    """Each of the tools of `lineage` in attempts.py is of its own script, whatever became of that."""
    found = [record for record in measured.of["ENFORCE_REPORT"][kernel]["denied"] if 7000 <= record["port"] < 7006]
    said = {record["port"]: [one["command"] for one in record["ancestry"]] for record in found}
    for port in range(7000, 7006):
        script, *above = said.get(port) or [""]
        if f" deploy-{(port - 7000) // 2} " not in script or not above:
            return f"port {port}: {said}"
        if any("/launcher -c" in command and "sudo" not in command for command in above):
            return f"port {port}: a launcher among its ancestors: {above}"
    return len(found) == 6 or f"{len(found)} records: {said}"


def answered(measured, kernel):
    """By a plain socket, and by the C library's, which hears of what is swallowed unless the guard sees to it."""
    outcomes = {name: measured.tried("ENFORCE", kernel)[name] for name in ("dns_udp", "dns_libc")}
    return set(outcomes.values()) == {"NXDOMAIN"} or f"in enforce mode: {outcomes}"


def alone(measured, kernel):
    outcome = measured.tried("ENFORCE", kernel)["alone"]
    return outcome == "ETIMEDOUT" or f"in enforce mode: {outcome}"


# What the run writes. `around`: the lines before and after the table; `host`: rows of what the doctor says of each machine.
PAGE = Path(__file__).resolve().parents[2] / "docs" / "kernels.md"
Table = namedtuple("Table", "around machines host", defaults=((),))
OF_KERNELS = Table(("<!-- what `make kernels` measured -->\n", "<!-- end -->\n"), KERNELS)
OF_ARM64 = Table(("<!-- the same on arm64 -->\n", "<!-- end on arm64 -->\n"), ARM64)
OF_USERLANDS = Table(("<!-- what `make matrix` measured on Debian's releases -->\n", "<!-- end on Debian's releases -->\n"), USERLANDS,
                     ("libbpf", "Python", "the doctor says"))


OTHERS = {"what no rule denies passes": others_pass, "every program is loaded": programs,
          "denied DNS questions over UDP are answered": answered,
          "a connection that presents a denied name ends, also if the agent hangs": alone,
          "monitor mode records, and denies nothing": observed, "rules are exchanged while the guard is up": exchange,
          "denials at once tell their own ancestors, ended ones too": lineage,
          "tasks of a user who is not root are inside": unprivileged,
          "a guard that is down has left nothing": nothing_remains}


ERROR = "error of a denied connection"


def titles(table):
    """Of all rows of a table."""
    return [*table.host, *(row.title for row in DENIALS), *(f"drill, outage: {outage}" for outage in OUTAGES), *OTHERS, ERROR]


def cell(row, measured, kernel):
    """('yes' or 'no', the reason that the guard reports or None). Raises AssertionError for what nobody reports."""
    holds = denial(row, measured, kernel)
    reason = measured.enforced(kernel)[row.enforced]
    if holds is True and reason is True:
        return "yes", None
    assert reason is not True, f"{row.title}, Linux {kernel}: {holds}, and guard.enforced.{row.enforced} is true"
    assert holds is not True, f"{row.title}, Linux {kernel}: it holds, but is said not to: {reason}"
    return "no", reason
