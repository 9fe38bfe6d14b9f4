# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Why a kernel takes no guard, and what to change: the start and the doctor say the same."""

from __future__ import annotations

import errno
import gzip
import os
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils import _confined
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import libbpf

OPTIONS = ('CONFIG_BPF_SYSCALL', 'CONFIG_CGROUP_BPF')
SECURITYFS = '/sys/kernel/security'
CONFIDENTIALITY = 'confidentiality'
LOCKED_DOWN = ('This kernel is locked down for confidentiality, and then no program may read the kernel, so there can be no guard. '
               'Boot with lockdown=integrity, the level of Secure Boot.')


class Final(GuardError):
    """The kernel refuses, whoever asks: another loader changes nothing."""


def check():
    """Raises GuardError where this kernel can take no guard, as far as that shows before it is asked."""
    if lockdown() == CONFIDENTIALITY:
        raise Final(LOCKED_DOWN)


def lockdown(directory=SECURITYFS, command_line='/proc/cmdline'):
    """The level of lockdown; None where nothing tells it, as where securityfs is not mounted."""
    levels = _read(os.path.join(directory, 'lockdown'))
    if levels is None and _read(os.path.join(directory, 'lsm')) is not None:
        return 'none'  # a kernel without lockdown
    found = re.search(r'\[(\w+)\]' if levels else r'\blockdown=(\w+)', levels or _read(command_line) or '')
    return found and found.group(1)


def explained(error):
    """A KernelError of programs that were not loaded, with what to change. Final where that is certain."""
    if error.errno in libbpf.LACKING:
        return error
    remedy = certain(os.uname().release, error.errno)
    if remedy:
        return Final('%s %s' % (error.brief, remedy))
    return GuardError('%s The guard needs Linux 5.10 or later with BTF, and these options: %s.' % (error, ', '.join(OPTIONS)))


def certain(release, code):
    """What keeps programs out, and what to change, in sentences; None where nothing tells. `code`: the errno."""
    if libbpf.is_too_old(release):
        return 'It is Linux %s. The guard needs 5.10 or later.' % release
    absent = [option for option in OPTIONS if option not in _built_with(release)]
    if absent:
        return 'It is built without %s. Boot a kernel that has it.' % ' and '.join(absent)
    return 'Something forbids it to root: %s.' % forbids() if code in (errno.EPERM, errno.EACCES) else None


def forbids():
    """What may keep root from loading programs, in a clause."""
    return _confined.told() or ('look for a security module, a seccomp filter, and, where %s/lockdown says so, '
                                'lockdown=confidentiality' % SECURITYFS)


def _built_with(release):
    """The options of the running kernel. Where nothing tells them, those that the guard needs: it was not for them."""
    for path, opener in (('/proc/config.gz', gzip.open), ('/boot/config-' + release, open),
                         ('/lib/modules/%s/config' % release, open)):
        text = _read(path, opener)
        if text:
            return {line.partition('=')[0] for line in text.splitlines() if '=' in line}
    return OPTIONS


def _read(path, opener=open):
    try:
        with opener(path, 'rt') as content:
            return content.read()
    except OSError:
        return None
