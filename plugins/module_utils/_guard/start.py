# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A guard on its way up, or under other rules: a list of steps, from the first to the last.

A step takes what earlier ones made, adds what it makes, and pushes on `undo` what takes that back. What fails leaves the
host as it was: nothing of a first start, and the old rules in force where there were some.
"""

from __future__ import annotations

import contextlib
import json
import os
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import (
    answers, doors, holders, launcher, proof, stop, ttl)
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent as agents
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup as cgroups
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import clock, limits, resolver
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import (
    attach, bpf, emptying, files, loader, outages, pinned, programs, tables, teach, ways_out)
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.compile import compile_rules
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records


class Start:
    """What the steps hand on. `old`: the memory of the guard that is up, None where none is.

    `addresses`: {name: [addresses]} of the rules' names. `breaches`: what was broken earlier. It is mended now, and the
    guard's end must still know of it.
    """

    def __init__(self, place, request, addresses, breaches, old):
        self.place, self.request, self.policy = place, request, request.policy
        self.addresses, self.breaches, self.old = addresses, breaches, old
        self.kernel = bpf.kernel()
        self.state, self.warnings = None, []

    def run(self):
        """Returns the guard's memory, and warnings."""
        with emptying.table(self.kernel, self.place.pins) as old_networks:
            with contextlib.ExitStack() as undo:
                for step in STEPS:
                    step(self, undo)
                undo.pop_all()
            if self.old:
                with answers.none_left(self.old):
                    agents.stop(self.place, but=self.agent.process.pid)
            if old_networks:
                emptying.empty(self.kernel, old_networks)
        bpf.close(self.links.values())
        self.loaded.close()
        return self.state, self.warnings

    def try_out(self):
        """{capability: True, or why not}. All the way up, as far as nobody knows of it yet, and down again."""
        with contextlib.ExitStack() as undo:
            for step in STEPS:
                if step not in (refuse_what_can_not_be, remember, hand_over):
                    step(self, undo)
            return self.enforced


def refuse_from_inside(start, _undo):
    if start.old and start.old['policy'].get('lock') and os.getpid() in cgroups.pids(start.place.cgroup):
        raise GuardError("Guard '%s' can't be exchanged or mended from inside: its policy says lock: true, so the agent "
                         'that this call starts could not leave it. Take it down first, or make this call by a task '
                         'that runs outside of it.' % start.place.name)


def start_agent(start, undo):
    """First of all, so that it is awake by the time that there is something to watch over."""
    start.agent = agents.Agent(start.place, start.request.agent)
    undo.callback(start.agent.process.kill)


def compile_policy(start, _undo):
    start.rules = list(start.old['rules']) if start.old else []
    start.generation = start.old['generation'] + 1 if start.old else 1
    start.compiled = compile_rules(start.policy, start.request.observe, resolver.resolvers(),
                                   number(start.policy, start.rules), start.generation, resolver.own_names())


def fill_tables(start, _undo):
    start.began = time.monotonic()
    start.tables = tables.make(start.kernel, start.compiled.tables)


def load(start, undo):
    """The guard's object in the kernel, with its rules, attached to nothing."""
    kept = pinned.kept(start.kernel, start.place.pins) if start.old else {}
    maps = {**kept, **start.tables}
    try:
        start.loaded, start.loader, start.loader_reason = loader.load(
            start.request.loader, start.kernel.library, start.request.objects, maps, start.place.compiled)
    finally:
        bpf.close(maps.values())
    undo.callback(start.loaded.close)
    if start.loader == loader.BCC and start.loader_reason:
        start.warnings.append("Guard '%s' was compiled on this host by BCC: %s" % (
            start.place.name, start.loader_reason))


def teach_names(start, _undo):
    program = start.loaded.program_fd(teach.PROGRAM)
    teach.teach(start.kernel, program, start.addresses)
    teach_again(start)


def teach_again(start, _undo=None):
    """What a guard that is up has heard, also between two calls of this."""
    if start.old:
        teach.teach_again(start.kernel, start.loaded.program_fd(teach.PROGRAM), start.loaded.map_fd('ebg_heard'))


def make_directories(start, undo):
    if not start.old:
        undo.callback(stop.sweep, start.place)
    start.place.make_run(start.request.cgroup)
    start.place.make_cgroups()


def impose_limits(start, undo):
    wanted = dict(start.policy.limits)
    before = start.old['policy'].get('limits', {}) if start.old else {}
    if wanted or before:
        if start.old:
            undo.callback(limits.impose, start.place.own, start.place.run, before)
        limits.impose(start.place.own, start.place.run, wanted)


def write_launcher(start, undo):
    if not start.old:
        undo.callback(stop.turn_away, start.place)
    start.shell = start.request.shell or (start.old['shell'] if start.old else '/bin/sh')
    if not start.request.cgroup:
        as_is = start.compiled.config.judges_names and resolver.searches_first()
        start.place.write_launcher(launcher.script(start.place, cgroups.relative(start.place.own), start.shell, as_is))


def open_doors(start, undo):
    doors.make_doors(start.place, start.request.uids)
    undo.callback(start.agent.leave_desk)
    start.agent.open_doors()


def begin_answering(start, _undo):
    """Of the proof, the agent answers the questions, and speaks for those who are down in a drill. All others it answers after
    the last step, when the guard is up.
    """
    start.servers = {}
    if start.policy.mode != 'monitor' and (start.compiled.config.judges_names or start.policy.outages):
        start.servers = answers.servers(resolver.resolvers())
        questions, answering = (start.kernel.map_info(start.loaded.map_fd(name)).id for name in programs.ANSWERS)
        start.agent.begin_answering(questions, answering, start.rules)


def load_optional(start, undo):
    """The programs for ways out and for files, which share what the guard's know. BCC has none."""
    place, loaded = start.place, start.loaded
    objects = start.request.objects if start.loader == loader.LIBBPF else {}
    shared = {name: loaded.map_fd(name) for name in programs.SHARED}
    directory = os.open(place.cgroup, os.O_RDONLY | os.O_DIRECTORY)
    try:
        outward = ways_out.load(start.kernel, objects, shared, start.compiled, place.run, place.cgroup,
                                directory)
        undo.callback(outward.close)
        on_files = files.load(start.kernel, objects, shared, start.compiled, place.run, directory)
        undo.callback(on_files.close)
    finally:
        os.close(directory)
    start.programs = {**{name: loaded.program_fd(name) for name in programs.of_object(programs.GUARD)},
                      **outward.programs, **on_files.programs}
    start.attached = {**outward.links, **on_files.links}
    start.enforced = {**dict.fromkeys(programs.capabilities(programs.GUARD), True), **outward.enforced,
                      **on_files.enforced}
    start.warnings += outward.warnings + on_files.warnings


def refuse_what_can_not_be(start, _undo):
    """A guard never runs weaker than its policy reads."""
    policy, enforced = start.policy, start.enforced
    if policy.mode == 'monitor':
        return
    refusing = [outage for outage in policy.outages if outage in outages.REFUSES]
    lacking = refusing and outages.lacking(start.loader)
    if lacking:
        raise GuardError('The policy says outage: %s, and that can not be on this host: %s. For this host, write '
                         'outage: denied or outage: timeout.' % (' and outage: '.join(refusing), lacking))
    enforced.update(dict.fromkeys(policy.outages, True))  # or the proof fails
    if policy.has_sockets and enforced['unix'] is not True:
        raise GuardError('The rules on unix sockets (%s) can not be enforced on this host: %s. For this host, take '
                         'sockets out of the policy, and keep tools that use them out of the deployment.'
                         % (_ids(policy, 'sockets'), enforced['unix']))
    if policy.lock and enforced['lock'] is not True:
        raise GuardError('The policy says lock: true, and that can not be enforced on this host: %s. For this host, '
                         'write lock: false, and look through the tasks for what moves processes.' % enforced['lock'])
    if policy.has_files and enforced['file'] is not True:
        raise GuardError('The rules on files (%s) can not be enforced on this host: %s. For this host, take paths and '
                         'filesystems out of the policy, and deny the servers behind its mounts under hosts or '
                         'networks.' % (_ids(policy, 'paths', 'filesystems'), enforced['file']))


def _ids(policy, *matchers):
    return ', '.join("'%s'" % rule.id for rule in policy.rules if any(getattr(rule, matcher) for matcher in matchers))


def attach_programs(start, undo):
    place = start.place
    start.links = attach.attach(start.kernel, place.pins, place.cgroup, place.desk, start.loaded, start.programs,
                                start.attached, undo)


def switch_over(start, undo):
    switch = start.loaded.map_fd(programs.CURRENT)
    undo.callback(attach.make_current, start.kernel, switch, start.generation - 1)
    attach.make_current(start.kernel, switch, start.generation)


def note_time(start, _undo):
    start.load_ms = round((time.monotonic() - start.began) * 1000, 1)


def prove(start, _undo):
    start.agent.wait_until_answering()
    start.proved = proof.prove(start.place, start.kernel, list(map(start.loaded.map_fd, proof.TABLES)), start.programs,
                               start.policy.mode != 'monitor', start.servers, start.request.uids,
                               proof.Drill(start.policy.outages, start.policy.unresolvable, True))


def pin_new(start, _undo):
    """Of a new guard, before anybody can come in: who does is judged also where this call is killed."""
    if not start.old:
        _pin(start)


def pin_exchanged(start, _undo):
    if start.old:
        _pin(start)


def _pin(start):
    start.place.make_pins()
    maps = programs.LEDGER + programs.RULES + programs.ANSWERS + (programs.CURRENT,)
    pinned.pin(start.kernel, start.place.pins, start.links, {name: start.loaded.map_fd(name) for name in maps})


def remember(start, _undo):
    """The guard is complete from here on: only then it has a memory."""
    place, kernel, run = start.place, start.kernel, start.request.run
    began = start.old['started_at'] if start.old else clock.moment()
    start.state = dict(
        memory(start.request), name=start.request.name, loader=start.loader, loader_reason=start.loader_reason,
        cgroup=place.cgroup, cgroup_name=cgroups.relative(place.cgroup), cgroup_id=cgroups.identity(place.cgroup),
        launcher=None if start.request.cgroup else place.launcher,
        started_at=began, load_ms=start.load_ms,
        tolerated=start.old['tolerated'] if start.old else 0,
        holders=holders.of(start.old) if start.old else [holders.holder(run, began)] if run else [],
        enforced=start.enforced, abi=_abi.ABI_VERSION, generation=start.generation, breaches=start.breaches,
        rules=start.rules, shell=start.shell, agent=start.agent.identity(), expires_at=ttl.deadline(start.request.ttl),
        programs={name: kernel.program_info(program).id for name, program in start.programs.items()},
        servers=start.servers, entered=(start.old['entered'] if start.old else []) + start.proved.entered,
        maps={name: kernel.map_info(start.loaded.map_fd(name)).id
              for name in programs.LEDGER + programs.RULES + programs.ANSWERS})
    if start.loader == loader.BCC:
        place.write_compiled(loader.kept(start.request.objects, start.loaded))
    place.write_code(start.agent.code)
    place.write(start.state)


def hand_over(start, _undo):
    start.agent.take_over()
    answers.turn_on(start.kernel, start.loaded.map_fd(answers.BOARD), start.proved.answered)


STEPS = (
    refuse_from_inside, start_agent, compile_policy, fill_tables, load, teach_names, make_directories, impose_limits,
    begin_answering, load_optional, refuse_what_can_not_be, attach_programs, switch_over, teach_again, note_time,
    pin_new, write_launcher, open_doors, prove, pin_exchanged, remember, hand_over,
)


def number(policy, rules):
    """{rule id: number in the kernel}. A number is given once: records of earlier rules keep their meaning.

    `rules`: what the guard remembers of its rules, in the order of their numbers; new ones are added.
    """
    numbers, known = {}, {json.dumps(rule): index for index, rule in enumerate(rules)}
    for rule in policy.all_rules:
        if rule.id in numbers:  # another part of the same rule
            continue
        described = records.describe(rule, policy.outage_of(rule) if rule.action == 'deny' else None)
        key = json.dumps(described)
        if key not in known:
            known[key] = len(rules)
            rules.append(described)
        numbers[rule.id] = _abi.RULE_FIRST + known[key]
    return numbers


def memory(request):
    """The part of a guard's memory that a user asked for. Its rules are packed: every call reads it, and few need them."""
    return dict(wish(request), policy=request.policy.settings(), packed=packed.pack(request.policy),
                baseline=request.baseline, stats=request.stats, outages=request.policy.outages)


def wish(request):
    """The part of it that tells whether a guard is the one that is asked for."""
    return {'policy_sha256': request.policy.sha256(),
            'mode': request.policy.mode, 'observe': request.observe or request.policy.mode == 'monitor',
            'uids': sorted(request.uids), 'secret': request.secret}
