# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Attaching a guard's programs, exchanging them under a guard that is up, and detaching them.

At every moment of an exchange the old rules or the new ones are in force. Each step pushes on `undo`, an ExitStack, what
takes it back.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, pinned, programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import KernelError

BPF_F_ALLOW_MULTI = 2  # <linux/bpf.h>
ENTRY = 'ebg_entry'  # the program that tells who leaves
MOMENT = 0.02  # seconds; no program takes so long to run


def attach(kernel, pins, cgroup, desk, loaded, fds, attached, undo):
    """{program: link}. `fds`: {program: file descriptor}; `attached`: {program: link} of those that are attached already.
    `cgroup`, `desk`: the paths of the guarded one and the agent's.
    """
    links = dict(attached)
    directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    name = None
    try:
        kernel.update(loaded.map_fd('ebg_scope'), ctypes.c_uint32(0), ctypes.c_uint32(directory))
        for slot, identity in ((_abi.PLACE_GUARD, os.fstat(directory).st_ino), (_abi.PLACE_DESK, os.stat(desk).st_ino)):
            kernel.update(loaded.map_fd('ebg_places'), ctypes.c_uint32(slot), ctypes.c_uint64(identity))
        for name in filter(fds.__contains__, filter(programs.is_on_cgroup, programs.PROGRAMS)):
            links[name] = _attach_to_cgroup(kernel, pins, name, fds[name], directory, undo)
    except KernelError as error:
        raise _because_of_others(kernel, error, name, cgroup) from error
    finally:
        os.close(directory)
    for name in filter(programs.is_everywhere, programs.PROGRAMS):
        _hold_until_the_end(kernel, pinned.path(pins, name), undo)
        if name in fds and name not in attached:
            links[name] = kernel.attach_hook(fds[name], name, loaded.tracepoint(name))
            undo.callback(os.close, links[name])
    return links


def _attach_to_cgroup(kernel, pins, name, program, directory, undo):
    """A link that is attached to this cgroup gets its new program at one stroke; else a new link."""
    link = pinned.living_link(kernel, pins, name, os.fstat(directory).st_ino)
    if link is None:
        link = kernel.attach(program, directory, name)
        undo.callback(os.close, link)
    else:
        before = kernel.program(kernel.link_info(link).prog_id)
        kernel.exchange(link, program, name)
        undo.callback(kernel.exchange, link, before, name)
    return link


def _because_of_others(kernel, error, name, cgroup):
    """The same error, or what to say where a program of somebody else shares its place with nobody.

    The kernel asks the nearest cgroup, from this one up, that has a program there.
    """
    if error.errno != errno.EPERM or name is None:
        return error
    while os.path.exists(os.path.join(cgroup, 'cgroup.procs')):
        directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flags, ids = kernel.attached(directory, name)
        except KernelError:  # it does not say
            break
        finally:
            os.close(directory)
        if ids and flags & BPF_F_ALLOW_MULTI:
            break
        if ids:
            place = programs.PROGRAMS[name].section.rpartition('/')[2]
            return GuardError(
                "%s There, a program of somebody else lets no other beside or below it: '%s' (id %d), which is attached to the "
                'cgroup %s for %s. Have the product that it belongs to attach it with BPF_F_ALLOW_MULTI, or stop that product '
                'on this host (`bpftool cgroup show %s` lists it).' % (
                    error, kernel.name_of(ids[0]), ids[0], cgroup, place, cgroup))
        cgroup = os.path.dirname(cgroup)
    return GuardError('%s A program of somebody else that lets no other below it may be attached further up than is seen here, '
                      'as around a container, or a security module forbids it.' % error)


def _hold_until_the_end(kernel, link_path, undo):
    """No link of what is run everywhere can be exchanged. Those of earlier rules stay beside the new ones until the call
    ends, so that they can be put back.
    """
    with contextlib.suppress(KernelError):
        undo.callback(pinned.put_back, kernel, kernel.open(link_path), link_path)


def make_current(kernel, switch, generation):
    """From now on these rules are in force for the programs that can't take each other's place at one stroke.

    For a moment both judge: else an access could meet the new ones when they are not yet in force, and the earlier ones
    when they are no more. `switch`: the file descriptor of ebg_current.
    """
    if generation > 1:
        let_both_judge(kernel, switch, generation)
        time.sleep(MOMENT)
    kernel.update(switch, ctypes.c_uint32(0), ctypes.c_uint32(generation))


def let_both_judge(kernel, switch, generation):
    kernel.update(switch, ctypes.c_uint32(0), ctypes.c_uint32(generation | _abi.BOTH))


def let_go_to(kernel, pins, cgroup):
    """From now on, who goes to the cgroup with this id was let go, and has not left. Nothing else changes."""
    with contextlib.suppress(KernelError):  # without the program nobody is told to have left
        maps = pinned.maps_behind(kernel, pinned.path(pins, ENTRY))
        try:
            kernel.update(maps['ebg_places'], ctypes.c_uint32(_abi.PLACE_DESK), ctypes.c_uint64(cgroup))
        finally:
            bpf.close(maps.values())


def rest_everywhere(kernel, pins):
    """From now on the programs that are run for every process of the host judge and record nothing."""
    with contextlib.suppress(KernelError):
        switch = kernel.open(pinned.path(pins, programs.CURRENT))
        kernel.update(switch, ctypes.c_uint32(0), ctypes.c_uint32(0))
        os.close(switch)


def detach(kernel, pins):
    """From now on nothing is judged or recorded, whoever holds the programs besides the pins."""
    for name in filter(programs.is_on_cgroup, reversed(tuple(programs.PROGRAMS))):
        with contextlib.suppress(KernelError):
            link = kernel.open(pinned.path(pins, name))
            kernel.detach(link)
            os.close(link)
    rest_everywhere(kernel, pins)  # they end with who holds them
    for name in filter(programs.is_everywhere, programs.PROGRAMS):
        with contextlib.suppress(KernelError):
            link = kernel.open(pinned.path(pins, name))
            os.unlink(pinned.path(pins, name))
            os.close(link)
