# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does systemd manage the cgroup tree, and where is a guard's service then? What it does there: tests/vm."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils import _systemd

SERVICE = '/system.slice/ebpf_guard-deploy.service'


@pytest.mark.parametrize('what, booted, init, cgroup', [
    ('unified', True, '0::/init.scope\n', SERVICE),
    ('hybrid', True, '2:pids:/init.scope\n1:name=systemd:/init.scope\n0::/init.scope\n', SERVICE),
    ('legacy', True, '1:name=systemd:/init.scope\n0::/\n', ''),
    ('in a container that shows the tree of its host', True, '0::/machine.slice/c1/init.scope\n',
     '/machine.slice/c1' + SERVICE),
    ('another init', False, '0::/\n', ''),
    ('systemd of the host, seen from a container', False, '0::/init.scope\n', ''),
    ('in another service manager', True, '0::/init.scope/more\n', ''),
    ('without /proc', True, None, ''),
])
def test_where_the_service_is(tmp_path, what, booted, init, cgroup):
    if booted:
        (tmp_path / 'booted').mkdir()
    if init is not None:
        (tmp_path / 'init').write_text(init)
    assert _systemd.cgroup_of('deploy', str(tmp_path / 'booted'), str(tmp_path / 'init')) == cgroup, what
