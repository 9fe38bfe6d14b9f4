# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A guard proves itself: a process inside it tries to reach a canary by every hook, and each must answer."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import time
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, NotTried, reason
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import way_in
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup as cgroups
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import processes
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, canaries, dns, outages, programs

REFUSED = (errno.EACCES, errno.EPERM)
ABSENT = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOSYS)
# What the attempts end with where the host, or the cgroup, has no room for them
NO_ROOM = (errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EROFS)

PATIENCE = 45  # seconds for all attempts; each has a limit of its own, and some seconds are enough for all
TURNS = 3  # of the attempts in which the agent has a part
NEEDS = {'memory': 32 << 20, 'pids': 4}  # room in the guard's cgroup
LAUNCHED = b'/bin/sh\0-c\0%s\0' % way_in.TRIED.encode()  # what the launcher becomes
TABLES = ('ebg_counters', 'ebg_observed')  # that the proof reads

# What a drill has to prove: Policy.outages, which are none in other modes; what the policy says of `unresolvable`; and whether
# the agent is there that has a part in it
Drill = namedtuple('Drill', 'outages unresolvable attended')

# answered: {family: did the answers arrive}; a guard needs none. entered: [begin, end] in CLOCK_MONOTONIC, ns, of each
# time that the proof itself entered the guard, which is no deed of a task
Proved = namedtuple('Proved', 'answered entered')


def prove(place, kernel, tables, attached, refuses, servers, uids, drill):
    """Raises GuardError where a program does not answer, or the launcher does not lead root and each of `uids` inside, and
    NotTried where that could not be found out.

    `tables`: file descriptors of TABLES. `attached`: the names of the programs that are. `refuses`: the mode denies.
    `servers`: {family: DNS servers}, where denied questions are to be answered.
    """
    if cgroups.frozen(place.cgroup):
        raise NotTried('Its cgroup is frozen.')
    counters, observed = tables

    def read_counters():
        return kernel.totals(counters, _abi.COUNTERS)

    # by number the simplest access comes first, which tells most where several fail
    rows = sorted((row for row in programs.TABLE if row.name in attached and row.attempt), key=lambda row: row.counter)
    canaries.make_files(place.run)
    before = read_counters()
    trials = {family: canaries.Trial(addresses) for family, addresses in servers.items()}
    with place.trial() as cgroup:
        results, returned, span = _inside(cgroup, place.run, [*dict.fromkeys(row.attempt for row in rows), *(
            attempt for trial in trials.values() for attempt in (trial.ask, trial.hear))])
    grown = [after - then for after, then in zip(read_counters(), before)]
    for row in rows:
        result = results[row.attempt]
        if result is None:  # this host has no such sockets, or calls
            continue
        if result in NO_ROOM:
            raise NotTried('There is no room to try %s out (%s).' % (_part(row), os.strerror(result)))
        if not grown[_abi.COUNTER_CANARY + row.counter]:
            raise GuardError('The guard did not prove itself: its program %s was not run for a process inside '
                             '(the attempt ended with %s).' % (_part(row), _word(result)))
        if refuses and row.denies and result not in REFUSED:
            raise GuardError('The guard did not prove itself: %s saw the canary, and the access was not denied (%s).'
                             % (_part(row), _word(result)))
    asked = sum(returned[trial.ask] or 0 for trial in trials.values())
    if grown[_abi.COUNTER_CANARY + _abi.HOOK_QUESTION] < asked + (results[canaries.ask] is not None):
        raise GuardError("The guard did not prove itself: its program ebg_egress did not see a question to the host's DNS "
                         'servers (%s). Something on this host leads it elsewhere before.'
                         % ', '.join(server for trial in trials.values() for server in trial.servers))
    spans, launches = [span], []
    for outage in drill.outages:
        spans += _prove_outage(place, read_counters, outage, servers, drill)
    for uid in (0, *sorted(uids)) if place.cgroup == place.own and not place.is_stopped else ():
        began = _clock()
        if way_in.check(place, uid):
            launches.append([began, _clock()])
    _forget(kernel, observed, span[0], len(spans), len(launches))
    spans += launches
    came_in = read_counters()[_abi.COUNTER_ENTERED] - before[_abi.COUNTER_ENTERED]
    return Proved({family: results[trial.ask] == results[trial.hear] == 0 for family, trial in trials.items()},
                  spans if came_in >= len(spans) else [])  # what is inside already, as a task is, does not come in


def _forget(kernel, observed, began, questions, launches):
    """Take out what the proof alone reached and executed since `began` (CLOCK_MONOTONIC, ns): that is no deed of a task.

    `questions`: how often each DNS server was asked at most; `launches`: how often the launcher was tried.
    """
    for key, value in list(kernel.items(observed, _abi.Observation, _abi.Record)):
        endpoint = key.endpoint
        asked = (endpoint.kind, endpoint.port) == (_abi.KIND_CONNECT, dns.PORT) and value.count <= questions
        launched = (endpoint.kind, value.count) == (_abi.KIND_EXEC, launches) and bytes(value.args).startswith(LAUNCHED)
        if value.first_seen >= began and (asked or launched):
            kernel.delete(observed, key)


def _prove_outage(place, read_counters, outage, servers, drill):
    """Returns the spans in which the proof was in the guard."""
    before, spans = read_counters(), []
    for _turn in range(TURNS):  # on a host that is very busy, the kernel may be sooner than the agent
        attempts = outages.attempts(outage, drill.unresolvable, servers)
        with place.trial() as cgroup:
            results, _returned, span = _inside(cgroup, place.run, [attempt.act for attempt in attempts])
        spans.append(span)
        if not any(results[attempt.act] in attempt.unattended for attempt in attempts):
            break
    grown = [after - then for after, then in zip(read_counters(), before)]
    for attempt in attempts:
        result = results[attempt.act]
        if result is None:  # this host has no such sockets
            continue
        if result in NO_ROOM:
            raise NotTried('There is no room to try out how outage: %s is (%s).' % (outage, os.strerror(result)))
        if attempt.counter is not None and not grown[_abi.COUNTER_CANARY + attempt.counter]:
            raise GuardError('The guard did not prove itself: nothing saw the canary of outage: %s (the attempt ended with %s).'
                             % (outage, _word(result)))
        if result not in attempt.ends + (() if drill.attended else attempt.unattended):
            raise GuardError('The guard did not prove itself: what is denied is not down as outage: %s says. The attempt should '
                             'have ended with %s, and ended with %s.' % (outage, _word(attempt.ends[0]), _word(result)))
    return spans


def _part(row):
    """The program, and what of it, where it is for more than one thing."""
    parts = [other for other in programs.TABLE if other.name == row.name]
    return row.name if len(parts) == 1 else '%s (%s)' % (row.name, row.capability)


def _clock():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def _word(code):
    return errno.errorcode.get(code, 'success')


def _inside(cgroup, run, attempts):
    """What a child process inside the cgroup attempted: {attempt: errno, 0 for success, None without such sockets},
    {attempt: what it returned}, and when it entered.
    """
    receive, send = os.pipe()
    parent = os.getpid()
    try:
        child = os.fork()
    except OSError as error:
        bpf.close((receive, send))
        raise NotTried('No process could be started that should try it out: %s' % reason(error))
    if not child:
        try:
            processes.end_with(parent)
            began = _clock()
            cgroups.enter(cgroup)
            span = [began, _clock()]
            os.write(send, json.dumps([[_outcome_of(attempt, run) for attempt in attempts], span]).encode())
        except Exception as error:  # anything: the parent must hear of it, and the child must end here
            os.write(send, json.dumps(reason(error).rstrip('.')).encode())
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive) as answer:
        text = _heard(receive)
    status = processes.reap(child) if text is None else os.waitpid(child, 0)[1]
    if text is None:
        raise NotTried('The process that should try it out did not end within %d seconds. %s' % (
            PATIENCE, 'Its cgroup is frozen.' if cgroups.frozen(cgroup) else 'Is the host very busy?'))
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        raise NotTried('Something killed the process that should try it out, as the kernel does where a cgroup is out of '
                       'memory.')
    answer = json.loads(text or '"it ended without a word"')
    if isinstance(answer, str):
        raise GuardError('The guard did not prove itself: the process that should try it out failed: %s.' % answer)
    results, span = answer
    return *({attempt: result[part] for attempt, result in zip(attempts, results)} for part in (0, 1)), span


def _heard(descriptor):
    """All that is written there; None where the writer does not come to its end in time."""
    deadline, heard = time.monotonic() + PATIENCE, []
    while select.select([descriptor], [], [], max(0, deadline - time.monotonic()))[0]:
        heard.append(os.read(descriptor, 65536))
        if not heard[-1]:
            return b''.join(heard).decode()
    return None


def _outcome_of(attempt, run):
    try:
        return 0, attempt(run)
    except OSError as error:
        return None if error.errno in ABSENT else error.errno or errno.ETIMEDOUT, None
