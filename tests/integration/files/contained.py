# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`contained.py seccomp COMMAND…`, `contained.py namespace COMMAND…`: as a container runs it, with a filter that denies bpf(), or
in a user namespace that has all numbers of the machine's.
"""

import ctypes
import os
import platform
import struct
import sys

CLONE_NEWUSER, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 0x10000000, 22, 2
BPF_SYSCALL, EPERM = {"x86_64": 321, "aarch64": 280}[platform.machine()], 1
libc = ctypes.CDLL(None, use_errno=True)


class Filter(ctypes.Structure):
    _fields_ = [("count", ctypes.c_uint16), ("instructions", ctypes.c_char_p)]


def check(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def seccomp():
    """A = number of the call; where it is bpf(), EPERM, else allow."""
    instructions = b"".join(struct.pack("HBBI", *one) for one in (
        (0x20, 0, 0, 0), (0x15, 0, 1, BPF_SYSCALL), (0x06, 0, 0, 0x00050000 | EPERM), (0x06, 0, 0, 0x7FFF0000)))
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Filter(4, instructions)), 0, 0))


def namespace():
    """Its numbers are given by a process that is not in it."""
    inside, outside = os.pipe(), os.pipe()
    child = os.fork()
    if child:
        os.read(inside[0], 1)
        for table in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{table}", "w") as numbers:
                numbers.write("0 0 4294967295")
        os.write(outside[1], b".")
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    check(libc.unshare(CLONE_NEWUSER))
    os.write(inside[1], b".")
    os.read(outside[0], 1)


{"seccomp": seccomp, "namespace": namespace}[sys.argv[1]]()
os.execvp(sys.argv[2], sys.argv[2:])
