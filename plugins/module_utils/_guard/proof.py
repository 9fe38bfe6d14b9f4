# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A guard proves itself: a process inside it tries to reach a canary by every hook, and each must answer."""

from __future__ import annotations

import errno
import json
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import way_in
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup as cgroups
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import canaries, programs

REFUSED = (errno.EACCES, errno.EPERM)
ABSENT = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOSYS)


def prove(place, read_canaries, attached, refuses, servers, uids):
    """Raises GuardError where a program does not answer, or the launcher does not lead root and each of `uids` inside.

    `read_canaries()` gives how often each counter met its canary so far. `attached`: the names of the programs that are.
    `refuses`: the mode denies. `servers`: {family: DNS servers}, where denied questions are to be answered. Returns
    {family: did the answers arrive}; a guard needs none.
    """
    # by number the simplest access comes first, which tells most where several fail
    rows = sorted((row for row in programs.TABLE if row.name in attached and row.attempt), key=lambda row: row.counter)
    canaries.make_files(place.run)
    before = read_canaries()
    trials = {family: canaries.Trial(addresses) for family, addresses in servers.items()}
    with place.trial() as cgroup:
        results, returned = _inside(cgroup, place.run, [*dict.fromkeys(row.attempt for row in rows), *(
            attempt for trial in trials.values() for attempt in (trial.ask, trial.hear))])
    after = read_canaries()
    for row in rows:
        result = results[row.attempt]
        if result is None:  # this host has no such sockets, or calls
            continue
        if after[row.counter] <= before[row.counter]:
            raise GuardError('The guard did not prove itself: its program %s was not run for a process inside '
                             '(the attempt ended with %s).' % (_part(row), _word(result)))
        if refuses and row.denies and result not in REFUSED:
            raise GuardError('The guard did not prove itself: %s saw the canary, and the access was not denied (%s).'
                             % (_part(row), _word(result)))
    asked = sum(returned[trial.ask] or 0 for trial in trials.values())
    if after[_abi.HOOK_QUESTION] - before[_abi.HOOK_QUESTION] < asked + (results[canaries.ask] is not None):
        raise GuardError("The guard did not prove itself: its program ebg_egress did not see a question to the host's DNS "
                         'servers (%s). Something on this host leads it elsewhere before.'
                         % ', '.join(server for trial in trials.values() for server in trial.servers))
    if place.cgroup == place.own:
        for uid in (0, *sorted(uids)):
            way_in.check(place, uid)
    return {family: results[trial.ask] == results[trial.hear] == 0 for family, trial in trials.items()}


def _part(row):
    """The program, and what of it, where it is for more than one thing."""
    parts = [other for other in programs.TABLE if other.name == row.name]
    return row.name if len(parts) == 1 else '%s (%s)' % (row.name, row.capability)


def _word(code):
    return errno.errorcode.get(code, 'success')


def _inside(cgroup, run, attempts):
    """What a child process inside the cgroup attempted: {attempt: errno, 0 for success, None without such sockets}, and
    {attempt: what it returned}.
    """
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        try:
            cgroups.enter(cgroup)
            os.write(send, json.dumps([_outcome_of(attempt, run) for attempt in attempts]).encode())
        except Exception as error:  # anything: the parent must hear of it, and the child must end here
            os.write(send, json.dumps(str(error)).encode())
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    results = json.loads(text or '"it ended without a word"')
    if isinstance(results, str):
        raise GuardError('The guard did not prove itself: the process that should try it out failed: %s.' % results)
    return tuple({attempt: result[part] for attempt, result in zip(attempts, results)} for part in (0, 1))


def _outcome_of(attempt, run):
    try:
        return 0, attempt(run)
    except OSError as error:
        return None if error.errno in ABSENT else error.errno or errno.ETIMEDOUT, None
