# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the kernel's tables, made by hand: what a denial looks like before it is a record."""

from __future__ import annotations

import ctypes
import ipaddress

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records

RULES = [records.describe(rule) for rule in check({
    'version': 1, 'expected': ['github'],
    'deny': [{'id': 'github', 'reason': 'it runs on this', 'owner': 'db-team', 'runbook': 'https://wiki.example/x',
              'networks': ['198.51.100.0/24']}],
    'allow': [{'id': 'mirror', 'networks': ['198.51.100.7/32']}]}).rules]
GITHUB, MIRROR = _abi.RULE_FIRST, _abi.RULE_FIRST + 1
NAMES = {'198.51.100.1': 'github.com, www.github.com', '2001:db8::1': 'github.com'}
FILE, EXEC = _abi.Endpoint(kind=_abi.KIND_FILE), _abi.Endpoint(kind=_abi.KIND_EXEC)
ANCESTORS = ((7, b'make\0all\0', b'make'), (5, b'/bin/sh\0./deploy.sh\0--db-password=x\0', b'deploy.sh'))


def endpoint_of(address='198.51.100.1', port=443, protocol=6, kind=_abi.KIND_CONNECT):
    packed = ipaddress.ip_address(address).packed.rjust(16, b'\0')
    packed = packed if ':' in address else b'\0' * 10 + b'\xff\xff' + packed[12:]
    return _abi.Endpoint(address=(ctypes.c_uint8 * 16)(*packed), port=port, protocol=protocol, kind=kind)


def run_of(pid, started=0):
    return _abi.Run(pid=pid, started=started or pid * 10 ** 9)


def record_of(args=b'curl\0https://github.com\0', comm=b'curl', **values):
    record = _abi.Record(comm=comm, args_length=len(args), **dict(
        {'count': 3, 'first_seen': 10 ** 9, 'last_seen': 2 * 10 ** 9, 'run': run_of(42), 'above': run_of(7), 'uid': 1000},
        **values))
    record.args[:len(args)] = args
    return record


def images_of(*ancestors):
    """What the kernel keeps of (pid, args, comm), nearest first."""
    images, above = {}, _abi.Run()
    for pid, args, comm in reversed(ancestors):
        image = images[bytes(run_of(pid))] = _abi.Image(above=above, comm=comm, args_length=len(args))
        image.args[:len(args)] = args
        above = run_of(pid)
    return images


def denial(rule=GITHUB, mode=_abi.MODE_ENFORCE, endpoint=None, ancestors=ANCESTORS, **values):
    reader = records.Reader(RULES, NAMES, images_of(*ancestors), 'enforce')
    key = _abi.Denial(rule=rule, mode=mode, endpoint=endpoint or endpoint_of())
    return reader.denials([(key, record_of(**values))])[0]


def path_of(text):
    return (ctypes.c_uint8 * _abi.NAME)(*text)


def name_of(text):
    return (ctypes.c_uint8 * _abi.NAME)(*_names.to_wire(text))
