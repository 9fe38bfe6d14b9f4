# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A checked policy in, what the kernel is told of it out. Pure: touches no kernel and asks no resolver.

The kernel finds the longest prefix of an address, or the longest known end of a name, and takes the first matcher there
that fits port and protocol. So each network and each name gets its own matchers, and behind them those of every wider
one. What the paths of the rules are on a host is found out there.
"""

from __future__ import annotations

import struct
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import CANARY_NAME
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import host_names, networks
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.slices import CANARY, Slices, of_rule

MODES = {'monitor': _abi.MODE_MONITOR, 'enforce': _abi.MODE_ENFORCE, 'drill': _abi.MODE_DRILL}

Compiled = namedtuple('Compiled', 'config keys nets ports hashes names text paths filesystems sockets ways_out')


def compile_rules(policy, observe, resolvers, numbers, generation, host=()):
    """Compiled: `config`; the ctypes arrays `keys` and `nets`, `hashes` and `names`, and `ports`, which both share;
    `text`, the names in words; `paths`, `filesystems` and `sockets`, lists of (what a rule names, FileRule) in the order of the
    rules; `ways_out`, sockets that are recorded.

    `resolvers`: the host's DNS servers, which a sealed room (`default: deny`) leaves open, and which no name denies.
    `numbers`: {rule id: the rule's number in the kernel}. `generation`: the number of these rules among those that the
    guard has had. `host`: the host's own names, which may be asked for in a sealed room.
    """
    rules = [(rule, of_rule(rule, numbers[rule.id])) for rule in policy.all_rules]
    slices = Slices()
    keys, nets = networks.pack(networks.prefixes_of(policy, rules, resolvers), slices)
    named = [((CANARY_NAME,), (CANARY,))] + [(rule.hosts, matchers) for rule, matchers in rules]
    hashes, names, text = host_names.pack(named, policy.default == 'deny', slices, host)
    return Compiled(_config(policy, observe, resolvers, generation), keys, nets, slices.pack(), hashes, names,
                    text, *(_files(policy, numbers, kind) for kind in ('paths', 'filesystems', 'sockets')), policy.ways_out)


def _config(policy, observe, resolvers, generation):
    denies_names = any(rule.hosts and rule.action == 'deny' for rule in policy.all_rules)
    config = _abi.Config(mode=MODES[policy.mode], default_deny=policy.default == 'deny',
                         observe=observe or policy.mode == 'monitor',
                         judges_names=denies_names or policy.default == 'deny', generation=generation,
                         lock=policy.lock)
    for words, resolver in zip(config.resolvers, resolvers):
        words[:] = struct.unpack('=QQ', networks.packed_address(resolver))
    return config


def _files(policy, numbers, kind):
    """[(path, type of file systems, or socket, FileRule)]"""
    return [(named, _abi.FileRule(numbers[rule.id], rule.action == 'deny', 0))
            for rule in policy.rules for named in getattr(rule, kind)]
