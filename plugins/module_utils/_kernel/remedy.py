# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What to change on a host whose kernel does not load the guard's programs."""

from __future__ import annotations

import errno
import gzip
import os
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import security_hooks

OLDEST = (5, 10)
OPTIONS = ('CONFIG_BPF_SYSCALL', 'CONFIG_CGROUP_BPF')
SECURITYFS = '/sys/kernel/security'


def remedy(code, release=None, lockdown=None):
    """A sentence; `code`: the errno. `release`, `lockdown`: of the kernel that runs, unless others are given."""
    release = release or os.uname().release
    if (lockdown or security()[1]) == 'confidentiality':
        return ('It is locked down for confidentiality, and then no program may read the kernel. Boot with '
                'lockdown=integrity, the level of Secure Boot.')
    if is_too_old(release):
        return 'It is Linux %s. The guard needs 5.10 or later.' % release
    absent = [option for option in OPTIONS if option not in _built_with(release)]
    if absent:
        return 'It is built without %s. Boot a kernel that has it.' % ' and '.join(absent)
    if code == errno.EPERM:
        return ('Something forbids it to root: look for a security module, a seccomp filter, and, where '
                '%s/lockdown says so, lockdown=confidentiality.' % SECURITYFS)
    return 'The guard needs Linux 5.10 or later with BTF, and these options: %s.' % ', '.join(OPTIONS)


def is_too_old(release):
    """'6.1.0-18-amd64' is not."""
    return tuple(int(number) for number in re.match(r'(\d+)\.(\d+)', release).groups()) < OLDEST


def security(directory=SECURITYFS):
    """(the security modules in their order, the level of lockdown); (None, None) where securityfs is not mounted."""
    modules = security_hooks.security_modules(os.path.join(directory, 'lsm'))
    if modules is None:
        return None, None
    levels = _read(os.path.join(directory, 'lockdown')) or '[none]'  # a kernel without lockdown
    return modules, levels.partition('[')[2].partition(']')[0]


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
