# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a real server serves for a denied host, the guard denies: both get the same heads."""

from __future__ import annotations

import random
import tempfile

import heads
import http_servers
import pytest
from first_bytes import verdicts
from workbench import child

SEED, GENERATED = 14, 250


@pytest.mark.timeout(900)
def test_what_a_server_serves_for_a_denied_host_is_denied(guards):
    """Each head goes to all servers outside the guard first. Those that one of them serves are then tried inside."""
    chance = random.Random(SEED)
    tried = heads.odd_in_one_place() + [heads.generated(chance) for _head in range(GENERATED)]

    def serve():
        with tempfile.TemporaryDirectory() as directory, http_servers.servers(directory) as ports:
            return http_servers.served(ports, tried)

    told = child(serve, patience=600)
    counts = {name: sum(name in names for names in told) for name in http_servers.ALL}
    assert min(counts.values()) > 4, counts  # else these servers compare nothing
    served = [(head, names) for head, names in zip(tried, told) if names]
    assert 250 < len(served) < len(tried)
    guard = guards(deny=[('closed', ['.closed.test'])])
    cuts = [chance.randrange(1, len(head)) for head, _names in served]
    whole = verdicts(guard, [[head] for head, _names in served])
    pieces = verdicts(guard, [[head[:cut], head[cut:]] for (head, _names), cut in zip(served, cuts)])
    assert [(head, names, said) for (head, names), *said in zip(served, whole, pieces) if said != ['denied'] * 2] == []
