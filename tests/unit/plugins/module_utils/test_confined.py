# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What confines a process, as it reads that. By real modules: tests/vm/test_confined_hosts.py."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils import _confined

STAFF = 'staff_u:staff_r:staff_t:s0'
PROFILE, DOCKER = ("AppArmor confines this process by the profile '%s'" % name for name in ('/opt/my tool', 'docker-default'))


@pytest.mark.parametrize('current, own, enforces, seccomp, said', [
    ('unconfined\n', None, None, 0, []),
    ('/opt/my tool (enforce)\n', None, None, 0, [PROFILE]),
    ('/opt/my tool (complain)\n', None, None, 0, []),
    ('flatpak (unconfined)\n', None, None, 0, []),
    (STAFF + '\0', None, '1', 0, ['SELinux is enforcing, this process runs as ' + STAFF]),
    (STAFF + '\0', None, '0', 0, []),
    (STAFF + '\0', 'docker-default (enforce)\n', '1', 0, [DOCKER]),  # two modules at a time
    ('unconfined\n', None, None, 2, ['a seccomp filter is on this process']),
    ('docker-default (enforce)\n', None, None, 2, [DOCKER, '; a seccomp filter is on this process']),
    (None, None, None, 0, [])])
def test_what_is_told(tmp_path, current, own, enforces, seccomp, said):
    for name, text in (('current', current), ('apparmor/current', own), ('enforce', enforces)):
        if text is not None:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
    (tmp_path / 'status').write_text('Name:\tpython3\nSeccomp:\t%d\nSeccomp_filters:\t1\n' % seccomp)
    told = _confined.told(str(tmp_path), str(tmp_path / 'status'), str(tmp_path / 'enforce'))
    assert all(part in told for part in said) and bool(told) == bool(said), told
