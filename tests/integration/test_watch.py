# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody watches guards of several hosts while they are up: a line for each denial and each new endpoint, as it happens."""

from __future__ import annotations

import re

from controller import policy
from hosts import denied, inside

WATCH = [{"ansible.builtin.import_playbook": "loopbreak.deploy.watch"}]


def test_a_guard_is_watched_until_it_is_down(controller, fleet):
    controller.call("ebpf_guard", policy=policy("drill"), observe=True)
    assert denied(fleet)
    watching = controller.start(WATCH, "-e", "ebpf_guard_hosts=web1:web2")
    told = []

    def read_until(pattern):
        for line in watching.stdout:
            told.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError("".join(told))

    try:
        read_until(r"^\d\d:\d\d:\d\d web1 DRILL +192.0.2.10:80/tcp  1 time  curl -s .*\(rule \w+\)$")
        assert denied(fleet)
        read_until(r"web1 DRILL +192.0.2.10:80/tcp  1 time  curl")
        inside(fleet, "bash", "-c", "exec 3<> /dev/udp/198.51.100.7/9")
        read_until(r"web1 REACHED +198.51.100.7:9/udp  1 time  bash")
        assert denied(fleet)
        last = controller.call("ebpf_guard", state="absent", fail_on_denied=False)
        assert sum(record["count"] for record in last["denied"]) == 3
        read_until(r"^web1 the guard is down$")
        told.append(watching.stdout.read())
        assert watching.wait(60) == 0
    finally:
        watching.kill()
        watching.wait()
    text = "".join(told)
    assert text.count("web1 DRILL") == 3 and text.count("web2 has no such guard") == 1, text
