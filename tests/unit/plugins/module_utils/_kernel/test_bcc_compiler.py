# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose kernel headers are these? Compiled for real: tests/integration/test_loaders.py and tests/vm."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bcc_compiler

DEBIAN = '6.1.0-18-amd64', '#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)'
UBUNTU = '5.15.0-91-generic', '#101-Ubuntu SMP Tue Nov 14 13:30:08 UTC 2023'
RHEL = '5.14.0-427.el9.x86_64', '#1 SMP PREEMPT_DYNAMIC Fri Feb 23'
PLAIN = '6.18.44', '#1 SMP'
LATE = '5.4.300-custom', '#1 SMP'
CODE = 'include/generated/uapi/linux/version.h'
RELEASE = 'include/generated/utsrelease.h'


def code(major, minor, patch):
    return CODE, '#define LINUX_VERSION_CODE %d\n#define KERNEL_VERSION(a,b,c) (((a) << 16))\n' % (
        (major << 16) + (minor << 8) + min(patch, 255))


def in_words(major, minor, patch):
    return 'include/linux/version.h', (
        '#define KERNEL_VERSION(a, b, c) 0\n#define LINUX_VERSION_CODE KERNEL_VERSION(%d, %d, %d)\n' % (major, minor, patch))


def release(name):
    return RELEASE, '#define UTS_RELEASE "%s"\n' % name


@pytest.mark.parametrize('running, files, others', [
    (PLAIN, [code(6, 18, 44)], None),
    (PLAIN, [in_words(6, 18, 44)], None),
    (PLAIN, [code(6, 1, 44)], '6.1.44'),
    (PLAIN, [code(6, 18, 43)], '6.18.43'),
    (PLAIN, [in_words(5, 18, 44)], '5.18.44'),
    (PLAIN, [], None),  # nothing tells
    (DEBIAN, [code(6, 1, 76)], None),
    (DEBIAN, [code(6, 1, 69)], '6.1.69'),
    (DEBIAN, [code(6, 1, 76), release('6.1.0-17-amd64')], '6.1.0-17-amd64'),
    (DEBIAN, [code(6, 1, 76), release('6.1.0-18-amd64')], None),
    (UBUNTU, [code(5, 15, 131)], None),  # nothing tells the last number
    (UBUNTU, [code(5, 4, 0)], '5.4.0'),
    (RHEL, [code(5, 14, 0)], None),
    (RHEL, [code(5, 14, 0), release('5.14.0-362.el9.x86_64')], '5.14.0-362.el9.x86_64'),
    (LATE, [code(5, 4, 300)], None),
    (LATE, [in_words(5, 4, 300)], None),
    (LATE, [code(5, 4, 200)], '5.4.200'),
    (PLAIN, [release('6.18.44+')], None),
    (('6.18-rc3', '#1'), [code(6, 18, 0)], None),
])
def test_whose_headers(tmp_path, running, files, others):
    for path, text in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    directories = [str(tmp_path / 'nothing'), str(tmp_path), '/sys/kernel/kheaders.tar.xz']
    if others is None:
        bcc_compiler.check_headers(directories, *running)
        return
    with pytest.raises(GuardError) as caught:
        bcc_compiler.check_headers(directories, *running)
    assert 'those of Linux %s, and Linux %s runs' % (others, running[0]) in str(caught.value)
    assert 'linux-headers-%s' % running[0] in str(caught.value)
    assert len(caught.value.facts['missing_packages']) == 1
