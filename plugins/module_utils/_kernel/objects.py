# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The BPF objects on their way from the controller to the target, as text that fits a module's arguments.

For BCC, the sources of the guard's object.
"""

from __future__ import annotations

import base64
import functools
import importlib
import json
import os
import zlib

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import programs

COLLECTION = __name__.partition('.plugins.')[0]
SHIPPED = {programs.GUARD: 'ebpf_guard.bpf.o', programs.FILES: 'ebpf_guard_files.bpf.o',
           programs.UNIX: 'ebpf_guard_unix.bpf.o', programs.UNIX_CGROUP: 'ebpf_guard_unix_cgroup.bpf.o'}


def packed(loader):
    """{object: text}, on the controller; what this loader may need."""
    wanted = ([] if loader == 'bcc' else list(SHIPPED)) + ([] if loader == 'libbpf' else ['sources'])
    return {name: _packed(name) for name in wanted}


@functools.lru_cache(maxsize=None)
def _packed(name):
    collection = list(importlib.import_module(COLLECTION).__path__)[0]
    content = _sources(os.path.join(collection, 'bpf')) if name == 'sources' else _read(
        os.path.join(collection, 'plugins', SHIPPED[name]))
    return base64.b64encode(zlib.compress(content)).decode()


def _sources(directory):
    return json.dumps({file: _read(os.path.join(directory, file)).decode() for file in sorted(os.listdir(directory))
                       if file.endswith('.h') or file == 'guard.bpf.c'}).encode()


def _read(path):
    with open(path, 'rb') as content:
        return content.read()


def unpacked(texts):
    """{object: bytes}, and `sources` as {file: text}, on the target."""
    contents = {name: zlib.decompress(base64.b64decode(text)) for name, text in texts.items()}
    if 'sources' in contents:
        contents['sources'] = json.loads(contents['sources'])
    return contents
