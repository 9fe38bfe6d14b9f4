# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The tables of rules in the kernel: made and filled before the programs that judge by them are loaded.

Only then it is known how large each is without all of them in memory at once.
"""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, refusal
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import LOADING, KernelError


def make(kernel, tables):
    """{map: file descriptor}. Nobody changes them any more, root neither. `tables`: as compile_rules() has them."""
    made = {}
    try:
        for name, room, blocks in tables:
            made[name] = _make_map(kernel, name, room)
            for keys, values in blocks:
                if keys is None:
                    kernel.write_array(made[name], values)
                else:
                    kernel.update_many(made[name], keys, values)
            kernel.freeze(made[name])
    except BaseException:
        bpf.close(made.values())
        raise
    return made


def _make_map(kernel, name, room):
    kind, key, value, _entries, flags, _lock = _abi.MAPS[name]
    try:
        return kernel.make_map(name, kind, key, value, room, flags)
    except KernelError as error:  # it would take no programs either, and the doctor says so in the same words
        raise refusal.explained(KernelError(LOADING, error.errno)) from error
