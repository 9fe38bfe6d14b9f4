# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. How programs stand before the kernel's security hooks on this host, so that none is ever passed by.

As hooks of the BPF security module (`lsm`), where it is in the host's list; else before the functions that call all
modules (`fmod_ret`). From Linux 5.12 on the kernel skips a program of the second kind that it runs already on the same
CPU, for a process that was preempted in the middle of it; until 6.1 one of the first kind, too. So these are no choice
where the kernel preempts itself.
"""

from __future__ import annotations

import os
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files

LSM, FMOD_RET = 'lsm', 'fmod_ret'
SKIPS_SINCE, LSM_SAFE_SINCE = (5, 12), (6, 2)
SECURITY_MODULES = '/sys/kernel/security/lsm'
PREEMPTION = '/sys/kernel/debug/sched/preempt'  # none (voluntary) full
PREEMPTED = ('this kernel may interrupt a program before its security hooks, and then skips it for others; boot with bpf among '
             'the modules of lsm= (Linux 6.2 or later), or with preempt=voluntary')


def kind(release=None, modules=None, preempts=None):
    """LSM, FMOD_RET, or None where neither is safe: PREEMPTED tells why."""
    version = tuple(int(number) for number in re.match(r'(\d+)\.(\d+)', release or os.uname().release).groups())
    if version >= LSM_SAFE_SINCE and 'bpf' in (security_modules() or () if modules is None else modules):
        return LSM
    if version < SKIPS_SINCE or not (is_preemptible() if preempts is None else preempts):
        return FMOD_RET
    return None


def security_modules(path=SECURITY_MODULES):
    """The names of the active security modules, in their order; None where nothing tells them."""
    text = _read(path)
    return None if text is None else text.strip().split(',')


def is_preemptible():
    """Does the kernel preempt itself? Where nothing tells, it is taken to."""
    built = os.uname().version
    if 'PREEMPT' not in built:
        return False
    if 'PREEMPT_DYNAMIC' not in built:
        return True
    chosen = re.search(r'\((\w+)\)', _read(PREEMPTION) or '') or re.search(r'\bpreempt=(\w+)', _read('/proc/cmdline') or '')
    if chosen:
        return chosen.group(1) not in ('none', 'voluntary')
    return not re.search(r'^CONFIG_PREEMPT_(NONE|VOLUNTARY)=y', _read('/boot/config-' + os.uname().release) or '', re.M)


def _read(path):
    try:
        return files.text(path)
    except OSError:
        return None
