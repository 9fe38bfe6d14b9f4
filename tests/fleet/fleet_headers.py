# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of the kernel that runs, for BCC, where no package has them: made from what the kernel tells of its types.

Only what the guard reads, each structure as wide as it is and each field where it is. What programs of users may include
comes from the machine's own headers.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path

BTF = "/sys/kernel/btf/vmlinux"
DIRECTORY = f"/usr/lib/modules/{os.uname().release}/build"
FIELDS = {
    "task_struct": ["tgid", "comm", "start_boottime", "self_exec_id", "real_parent", "group_leader", "mm", "cgroups", "cred"],
    "kernfs_node": ["id"], "cgroup_subsys_state": ["cgroup", "parent"], "cgroup": ["self", "kn"], "css_set": ["dfl_cgrp"], "cred": ["uid"],
    "mm_struct": ["arg_start", "arg_end"], "tcp_sock": ["fastopen_req", "fastopen_connect"],
    "sock": ["sk_socket"], "socket": ["file"], "file": ["f_flags"],
}
WITH_STRUCTURES = ("sched", "cgroup", "cred", "fs", "kernfs", "mm_types", "net", "tcp")
NAMES = ("CONST", "VOLATILE", "TYPEDEF", "TYPE_TAG")
TYPES = """#pragma once
#include <uapi/linux/types.h>
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64;
typedef __s8 s8; typedef __s16 s16; typedef __s32 s32; typedef __s64 s64;
typedef unsigned long size_t; typedef unsigned long uintptr_t; typedef _Bool bool; typedef int pid_t;
#define NULL ((void *)0)
#define offsetof(type, field) __builtin_offsetof(type, field)
"""


def is_needed() -> bool:
    return not Path(DIRECTORY).exists() and Path(BTF).exists()


@functools.lru_cache(None)
def files() -> dict[str, str]:
    """{path below DIRECTORY: content}"""
    major, minor, patch = os.uname().release.split("-")[0].split(".")[:3]
    return {
        "include/linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n",
        "include/linux/version.h": "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))\n"
                                   f"#define LINUX_VERSION_CODE KERNEL_VERSION({major}, {minor}, {patch})\n",
        "include/linux/types.h": TYPES,
        "include/linux/log2.h": "",
        "include/asm/page.h": "",
        "include/uapi/linux/bpf.h": "",     # BCC has its own
        "include/guard.h": "#pragma once\n#include <linux/types.h>\n" + "\n".join(_structures()),
        **{f"include/linux/{name}.h": "#include <guard.h>\n" for name in WITH_STRUCTURES},
    }


def links() -> dict[str, str]:
    """{path below DIRECTORY: where it leads}"""
    machine = Path("/usr/include", f"{os.uname().machine}-linux-gnu", "asm")
    return {"include/uapi/asm": str(machine), "include/uapi/asm-generic": "/usr/include/asm-generic",
            **{f"include/uapi/linux/{header.name}": str(header) for header in Path("/usr/include/linux").iterdir()
               if header.name != "bpf.h"}}


def write(directory: Path) -> Path:
    """The same in a directory, for who is on no host: BCC_KERNEL_SOURCE leads there."""
    for path, content in files().items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(content)
    for path, target in links().items():
        (directory / path).symlink_to(target)
    return directory


def _structures():
    told = subprocess.run(["bpftool", "btf", "dump", "file", BTF, "-j"], capture_output=True, check=True).stdout
    types = {kind["id"]: kind for kind in json.loads(told)["types"]}
    yield from (f"struct {name};" for name in FIELDS)
    # what is inside another one comes before it
    found = [kind for kind in types.values() if kind["kind"] == "STRUCT" and kind["name"] in FIELDS]
    for kind in sorted(found, key=lambda kind: list(FIELDS).index(kind["name"])):
        yield f"struct {kind['name']} {{ union {{ char as_wide_as[{kind['size']}];"
        for name in FIELDS[kind["name"]]:
            byte, bit, member = _find(types, kind["members"], name)
            bits = member.get("bitfield_size")
            before = f"char before_{name}[{byte}]; " if byte else ""
            before += f"__u8 : {bit}; " if bit else ""
            yield f"\tstruct {{ {before}{_declaration(types, member['type_id'], name)}{f' : {bits}' if bits else ''}; }} " \
                  "__attribute__((packed));"
        yield "}; };"


def _bare(types, type_id):
    while type_id and types[type_id]["kind"] in NAMES:
        type_id = types[type_id]["type_id"]
    return types.get(type_id)


def _find(types, members, name, base=0):
    """(byte, bit, member), also of a member in an unnamed structure."""
    for member in members:
        at = base + member["bits_offset"]
        if member["name"] == name:
            return at // 8, at % 8, member
        inner = _bare(types, member["type_id"])
        if member["name"] in ("", "(anon)") and inner["kind"] in ("STRUCT", "UNION"):
            found = _find(types, inner["members"], name, at)
            if found:
                return found
    return None


def _declaration(types, type_id, name):
    kind = _bare(types, type_id)
    if kind["kind"] == "ARRAY":
        return _declaration(types, kind["type_id"], f"{name}[{kind['nr_elems']}]")
    if kind["kind"] == "PTR":
        target = _bare(types, kind["type_id"])
        return f"{'struct ' + target['name'] if target and target['kind'] == 'STRUCT' else 'void'} *{name}"
    if kind["kind"] == "STRUCT" and kind["name"] in FIELDS:
        return f"struct {kind['name']} {name}"
    if kind["kind"] == "STRUCT":        # kuid_t
        return f"struct {{ __u32 val; }} {name}"
    return f"__u{8 * kind['size']} {name}"
