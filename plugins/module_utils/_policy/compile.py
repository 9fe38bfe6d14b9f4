# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A checked policy in, what the kernel is told of it out. Pure: touches no kernel and asks no resolver.

The kernel finds the longest prefix of an address, or the longest known end of a name, and takes the first matcher there
that fits port and protocol. So each network and each name gets its own matchers, and behind them those of every wider
one. What the paths of the rules are on a host is found out there.
"""

from __future__ import annotations

import ctypes
import struct
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import CANARY_NAME, OUTAGES
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import host_names, networks
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.slices import CANARY, Slices, canary_of, of_rule

MODES = {'monitor': _abi.MODE_MONITOR, 'enforce': _abi.MODE_ENFORCE, 'drill': _abi.MODE_DRILL}

Compiled = namedtuple('Compiled', 'config tables paths filesystems sockets ways_out')


def compile_rules(policy, observe, resolvers, numbers, generation, host=()):
    """Compiled: `config`; `tables`, by _tables(); `paths`, `filesystems` and `sockets`, lists of (what a rule names, FileRule)
    in the order of the rules; `ways_out`, sockets that are recorded.

    `resolvers`: the host's DNS servers, which a sealed room (`default: deny`) leaves open, and which no name denies.
    `numbers`: {rule id: the rule's number in the kernel}. `generation`: the number of these rules among those that the
    guard has had. `host`: the host's own names, which may be asked for in a sealed room.
    """
    config = _config(policy, observe, resolvers, generation)
    return Compiled(config, _tables(policy, config, resolvers, numbers, host),
                    *(_files(policy, numbers, kind) for kind in ('paths', 'filesystems', 'sockets')), policy.ways_out)


def _tables(policy, config, resolvers, numbers, host):
    """(map, room, blocks) of each table of rules: how many entries it has at most, and all of them as pairs of ctypes arrays,
    keys and values. What is written as memory has no keys.

    Each is worked out while it is gone through, once and in this order: the networks and the names make the port matchers
    that both share.
    """
    rules = [(rule, of_rule(rule, numbers[rule.id])) for rule in policy.all_rules]
    slices = Slices()
    canaries = [(OUTAGES[outage], canary_of(_outage(policy, outage))) for outage in policy.outages]
    yield ('ebg_nets', *networks.table(policy, rules, resolvers, [
        (network, canary) for names, canary in canaries for network in names[:2]], slices))
    names = host_names.Names([((CANARY_NAME,), (CANARY,)), *(((names[2],), (canary,)) for names, canary in canaries),
                              *((rule.hosts, matchers) for rule, matchers in rules)], policy.default == 'deny', slices, host)
    yield 'ebg_names', len(names), names.blocks()
    words = (ctypes.c_uint64 * (len(names.text) // host_names.WORD)).from_buffer(names.text)
    yield 'ebg_text', len(words), [(None, words)]
    yield _array('ebg_ports', slices.pack())
    yield _array('ebg_outages', _outages(policy, numbers))
    yield _array('ebg_config', (_abi.Config * 1)(config))


def _array(name, values):
    """As _tables() has it, of a table whose keys are the indices of its values."""
    return name, len(values), [((ctypes.c_uint32 * len(values))(*range(len(values))), values)]


def _config(policy, observe, resolvers, generation):
    denies_names = any(rule.hosts and rule.action == 'deny' for rule in policy.all_rules)
    config = _abi.Config(mode=MODES[policy.mode], default_deny=policy.default == 'deny',
                         observe=observe or policy.mode == 'monitor',
                         judges_names=denies_names or policy.default == 'deny', generation=generation,
                         lock=policy.lock, outages=sum(1 << _outage(policy, outage) for outage in policy.outages))
    for words, resolver in zip(config.resolvers, resolvers):
        words[:] = struct.unpack('=QQ', networks.packed_address(resolver))
    return config


def _outage(policy, outage):
    """As the kernel has it."""
    return {'denied': _abi.OUTAGE_DENIED, 'refused': _abi.OUTAGE_REFUSED, 'timeout': _abi.OUTAGE_TIMEOUT, 'unresolvable': {
        'nxdomain': _abi.OUTAGE_NXDOMAIN, 'servfail': _abi.OUTAGE_SERVFAIL}[policy.unresolvable]}[outage]


def _outages(policy, numbers):
    """How what a rule denies is down, by its number. What has no rule is down as the policy says."""
    if not policy.outages:
        return (ctypes.c_uint32 * 1)()
    outages = (ctypes.c_uint32 * (max(numbers.values(), default=_abi.RULE_FIRST) + 1))(
        *[_outage(policy, policy.outage)] * _abi.RULE_FIRST)
    outages[_abi.RULE_CANARY:_abi.RULE_CANARY + _abi.OUTAGES] = range(_abi.OUTAGES)
    for rule in policy.all_rules:
        outages[numbers[rule.id]] = _outage(policy, policy.outage_of(rule))
    return outages


def _files(policy, numbers, kind):
    """[(path, type of file systems, or socket, FileRule)]"""
    return [(named, _abi.FileRule(numbers[rule.id], rule.action == 'deny', 0))
            for rule in policy.rules for named in getattr(rule, kind)]
