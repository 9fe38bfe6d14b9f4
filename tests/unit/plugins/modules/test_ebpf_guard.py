# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module says where it fails."""

from __future__ import annotations

from records import EXEC, FILE, denial, path_of

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records
from ansible_collections.loopbreak.deploy.plugins.modules import ebpf_guard


def test_why_a_host_fails_for_files():
    names = [(FILE, b'/mnt/artifacts/list'), (EXEC, b'/mnt/artifacts/tool'), (FILE, b'/mnt/artifacts/list'), (FILE, b'')]
    denied = [denial(endpoint=endpoint, name=path_of(name)) for endpoint, name in names]
    assert list(ebpf_guard.sentences_by_rule(denied)) == [
        'Access to /mnt/artifacts/list, 6 times; execution of /mnt/artifacts/tool, 3 times; '
        "access to %s, 3 times, by rule 'github': it runs on this." % records.NO_PATH]
