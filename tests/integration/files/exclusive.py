# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`exclusive.py attach CGROUP` and `detach`: somebody else's program for connect4, which lets no other below it."""

import ctypes
import os
import platform
import sys

SYSCALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_PROG_LOAD, BPF_PROG_ATTACH, BPF_PROG_DETACH = 5, 8, 9
CGROUP_SOCK_ADDR, CONNECT4 = 18, 10
ALLOW_ALL = bytes([0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0])     # r0 = 1; exit


class Load(ctypes.Structure):
    _fields_ = [("type", ctypes.c_uint32), ("count", ctypes.c_uint32), ("instructions", ctypes.c_char_p),
                ("license", ctypes.c_char_p), ("log", ctypes.c_uint32 * 4), ("version", ctypes.c_uint32),
                ("flags", ctypes.c_uint32), ("name", ctypes.c_char * 16), ("device", ctypes.c_uint32),
                ("attach_type", ctypes.c_uint32)]


class Attach(ctypes.Structure):
    _fields_ = [("cgroup", ctypes.c_uint32), ("program", ctypes.c_uint32), ("type", ctypes.c_uint32), ("flags", ctypes.c_uint32)]


def bpf(command, attributes):
    done = ctypes.CDLL(None, use_errno=True).syscall(SYSCALL, command, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


cgroup = os.open(sys.argv[2], os.O_RDONLY | os.O_DIRECTORY)
if sys.argv[1] == "attach":
    program = bpf(BPF_PROG_LOAD, Load(type=CGROUP_SOCK_ADDR, count=2, instructions=ALLOW_ALL, license=b"GPL",
                                      name=b"of_another", attach_type=CONNECT4))
    bpf(BPF_PROG_ATTACH, Attach(cgroup, program, CONNECT4, 0))
else:
    bpf(BPF_PROG_DETACH, Attach(cgroup, 0, CONNECT4, 0))
