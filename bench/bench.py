# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guard costs: ratios within one run, as a table and in build/bench.json. docs/benchmarks.md explains them.

A row is a function of the room and the cgroups: it returns a Row. `make bench` prepares what it needs.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import yaml

import deployments
import far
import files
import plays
from report import Check, Row, as_mapping, as_table, interleaved
from room import BIN, BUILT, HERE, OBJECT, PROXY, RESOLVER, ROOT, SERVER, SERVER_CPU, Room, enter, peak_memory, run

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

RESULT = ROOT / "build" / "bench.json"
ROUNDS = 21         # short ones: what else runs on the machine then spoils some, and not the median
FEWER = 7           # the same of rows with many ways, or long ones, that hardly differ
STARTS = 3          # rounds of the row that brings guards up
BIG = 100_000       # networks, and as many names
COUNTS = (0, 1_000, 10_000, BIG)
MILLION, GIANTS = 1_000_000, 2      # networks of a very large guard, and rounds with one
TABLES = (1, 1_000, BIG, MILLION)   # networks, without names
FLEET, DENIALS = 1000, 100      # hosts of a big run, and what is denied on each
REPORTS = ("json", "json.gz", "every")
SIZES = {"json": 40, "json.gz": 40, "html": 5, "markdown": 1.024}    # MB at most
CHUNK = 65536       # bytes of a write, as load.c has it
UNGUARDED, EMPTY, ENFORCE, MONITOR = "unguarded", "empty programs", "enforce, 100,000 rules", "monitor, 100,000 rules"
LOADALL = "bpftool prog loadall of the same object"
NFTABLES = "nftables, the same 100,000 networks"
CALLS = 40_000      # connect(2) or sendto(2) in one go
ELSEWHERE = 100_000     # addresses that are connected to in turn, as load.c has it
FLOOD, FLOOD_SECONDS = 10_000, 1    # DNS questions a second


# --- what the guards are told ---

def networks(count):
    """Half IPv4, half IPv6. Every second address, so that the server's stands in their midst and none covers it."""
    first4, first6 = int(ipaddress.IPv4Address("192.0.2.0")), int(ipaddress.IPv6Address("2001:db8::"))
    return ([str(ipaddress.IPv4Address(first4 + 2 * number)) for number in range(count - count // 2)]
            + ["%s/64" % ipaddress.IPv6Address(first6 + (number << 64)) for number in range(count // 2)])


def names(count):
    return ["h%d.denied.example" % number for number in range(count)]


def policy(count, mode="enforce", each=1000, named=True):
    """So many networks and, if named, as many names, denied, in rules of 1,000. By `*.` none of them is looked up at the start."""
    denied, below = networks(count), ["*." + name for name in names(count)]
    rules = [{"id": "r%d" % start, "reason": "a benchmark", "networks": denied[start:start + each],
              **({"hosts": below[start:start + each]} if named else {})} for start in range(0, count, each)]
    return {"version": 1, "mode": mode, **({"deny": rules} if rules else {})}


# --- rows ---

def start_row(room, _cgroups):
    """What brings a guard up, by each loader; how the cost grows with the rules; peak memory beside it."""
    took, compiled, peaks = {count: [] for count in COUNTS}, [], []

    def loadall():
        pins = Path("/sys/fs/bpf/bench_loadall")
        began = time.monotonic_ns()
        run("bpftool", "prog", "loadall", OBJECT, pins)
        needed = time.monotonic_ns() - began
        shutil.rmtree(pins)
        peaks.append(peak_memory("bpftool", "prog", "loadall", OBJECT, pins))
        shutil.rmtree(pins)
        return needed / 1e6

    def start(count):
        told = room.start_guard("start", policy(count))
        room.end_guard("start")
        took[count].append(told)
        return told["up"] / 1e6

    def compile_and_start():
        compiled.append(room.start_guard("start", policy(1000), "bcc"))
        room.end_guard("start")
        return compiled[-1]["up"] / 1e6

    row = Row("guard up: load, fill, attach", "ms", interleaved({
        LOADALL: loadall,
        **{f"libbpf, {count:,} rules": lambda count=count: start(count) for count in COUNTS},
        "BCC, 1,000 rules": compile_and_start}, STARTS))
    row.target("libbpf, 1,000 rules", "<=", 2)
    more = row.more(f"libbpf, {BIG:,} rules", "libbpf, 1,000 rules")
    row.checks.append(Check("100,000 rules more than 1,000", [ms / 1000 for ms in more], "<=", 0.5, "s"))
    for count, less in zip(COUNTS[1:], COUNTS):
        between = row.more(f"libbpf, {count:,} rules", f"libbpf, {less:,} rules")
        row.figure(f"a rule more, {less:,} to {count:,} rules", [ms * 1000 / (count - less) for ms in between], "us")
    row.figure("peak memory, bpftool prog loadall", [peak / 2**20 for peak in peaks[1:]], "MB")
    row.figure("peak memory, BCC, 1,000 rules", [one["memory"] / 2**20 for one in compiled[1:]], "MB")
    for count in COUNTS:
        row.checks.append(Check(f"peak memory, {count:,} rules", [one["memory"] / 2**20 for one in took[count][1:]],
                                "<=", 40, "MB"))
    whole = Row("guard up: the same with policy, agent and proof", "ms", {
        LOADALL: row.samples[LOADALL],
        **{f"{count:,} rules": [one["whole"] / 1e6 for one in took[count][1:]] for count in took}})
    whole.target("1,000 rules", "<=", 3)
    return row, whole


def call_row(room, cgroups, title, what):
    """A call, by all the means that judge what it does, those without a guard included."""
    ways = {way: lambda cgroup=cgroup: room.load(cgroup, what, CALLS) for way, cgroup in cgroups.items()}
    missing = {}
    try:
        path, awake = room.nft_table(networks(BIG))

        def filtered():
            with awake():
                return room.load(path, what, CALLS)
        ways[NFTABLES] = filtered
    except RuntimeError as error:
        missing[NFTABLES] = str(error)
    row = Row(f"{title}, CPU time", "ns", interleaved(ways, ROUNDS), missing=missing)
    row.target(ENFORCE, "<=", 1.10)
    row.target(MONITOR, "<=", 1.25)
    return row


def connect_row(room, cgroups):
    traced = "strace -f -e trace=connect"
    by_tracer = {UNGUARDED: lambda: room.load(cgroups[UNGUARDED], "traced", CALLS),
                 ENFORCE: lambda: room.load(cgroups[ENFORCE], "traced", CALLS),
                 traced: lambda: room.load(cgroups[UNGUARDED], "traced", CALLS // 20,
                                           under=("strace", "-f", "-o", "/dev/null", "-e", "trace=connect"))}
    return [call_row(room, cgroups, "allowed connect(2) of a UDP socket", "connect"),
            Row("the same, elapsed", "ns", interleaved(by_tracer, ROUNDS))]


def elsewhere_row(room, cgroups):
    """To another address each time, so that nothing is remembered and the tables are cold."""
    row = Row(f"allowed connect(2) to {ELSEWHERE:,} addresses in turn, CPU time", "ns", interleaved({
        way: lambda cgroup=cgroups[way]: room.load(cgroup, "elsewhere", ELSEWHERE)
        for way in (UNGUARDED, "enforce, no rules", "enforce, 1,000 rules", ENFORCE)}, ROUNDS))
    row.target(ENFORCE, "<=", 1.5)
    return [row]


def table_row(room, cgroups):
    """The same calls by the number of networks, beside a program that asks the kernel's table of them and does nothing else."""
    ways = {UNGUARDED: cgroups[UNGUARDED]}
    for count in TABLES:
        guarded = room.guard(f"table-{count}", policy(count, named=False))
        ways.update({f"enforce, networks: {count:,}": guarded,
                     f"the kernel's trie, networks: {count:,}": room.trie_program(f"table-{count}")})
    row = Row("the same by the number of networks, without names", "ns", interleaved({
        way: lambda cgroup=cgroup: room.load(cgroup, "elsewhere", ELSEWHERE) for way, cgroup in ways.items()}, FEWER))
    for count in TABLES:
        row.figure(f"a guard more than the trie, networks: {count:,}",
                   row.more(f"enforce, networks: {count:,}", f"the kernel's trie, networks: {count:,}"), "ns")
        room.end_guard(f"table-{count}")
    return [row]


def million_row(room, _cgroups):
    """A guard with very many networks comes and goes, and what others see of that: how much too late one woke at most."""
    sent = {count: packed.pack(check(policy(count, named=False))) for count in (1_000, MILLION)}
    stops, waits = {count: [] for count in sent}, {}

    @contextlib.contextmanager
    def watched(what, count):
        with room.stalls(waits.setdefault((what, count), [])):
            yield
            time.sleep(1)       # some of it the kernel does later

    def start_and_stop(count):
        with watched("start", count):
            up = room.start_packed("million", sent[count])["whole"]
        with watched("stop", count):
            began = time.monotonic()
            room.end_guard("million")
            stops[count].append(time.monotonic() - began)
        return up / 1e9

    row = Row("guard up: all of present, by the number of networks, without names", "s", interleaved({
        f"networks: {count:,}": lambda count=count: start_and_stop(count) for count in sent}, GIANTS, warm_up=False))
    row.checks.append(Check(f"start, networks: {MILLION:,}", row.samples[f"networks: {MILLION:,}"], "<=", 5, "s"))
    row.checks.append(Check(f"stop, networks: {MILLION:,}", stops[MILLION], "<=", 1, "s"))
    for (what, count), longest in waits.items():
        limits = ("<=", 50) if count == MILLION else (None, None)
        row.checks.append(Check(f"longest wait of another process, {what}, networks: {count:,}", longest, *limits, "ms"))
    return [row]


def send_row(room, cgroups):
    """Not in the contract, so without targets: each packet is judged, not each connection."""
    row = call_row(room, cgroups, "allowed sendto(2) of a datagram", "send")
    row.checks.clear()
    return [row]


def bulk_row(room, cgroups, way):
    def rate(cgroup):
        return CHUNK / room.load(cgroup, way, 3_000, cpu=SERVER_CPU) * 1e3    # bytes a ns are GB a s

    row = Row(f"bulk TCP over loopback, {way}", "MB/s", interleaved({
        one: lambda cgroup=cgroups[one]: rate(cgroup) for one in (UNGUARDED, ENFORCE, MONITOR)}, ROUNDS))
    row.target(ENFORCE, ">=", 0.98)
    return [row]


def write_row(room, cgroups):
    return bulk_row(room, cgroups, "write")


def sendfile_row(room, cgroups):
    return bulk_row(room, cgroups, "sendfile")


def flood_row(room, _cgroups):
    """Allowed questions of one process, while another one in the same guard asks very many: denied ones, or allowed ones."""
    told = {}
    with room.resolver(SERVER):
        guarded = room.guard("flood", policy(1_000))

    def beside(name):
        with room.beside(BUILT / "flood", SERVER, name, FLOOD, FLOOD_SECONDS, 16, guarded) as flood:
            time.sleep(FLOOD_SECONDS / 4)
            took = room.load(guarded, "dns", 2_000, SERVER, SERVER_CPU) / 1e3
            told.setdefault(name, []).append(json.loads(flood.communicate()[0]))
        return took

    denied, allowed = "h7.denied.example", "allowed.example"
    row = Row(f"DNS query of an allowed name in a guard, beside {FLOOD:,} others a second", "us", interleaved({
        "beside allowed ones": lambda: beside(allowed), "beside denied ones": lambda: beside(denied),
        "alone": lambda: room.load(guarded, "dns", 2_000, SERVER, SERVER_CPU) / 1e3}, FEWER))
    row.target("beside denied ones", "<=", 1.05)
    for what in ("astray", "open"):
        row.checks.append(Check(f"denied questions, {what}", [one[what] for one in told[denied]], "<=", 0, ""))
    row.figure("denied questions, answered", [100 * one["nxdomain"] / one["sent"] for one in told[denied]], "%")
    for name, kind in ((denied, "denied"), (allowed, "allowed")):
        row.figure(f"answered within, {kind}, median", [one["median"] for one in told[name]], "us")
    return [row]


def stats_row(room, cgroups):
    """What the kernel takes to measure each run of each program, as it does for a guard with `stats: true`."""
    def measured():
        held = bpf.kernel().measure()
        try:
            return room.load(cgroups[ENFORCE], "connect", CALLS)
        finally:
            os.close(held)

    row = Row("connect(2) as above, with stats", "ns", interleaved({
        ENFORCE: lambda: room.load(cgroups[ENFORCE], "connect", CALLS), f"{ENFORCE}, stats: true": measured}, ROUNDS))
    return [row]


def http_row(room, cgroups):
    def rate(cgroup):
        return 1e9 / room.load(cgroup, "http", 1_000, cpu=SERVER_CPU)

    row = Row("short TCP connections, an HTTP request to nginx each", "1/s", interleaved({
        way: lambda cgroup=cgroups[way]: rate(cgroup) for way in (UNGUARDED, EMPTY, ENFORCE, MONITOR)}, ROUNDS))
    row.target(ENFORCE, ">=", 0.95)
    return [row]


def far_row(_room, _cgroups):
    return far.rows(policy(1_000))


def deployments_row(room, cgroups):
    return deployments.rows(room, {way: cgroups[way] for way in (UNGUARDED, ENFORCE)})


def dns_row(room, cgroups):
    """A resolver that does nothing but answer; one that people run; and the usual design instead of a guard: a DNS proxy
    that has the list of names, between client and resolver."""
    blocklist = Path("/run/blocklist.conf")
    blocklist.write_text("".join("address=/%s/\n" % name for name in names(BIG)))
    room.serve_dnsmasq(PROXY, "--cache-size=0", f"--conf-file={blocklist}")
    room.serve_dnsmasq(RESOLVER, "--cache-size=1000", "--conf-file=/dev/null")

    def ask(way, address):
        return lambda: room.load(cgroups[way], "dns", 2_000, address, SERVER_CPU) / 1e3

    proxy, ways = "unguarded, through a DNS proxy", (UNGUARDED, EMPTY, ENFORCE, MONITOR)
    row = Row("DNS query of an allowed name", "us", interleaved({
        **{way: ask(way, SERVER) for way in ways}, proxy: ask(UNGUARDED, PROXY)}, ROUNDS))
    cached = Row("the same of dnsmasq, which has the answer in its cache", "us", interleaved({
        way: ask(way, RESOLVER) for way in ways}, ROUNDS))
    for one in (row, cached):
        one.target(ENFORCE, "<=", 1.05)
    added = [guard / usual for guard, usual in zip(row.more(ENFORCE, UNGUARDED), row.more(proxy, UNGUARDED))]
    row.checks.append(Check("time that the guard adds : that the proxy adds", added, "<=", 1 / 5))
    for way in row.samples:
        row.figure(f"queries a second, {way}", [1e6 / took for took in row.samples[way]], "")
    return [row, cached]


def files_row(_room, _cgroups):
    return files.rows()


def controller_row(_room, _cgroups):
    """What the callback does about hosts whose guards denied a lot, in a process that does nothing else."""
    took = {}

    def report(hosts, *form):
        one = json.loads(run(BIN / "python", HERE / "controller.py", hosts, DENIALS, *form))
        took.setdefault((hosts, *form) if form else hosts, []).append(one)
        return one["seconds"]

    row = Row(f"controller: the report of hosts with {DENIALS} denials each, CPU time", "s", interleaved({
        **{f"{hosts:,} hosts": lambda hosts=hosts: report(hosts) for hosts in (10, 100, FLEET)},
        **{f"{FLEET:,} hosts, with report_dir: {form}": lambda form=form: report(FLEET, form) for form in REPORTS},
    }, STARTS, warm_up=False))
    row.checks.append(Check(f"{FLEET:,} hosts", row.samples[f"{FLEET:,} hosts"], "<=", 2, "s"))
    row.checks.append(Check(f"peak memory, {FLEET:,} hosts", [one["memory"] / 2**20 for one in took[FLEET]], "<=", 150, "MB"))
    row.figure("peak memory, 10 hosts", [one["memory"] / 2**20 for one in took[10]], "MB")
    row.figure("results of 20 tasks a host before that", [one["tasks"] for one in took[FLEET]], "s")
    for hosts in (10, 100, FLEET):
        row.figure(f"printed, {hosts:,} hosts", [one["size"] / 1e6 for one in took[hosts]], "MB")
    for form in REPORTS:
        told = took[FLEET, form]
        for name in [name for name in told[0]["written"] if form == name or form == "every" and name not in REPORTS]:
            limits = ("<=", SIZES[name]) if name in SIZES else (None, None)
            row.checks.append(Check(f"written, {name}", [one["written"][name] / 1e6 for one in told], *limits, "MB"))
        row.checks.append(Check(f"what {form} takes, to json.loads and json.dumps of its rows",
                                [(one["seconds"] - other["seconds"]) / one["again"] for one, other in zip(told, took[FLEET])],
                                "<=", 3))
        row.figure(f"peak memory more with {form}",
                   [(one["memory"] - other["memory"]) / 2**20 for one, other in zip(told, took[FLEET])], "MB")
    row.checks.append(Check("first view of html", [one["view"] for one in took[FLEET, "every"]], "<=", 1, "s"))
    return [row]


def check_row(_room, _cgroups):
    """What a large policy file costs the controller: to read it, to check it, and to make what is sent of it."""
    told = {}

    def check(kind, file):
        told.setdefault(kind, []).append(json.loads(run(BIN / "python", HERE / "check.py", file)))
        return told[kind][-1]["seconds"]

    with tempfile.TemporaryDirectory() as directory:
        kinds = {}
        for kind, text in {"100 rules": yaml.dump(policy(BIG), Dumper=yaml.CSafeDumper),
                           "one rule": yaml.dump(policy(BIG, each=BIG), Dumper=yaml.CSafeDumper),
                           "100 rules as JSON": json.dumps(policy(BIG)),
                           "100 rules, names in capitals": yaml.dump(policy(BIG), Dumper=yaml.CSafeDumper).replace(
                               "denied.example", "Denied.Example.")}.items():
            kinds[kind] = Path(directory, kind)
            kinds[kind].write_text(text)
        row = Row(f"controller: a policy file of {BIG:,} networks and {BIG:,} names, CPU time", "s", interleaved({
            kind: lambda kind=kind: check(kind, kinds[kind]) for kind in kinds}, STARTS, warm_up=False))
    for kind in kinds:
        row.checks.append(Check(kind, row.samples[kind], "<=", 4, "s"))
        row.checks.append(Check(f"peak memory, {kind}", [one["memory"] / 2**20 for one in told[kind]], "<=", 120, "MB"))
    row.figure("sent, 100 rules", [one["size"] / 1e6 for one in told["100 rules"]], "MB")
    return [row]


def plays_row(_room, _cgroups):
    return plays.rows()


ROWS = [start_row, million_row, connect_row, elsewhere_row, table_row, send_row, write_row, sendfile_row, far_row, dns_row,
        flood_row, stats_row, http_row, deployments_row, controller_row, check_row, plays_row, files_row]


# --- the run ---

def machine():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {"kernel": platform.release(), "machine": platform.machine(), "cpu": cpu[1] if cpu else "unknown",
            "cpus": os.cpu_count()}


def main():
    enter()
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _frame: sys.exit(128 + number))
    wanted = sys.argv[1:]
    rows, began, took = [], time.monotonic(), {}
    with Room() as room:
        room.serve(BUILT / "servers", SERVER, ready="ready")
        room.serve_web()
        cgroups = {UNGUARDED: room.cgroup("unguarded"), EMPTY: room.empty_programs(),
                   "enforce, no rules": room.guard("none", policy(0)),
                   "enforce, 1,000 rules": room.guard("few", policy(1000)),
                   ENFORCE: room.guard("many", policy(BIG)),
                   "monitor, no rules": room.guard("seen-none", policy(0, "monitor")),
                   "monitor, 1,000 rules": room.guard("seen-few", policy(1000, "monitor")),
                   MONITOR: room.guard("seen-many", policy(BIG, "monitor"))}
        for measure in ROWS:
            name = measure.__name__.removesuffix("_row")
            if wanted and name not in wanted:
                continue
            starts = time.monotonic()
            for row in measure(room, cgroups):
                rows.append(row)
                print(as_table(row), flush=True)
            took[name] = time.monotonic() - starts
    RESULT.write_text(json.dumps({"machine": machine(), "rows": [as_mapping(row) for row in rows]}, indent=1) + "\n")
    print(f"{time.monotonic() - began:.0f} s ({', '.join(f'{name} {seconds:.0f}' for name, seconds in took.items())}); "
          f"{RESULT.relative_to(ROOT)} has every round.")


if __name__ == "__main__":
    main()
