# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The BPF objects on their way from the controller to the target, as text that fits a module's arguments."""

from __future__ import annotations

import base64
import os
import zlib

PLUGINS = os.path.dirname(os.path.dirname(__file__))
FILES = {'guard': 'ebpf_guard.bpf.o', 'files': 'ebpf_guard_files.bpf.o', 'unix': 'ebpf_guard_unix.bpf.o',
         'unix_cgroup': 'ebpf_guard_unix_cgroup.bpf.o'}


def packed():
    """{object: text}, on the controller."""
    texts = {}
    for name, file in FILES.items():
        with open(os.path.join(PLUGINS, file), 'rb') as content:
            texts[name] = base64.b64encode(zlib.compress(content.read())).decode()
    return texts


def unpacked(texts):
    """{object: bytes}, on the target."""
    return {name: zlib.decompress(base64.b64decode(text)) for name, text in texts.items()}
