# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kind of program is never passed by on which kernel."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.security_hooks import FMOD_RET, LSM, kind

WITH, WITHOUT = ['lockdown', 'capability', 'bpf'], ['lockdown', 'capability']


@pytest.mark.parametrize('release, modules, preempts, chosen', [
    ('5.10.0-46-amd64', WITHOUT, True, FMOD_RET), ('5.11.0', WITH, True, FMOD_RET),
    ('5.14.0-503.el9', WITH, False, FMOD_RET), ('5.15.0', WITHOUT, True, None),
    ('6.1.0-18-amd64', WITH, False, FMOD_RET), ('6.1.0-18-rt', WITH, True, None),
    ('6.2.0', WITH, True, LSM), ('6.12.117+deb13', WITH, False, LSM), ('7.2.13+deb14', WITH, True, LSM),
    ('6.8.0-41-generic', WITHOUT, False, FMOD_RET), ('7.2.13+deb14', WITHOUT, True, None),
    ('7.2.13+deb14', [], True, None)])
def test_the_kind_that_is_never_skipped(release, modules, preempts, chosen):
    assert kind(release, modules, preempts) == chosen
