# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Which loader brings the guard's object into the kernel: libbpf, or BCC where it is asked for or libbpf can't."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bcc, bcc_compiler, libbpf, programs, refusal

AUTO, LIBBPF, BCC = 'auto', 'libbpf', 'bcc'


def check(wanted):
    """Raises GuardError where this host can't have what was asked for, as far as that shows before anything is done."""
    if wanted == BCC:
        bcc_compiler.check()
    elif wanted == LIBBPF:
        libbpf.check()
    else:
        try:
            libbpf.check()
        except GuardError as error:
            if not bcc_compiler.is_there():
                raise _neither(error) from error


def load(wanted, library, objects, maps, compiled=None):
    """(the guard's object in the kernel, its loader, why this one: None where it was asked for).

    `objects`: {object: bytes}. `maps`: {map: file descriptor} of those to be used in place of new ones. `compiled`: the file
    where what BCC compiled is kept.
    """
    if wanted == BCC:
        return _start(bcc.Object(bcc_compiler.compiled(objects['source'], compiled)), maps), BCC, None
    try:
        libbpf.check()
        loaded = _start(libbpf.Object(library, objects[programs.GUARD]), maps)
        return loaded, LIBBPF, None if wanted == LIBBPF else 'auto takes libbpf where it can load the object'
    except GuardError as error:
        if wanted == LIBBPF or isinstance(error, refusal.Final):
            raise
        if not bcc_compiler.is_there():
            raise _neither(error) from error
        lacking = error
    try:
        loaded = _start(bcc.Object(bcc_compiler.compiled(objects['source'], compiled)), maps)
    except GuardError as error:
        raise GuardError('Neither loader brings the guard up on this host. With libbpf: %s With BCC: %s' % (lacking, error),
                         **dict(error.facts, **lacking.facts)) from error
    return loaded, BCC, 'libbpf could not load the object: %s' % lacking


def kept(objects, loaded):
    """What BCC compiled, as text for load() to read: to compile takes longer than all the rest of an exchange."""
    return bcc_compiler.kept(objects['source'], loaded.functions)


def _start(loaded, maps):
    try:
        loaded.load(maps)
    except libbpf.KernelError as error:
        raise refusal.explained(error) from error
    return loaded


def _neither(lacking):
    return GuardError('%s Or have BCC compile the guard on this host: install %s.' % (lacking, bcc_compiler.needed()),
                      **lacking.facts)
