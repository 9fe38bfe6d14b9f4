# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A text that the kernel keeps, pinned beside a guard's maps: no cleaner of files finds it."""

from __future__ import annotations

import mmap
import os
import zlib

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import pinned
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import KernelError

NAME = 'ebg_memory'
PAGE, LENGTH = 4096, 8  # bytes of an entry; of the length, which stands in front


def keep(kernel, pins, text):
    """In the place of what was kept before. Raises KernelError, or OSError."""
    packed = zlib.compress(text.encode())
    content = len(packed).to_bytes(LENGTH, 'little') + packed
    made = kernel.make_array(NAME, -(-len(content) // PAGE), PAGE)
    try:
        with mmap.mmap(made, -(-len(content) // PAGE) * PAGE) as memory:
            memory[:len(content)] = content
        pinned.pin_one(kernel, pins, NAME, made)
    finally:
        os.close(made)


def kept(kernel, pins):
    """The text; None where there is none, or where it was damaged."""
    try:
        found = kernel.open(pinned.path(pins, NAME))
    except KernelError:
        return None
    try:
        with mmap.mmap(found, kernel.map_info(found).max_entries * PAGE, prot=mmap.PROT_READ) as memory:
            length = int.from_bytes(memory[:LENGTH], 'little')
            return zlib.decompress(memory[LENGTH:LENGTH + length]).decode()
    except (KernelError, OSError, ValueError, zlib.error):
        return None
    finally:
        os.close(found)
