# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Written by bpf/gen_abi.py from bpf/abi.h, where each field is explained: do not edit, run `make bpf`."""

from __future__ import annotations

import ctypes

# enum ebg_limit
ABI_VERSION = 8
SLICE = 64
MAX_DENIED = 16384
MAX_OBSERVED = 16384
MAX_IMAGES = 8192
MAX_ANCESTORS = 16384
MAX_LEADS = 16384
MAX_HEARD = 16384
MAX_ASKED = 16384
MAX_PENDING = 2048
PENDING = 4
TICK_BITS = 30
MAX_PORTS = 8388608
REFUSALS = 65536
QUESTIONS = 262144
LENGTHS = 4
FILTER = 512
ABOVE = 256
RESOLVERS = 3
NAME = 256
ARGS = 256
COMM = 16
ANCESTORS = 32
PARENTS = 8
MAX_MEMBERS = 16384
MAX_ENTRIES = 65536
ENTRY_GAP = 2000000
MAX_LEAVINGS = 256
CGROUPS = 64
CGROUP_PATH = 256
SIGN = 60319

# enum ebg_mode
MODE_MONITOR = 0
MODE_ENFORCE = 1
MODE_DRILL = 2

# enum ebg_kind
KIND_CONNECT = 0
KIND_SEND = 1
KIND_DNS = 2
KIND_TLS = 3
KIND_HTTP = 4
KIND_UNIX = 5
KIND_FILE = 6
KIND_EXEC = 7
KINDS = 8

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
HOOK_QUESTION = 5
HOOK_INGRESS = 6
HOOK_PRESENTED = 7
HOOK_UNIX = 8
HOOK_UNIX_SEND = 9
HOOK_WAY_OPEN = 10
HOOK_WAY_CLONE = 11
HOOK_OPEN = 12
HOOK_TRUNCATE = 13
HOOK_MKNOD = 14
HOOK_MKDIR = 15
HOOK_RMDIR = 16
HOOK_UNLINK = 17
HOOK_SYMLINK = 18
HOOK_LINK = 19
HOOK_RENAME = 20
HOOK_EXEC = 21
HOOK_FORK = 22
HOOK_IMAGE = 23
HOOK_ENTRY = 24
HOOKS = 25

# enum ebg_counter
COUNTER_LOST = 24
COUNTER_FORGOTTEN = 25
COUNTER_SERVICE = 26
COUNTER_ENTERED = 27
COUNTER_LEFT = 28
COUNTER_BACK = 29
COUNTER_CANARY = 30
COUNTERS = 55

# enum ebg_outage
OUTAGE_DENIED = 0
OUTAGE_REFUSED = 1
OUTAGE_TIMEOUT = 2
OUTAGE_NXDOMAIN = 3
OUTAGE_SERVFAIL = 4
OUTAGES = 5

# enum ebg_reply
REPLY_DNS = 0
REPLY_RESET = 1
REPLY_UNREACHABLE = 2
REPLY_ANSWER = 3

# enum ebg_rule
RULE_DEFAULT = 0
RULE_CANARY = 1
RULE_UNREADABLE = 6
RULE_LOCK = 7
RULE_OUTWARD = 8
RULE_SERVICE = 9
RULE_OWN = 10
RULE_INSIDE = 11
RULE_FIRST = 12

# enum ebg_hash
HASH_SEED_HIGH = 3421674724
HASH_SEED_LOW = 2216829733
HASH_PRIME_HIGH = 2654435769
HASH_PRIME_LOW = 2135587861

# enum ebg_clone
CLONE_CANARY = 8396800

# enum ebg_both
BOTH = 1073741824

# enum ebg_source
SOURCE_PACKET = 0
SOURCE_TAUGHT = 1
SOURCE_TAUGHT_DOUBTED = 2

# enum ebg_protocol
PROTOCOL_ANY = 0

# enum ebg_answering
ANSWERING_BEAT = 0
ANSWERING_PORT = 1
ANSWERING_IPV4 = 2
ANSWERING_IPV6 = 3
ANSWERING_SLOTS = 4

# enum ebg_whereabouts
WHERE_INSIDE = 0
WHERE_LEFT = 1
WHERE_AWAY = 2

# enum ebg_place
PLACE_GUARD = 0
PLACE_DESK = 1
PLACES = 2


class Config(ctypes.Structure):
    _fields_ = [
        ('mode', ctypes.c_uint32),
        ('default_deny', ctypes.c_uint32),
        ('observe', ctypes.c_uint32),
        ('judges_names', ctypes.c_uint32),
        ('generation', ctypes.c_uint32),
        ('lock', ctypes.c_uint32),
        ('outages', ctypes.c_uint32),
        ('padding', ctypes.c_uint32),
        ('resolvers', ctypes.c_uint64 * 2 * 3),
    ]


class NetKey(ctypes.Structure):
    _fields_ = [
        ('prefix_length', ctypes.c_uint32),
        ('address', ctypes.c_uint8 * 16),
    ]


class Slice(ctypes.Structure):
    _fields_ = [
        ('first', ctypes.c_uint32),
        ('count', ctypes.c_uint32),
    ]


class NameRules(ctypes.Structure):
    _fields_ = [
        ('slice', Slice),
        ('asked_rule', ctypes.c_uint32),
        ('asked_deny', ctypes.c_uint16),
        ('denies', ctypes.c_uint16),
    ]


class Name(ctypes.Structure):
    _fields_ = [
        ('itself', NameRules),
        ('below', NameRules),
        ('text', ctypes.c_uint32),
        ('length', ctypes.c_uint32),
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


class Run(ctypes.Structure):
    _fields_ = [
        ('started', ctypes.c_uint64),
        ('pid', ctypes.c_uint32),
        ('exec', ctypes.c_uint32),
    ]


class Image(ctypes.Structure):
    _fields_ = [
        ('above', Run),
        ('forked', ctypes.c_uint32),
        ('args_length', ctypes.c_uint32),
        ('comm', ctypes.c_char * 16),
        ('args', ctypes.c_uint8 * 256),
    ]


class Member(ctypes.Structure):
    _fields_ = [
        ('started', ctypes.c_uint64),
        ('where', ctypes.c_uint32),
        ('padding', ctypes.c_uint32),
    ]


class Entered(ctypes.Structure):
    _fields_ = [
        ('kept', ctypes.c_uint64),
        ('last', ctypes.c_uint64),
    ]


class Leaving(ctypes.Structure):
    _fields_ = [
        ('time', ctypes.c_uint64),
        ('cgroup', ctypes.c_uint64),
        ('args_length', ctypes.c_uint32),
        ('padding', ctypes.c_uint32),
        ('comm', ctypes.c_char * 16),
        ('args', ctypes.c_uint8 * 256),
        ('path', ctypes.c_uint8 * 256),
    ]


class Denial(ctypes.Structure):
    _fields_ = [
        ('run', Run),
        ('rule', ctypes.c_uint32),
        ('mode', ctypes.c_uint32),
        ('endpoint', Endpoint),
        ('padding', ctypes.c_uint8 * 4),
        ('name', ctypes.c_uint64),
    ]


class Observation(ctypes.Structure):
    _fields_ = [
        ('endpoint', Endpoint),
        ('padding', ctypes.c_uint8 * 4),
        ('name', ctypes.c_uint64),
    ]


class Record(ctypes.Structure):
    _fields_ = [
        ('count', ctypes.c_uint64),
        ('first_seen', ctypes.c_uint64),
        ('last_seen', ctypes.c_uint64),
        ('run', Run),
        ('above', Run),
        ('uid', ctypes.c_uint32),
        ('rule', ctypes.c_uint32),
        ('args_length', ctypes.c_uint32),
        ('padding', ctypes.c_uint32),
        ('comm', ctypes.c_char * 16),
        ('args', ctypes.c_uint8 * 256),
        ('name', ctypes.c_uint8 * 256),
    ]


class HeardKey(ctypes.Structure):
    _fields_ = [
        ('address', ctypes.c_uint8 * 16),
        ('name', ctypes.c_uint64),
    ]


class Heard(ctypes.Structure):
    _fields_ = [
        ('until', ctypes.c_uint64),
        ('doubted', ctypes.c_uint32),
        ('padding', ctypes.c_uint32),
        ('name', ctypes.c_uint8 * 256),
        ('target', ctypes.c_uint8 * 256),
    ]


class Alias(ctypes.Structure):
    _fields_ = [
        ('lead', ctypes.c_uint64),
        ('name', ctypes.c_uint8 * 256),
    ]


class Refusal(ctypes.Structure):
    _fields_ = [
        ('cookie', ctypes.c_uint64),
        ('source', ctypes.c_uint8 * 16),
        ('destination', ctypes.c_uint8 * 16),
        ('source_port', ctypes.c_uint16),
        ('destination_port', ctypes.c_uint16),
        ('protocol', ctypes.c_uint8),
        ('padding', ctypes.c_uint8 * 3),
    ]


class Question(ctypes.Structure):
    _fields_ = [
        ('asker', Refusal),
        ('rule', ctypes.c_uint32),
        ('sequence', ctypes.c_uint32),
        ('acknowledged', ctypes.c_uint32),
        ('reply', ctypes.c_uint8),
        ('outage', ctypes.c_uint8),
        ('id', ctypes.c_uint16),
        ('flags', ctypes.c_uint16),
        ('type', ctypes.c_uint16),
        ('of_class', ctypes.c_uint16),
        ('size', ctypes.c_uint16),
        ('opt_flags', ctypes.c_uint16),
        ('opt', ctypes.c_uint8),
        ('padding', ctypes.c_uint8 * 5),
        ('name', ctypes.c_uint8 * 256),
    ]


class Asked(ctypes.Structure):
    _fields_ = [
        ('name', ctypes.c_uint64),
        ('pid', ctypes.c_uint32),
        ('padding', ctypes.c_uint8 * 4),
    ]


class Pending(ctypes.Structure):
    _fields_ = [
        ('question', ctypes.c_uint64 * 4),
    ]


class Inode(ctypes.Structure):
    _fields_ = [
        ('number', ctypes.c_uint64),
        ('device', ctypes.c_uint32),
        ('generation', ctypes.c_uint32),
    ]


class OpenFile(ctypes.Structure):
    _fields_ = [
        ('inode', Inode),
        ('fd', ctypes.c_uint32),
        ('padding', ctypes.c_uint8 * 4),
    ]


class Filesystem(ctypes.Structure):
    _fields_ = [
        ('type', ctypes.c_uint8 * 32),
        ('subtype', ctypes.c_uint8 * 32),
    ]


class FileRule(ctypes.Structure):
    _fields_ = [
        ('rule', ctypes.c_uint32),
        ('deny', ctypes.c_uint16),
        ('remote', ctypes.c_uint16),
    ]


class Filter(ctypes.Structure):
    _fields_ = [
        ('lengths', ctypes.c_uint64 * 4),
        ('names', ctypes.c_uint64 * 512),
        ('inodes', ctypes.c_uint64 * 512),
        ('rename_lock', ctypes.c_uint64),
        ('mount_lock', ctypes.c_uint64),
        ('filesystems', ctypes.c_uint32),
        ('traced', ctypes.c_uint32),
    ]


# {map: (type, bytes of a key, bytes of a value, entries, flags, where in the value a spin lock is)}
MAPS = {
    'ebg_ports': (2, 4, 12, 1, 0, None),
    'ebg_text': (2, 4, 8, 1, 1024, None),
    'ebg_aliases': (1, 8, 264, 16384, 1, None),
    'ebg_names': (1, 8, 40, 1, 1, None),
    'ebg_images': (9, 16, 296, 8192, 0, None),
    'ebg_ancestors': (1, 16, 296, 16384, 1, None),
    'ebg_head': (24, 4, 5120, 0, 1, None),
    'ebg_refused': (27, 0, 0, 65536, 0, None),
    'ebg_questions': (27, 0, 0, 262144, 0, None),
    'ebg_places': (2, 4, 8, 2, 0, None),
    'ebg_leavings': (1, 16, 552, 256, 0, None),
    'ebg_heard': (1, 24, 528, 16384, 1, None),
    'ebg_opened': (24, 4, 96, 0, 1, None),
    'ebg_config': (2, 4, 80, 1, 0, None),
    'ebg_current': (2, 4, 4, 1, 0, None),
    'ebg_scratch': (6, 4, 7504, 16, 0, None),
    'ebg_claims': (6, 4, 8, 16, 0, None),
    'ebg_nets': (11, 20, 8, 1, 1, None),
    'ebg_addresses': (1, 4, 400, 16384, 1, 0),
    'ebg_asked': (9, 16, 1, 16384, 0, None),
    'ebg_pending': (2, 4, 32, 2048, 0, None),
    'ebg_recent': (6, 4, 64, 256, 0, None),
    'ebg_changes': (2, 4, 16, 256, 0, 0),
    'ebg_outages': (2, 4, 4, 1, 0, None),
    'ebg_counters': (6, 4, 8, 55, 0, None),
    'ebg_blank': (2, 4, 600, 1, 0, None),
    'ebg_denied': (1, 56, 600, 16384, 1, None),
    'ebg_observed': (1, 32, 600, 16384, 1, None),
    'ebg_recent_name': (6, 4, 432, 256, 0, None),
    'ebg_answering': (2, 4, 8, 4, 0, None),
    'ebg_members': (9, 4, 16, 16384, 0, None),
    'ebg_entries': (2, 4, 8, 65536, 0, None),
    'ebg_entered': (2, 4, 16, 1, 0, None),
    'ebg_last_answer': (6, 4, 112, 1024, 0, None),
    'ebg_scope': (8, 4, 4, 1, 0, None),
}
