# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. bpf(2) itself, and BTF as the kernel wants it: for programs that no libbpf loads."""

from __future__ import annotations

import ctypes
import os
import struct

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import KernelError

BPF_BTF_LOAD = 18  # <linux/bpf.h>
SYSCALL = {'x86_64': 321, 'aarch64': 280, 'ppc64le': 361, 'riscv64': 280, 's390x': 351}  # bpf(2)


class BtfAttributes(ctypes.Structure):
    """The same of BPF_BTF_LOAD."""

    _fields_ = [('btf', ctypes.c_uint64), ('log', ctypes.c_uint64), ('size', ctypes.c_uint32),
                ('log_size', ctypes.c_uint32), ('log_level', ctypes.c_uint32)]


def bpf_call(command, attributes, asked):
    """bpf(2) itself: what libbpf and BCC have around it changed from version to version."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(SYSCALL[os.uname().machine], command, ctypes.byref(attributes),
                          ctypes.c_size_t(ctypes.sizeof(attributes)))
    if result < 0:
        raise KernelError(asked, ctypes.get_errno())
    return result


class Types:
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

    def pointer(self, to):
        return self._add(b'', 2, to)

    def function(self, name, arguments, is_global=True):
        """One that returns a number. `arguments`: their types."""
        argument = self._name(b'argument')
        prototype = self._add(b'', 13, self.long, len(arguments), b''.join(
            struct.pack('<2I', argument, its) for its in arguments))
        return self._add(name.encode(), 12, prototype, int(is_global))

    def load(self):
        """A file descriptor."""
        content = struct.pack('<HBBIIIII', 0xeb9f, 1, 0, 24, 0, len(self.types), len(self.types), len(self.names))
        content += self.types + self.names
        return bpf_call(BPF_BTF_LOAD, BtfAttributes(btf=ctypes.cast(content, ctypes.c_void_p).value, size=len(content)),
                        "describe the programs' types")
