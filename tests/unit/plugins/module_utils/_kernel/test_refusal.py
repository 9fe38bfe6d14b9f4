# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a kernel takes no guard. On kernels that refuse: tests/vm/test_confined_hosts.py, tests/integration/test_hardened_hosts.py."""

from __future__ import annotations

import errno

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import libbpf, refusal


@pytest.mark.parametrize('files, command_line, found', [
    ({}, 'quiet', None),
    ({}, 'quiet lockdown=confidentiality', 'confidentiality'),
    ({'lsm': 'capability,yama\n'}, 'lockdown=confidentiality', 'none'),
    ({'lsm': 'lockdown,capability', 'lockdown': '[none] integrity confidentiality\n'}, '', 'none'),
    ({'lsm': 'lockdown', 'lockdown': 'none [integrity] confidentiality\n'}, '', 'integrity'),
    ({'lsm': 'lockdown', 'lockdown': 'none integrity [confidentiality]\n'}, '', 'confidentiality')])
def test_the_level_of_lockdown(tmp_path, files, command_line, found):
    for name, text in {**files, 'cmdline': command_line}.items():
        (tmp_path / name).write_text(text)
    assert refusal.lockdown(str(tmp_path), str(tmp_path / 'cmdline')) == found


@pytest.mark.parametrize('release, code, said', [
    ('5.4.0-42-generic', errno.EINVAL, 'It is Linux 5.4.0-42-generic. The guard needs 5.10 or later.'),
    ('4.18.0-553.el8_10.x86_64', errno.EPERM, '5.10 or later'),  # RHEL 8
    ('5.3.18-150300.59.106-default', errno.EINVAL, '5.10 or later'),  # SLES 15 SP3
    ('5.10+', errno.EINVAL, None),
    ('6.1.0-18-amd64', errno.EPERM, 'Something forbids it to root: '),
    ('6.1.0-18-amd64', errno.EINVAL, None)])
def test_what_is_certain(release, code, said):
    """On a kernel that has the options: that is the one which runs the tests."""
    found = refusal.certain(release, code)
    assert said in found if said else found is None


@pytest.mark.parametrize('code, is_final, is_as_it_was', [(errno.EPERM, True, False), (errno.EINVAL, False, False), (errno.ENOMEM, False, True)])
def test_another_loader_is_tried_where_it_may_help(code, is_final, is_as_it_was):
    error = libbpf.KernelError('load them', code)
    explained = refusal.explained(error)
    assert (isinstance(explained, refusal.Final), explained is error) == (is_final, is_as_it_was)
