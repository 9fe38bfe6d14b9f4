# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of a kernel tell, and what to change where it does not load the programs."""

from __future__ import annotations

import errno

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import remedy


@pytest.mark.parametrize('files, found', [
    ({}, (None, None)),
    ({'lsm': 'capability,yama\n'}, (['capability', 'yama'], 'none')),
    ({'lsm': 'lockdown,capability', 'lockdown': '[none] integrity confidentiality\n'}, (['lockdown', 'capability'], 'none')),
    ({'lsm': 'lockdown', 'lockdown': 'none [integrity] confidentiality\n'}, (['lockdown'], 'integrity')),
    ({'lsm': 'lockdown', 'lockdown': 'none integrity [confidentiality]\n'}, (['lockdown'], 'confidentiality'))])
def test_security_modules_and_lockdown(tmp_path, files, found):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert remedy.security(str(tmp_path)) == found


@pytest.mark.parametrize('release, lockdown, code, said', [
    ('6.1.0-18-amd64', 'confidentiality', errno.EINVAL, 'lockdown=integrity'),
    ('5.4.0-42-generic', 'none', errno.EINVAL, 'It is Linux 5.4.0-42-generic. The guard needs 5.10 or later.'),
    ('4.18.0-553.el8_10.x86_64', 'none', errno.EPERM, '5.10 or later'),  # RHEL 8
    ('5.3.18-150300.59.106-default', 'none', errno.EINVAL, '5.10 or later'),  # SLES 15 SP3
    ('5.10+', 'none', errno.EINVAL, 'CONFIG_CGROUP_BPF'),
    ('6.1.0-18-amd64', 'none', errno.EPERM, 'security module')])
def test_what_to_change_where_the_kernel_refuses(release, lockdown, code, said):
    """By root of the machine, on a kernel that has the options: that is the one which runs the tests."""
    assert said in remedy.remedy(code, release, lockdown)
