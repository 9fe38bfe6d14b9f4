# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Written by bpf/gen_abi.py from bpf/abi.h, where each field is explained: do not edit, run `make bpf`."""

from __future__ import annotations

import ctypes

# enum ebg_limit
ABI_VERSION = 1
PORTS_PER_NET = 64
MAX_DENIED = 16384
MAX_OBSERVED = 16384
ARGS = 256
COMM = 16
ANCESTORS = 8

# enum ebg_mode
MODE_MONITOR = 0
MODE_ENFORCE = 1
MODE_DRILL = 2

# enum ebg_kind
KIND_CONNECT = 0
KIND_SEND = 1
KINDS = 2

# enum ebg_verdict
VERDICT_ALLOWED = 0
VERDICT_DENIED = 1
VERDICT_WOULD_DENY = 2
VERDICTS = 3

# enum ebg_hook
HOOK_CONNECT4 = 0
HOOK_CONNECT6 = 1
HOOK_SENDMSG4 = 2
HOOK_SENDMSG6 = 3
HOOK_EGRESS = 4
HOOKS = 5

# enum ebg_counter
COUNTER_LOST = 6
COUNTER_CANARY = 7
COUNTERS = 12

# enum ebg_rule
RULE_DEFAULT = 0
RULE_CANARY = 1
RULE_UNREADABLE = 2
RULE_FIRST = 3

# enum ebg_protocol
PROTOCOL_ANY = 0


class Config(ctypes.Structure):
    _fields_ = [
        ('mode', ctypes.c_uint32),
        ('default_deny', ctypes.c_uint32),
        ('observe', ctypes.c_uint32),
    ]


class NetKey(ctypes.Structure):
    _fields_ = [
        ('prefix_length', ctypes.c_uint32),
        ('address', ctypes.c_uint8 * 16),
    ]


class Net(ctypes.Structure):
    _fields_ = [
        ('first', ctypes.c_uint32),
        ('count', ctypes.c_uint32),
    ]


class Port(ctypes.Structure):
    _fields_ = [
        ('rule', ctypes.c_uint32),
        ('low', ctypes.c_uint16),
        ('high', ctypes.c_uint16),
        ('protocol', ctypes.c_uint8),
        ('deny', ctypes.c_uint8),
        ('padding', ctypes.c_uint8 * 2),
    ]


class Endpoint(ctypes.Structure):
    _fields_ = [
        ('address', ctypes.c_uint8 * 16),
        ('port', ctypes.c_uint16),
        ('protocol', ctypes.c_uint8),
        ('kind', ctypes.c_uint8),
    ]


class Denial(ctypes.Structure):
    _fields_ = [
        ('process_started', ctypes.c_uint64),
        ('pid', ctypes.c_uint32),
        ('exec', ctypes.c_uint32),
        ('rule', ctypes.c_uint32),
        ('mode', ctypes.c_uint32),
        ('endpoint', Endpoint),
        ('padding', ctypes.c_uint8 * 4),
    ]


class Ancestor(ctypes.Structure):
    _fields_ = [
        ('pid', ctypes.c_uint32),
        ('comm', ctypes.c_char * 16),
    ]


class Record(ctypes.Structure):
    _fields_ = [
        ('count', ctypes.c_uint64),
        ('first_seen', ctypes.c_uint64),
        ('last_seen', ctypes.c_uint64),
        ('pid', ctypes.c_uint32),
        ('uid', ctypes.c_uint32),
        ('rule', ctypes.c_uint32),
        ('args_length', ctypes.c_uint32),
        ('comm', ctypes.c_char * 16),
        ('args', ctypes.c_uint8 * 256),
        ('ancestors', Ancestor * 8),
    ]
