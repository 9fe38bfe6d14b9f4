# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The life of a guard on its host: up, exchanged, mended, looked at, down."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import time
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import (
    _abi, _agent, _bcc, _cgroup, _files, _health, _launcher, _learn, _ledger, _libbpf, _limits, _loader, _names, _proof,
    _resolve, _rules, _sockdiag, _state, _ways)
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

MOMENT = 0.02  # seconds; no program takes so long to run
ENFORCED = dict.fromkeys(('connect', 'send', 'dns', 'payload'), True)  # with less than that there is no guard

# cgroup: the path of an existing one; None for one of the guard's own, which tasks enter
Request = namedtuple('Request', 'name policy observe ttl uids shell loader objects cgroup', defaults=(None,))


def present(request, check_mode=False):
    """Bring the guard up with exactly this policy.

    Returns the report, `changed`, `repaired` (what was broken, as sentences) and `warnings`.
    """
    place = _state.Place(request.name)
    _loader.check(request.loader)
    with _state.lock():
        state = place.read()
        _check_cgroup(place, state, request.cgroup or place.own)
        if state and request.cgroup:
            _leave(place)
        breaches, damages = _health.faults(place, state)
        faults = breaches + damages
        same = (state is not None and _wish(state) == _wish(_remember(request))
                and request.loader in (_loader.AUTO, state['loader']))
        addresses, warnings = _resolve.resolve(request.policy)
        if check_mode:
            return dict(_told(place, state), changed=not same or bool(faults), repaired=[], warnings=warnings)
        if same and not faults:
            _prove_again(place, state)
            learn(place, addresses)
            place.write(dict(state, expires_at=_deadline(request)))
            return dict(_told(place, state), changed=False, repaired=[], warnings=warnings)
        if state is None:
            sweep(place)
        before = state and state['policy']
        past = (state['breaches'] if state else []) + breaches
        state, more = _bring_up(place, request, addresses, past, state)
        return dict(_told(place, state), before=before, changed=True, repaired=faults, warnings=warnings + more)


def absent(name, check_mode=False):
    """Take the guard down.

    Returns the report, `left_running`, who was `refused` at the doors, and what was broken: `faults`, `damages`.
    """
    place = _state.Place(name)
    with _state.lock():
        try:
            state = place.read()
        except GuardError as error:
            if check_mode:
                raise
            _agent.stop_lost(place)
            sweep(place)
            raise GuardError('%s It has been taken down, and its report is lost.' % error)
        breaches, damages = _health.faults(place, state)
        past = state['breaches'] if state else []
        report = dict(_told(place, state), left_running=[], faults=past + breaches, damages=damages,
                      refused=_ledger.refusals(place.log, state['started_at']) if state else [],
                      changed=bool(place.remains()))
        if not check_mode and state is None:
            sweep(place)
        elif not check_mode:
            down = _take_down(place, state)
            report.update(down, damages=damages + down.get('damages', []))
        return report


def inspect(name):
    """The guard as it is, its report so far, and its faults as sentences; changes nothing."""
    place = _state.Place(name)
    with _state.lock():
        state = place.read()
        return dict(_told(place, state), faults=sum(_health.faults(place, state), []))


def expire(place):
    """The end of a guard that nobody took down: its report goes to the log alone."""
    with _state.lock():
        state = place.read()
        if state and state['expires_at'] and state['expires_at'] <= time.time():
            _cgroup.enter(_cgroup.mount_point())  # the agent, out of the cgroup that it is about to remove
            _take_down(place, state)


def learn(place, addresses):
    """Tell the kernel what the names of the rules lead to by now; {name: [addresses]}."""
    kernel = _libbpf.Kernel(_libbpf.Library())
    with contextlib.ExitStack() as opened:
        link = kernel.open(place.pin('ebg_ingress'))
        opened.callback(os.close, link)
        program = kernel.program(kernel.link_info(link).prog_id)
        opened.callback(os.close, program)
        for name, found in addresses.items():
            _learn.tell(kernel, program, name, found)


def refusals(place):
    """For the agent: what to poll, and read, so that sockets end whose data was refused."""
    library = _libbpf.Library()
    ring = _libbpf.Kernel(library).open(place.pin('ebg_refused'))
    return _libbpf.Ring(library, ring, _abi.Refusal, _sockdiag.Ender().end)


def abandon(place):
    """What a start has left that died half-way. Of a guard that is up all programs judge that it has left attached."""
    with _state.lock():
        state = place.read()
        if state is None:
            sweep(place)
            return
        kernel = _libbpf.Kernel(_libbpf.Library())
        kernel.update(kernel.open(place.pin(_libbpf.CURRENT)), ctypes.c_uint32(0),
                      ctypes.c_uint32(state['generation'] | _abi.BOTH))


def names():
    """The guards of this host, whole or not."""
    found = _cgroup.names()
    for directory in (_state.RUN, os.path.join(_state.BPFFS, 'ebpf_guard')):
        with contextlib.suppress(OSError):
            found.update(entry for entry in os.listdir(directory) if os.path.isdir(os.path.join(directory, entry)))
    return sorted(found)


def _check_cgroup(place, state, wanted):
    """A guard stays where it is, and no process is in two: the programs of both would want its sockets."""
    if state:
        if state['cgroup'] != wanted:
            raise GuardError("Guard '%s' is up, at the cgroup %s. Take it down (state=absent) before it guards %s, or "
                             'give this one another name.' % (place.name, state['cgroup'], wanted))
        return
    for name in {*names(), place.name}:
        other = _state.Place(name)
        for taken in {other.own, other.cgroup} - ({wanted} if name == place.name else set()):
            if _cgroup.overlap(taken, wanted):
                raise GuardError("The cgroup %s can't be guarded, because %s is that of guard '%s' or of its agent, and "
                                 'no process can be in two guards.' % (wanted, taken, name))


def _leave(place):
    """What this call looks up and opens is no deed of those who are guarded; it may run in their session."""
    with contextlib.suppress(FileNotFoundError):
        _cgroup.enter(place.desk)


# What a guard remembers, and what it tells


def _remember(request):
    return {'policy': request.policy.as_mapping(), 'policy_sha256': request.policy.sha256(),
            'mode': request.policy.mode, 'observe': request.observe or request.policy.mode == 'monitor',
            'uids': sorted(request.uids)}


def _wish(state):
    """What a user asked for; a guard that has the same is left alone."""
    return [state[key] for key in ('policy_sha256', 'mode', 'observe', 'uids')]


def _told(place, state):
    """The part of a result that is the same for every call."""
    if state is None:
        return {'guard': None, 'policy': None, 'denied': [], 'observed': [],
                'counters': dict(_ledger.counters([0] * _abi.COUNTERS), search_list=0), 'limits': {}}
    guard = {key: state[key] for key in ('name', 'mode', 'loader', 'loader_reason', 'cgroup', 'launcher',
                                         'policy_sha256', 'started_at', 'load_ms', 'enforced')}
    return dict(_report(place, state), guard=guard, policy=state['policy'],
                limits=_limits.told(place.cgroup, state['policy'].get('limits', {})))


def _report(place, state):
    """The records; of a table that is lost, none: _health tells of it."""
    kernel = _libbpf.Kernel(_libbpf.Library())
    maps = _health.ledger_maps(kernel, place)

    def items(name, key, value):
        return kernel.items(maps[name], key, value) if name in maps else ()

    totals = (kernel.totals(maps['ebg_counters'], _abi.COUNTERS) if 'ebg_counters' in maps
              else [0] * _abi.COUNTERS)
    try:
        reader = _ledger.Reader(state['rules'], _ledger.names_by_address(items('ebg_heard', _abi.HeardKey, _abi.Heard)),
                                {bytes(run): image for run, image in items('ebg_ancestors', _abi.Run, _abi.Image)},
                                state['mode'])
        denied, made_up = _ledger.without_expansions(
            reader.denials(items('ebg_denied', _abi.Denial, _abi.Record)),
            {(key.pid, key.name) for key, _yes in items('ebg_asked', _abi.Asked, ctypes.c_uint8)},
            _resolve.search_domains())
        return {'denied': denied,
                'observed': [record for record in reader.observations(items('ebg_observed', _abi.Observation, _abi.Record))
                             if not _agent.went_out(place, record)],
                'counters': dict(_ledger.counters(totals), search_list=made_up)}
    finally:
        _libbpf.close(maps.values())


# Up


def _bring_up(place, request, addresses, breaches, old):
    """Start the guard, or put new programs with new rules behind the hooks of one that is up.

    Returns its memory, and warnings.

    `breaches`: what was broken earlier. It is mended now, and the guard's end must still know of it.
    What fails leaves the host as it was: nothing of a first start, and the old rules in force where there were some.
    """
    if old and old['policy'].get('lock') and os.getpid() in _cgroup.pids(place.cgroup):
        raise GuardError("Guard '%s' can't be exchanged or mended from inside: its policy says lock: true, so the agent "
                         'that this call starts could not leave it. Take it down first, or make this call by a task '
                         'that runs outside of it.' % place.name)
    rules = list(old['rules']) if old else []
    generation = old['generation'] + 1 if old else 1
    numbers = _number(request.policy, rules)
    compiled = _rules.compile_rules(request.policy, request.observe, _resolve.resolvers(), numbers, generation)
    library = _libbpf.Library()
    kernel = _libbpf.Kernel(library)
    began = time.monotonic()
    loaded, loader, why = _load(library, kernel, request, place, compiled, _kept(kernel, place) if old else {})
    for name, found in addresses.items():
        _learn.tell(kernel, loaded.program_fd('ebg_ingress'), name, found)
    if old:
        _learn_again(kernel, loaded)
    programs = {name: loaded.program_fd(name) for name in _libbpf.HOOKS + _libbpf.LINEAGE}
    with contextlib.ExitStack() as undo:
        agent = _agent.Agent(place)
        undo.callback(agent.process.kill)
        if not old:
            undo.callback(sweep, place)
        place.make_run(request.cgroup)
        place.make_cgroups()
        _limit(place, request.policy, old, undo)
        shell = request.shell or (old['shell'] if old else '/bin/sh')
        as_is = compiled.config.judges_names and _resolve.searches_first()
        if not request.cgroup:
            _state.replace(place.launcher, _launcher.script(place, _cgroup.relative(place.own), shell, as_is), 0o755)
        _agent.make_doors(place, request.uids)
        agent.open_doors()
        ways, files = _load_others(library, kernel, request, loader, place, loaded, compiled.config,
                                   numbers)
        programs.update(ways.programs, **files.programs)
        links = _attach(kernel, place, loaded, programs, old, undo)
        switch = loaded.map_fd(_libbpf.CURRENT)
        undo.callback(_make_current, kernel, switch, generation - 1)
        _make_current(kernel, switch, generation)
        if old:
            _learn_again(kernel, loaded)  # what was heard in the meantime
        load_ms = round((time.monotonic() - began) * 1000, 1)
        _proof.prove(place, lambda: _canaries(kernel, loaded.map_fd('ebg_counters')), {*programs, _libbpf.MESSAGE},
                     request.policy.mode != 'monitor')
        _pin(kernel, place, loaded, links)
        state = dict(_remember(request), name=request.name, loader=loader, loader_reason=why, cgroup=place.cgroup,
                     cgroup_id=_cgroup.identity(place.cgroup),
                     launcher=None if request.cgroup else place.launcher,
                     started_at=old['started_at'] if old else _ledger.now(), load_ms=load_ms,
                     enforced=dict(ENFORCED, **ways.enforced, **files.enforced),
                     abi=_abi.ABI_VERSION, generation=generation, breaches=breaches, rules=rules, shell=shell,
                     programs={name: kernel.program_info(program).id for name, program in dict(
                         programs, **{_libbpf.MESSAGE: loaded.program_fd(_libbpf.MESSAGE)}).items()},
                     maps={name: kernel.map_info(loaded.map_fd(name)).id for name in _libbpf.LEDGER + _libbpf.RULES},
                     agent=agent.identity(), expires_at=_deadline(request))
        if loader == _loader.BCC:
            _bcc.keep(place.compiled, request.objects['sources'], loaded.functions)
        place.write(state)
        agent.take_over()
        undo.pop_all()
    if old:
        _agent.stop(old['agent'])
    _libbpf.close(links.values())
    loaded.close()
    instead = ["Guard '%s' was compiled on this host by BCC: %s" % (place.name, why)] if loader == _loader.BCC and why else []
    return state, instead + ways.warnings + files.warnings


def _number(policy, rules):
    """{rule id: number in the kernel}. A number is given once: records of earlier rules keep their meaning."""
    numbers, places = {}, {json.dumps(told): place for place, told in enumerate(rules)}
    for rule in policy.all_rules:
        told = _ledger.describe(rule)
        key = json.dumps(told)
        if key not in places:
            places[key] = len(rules)
            rules.append(told)
        numbers[rule.id] = _abi.RULE_FIRST + places[key]
    return numbers


def _kept(kernel, place):
    """{name: file descriptor} of the maps that go on under other rules."""
    maps = _health.ledger_maps(kernel, place)
    with contextlib.suppress(_libbpf.KernelError):
        maps[_libbpf.CURRENT] = kernel.open(place.pin(_libbpf.CURRENT))
    return maps


def _load(library, kernel, request, place, compiled, kept):
    """The object in the kernel, its rules filled in, attached to nothing; its loader, and why this one."""
    sizes = {'ebg_nets': len(compiled.keys), 'ebg_ports': len(compiled.ports), 'ebg_names': len(compiled.names)}
    loaded, loader, why = _loader.load(request.loader, library, request.objects, sizes, kept, place.compiled)
    _libbpf.close(kept.values())
    kernel.update(loaded.map_fd('ebg_config'), ctypes.c_uint32(0), compiled.config)
    kernel.update_many(loaded.map_fd('ebg_ports'), (ctypes.c_uint32 * len(compiled.ports))(
        *range(len(compiled.ports))), compiled.ports)
    kernel.update_many(loaded.map_fd('ebg_nets'), compiled.keys, compiled.nets)
    kernel.update_many(loaded.map_fd('ebg_names'), compiled.hashes, compiled.names)
    for name in _libbpf.RULES:
        kernel.freeze(loaded.map_fd(name))
    return loaded, loader, why


def _learn_again(kernel, loaded):
    """What the guard has heard so far, under the rules that are about to hold."""
    now = time.clock_gettime(time.CLOCK_MONOTONIC)
    # a list first: telling moves an entry to the front of the table, where the walk would meet it again
    for key, heard in list(kernel.items(loaded.map_fd('ebg_heard'), _abi.HeardKey, _abi.Heard)):
        left = int(heard.until / 1e9 - now)
        if left > 0:
            target = bytes(heard.target)
            _learn.tell(kernel, loaded.program_fd('ebg_ingress'), _names.from_wire(bytes(heard.name)),
                        [bytes(key.address)], min(left, _learn.FOR_EVER),
                        alias_of=_names.from_wire(target) if target[0] else None)


def _attach(kernel, place, loaded, programs, old, undo):
    """{hook: link}. A link that is attached to this cgroup gets its new program at one stroke; else a new link."""
    links = {}
    sockets = loaded.map_fd(_libbpf.SOCKETS)
    with contextlib.suppress(_libbpf.KernelError):  # where the old one is gone, the new one is no loss
        if old:  # held before it is replaced: the map alone keeps it in the kernel
            before = kernel.program(old['programs'][_libbpf.MESSAGE])
            undo.callback(kernel.attach_to_map, before, sockets, _libbpf.MESSAGE)
    kernel.attach_to_map(loaded.program_fd(_libbpf.MESSAGE), sockets, _libbpf.MESSAGE)
    directory = os.open(place.cgroup, os.O_RDONLY | os.O_DIRECTORY)
    try:
        kernel.update(loaded.map_fd('ebg_scope'), ctypes.c_uint32(0), ctypes.c_uint32(directory))
        cgroup = os.fstat(directory).st_ino
        for hook in _libbpf.ATTACH_TYPES:
            if hook not in programs:
                continue
            program = programs[hook]
            link = _living_link(kernel, place.pin(hook), cgroup)
            if link is None:
                link = kernel.attach(program, directory, hook)
                undo.callback(os.close, link)
            else:
                before = kernel.program(kernel.link_info(link).prog_id)
                kernel.exchange(link, program, hook)
                undo.callback(kernel.exchange, link, before, hook)
            links[hook] = link
    finally:
        os.close(directory)
    for name in _libbpf.EVERYWHERE:  # no link of theirs can be exchanged: those of earlier rules stay beside
        with contextlib.suppress(_libbpf.KernelError):  # until this call ends, so that they can be put back
            undo.callback(_put_back, kernel, kernel.open(place.pin(name)), place.pin(name))
        if name in programs:
            links[name] = kernel.attach_hook(programs[name], name, loaded.tracepoints.get(name))
            undo.callback(os.close, links[name])
    return links


def _put_back(kernel, link, path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    kernel.pin(link, path)


def _load_others(library, kernel, request, loader, place, loaded, config, numbers):
    """The programs of the ways out and of files, which share what the guard's know. BCC has none."""
    objects = request.objects if loader == _loader.LIBBPF else {}
    shared = {name: loaded.map_fd(name) for name in _files.SHARED}
    directory = os.open(place.cgroup, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return (_ways.load(library, kernel, objects, shared, request.policy, config, numbers, place, directory),
                _files.load(library, kernel, objects.get('files'), shared, request.policy, numbers,
                            bool(config.observe), place, directory))
    finally:
        os.close(directory)


def _limit(place, policy, old, undo):
    limits, before = dict(policy.limits), old['policy'].get('limits', {}) if old else {}
    if limits or before:
        if old:
            undo.callback(_limits.impose, place, before)
        _limits.impose(place, limits)


def _make_current(kernel, switch, generation):
    """From now on these rules are in force for the programs that can't take each other's place at one stroke.

    For a moment both judge: else an access could meet the new ones when they are not yet in force, and the earlier ones
    when they are no more.
    """
    if generation > 1:
        kernel.update(switch, ctypes.c_uint32(0), ctypes.c_uint32(generation | _abi.BOTH))
        time.sleep(MOMENT)
    kernel.update(switch, ctypes.c_uint32(0), ctypes.c_uint32(generation))


def _living_link(kernel, path, cgroup):
    try:
        link = kernel.open(path)
    except _libbpf.KernelError:
        return None
    if kernel.link_info(link).cgroup_id == cgroup:
        return link
    os.close(link)
    return None


def _pin(kernel, place, loaded, links):
    place.make_pins()
    for hook in _libbpf.OPTIONAL:  # these rules do without
        if hook not in links:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place.pin(hook))
    pins = dict(links, **{name: loaded.map_fd(name) for name in _libbpf.LEDGER + _libbpf.RULES + (_libbpf.CURRENT,)})
    for name, fd in pins.items():
        draft = place.pin(name + '_new')
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        kernel.pin(fd, draft)
        os.rename(draft, place.pin(name))


def _canaries(kernel, counters):
    return kernel.totals(counters, _abi.COUNTERS)[_abi.COUNTER_CANARY:]


def _prove_again(place, state):
    kernel = _libbpf.Kernel(_libbpf.Library())
    counters = kernel.open(place.pin('ebg_counters'))
    try:
        _proof.prove(place, lambda: _canaries(kernel, counters), state['programs'], state['mode'] != 'monitor')
    finally:
        os.close(counters)


def _deadline(request):
    return time.time() + request.ttl if request.ttl else None


# Down


def _take_down(place, state):
    """Detach, so that nothing more is recorded; read the records; let go of the processes; remove the rest."""
    kernel = _libbpf.Kernel(_libbpf.Library())
    for hook in reversed(list(_libbpf.ATTACH_TYPES)):
        with contextlib.suppress(_libbpf.KernelError):
            link = kernel.open(place.pin(hook))
            kernel.detach(link)
            os.close(link)
    with contextlib.suppress(_libbpf.KernelError):  # the others end with who holds them, and judge nothing from now on
        switch = kernel.open(place.pin(_libbpf.CURRENT))
        kernel.update(switch, ctypes.c_uint32(0), ctypes.c_uint32(0))
        os.close(switch)
    for hook in _libbpf.EVERYWHERE:
        with contextlib.suppress(_libbpf.KernelError):
            link = kernel.open(place.pin(hook))
            os.unlink(place.pin(hook))
            os.close(link)
    report = dict(_told(place, state), left_running=_cgroup.empty(place.own))
    try:
        _ledger.append_log(place.log, place.name, report)
    except OSError as error:  # a full disk must not keep a guard up; the report has it all
        report['damages'] = ['The event log %s could not be written: %s.' % (place.log, error.strerror)]
    _agent.stop(state['agent'])
    try:
        sweep(place)
    except GuardError as error:
        raise GuardError(str(error), **report) from error  # what was recorded must reach the user all the same
    return report


def sweep(place):
    """Remove whatever there is of a guard."""
    place.remove_pins()
    _cgroup.empty(place.own)
    place.remove_cgroups()
    _limits.restore(place)
    place.remove_run()
    if place.remains():
        raise GuardError("Guard '%s' could not be removed completely: %s is still there."
                         % (place.name, ', '.join(place.remains())))
