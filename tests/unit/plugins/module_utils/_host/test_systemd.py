# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does systemd manage the cgroup tree, and where are a guard's service and a user's sessions then? Run for real: tests/vm."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._host import systemd
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

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
    assert systemd.cgroup_of('deploy', str(tmp_path / 'booted'), str(tmp_path / 'init')) == cgroup, what


@pytest.mark.parametrize('own, cgroup', [
    ('0::/user.slice/user-1001.slice/session-3.scope\n', 'user.slice/user-1001.slice'),
    ('1:name=systemd:/\n0::/user.slice/user-0.slice/session-3.scope\n', 'user.slice/user-0.slice'),
    ('0::/c1/user.slice/user-7.slice/user@7.service/app.slice/x.service\n', 'c1/user.slice/user-7.slice'),
])
def test_the_slice_of_a_session(tmp_path, own, cgroup):
    (tmp_path / 'own').write_text(own)
    assert systemd.slice_of_user(str(tmp_path / 'own')) == cgroup


@pytest.mark.parametrize('own', ['0::/\n', '0::/user.slice\n', '0::/user.slice/user-1001.slice\n', '1:cpu:/\n',
                                 '0::/system.slice/cron.service\n', '1:cpu:/user.slice/user-1.slice/x\n0::/\n'])
def test_no_session(tmp_path, own):
    (tmp_path / 'own').write_text(own)
    with pytest.raises(GuardError, match='systemd-logind.*Use scope: tasks'):
        systemd.slice_of_user(str(tmp_path / 'own'))


@pytest.mark.parametrize('told, number', [
    ('systemd 239 (239-82.el8)\n+PAM +AUDIT\n', 239), ('systemd 257.4-1 (257.4)\n', 257), ('systemd 243', 243),
    ('systemd 256~rc3 (256~rc3)\n', 256), ('', 0), ('v1\n', 0)])
def test_its_version(told, number):
    assert systemd.version(told) == number


OLD = ['Delegate=yes', 'KillMode=process', 'TasksMax=infinity']


@pytest.mark.parametrize('number, known', [
    (0, OLD), (236, OLD), (239, OLD), (240, ['Type=exec'] + OLD), (242, ['Type=exec'] + OLD),
    (243, list(systemd.PROPERTIES)), (257, list(systemd.PROPERTIES))])
def test_what_a_version_knows(number, known):
    assert systemd.properties(number) == known


@pytest.mark.parametrize('number', [219, 229, 235])
def test_one_that_is_too_old(number):
    with pytest.raises(GuardError, match='systemd %d, and .* needs 236 or later' % number):
        systemd.properties(number)
