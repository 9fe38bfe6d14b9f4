# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The BPF objects on their way from the controller to the target, as text that fits a module's arguments.

For BCC, the source of the guard's object.
"""

from __future__ import annotations

import base64
import functools
import importlib
import os
import zlib

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import programs

COLLECTION = __name__.partition('.plugins.')[0]
SHIPPED = {programs.GUARD: 'ebpf_guard.bpf.o', programs.FILES: 'ebpf_guard_files.bpf.o',
           programs.UNIX: 'ebpf_guard_unix.bpf.o', programs.UNIX_CGROUP: 'ebpf_guard_unix_cgroup.bpf.o'}
SOURCE = {'source': 'ebpf_guard.bpf.c'}


def packed(loader):
    """{object: text}, on the controller; what this loader may need."""
    wanted = {'libbpf': SHIPPED, 'bcc': SOURCE}.get(loader, dict(SHIPPED, **SOURCE))
    return {name: _packed(file) for name, file in wanted.items()}


@functools.lru_cache(maxsize=None)
def _packed(file):
    collection = list(importlib.import_module(COLLECTION).__path__)[0]
    with open(os.path.join(collection, 'plugins', file), 'rb') as content:
        return base64.b64encode(zlib.compress(content.read())).decode()


def unpacked(texts):
    """{object: bytes}, on the target."""
    return {name: zlib.decompress(base64.b64decode(text)) for name, text in texts.items()}
