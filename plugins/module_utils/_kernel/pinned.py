# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What a guard's directory in bpffs holds: links and maps, by name. They outlive every process of the guard."""

from __future__ import annotations

import contextlib
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import LACKING, KernelError


def path(pins, name):
    """`pins`: the guard's directory, here and in all that follows."""
    return os.path.join(pins, name)


def living_link(kernel, pins, name, cgroup):
    """The file descriptor of a link that is attached to the cgroup with this id, or None."""
    try:
        link = kernel.open(path(pins, name))
    except KernelError:
        return None
    if kernel.link_info(link).cgroup_id == cgroup:
        return link
    os.close(link)
    return None


@contextlib.contextmanager
def _if_it_is_there():
    """Passes over what is lost, and not over what this process lacks to see it."""
    try:
        yield
    except KernelError as error:
        if error.errno in LACKING:
            raise


def ledger(kernel, pins):
    """{name: file descriptor} of the ledger: by their pins, else through a program that still uses them."""
    maps = {}
    for name in programs.LEDGER:
        with _if_it_is_there():
            maps[name] = kernel.open(path(pins, name))
    for program in programs.of_object(programs.GUARD):
        if len(maps) == len(programs.LEDGER):
            break
        with contextlib.suppress(KernelError):
            for name, fd in maps_behind(kernel, path(pins, program)).items():
                if name in programs.LEDGER and name not in maps:
                    maps[name] = fd
                else:
                    os.close(fd)
    return maps


def maps_behind(kernel, link_path):
    """{name: file descriptor} of the maps that the program of a link uses."""
    link = kernel.open(link_path)
    try:
        return kernel.maps_of_program(kernel.link_info(link).prog_id)
    finally:
        os.close(link)


def kept(kernel, pins):
    """{name: file descriptor} of the maps that go on under other rules."""
    maps = ledger(kernel, pins)
    with contextlib.suppress(KernelError):
        maps[programs.CURRENT] = kernel.open(path(pins, programs.CURRENT))
    return maps


def pin(kernel, pins, links, maps):
    """Pin a guard that is complete, each in the place of what was pinned before. Both: {name: file descriptor}."""
    for name in filter(programs.is_optional, programs.PROGRAMS):  # these rules do without
        if name not in links:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path(pins, name))
    for name, fd in {**links, **maps}.items():
        pin_one(kernel, pins, name, fd)


def pin_one(kernel, pins, name, fd):
    """In the place of what was pinned there before, at one stroke."""
    draft = path(pins, name + '_new')
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    kernel.pin(fd, draft)
    os.rename(draft, path(pins, name))


def put_back(kernel, link, link_path):
    """Pin the link of earlier rules again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link_path)
    kernel.pin(link, link_path)
