# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this root less than the machine's? Tried for real: tests/integration/test_hardened_hosts.py."""

from __future__ import annotations

import os

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import privileges

ALL, DOCKER = '000001ffffffffff', '00000000a80425fb'


@pytest.mark.parametrize('capabilities, is_namespace, said', [
    (ALL, False, None), (DOCKER, False, 'lacks CAP_SYS_ADMIN'), (ALL, True, 'that of a user namespace'),
    (DOCKER, True, 'that of a user namespace'), (ALL, None, None), (DOCKER, None, 'lacks CAP_SYS_ADMIN')])
def test_a_root_that_is_less(tmp_path, capabilities, is_namespace, said):
    (tmp_path / 'status').write_text('Name:\tpython3\nCapPrm:\t0\nCapEff:\t%s\nCapBnd:\t0\n' % capabilities)
    namespace = '/proc/self/ns/user' if is_namespace is False else str(tmp_path / 'user')
    if is_namespace:  # a kernel without user namespaces has no such file
        os.symlink('user:[4026532201]', namespace)
    if said is None:
        privileges.check(str(tmp_path / 'status'), namespace)
        return
    with pytest.raises(GuardError, match=said + '.*Bring the guard up on the machine itself'):
        privileges.check(str(tmp_path / 'status'), namespace)
