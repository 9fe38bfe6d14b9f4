# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lives of guards, drawn by lot: start, exchange, repair, look, end; with kills and faults in between, and clients inside.

Each guard lives in a generator that gives up control whenever it waits, so calls on several guards overlap.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import calls
import host
import leaks
import shared
import targets

HERE = Path(__file__).resolve().parent
KILLS = ("present", "absent", "info", "agent", "client", "entrant")
FAULTS = ("log", "run", "memory", "pids", "files", "clock")
DOWN = "down"   # no fault: while a guard goes down, whoever is still inside is judged as before
KILLED = {"present": 0.2, "absent": 0.5, "info": 0.2}   # of all calls
FAULTY = 0.12
TRIES = 5       # calls that nothing hinders until one gets through
PATIENT = 20    # calls until one gets through, those included that somebody else's fault has hindered
SETTLES = 60    # seconds until nothing of a guard is left, on a machine that is busy
GONE = 90       # seconds for clients to end
LOOK = 5        # lives of a guard from one look into the kernel to the next
ENOUGH = 100    # wrong things, to end a campaign early
STORY = 40      # the latest events of a life, to be told with what went wrong
YOUNG = 30      # seconds in which an agent takes what it needs
GROWS = 8192    # KiB that it may grow from then on
NOBODY = 65534
REFUSED = (97, 126, 127)    # of a launcher that lets nobody in, or is gone
ENTRANT = ('where() { while IFS= read -r line; do case $line in 0::*) echo "${line#0::}";; esac; done < /proc/self/cgroup; }; '
           f'where; if : 2>/dev/null > /dev/udp/{targets.ALWAYS}/{targets.ECHO}; then echo through; else echo denied; fi; '
           'where')


# what stays of a call: results are large, and there are thousands
Done = namedtuple("Done", "what took status is_well killed_after")


class Stuck(Exception):
    """A guard that no call gets up, or down."""


class Campaign:
    """What all guards of a campaign share: the time, the lot, what went wrong, and the figures."""

    def __init__(self, directory, seed, seconds, kills=KILLS, faults=FAULTS, judges_down=True, pause=0.05):
        self.directory, self.seed, self.pause = Path(directory), seed, pause
        self.kills, self.faults, self.judges_down = set(kills), set(faults), judges_down
        self.began, self.ends = time.monotonic(), time.monotonic() + seconds
        self.wrong, self.calls, self.killed, self.faulted = [], [], dict.fromkeys(kills, 0), dict.fromkeys(faults, 0)
        self.attempts = {}      # {way: [begun, denied, through, silent]}
        self.lives, self.denials, self.compared, self.exact, self.widest = 0, 0, 0, 0, 0
        self.programs, self.clients, self.entrants = 0, 0, {"inside": 0, "refused": 0}
        self.agents, self.growth = {}, 0
        self.fault, self.fault_moment = None, 0
        self.limited = host.limited()
        if self.limited is None:
            self.faults.discard("pids")

    @property
    def is_over(self):
        return time.monotonic() > self.ends or len(self.wrong) >= ENOUGH

    def tell(self, kind, what, guard=None, call=None, **more):
        one = {"kind": kind, "what": what, "seed": self.seed, "after": round(time.monotonic() - self.began, 3)}
        if guard:
            one.update(guard=guard.name, life=guard.life, cycle=guard.cycle, may=guard.may_be(), story=guard.story[-STORY:])
        if call:
            one.update(call=call.what, status=call.status, took=call.took, killed_after=call.killed_after,
                       said="" if call.is_well else call.sentence)
        self.wrong.append({**one, **more})
        print(f"WRONG ({kind}): {what} {dict(list(one.items())[2:], **more)}", file=sys.stderr, flush=True)

    def run(self, guards, lives=None):
        """The guards live side by side, until the time is over and their last lives have ended."""
        lives = lives or [guard.lives() for guard in guards]
        sampled, told = 0, time.monotonic()
        while lives:
            for life in list(lives):
                try:
                    next(life)
                except StopIteration:
                    lives.remove(life)
            if time.monotonic() - sampled > 1:
                sampled = time.monotonic()
                self.sample(guards)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(f"after {told - self.began:.0f} s: {self.lives} lives, {len(self.calls)} calls, "
                      f"{sum(self.killed.values())} kills, {len(self.wrong)} wrong", file=sys.stderr, flush=True)
            time.sleep(0.003)

    def sample(self, guards):
        """The memory of agents: what each had grown to while it was young, and what it has grown since."""
        for pid in (pid for guard in guards for pid in leaks.agents(guard.name)):
            agent, size, now = (pid, host.started_at(pid)), leaks.resident(pid), time.monotonic()
            if size is None:
                continue
            born, young = self.agents.setdefault(agent, (now, size))
            if now - born < YOUNG:
                self.agents[agent] = born, max(young, size)
            else:
                self.growth = max(self.growth, size - young)

    def usual(self, what):
        took = [call.took for call in self.calls[-200:] if call.what == what and call.status == 0]
        return statistics.median(took) if took else {"present": 0.6, "absent": 0.2, "info": 0.05}[what]


class Guard:
    def __init__(self, campaign, name, clients):
        self.campaign, self.name, self.count = campaign, name, clients
        self.random = random.Random(f"{campaign.seed} {name}")  # what is planned; it must not depend on what takes how long
        self.chance = random.Random(f"{campaign.seed} {name} meanwhile")
        self.board = shared.Board(campaign.directory / f"{name}.board")
        self.life = self.cycle = self.number = 0
        self.may, self.story = set(), []
        self.is_up, self.grey = False, True     # between start and end; and whether rules may be missing
        self.clients, self.entrants, self.tallies, self.last_moments, self.cgroup_ids = {}, [], [], {}, set()
        self.agent_is_sound = self.agent_was_sound = True   # now, and all through this life
        self.base = name

    @property
    def log(self):
        return f"/var/log/ebpf_guard/{self.name}.jsonl"

    def may_be(self):
        return sorted(map(targets.told, self.may))

    def publish(self, stop=False):
        self.board.publish(sum(1 << policy for policy in self.may) | self.grey * shared.GREY | stop * shared.STOP)

    # calls

    def call(self, make, kill=False, fault=None):
        """Makes a call, and waits until it is over. `make`: from what hinders it to the call."""
        self.cycle += 1
        campaign = self.campaign
        before = campaign.fault_moment
        undo, hinder = self.begin_fault(fault)
        was_faulty = campaign.fault is not None
        call = make(hinder)
        moment = self.random.random() * 1.2 * campaign.usual(call.what)
        while not call.is_over():
            if kill and call.killed_after is None and time.monotonic() - call.began > moment:
                call.kill()
            self.note_cgroup()
            self.look_after()
            yield
        undo()
        call.is_excused = was_faulty or campaign.fault is not None or before != campaign.fault_moment
        if call.killed_after is not None and call.status == -signal.SIGKILL and kill:
            campaign.killed[call.what] += 1
            call.is_excused = True
        campaign.calls.append(Done(call.what, call.took, call.status, call.is_well, call.killed_after))
        self.remember(f"{call.what} {call.status} {call.took:.1f} s" + f" with {fault}" * bool(fault))
        if call.killed_after is not None and call.killed_after > calls.LIMIT:
            campaign.tell("call", f"{call.what} took more than {calls.LIMIT} s", self, call)
        elif not call.is_well and call.status != -signal.SIGKILL and not (call.result or {}).get("msg"):
            campaign.tell("call", f"{call.what} ended without a sentence", self, call, fault=fault)
        elif not call.is_well and not call.is_excused:
            campaign.tell("call", f"{call.what} failed", self, call)
        return call

    def drawn(self, what):
        """What is to happen to a call: {kill, fault}."""
        chance, fault = self.random.random(), self.random.choice(FAULTS)
        if chance < KILLED[what]:
            return {"kill": what in self.campaign.kills}
        if chance < KILLED[what] + FAULTY and fault in self.campaign.faults and self.campaign.fault is None:
            return {"fault": fault}
        return {}

    def begin_fault(self, fault):
        """(what undoes it, what hinders the call's process)."""
        if fault is None:
            return (lambda: None), None
        campaign = self.campaign
        campaign.fault = fault
        campaign.fault_moment += 1
        campaign.faulted[fault] += 1
        undo, hinder = FAULT[fault](self)
        if hinder:
            self.agent_is_sound = self.agent_was_sound = False     # it inherits the limits

        def end():
            undo()
            campaign.fault = None
            campaign.fault_moment += 1
        return end, hinder

    def present(self, policy, hinder):
        return calls.present(self.name, targets.written(policy), hinder, join_users=["nobody"])

    def remember(self, what):
        """For who has to find out how something went wrong."""
        self.story.append(f"{time.monotonic() - self.campaign.began:.1f}: {what}")

    def note_cgroup(self):
        with contextlib.suppress(OSError):
            self.cgroup_ids.add(os.stat(host.cgroup2() / "ebpf_guard" / self.name).st_ino)

    # a life

    def lives(self):
        while not self.campaign.is_over:
            self.life += 1
            try:
                yield from self.one_life()
            except Stuck as stuck:
                self.campaign.tell("call", str(stuck), self)
                for client in list(self.clients.values()) + [entrant["process"] for entrant in self.entrants]:
                    self.end_group(client)
                self.clients, self.entrants, self.tallies = {}, [], []
                self.name = f"{self.base}-{self.life}"   # what is left of that one stays as it is
                self.board = shared.Board(self.campaign.directory / f"{self.name}.board")

    def one_life(self):
        # in most lives no attempt can be one that either policy lets through, and only one of them records
        policies = [policy for policy in range(len(targets.POLICIES))
                    if targets.POLICIES[policy] != (True, "monitor") or self.life % 3 == 0]
        yield from self.begin(policies)
        for _action in range(100 if self.random.random() < 0.03 else self.random.randint(2, 10)):
            if self.campaign.is_over:
                break
            yield from self.act(policies)
            yield from self.wait(self.random.uniform(0.02, 0.3))
        yield from self.end()

    def begin(self, policies):
        """Up, with clients inside."""
        self.may, self.is_up, self.grey = {self.random.choice(policies)}, False, True
        self.agent_is_sound = self.agent_was_sound = True
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log)  # else the log of an hour would fill the file system, and a report can be looked up nowhere
        self.extra, self.story = {"low": 0, "high": 0, "again": 0}, []
        self.publish()
        policy, = self.may
        yield from self.through(policy)
        self.is_up, self.grey = True, False
        self.publish()
        for _client in range(self.count):
            self.start_client()

    def wait(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look_after()
            yield

    def look_after(self):
        """Clients that were killed are replaced, and entrants come at any moment."""
        self.hear_entrants()
        if not self.entrants and self.chance.random() < 0.02:
            self.start_entrant()
        if not self.is_up:
            return
        for pid, client in list(self.clients.items()):
            if client.poll() is not None:
                del self.clients[pid]
                self.last_moments[client.number] = self.board.moment()
                if client.returncode != -signal.SIGKILL:
                    self.campaign.tell("client", f"a client ended by itself with {client.returncode}", self,
                                       said=Path(client.errors).read_text()[-1000:])
                self.start_client()

    def through(self, policy):
        """Calls of present until the guard has this policy. The first ones may be hindered."""
        tries = 0
        for number in range(PATIENT):
            self.publish()  # a moment each: new rules may have come, and gone again
            drawn = {} if number else self.drawn("present")
            call = yield from self.call(lambda hinder: self.present(policy, hinder), **drawn)
            self.publish()
            if call.is_well:
                if not call.is_excused:
                    yield from self.one_agent(call)
                if call.result["guard"]["mode"] != targets.POLICIES[policy][1]:
                    self.campaign.tell("call", "present returned another mode than it was asked for", self, call)
                self.may = {policy}
                return
            tries += not call.is_excused
            if tries == TRIES:
                break
            yield from self.wait(0.05 if call.status == -signal.SIGKILL else 0.5)
        raise Stuck("no call of present gets through")

    def one_agent(self, call):
        """After a call of present that nothing has hindered, one agent serves the guard: not none, and soon not two."""
        until = time.monotonic() + SETTLES
        while len(leaks.agents(self.name)) != 1 and time.monotonic() < until:
            yield from self.wait(0.1)
        found = leaks.agents(self.name)
        if len(found) != 1:
            self.campaign.tell("call", f"after present, {len(found)} agents are there", self, call)
        self.agent_is_sound = len(found) == 1

    def act(self, policies):
        what = self.random.choices(("exchange", "again", "info", "client", "agent", "entrant"), (8, 4, 3, 2, 2, 1))[0]
        kills, which, alone = self.campaign.kills, self.random.random(), self.random.random() < 0.5
        if what == "exchange":
            yield from self.exchange(self.random.choice(policies))
        elif what == "again":
            yield from self.exchange(min(self.may))
        elif what == "info":
            call = yield from self.call(lambda hinder: calls.info(self.name, hinder), **self.drawn("info"))
            if call.is_well and len(call.result["guards"]) != 1:
                self.campaign.tell("call", "info does not know the guard", self, call)
        elif what == "client" and "client" in kills and self.clients:
            self.campaign.killed["client"] += 1
            self.remember("client killed")
            victim = self.clients[sorted(self.clients)[int(which * len(self.clients))]]
            if alone:
                victim.kill()
            else:
                os.killpg(victim.pid, signal.SIGKILL)
        elif what == "agent" and "agent" in kills:
            self.agent_is_sound = self.agent_was_sound = False
            for pid in leaks.agents(self.name):
                self.campaign.killed["agent"] += 1
                self.remember(f"agent {pid} killed")
                with contextlib.suppress(ProcessLookupError):   # one of an exchange that has just ended by itself
                    os.kill(pid, signal.SIGKILL)
        elif what == "entrant":
            self.start_entrant()

    def exchange(self, policy):
        old = set(self.may)
        self.may = old | {policy}
        self.publish()
        self.remember("exchange to " + targets.told(policy))
        yield from self.through(policy)
        self.publish()

    def end(self):
        """Down, with clients inside or without; then the books are compared."""
        quiet = self.random.random() < 0.5
        if quiet:
            self.publish(stop=True)
            yield from self.until_gone()
        self.is_up, self.grey = False, not self.campaign.judges_down
        self.publish(stop=quiet)
        report = yield from self.down()
        self.publish(stop=True)
        yield from self.until_gone()
        until = time.monotonic() + SETTLES
        while leaks.of_guard(self.name) and time.monotonic() < until:
            yield from self.wait(0.1)
        left = leaks.of_guard(self.name)
        if left:
            self.campaign.tell("leak", f"left behind: {', '.join(left)}", self)
        self.campaign.lives += 1
        self.compare(report)
        if self.life % LOOK == 0:
            yield from self.look_into_kernel()
        if left:
            raise Stuck("something is left behind, so the guard gets another name")

    def look_into_kernel(self):
        """What of this guard's objects is left in the kernel, a while after its end: it frees them later."""
        until = time.monotonic() + SETTLES
        left = leaks.in_kernel(self.cgroup_ids)
        while any(left.values()) and time.monotonic() < until:
            yield from self.wait(0.5)
            left = leaks.in_kernel(self.cgroup_ids)
        if any(left.values()):
            self.campaign.tell("leak", f"left in the kernel: {left}", self)
            self.cgroup_ids.clear()

    def down(self):
        """Calls of absent until one gets through. Returns the guard's last report."""
        reports = []
        tries = 0
        for number in range(PATIENT):
            drawn = {} if number else self.drawn("absent")
            call = yield from self.call(lambda hinder: calls.absent(self.name, hinder), **drawn)
            if call.result and call.result.get("guard"):
                reports.append(call.result)
            if call.is_well:
                # the fullest: one that failed half-way may have read before the end
                return max(reports, key=lambda one: sum(denied(one).values()), default=self.logged())
            tries += not call.is_excused
            if tries == TRIES:
                break
            yield from self.wait(0.05 if call.status == -signal.SIGKILL else 0.5)
        raise Stuck("no call of absent gets through")

    # clients

    def start_client(self):
        self.number += 1
        self.campaign.clients += 1
        path = self.campaign.directory / f"{self.name}.{self.number}"
        tally = shared.Tally(f"{path}.tally")
        self.tallies.append((self.number, tally))
        cgroup = "/" + os.path.relpath(f"{host.cgroup2()}/ebpf_guard/{self.name}", host.cgroup2())
        command = " ".join(["exec", sys.executable, str(HERE / "client.py"), str(self.campaign.directory), self.name,
                            str(self.number), str(self.chance.randrange(1 << 30)), str(self.campaign.pause), cgroup])
        with open(f"{path}.errors", "wb") as errors:
            client = subprocess.Popen([f"/run/ebpf_guard/{self.name}/launcher", "-c", command], stdin=subprocess.DEVNULL,
                                      stdout=errors, stderr=errors, start_new_session=True)
        client.errors, client.number = errors.name, self.number
        self.clients[client.pid] = client

    @staticmethod
    def end_group(process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def until_gone(self):
        """Clients end by themselves, when they are told to or find themselves outside; whoever does not is killed."""
        until = time.monotonic() + GONE
        while (any(client.poll() is None for client in self.clients.values()) or self.entrants) and time.monotonic() < until:
            self.hear_entrants()
            yield
        for client in self.clients.values():
            if client.poll() is None:
                self.campaign.tell("client", "a client did not end", self)
            elif client.returncode and client.returncode != -signal.SIGKILL and not (
                    client.returncode in REFUSED and not self.is_up):
                self.campaign.tell("client", f"a client ended with {client.returncode}", self,
                                   said=Path(client.errors).read_text()[-1000:])
            self.end_group(client)
        self.clients = {}
        for entrant in self.entrants:
            self.end_group(entrant["process"])
        self.hear_entrants()

    def start_entrant(self):
        """One that goes in, tries once and ends: at any moment, also while the guard goes down. Root's, or a user's."""
        user = NOBODY if self.chance.random() < 0.4 else 0
        try:
            process = subprocess.Popen(
                [f"/run/ebpf_guard/{self.name}/launcher", "-c", f"exec bash -c '{ENTRANT}'"], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
                **(dict(user=NOBODY, group=NOBODY, extra_groups=[]) if user else {}))
        except OSError as error:
            if self.is_up:
                self.campaign.tell("entrant", f"the launcher could not be run: {error}", self)
            return
        self.entrants.append({"process": process, "user": user, "moment": self.board.moment(), "killed": False,
                              "began": time.monotonic(), "sound": self.agent_is_sound, "up": self.is_up})
        if "entrant" in self.campaign.kills and self.chance.random() < 0.2:
            self.entrants[-1]["ends"] = time.monotonic() + self.chance.uniform(0, 0.008)

    def hear_entrants(self):
        for entrant in list(self.entrants):
            process = entrant["process"]
            if process.poll() is None:
                if time.monotonic() > entrant.get("ends", time.monotonic()):
                    self.campaign.killed["entrant"] += not entrant["killed"]
                    entrant["killed"] = True
                    os.killpg(process.pid, signal.SIGKILL)
                continue
            self.entrants.remove(entrant)
            with process.stdout:
                # a launcher that refuses says so in JSON
                lines = process.stdout.read().decode().splitlines()
                self.judge_entrant(entrant, [line for line in lines if line[:1] not in ("", "{")])

    def judge_entrant(self, entrant, said):
        inside = "/" + os.path.relpath(f"{host.cgroup2()}/ebpf_guard/{self.name}", host.cgroup2())
        mask = self.board.between(entrant["moment"], self.board.moment())
        may = {targets.expected(policy, targets.TARGETS[1]) for policy in range(len(targets.POLICIES)) if mask & 1 << policy}
        is_up, sure = entrant["up"] and self.is_up, not mask & shared.GREY
        # earlier rules may have recorded the connected socket, and later ones its packet
        self.extra["again"] += self.board.moment() > entrant["moment"]
        if len(said) != 3:  # it was not let in, or killed: a shell's errors are no result
            self.campaign.entrants["refused"] += 1
            self.extra["high"] += bool(said) or entrant["killed"]
            if not said and is_up and not entrant["killed"] and entrant["sound"] and self.agent_is_sound:
                self.campaign.tell("entrant", f"an entrant (uid {entrant['user']}) was refused", self,
                                   status=entrant["process"].returncode, took=time.monotonic() - entrant["began"])
            return
        before, outcome, after = said
        sure = sure and before == after == inside
        self.campaign.entrants["inside"] += 1
        if is_up and (before != inside or after != inside):
            self.campaign.tell("verdict", f"an entrant ran outside: {said}", self)
        if outcome == "denied":
            self.extra["low"] += entrant["up"]  # a start that was killed has judged it, and counts for nobody
            self.extra["high"] += 1
            if targets.DENIED not in may:
                self.campaign.tell("verdict", "an entrant was denied, and no policy denies it", self)
        else:
            self.extra["low"] += sure and may - {targets.DENIED} == {targets.RECORDED}
            self.extra["high"] += targets.RECORDED in may
            if sure and may == {targets.DENIED}:
                self.campaign.tell("verdict", "an entrant came through", self)

    # the books

    def compare(self, report):
        """The report against what clients and entrants have counted, by kind and by rule."""
        own = {}
        for number, tally in self.tallies:
            last = self.last_moments.pop(number, self.board.moment())
            for index, target in enumerate(targets.TARGETS):
                found = tally.of(index, last)
                if found["silent"]:
                    self.remember(f"client {number}: {found['silent']} times no answer, {target.way} {target.where}")
                kept = self.campaign.attempts.setdefault(target.way, dict.fromkeys(("begun", "denied", "through", "silent"), 0))
                for word in kept:
                    kept[word] += found[word]
                if target.rule:
                    add(own, ("kind", target.kind), found["low"], found["high"] + found["again"])
                    add(own, ("rule", target.rule), found["low"], found["high"] + 2 * found["again"])
                    add(own, ("kind", "send"), 0, 2 * found["again"])
                if found["silent"] and self.agent_was_sound:
                    self.campaign.tell("verdict", f"{target.way} {target.where} got no answer and no error", self,
                                       times=found["silent"])
            self.campaign.programs += tally.programs
            tally.close()
            path = self.campaign.directory / f"{self.name}.{number}"
            with contextlib.suppress(FileNotFoundError):
                for line in Path(f"{path}.wrong").read_text().splitlines():
                    found = json.loads(line)
                    self.campaign.tell("verdict", found.pop("what"), self, **found)
            for end in (".tally", ".wrong", ".errors"):
                Path(f"{path}{end}").unlink(missing_ok=True)
        for key, more in ((("kind", "connect"), 0), (("rule", "always"), self.extra["again"])):
            add(own, key, self.extra["low"], self.extra["high"] + more)
        add(own, ("kind", "send"), 0, self.extra["again"])
        self.tallies = []
        if report is None:
            self.campaign.tell("count", f"the report of a life is lost: {own}", self)
            return
        told = {("kind", kind): number for kind, number in denied(report).items()}
        lost = report["counters"]["lost"]
        if not lost and all(row["rule"] for row in report["denied"]):  # a row may stand for others, of several rules
            told.update({("rule", rule): sum(row["count"] for row in report["denied"] if row["rule"] == rule)
                         for rule in targets.RULES})
        width = max((high - low for low, high in own.values()), default=0)
        self.campaign.widest = max(self.campaign.widest, width)
        self.campaign.exact += sum(own.get(key, (0, 0))[0] == own.get(key, (0, 0))[1] for key in told)
        self.campaign.compared += len(told)
        self.campaign.denials += sum(denied(report).values())
        off = {key: number for key, number in told.items() if not own.get(key, (0, 0))[0] <= number <= own.get(key, (0, 0))[1]}
        for key, number in off.items():
            low, high = own.get(key, (0, 0))
            self.campaign.tell("count", f"{' '.join(key)}: reported {number}, clients counted {low} to {high}", self, lost=lost,
                               counted={" ".join(key): interval for key, interval in own.items()},
                               rows=folded(report["denied"]))

    def logged(self):
        """The last report of this life as the event log has it, where no call has brought it."""
        try:
            with open(self.log, encoding="utf-8") as log:
                rows = [json.loads(line) for line in log if line.startswith("{")]
        except (OSError, ValueError):
            return None
        ends = [row for row in rows if row["event"] == "down"]
        return dict(ends[-1], denied=[row for row in rows if row["event"] in ("denied", "would_deny")]) if ends else None


def add(intervals, key, low, high):
    before = intervals.get(key, (0, 0))
    intervals[key] = before[0] + low, before[1] + high


def folded(rows):
    """Who did it left out: {what: how often}."""
    sums = {}
    for row in rows:
        what = " ".join(str(row[key]) for key in ("kind", "rule", "name", "address", "protocol", "mode"))
        sums[what] = sums.get(what, 0) + row["count"]
    return sums


def denied(report):
    """{kind: denials, would-be ones included}, of what clients try."""
    return {kind: report["counters"][kind]["denied"] + report["counters"][kind]["would_deny"] for kind in targets.KINDS}


# Faults: (what undoes it, what hinders the process of the call)

def _full(place):
    path = Path(place, "full")

    def begin(_guard):
        with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        return (lambda: path.unlink(missing_ok=True)), None
    return begin


def _memory(guard):
    return (lambda: None), calls.memory(guard.chance.choice((1, 4, 16, 64)))


def _files(guard):
    return (lambda: None), calls.files(guard.chance.choice((8, 16, 32, 64)))


def _pids(guard):
    limit = guard.campaign.limited / "pids.max"
    limit.write_text(str(guard.chance.choice((1, 2, 3, 5))))
    return (lambda: limit.write_text("max")), calls.inside(guard.campaign.limited)


def _clock(guard):
    began = time.monotonic(), time.time()
    time.clock_settime(time.CLOCK_REALTIME, began[1] + guard.chance.choice((-7, -1, 1, 7)) * 3600)
    return (lambda: time.clock_settime(time.CLOCK_REALTIME, began[1] + time.monotonic() - began[0])), None


FAULT = {"log": _full("/var/log"), "run": _full("/run"), "memory": _memory, "files": _files, "pids": _pids, "clock": _clock}
