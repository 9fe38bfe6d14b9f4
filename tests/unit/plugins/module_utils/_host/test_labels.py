# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels of files, which a kernel keeps also where no SELinux reads them. Where it does: tests/vm/test_confined_hosts.py."""

from __future__ import annotations

import os

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import labels


@pytest.mark.parametrize('before, after', [
    (b'unconfined_u:object_r:var_run_t:s0\0', b'system_u:object_r:bin_t:s0'),
    (b'staff_u:object_r:var_run_t:s0:c0.c1023\0', b'system_u:object_r:bin_t:s0:c0.c1023'),
    (b'system_u:object_r:var_run_t\0', b'system_u:object_r:bin_t'),  # a policy without levels
    (b'no label', b'no label')])
def test_the_type_alone_is_another_one(tmp_path, before, after):
    path = str(tmp_path / 'launcher')
    open(path, 'w').close()
    os.setxattr(path, labels.ATTRIBUTE, before)
    labels.give(path, labels.EXECUTED)
    assert os.getxattr(path, labels.ATTRIBUTE) == after


def test_without_selinux_nothing_is_written(tmp_path):
    path = str(tmp_path / 'launcher')
    open(path, 'w').close()
    before = os.listxattr(path)
    labels.give(path, labels.EXECUTED)
    assert os.listxattr(path) == before
