# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this root less than the machine's? Tried for real: tests/integration/test_hardened_hosts.py."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import privileges

ALL, DOCKER = '000001ffffffffff', '00000000a80425fb'
MACHINE, NAMESPACE = '         0          0 4294967295\n', '         0     100000      65536\n'


@pytest.mark.parametrize('capabilities, uid_map, said', [
    (ALL, MACHINE, None), (DOCKER, MACHINE, 'lacks CAP_SYS_ADMIN'), (ALL, NAMESPACE, 'that of a user namespace'),
    (DOCKER, NAMESPACE, 'that of a user namespace'), (ALL, None, None), (DOCKER, None, 'lacks CAP_SYS_ADMIN')])
def test_a_root_that_is_less(tmp_path, capabilities, uid_map, said):
    (tmp_path / 'status').write_text('Name:\tpython3\nCapPrm:\t0\nCapEff:\t%s\nCapBnd:\t0\n' % capabilities)
    if uid_map:  # a kernel without user namespaces has no such file
        (tmp_path / 'uid_map').write_text(uid_map)
    paths = str(tmp_path / 'status'), str(tmp_path / 'uid_map')
    if said is None:
        privileges.check(*paths)
        return
    with pytest.raises(GuardError, match=said + '.*Bring the guard up on the machine itself'):
        privileges.check(*paths)
