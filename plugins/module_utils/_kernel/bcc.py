# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The guard's object, built on the target: BCC compiles the sources with the headers of the kernel that runs.

BCC has no linker, and of what it compiles it gives the instructions alone. So calls from one function to another, and
maps, are numbers in there (bpf/bcc.h), and this file makes the maps, puts the functions of each program together and
describes them to the verifier.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import struct

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.btf import Types, bpf_call
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import KernelError

LICENSE = b'Dual BSD/GPL'
CALL = 0x1000000  # EBG_CALL in bpf/bcc.h: calls of functions have numbers from here on
CALLED = re.compile(r'(call|packet)_(\d+)_(\d+)')  # its number, and how many arguments it has

# <linux/bpf.h>
BPF_MAP_CREATE, BPF_PROG_LOAD = 0, 5
BPF_PROG_TYPE_RAW_TRACEPOINT = 17
BPF_MAP_TYPE_SK_STORAGE = 24  # the kernel wants to know its types
CALL_CODE, LOAD_CODE, OF_PROGRAM, OF_MAP = 0x85, 0x18, 1, 1
PROGRAMS = programs.of_object(programs.GUARD)
LOG = 1 << 24  # bytes, for what the verifier has to say


class Instruction(ctypes.LittleEndianStructure):
    """struct bpf_insn"""

    _fields_ = [('code', ctypes.c_uint8), ('to', ctypes.c_uint8, 4), ('source', ctypes.c_uint8, 4),
                ('offset', ctypes.c_int16), ('number', ctypes.c_int32)]


class MapAttributes(ctypes.Structure):
    """union bpf_attr of BPF_MAP_CREATE, its first fields."""

    _fields_ = [(name, ctypes.c_uint32) for name in ('type', 'key_size', 'value_size', 'max_entries', 'flags', 'inner',
                                                     'node')] + [('name', ctypes.c_char * 16)] + [
        (name, ctypes.c_uint32) for name in ('device', 'btf', 'key_type', 'value_type')]


class ProgramAttributes(ctypes.Structure):
    """The same of BPF_PROG_LOAD."""

    _fields_ = [('type', ctypes.c_uint32), ('count', ctypes.c_uint32), ('instructions', ctypes.c_uint64),
                ('license', ctypes.c_uint64), ('log_level', ctypes.c_uint32), ('log_size', ctypes.c_uint32),
                ('log', ctypes.c_uint64), ('version', ctypes.c_uint32), ('flags', ctypes.c_uint32),
                ('name', ctypes.c_char * 16), ('device', ctypes.c_uint32), ('attach_type', ctypes.c_uint32),
                ('btf', ctypes.c_uint32), ('function_size', ctypes.c_uint32), ('functions', ctypes.c_uint64),
                ('function_count', ctypes.c_uint32), ('line_size', ctypes.c_uint32), ('lines', ctypes.c_uint64),
                ('line_count', ctypes.c_uint32)]


class Object:
    """The guard's object, as libbpf.Object: loaded. Closing it drops what is not pinned or attached."""

    def __init__(self, functions):
        """`functions`: as bcc_compiler.compiled() returns them."""
        self.functions = functions
        self._maps, self._programs = {}, {}

    def load(self, shared=None):
        """`shared`: {name: file descriptor} of maps to be used in place of new ones."""
        types = Types()
        lock = types.structure(b'bpf_spin_lock', 4, [(b'val', types.word, 0)])
        described = {name: (types.integer(key), types.structure(b'', value, [(b'lock', lock, at)] if at is not None else []))
                     for name, (kind, key, value, _entries, _flags, at) in _abi.MAPS.items()
                     if at is not None or kind == BPF_MAP_TYPE_SK_STORAGE}
        first = {'call': types.long, 'packet': types.pointer(types.structure(b'__sk_buff', 4, []))}
        functions = {}
        for name, called in zip(self.functions, map(CALLED.match, self.functions)):
            if called:
                functions[name] = types.function(name, [first[called.group(1)]] + [types.long] * (int(called.group(3)) - 1))
        # bpftool shows these names where the program's own fills what the kernel has for it
        functions.update({name: types.function(name, [types.long], is_global=False) for name in PROGRAMS})
        types_fd = types.load()
        try:
            for name in _abi.MAPS:
                self._maps[name] = os.dup(shared[name]) if name in (shared or {}) else self._make_map(
                    name, types_fd, *described.get(name, (0, 0)))
            for name in PROGRAMS:
                self._programs[name] = self._load_program(name, types_fd, functions)
        except GuardError:
            self.close()
            raise
        finally:
            os.close(types_fd)

    def _make_map(self, name, types_fd, key_type, value_type):
        kind, key, value, entries, flags, _at = _abi.MAPS[name]
        return bpf_call(BPF_MAP_CREATE, MapAttributes(
            type=kind, key_size=key, value_size=value, max_entries=entries, flags=flags,
            name=name[:15].encode(), btf=types_fd if key_type else 0, key_type=key_type, value_type=value_type),
            'make the map %s' % name)

    def _load_program(self, name, types_fd, functions):
        instructions, begins = self._link(name)
        described = struct.pack('<%dI' % (2 * len(begins)), *(word for function, at in begins.items()
                                                              for word in (at, functions[function])))
        attributes = ProgramAttributes(
            type=_type(name), count=len(instructions), instructions=ctypes.addressof(instructions), name=name[:15].encode(),
            license=ctypes.cast(LICENSE, ctypes.c_void_p).value, attach_type=_attach_type(name), btf=types_fd,
            function_size=8, function_count=len(begins), functions=ctypes.cast(described, ctypes.c_void_p).value)
        try:
            return bpf_call(BPF_PROG_LOAD, attributes, 'load the program %s' % name)
        except KernelError as error:  # once more, for the verifier's own words
            log = ctypes.create_string_buffer(LOG)
            attributes.log, attributes.log_size, attributes.log_level = ctypes.addressof(log), LOG, 1
            with contextlib.suppress(KernelError):
                return bpf_call(BPF_PROG_LOAD, attributes, 'load the program %s' % name)
            verdict = ' '.join(log.value.decode('utf-8', 'replace').splitlines()[-6:])
            raise KernelError('load the program %s' % name, error.errno, verdict)

    def _link(self, name):
        """(the instructions of the program and of all that it calls, {function: where it begins})."""
        by_number = {int(CALLED.match(function).group(2)): function
                     for function in self.functions if CALLED.match(function)}
        maps = list(_abi.MAPS)
        begins, linked, calls, waiting = {}, [], [], [name]
        while waiting:
            function = waiting.pop()
            if function in begins:
                continue
            begins[function] = len(linked)
            code = (Instruction * (len(self.functions[function]) // 8)).from_buffer_copy(self.functions[function])
            for one in code:
                if one.code == CALL_CODE and not one.source and one.number >= CALL:
                    calls.append((len(linked), by_number[one.number - CALL]))
                    waiting.append(calls[-1][1])
                elif one.code == LOAD_CODE and one.source == OF_MAP:
                    one.number = self._maps[maps[one.number]]
                linked.append(one)
        for at, function in calls:
            linked[at].source, linked[at].number = OF_PROGRAM, begins[function] - at - 1
        return (Instruction * len(linked))(*linked), begins

    def map_fd(self, name):
        return self._maps[name]

    def program_fd(self, name):
        return self._programs[name]

    def tracepoint(self, name):
        """As which tracepoint a program has to be attached: it does not know that by itself."""
        found = programs.tracepoint(name)
        return found and found.encode()

    def close(self):
        bpf.close([*self._maps.values(), *self._programs.values()])
        self._maps, self._programs = {}, {}


def _type(name):
    return BPF_PROG_TYPE_RAW_TRACEPOINT if programs.tracepoint(name) else programs.program_type(name)


def _attach_type(name):
    return 0 if programs.tracepoint(name) else programs.attach_type(name)
