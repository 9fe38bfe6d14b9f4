# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The guard's object, built on the target: BCC compiles the sources with the headers of the kernel that runs.

BCC has no linker, and of what it compiles it gives the instructions alone. So calls from one function to another, and
maps, are numbers in there (bpf/bcc.h), and this file makes the maps, puts the functions of each program together and
describes them to the verifier.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import importlib
import importlib.util
import json
import os
import pickle
import re
import struct
import sys
import tempfile

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _libbpf, _state
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

MAIN = 'guard.bpf.c'
LICENSE = b'Dual BSD/GPL'
CALL = 0x1000000  # EBG_CALL in bpf/bcc.h: calls of functions have numbers from here on
CALLED = re.compile(r'call_(\d+)_(\d+)')  # its number, and how many arguments it has
NO_HEADERS = 'Unable to find kernel headers'  # BCC's own words
KHEADERS = '/sys/kernel/kheaders.tar.xz'
DEBIAN, FEDORA = 'python3-bpfcc and linux-headers-%s', 'python3-bcc and kernel-devel-%s'

# <linux/bpf.h>
BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_BTF_LOAD = 0, 5, 18
SYSCALL = {'x86_64': 321, 'aarch64': 280, 'ppc64le': 361, 'riscv64': 280, 's390x': 351}  # bpf(2)
CALL_CODE, LOAD_CODE, OF_PROGRAM, OF_MAP = 0x85, 0x18, 1, 1
SOCK_ADDR, SKB, TRACEPOINT = 18, 8, 17
TYPES = {'ebg_create': 9, 'ebg_connect4': SOCK_ADDR, 'ebg_connect6': SOCK_ADDR, 'ebg_sendmsg4': SOCK_ADDR,
         'ebg_sendmsg6': SOCK_ADDR, 'ebg_egress': SKB, 'ebg_ingress': SKB, 'ebg_established': 13, 'ebg_message': 16,
         'ebg_fork': TRACEPOINT, 'ebg_image': TRACEPOINT}
TRACEPOINTS = {'ebg_fork': b'sched_process_fork', 'ebg_image': b'sched_process_exec'}
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


class BtfAttributes(ctypes.Structure):
    """The same of BPF_BTF_LOAD."""

    _fields_ = [('btf', ctypes.c_uint64), ('log', ctypes.c_uint64), ('size', ctypes.c_uint32),
                ('log_size', ctypes.c_uint32), ('log_level', ctypes.c_uint32)]


def _bpf(command, attributes, asked):
    """bpf(2) itself: what libbpf and BCC have around it changed from version to version."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(SYSCALL[os.uname().machine], command, ctypes.byref(attributes),
                          ctypes.c_size_t(ctypes.sizeof(attributes)))
    if result < 0:
        raise _libbpf.KernelError(asked, ctypes.get_errno())
    return result


def is_there():
    """Can this Python import BCC?"""
    found = importlib.util.find_spec('bcc')
    return found is not None and found.origin is not None  # and no mere directory of that name


def check():
    """Raises GuardError where it can't."""
    if os.uname().machine not in SYSCALL:
        raise GuardError('loader: bcc does not know the system calls of this machine (%s); use loader: libbpf.'
                         % os.uname().machine)
    if not is_there():
        raise GuardError('%s can not import bcc, which compiles the guard on this host. Install %s, or use loader: libbpf.'
                         % (sys.executable, needed()), missing_packages=packages())


def needed():
    """The packages that BCC comes with and compiles with, for people."""
    release = os.uname().release
    return '%s (Debian, Ubuntu), or %s (Fedora, RHEL)' % (DEBIAN % release, FEDORA % release)


def packages(os_release='/etc/os-release'):
    """The same as a list, for this distribution."""
    with contextlib.suppress(OSError):
        with open(os_release) as lines:
            if re.search(r'^ID(_LIKE)?=.*(fedora|rhel|centos)', lines.read(), re.M):
                return (FEDORA % os.uname().release).split(' and ')
    return (DEBIAN % os.uname().release).split(' and ')


class Object:
    """The guard's object, as _libbpf.Object: sized, loaded. Closing it drops what is not pinned or attached."""

    tracepoints = TRACEPOINTS

    def __init__(self, functions):
        """`functions`: as compiled() returns them."""
        self.functions = functions
        self._maps, self._programs, self._sizes = {}, {}, {}

    def set_size(self, name, entries):
        self._sizes[name] = entries

    def load(self, shared=None):
        """`shared`: {name: file descriptor} of maps to be used in place of new ones."""
        types = _Types()
        lock = types.structure(b'bpf_spin_lock', 4, [(b'val', types.word, 0)])
        described = {name: (types.integer(key), types.structure(b'', value, [(b'lock', lock, at)] if at is not None else []))
                     for name, (_type, key, value, _entries, _flags, at) in _abi.MAPS.items()
                     if at is not None or name == 'ebg_opened'}
        functions = {name: types.function(name, int(CALLED.match(name).group(2)))
                     for name in self.functions if CALLED.match(name)}
        # bpftool shows these names where the program's own fills what the kernel has for it
        functions.update({name: types.function(name, 1, is_global=False) for name in TYPES})
        btf = types.load()
        try:
            for name in _abi.MAPS:
                self._maps[name] = os.dup(shared[name]) if name in (shared or {}) else self._make_map(
                    name, btf, *described.get(name, (0, 0)))
            for name in TYPES:
                self._programs[name] = self._load_program(name, btf, functions)
        except GuardError:
            self.close()
            raise
        finally:
            os.close(btf)

    def _make_map(self, name, btf, key_type, value_type):
        kind, key, value, entries, flags, _at = _abi.MAPS[name]
        return _bpf(BPF_MAP_CREATE, MapAttributes(
            type=kind, key_size=key, value_size=value, max_entries=self._sizes.get(name, entries), flags=flags,
            name=name[:15].encode(), btf=btf if key_type else 0, key_type=key_type, value_type=value_type),
            'make the map %s' % name)

    def _load_program(self, name, btf, functions):
        instructions, begins = self._link(name)
        told = struct.pack('<%dI' % (2 * len(begins)), *(word for function, at in begins.items()
                                                         for word in (at, functions[function])))
        attributes = ProgramAttributes(
            type=TYPES[name], count=len(instructions), instructions=ctypes.addressof(instructions), name=name[:15].encode(),
            license=ctypes.cast(LICENSE, ctypes.c_void_p).value, attach_type=_libbpf.ATTACH_TYPES.get(name, 0), btf=btf,
            function_size=8, function_count=len(begins), functions=ctypes.cast(told, ctypes.c_void_p).value)
        try:
            return _bpf(BPF_PROG_LOAD, attributes, 'load the program %s' % name)
        except _libbpf.KernelError as error:  # once more, for the verifier's own words
            log = ctypes.create_string_buffer(LOG)
            attributes.log, attributes.log_size, attributes.log_level = ctypes.addressof(log), LOG, 1
            with contextlib.suppress(_libbpf.KernelError):
                return _bpf(BPF_PROG_LOAD, attributes, 'load the program %s' % name)
            said = ' '.join(log.value.decode('utf-8', 'replace').splitlines()[-6:])
            raise _libbpf.KernelError('load the program %s' % name, error.errno, said)

    def _link(self, name):
        """(the instructions of the program and of all that it calls, {function: where it begins})."""
        by_number = {int(CALLED.match(function).group(1)): function
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

    def close(self):
        _libbpf.close([*self._maps.values(), *self._programs.values()])
        self._maps, self._programs = {}, {}


class _Types:
    """BTF: what the kernel wants to know of types. Of functions that they are global, of maps where a lock is."""

    def __init__(self):
        self.names, self.types, self.count, self.integers = b'\0', b'', 0, {}
        self.word = self.integer(4)
        self.long = self.integer(8)

    def _add(self, name, kind, size_or_type, count=0, more=b''):
        self.types += struct.pack('<3I', self._name(name), kind << 24 | count, size_or_type) + more
        self.count += 1
        return self.count

    def _name(self, name):
        if not name:
            return 0
        self.names += name + b'\0'
        return len(self.names) - len(name) - 1

    def integer(self, size):
        if size not in self.integers:
            self.integers[size] = self._add(b'u%d' % (8 * size), 1, size, more=struct.pack('<I', 8 * size))
        return self.integers[size]

    def structure(self, name, size, members):
        """`members`: (name, type, byte) each."""
        return self._add(name, 4, size, len(members), b''.join(
            struct.pack('<3I', self._name(member), its, 8 * at) for member, its, at in members))

    def function(self, name, arguments, is_global=True):
        """One of numbers, which returns a number."""
        argument = self._name(b'number')
        prototype = self._add(b'', 13, self.long, arguments, struct.pack('<2I', argument, self.long) * arguments)
        return self._add(name.encode(), 12, prototype, int(is_global))

    def load(self):
        """A file descriptor."""
        content = struct.pack('<HBBIIIII', 0xeb9f, 1, 0, 24, 0, len(self.types), len(self.types), len(self.names))
        content += self.types + self.names
        return _bpf(BPF_BTF_LOAD, BtfAttributes(btf=ctypes.cast(content, ctypes.c_void_p).value, size=len(content)),
                    "describe the programs' types")


def compiled(sources, kept=None):
    """{function: its instructions}. `sources`: {name of a file in bpf/: its text}. `kept`: where keep() has left them.

    In a process of its own: the compiler needs a lot of memory, and writes where a module's answer goes.
    """
    with contextlib.suppress(TypeError, OSError, ValueError):
        with open(kept) as content:
            of, functions = json.load(content)
        if of == _fingerprint(sources):
            return {name: base64.b64decode(code) for name, code in functions.items()}
    check()
    with tempfile.TemporaryDirectory(prefix='ebpf_guard_') as directory, tempfile.TemporaryFile() as made, \
            tempfile.TemporaryFile() as said:
        for name, text in sources.items():
            with open(os.path.join(directory, name), 'w') as file:
                file.write(text)
        child = os.fork()
        if child == 0:
            _compile_apart(directory, made, said)
        _child, status = os.waitpid(child, 0)
        said.seek(0)
        made.seek(0)
        if status == 0:
            return pickle.load(made)
        text = said.read().decode('utf-8', 'replace').replace(directory, 'bpf')
        if NO_HEADERS in text:
            raise GuardError(
                'BCC finds no headers of the kernel that runs, Linux %s. It looked for %s. Install the package with them, '
                'linux-headers-%s (Debian, Ubuntu) or kernel-devel-%s (Fedora, RHEL), or use loader: libbpf.' % (
                    os.uname().release, ', '.join(headers()), os.uname().release, os.uname().release),
                missing_packages=packages()[1:])
        raise GuardError('BCC could not compile the guard on this host: %s' % _first_error(text, status))


def keep(path, sources, functions):
    """For the guard's next rules: to compile takes longer than all the rest of an exchange."""
    _state.replace(path, json.dumps([_fingerprint(sources), {
        name: base64.b64encode(code).decode() for name, code in functions.items()}]), 0o600)


def _fingerprint(sources):
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()


def _compile_apart(directory, made, said):
    """Ends this process."""
    status = 1
    try:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
        bcc = importlib.import_module('bcc')
        flags = ['-w', '-I' + directory] + ['-DEBG_FD_%s=%d' % (name, number) for number, name in enumerate(_abi.MAPS)]
        module = bcc.BPF(text='#include "%s"\n' % MAIN, cflags=flags).module
        functions = {}
        for number in range(bcc.lib.bpf_num_functions(module)):
            name = bcc.lib.bpf_function_name(module, number)
            functions[name.decode()] = ctypes.string_at(bcc.lib.bpf_function_start(module, name),
                                                        bcc.lib.bpf_function_size(module, name))
        pickle.dump(functions, made)
        made.flush()
        status = 0
    except BaseException as error:  # pylint: disable=broad-except
        os.write(2, ('\n%s: %s\n' % (type(error).__name__, error)).encode())
    finally:
        ctypes.CDLL(None).fflush(None)  # BCC's own words
        os._exit(status)


def headers():
    """Where BCC looks for the headers of this kernel."""
    return [os.environ['BCC_KERNEL_SOURCE']] if 'BCC_KERNEL_SOURCE' in os.environ else [
        '/lib/modules/%s/%s' % (os.uname().release, name) for name in ('source', 'build')] + [KHEADERS]


def _first_error(said, status):
    if os.WIFSIGNALED(status):
        return 'signal %d ended it. It needs about 250 MB of memory.' % os.WTERMSIG(status)
    lines = [line for line in said.splitlines() if line.strip()]
    return ([line for line in lines if ' error: ' in line] or lines[-1:] or ['it does not say why.'])[0]
