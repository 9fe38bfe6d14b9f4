# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Objects that not every kernel takes: those for files and those for ways out.

Each has candidates, the best one first; a later one does with less of a kernel. What is loaded shares the maps of the
guard's own object.
"""

from __future__ import annotations

import errno
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, libbpf, programs, refusal, security_hooks

BCC_LACKS = 'BCC compiles the programs of the network and of names alone; these need loader: libbpf'
UNSUPPORTED = ("this kernel can't have BPF programs answer for its security hooks (%s); that needs Linux 5.10 or later on "
               'x86_64, or 6.4 or later on arm64, with CONFIG_DEBUG_INFO_BTF=y, CONFIG_BPF_JIT=y, '
               'CONFIG_FUNCTION_TRACER=y and CONFIG_SECURITY_PATH=y')
FORBIDDEN = "something keeps root from loading programs for the kernel's security hooks (%s): %s"

Candidate = namedtuple('Candidate', 'object programs')  # the object's name, and which of its programs are to be loaded


class Loaded(namedtuple('Loaded', 'object programs links enforced warnings')):
    """What a guard gets of it.

    object: in the kernel; None where it took none. programs: {name: file descriptor}. links: {name: file descriptor} of
    those that are run for every process of the host; the others are attached to nothing. enforced: {capability: True, or why
    not}.
    """

    __slots__ = ()

    def close(self):
        bpf.close(self.links.values())
        if self.object:
            self.object.close()


def load_first(kernel, objects, candidates, shared, sizes):
    """(the object in the kernel, its candidate, links, the KernelErrors of those before it); (None, None, {}, all of them).

    `objects`: {object: bytes}. `shared`: {map: file descriptor}. `sizes`: {map: entries}. links: as Loaded has them.
    """
    errors = []
    for candidate in candidates:
        try:
            loaded = _load(kernel.library, objects[candidate.object], candidate, shared, sizes)
        except libbpf.KernelError as error:
            errors.append(error)
            continue
        try:
            return loaded, candidate, _attach(kernel, loaded, candidate), errors
        except libbpf.KernelError as error:
            loaded.close()
            errors.append(error)
    return None, None, {}, errors


def probe(start, kernel, objects):
    """{capability: True, or the reason why this host can't}. `start`: of one of the two. Nothing is left of the try."""
    loaded, _candidate, links, enforced = start(kernel, objects, {}, {})
    bpf.close(links.values())
    if loaded:
        loaded.close()
    return enforced


def why_not(error):
    """What keeps programs off the kernel's security hooks."""
    said = libbpf.words(error.errno)
    return FORBIDDEN % (said, refusal.forbids()) if error.errno == errno.EPERM else UNSUPPORTED % said


def _load(library, content, candidate, shared, sizes):
    loaded = libbpf.Object(library, content)
    as_module = security_hooks.kind() == security_hooks.LSM
    for name in programs.of_object(candidate.object):
        loaded.set_autoload(name, name in candidate.programs)
        if programs.is_on_cgroup(name):
            loaded.set_attach_type(name)
        elif as_module and name in candidate.programs and programs.security_hook(name):
            loaded.set_lsm_hook(name)
    for name, entries in sizes.items():
        loaded.set_size(name, max(1, entries))
    loaded.load(shared)
    return loaded


def _attach(kernel, loaded, candidate):
    """{name: link} of the programs that are run for every process of the host.

    A kernel may take a program and then have no means to run it at its place, as on arm64 before Linux 6.4. None of them
    judges anything before the guard's rules are in force.
    """
    links = {}
    try:
        for name in filter(programs.is_everywhere, candidate.programs):
            links[name] = kernel.attach_hook(loaded.program_fd(name), name, loaded.tracepoint(name))
    except libbpf.KernelError:
        bpf.close(links.values())
        raise
    return links
