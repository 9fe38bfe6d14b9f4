# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network controllers of the first cgroups keep their number where a socket keeps its cgroup. Somebody who uses one on the
host, outside, takes no socket out of the guard's reach."""

from __future__ import annotations

import pytest
from controller import Controller
from matrix import policy
from tasks import TRIED, findings, kernels, role, tell

USE = """
for controller in net_cls net_prio; do
  mkdir -p /mnt/$controller && mount -t cgroup -o $controller none /mnt/$controller && mkdir /mnt/$controller/used || echo no $controller
done
echo 7 > /mnt/net_cls/used/net_cls.classid; echo lo 5 > /mnt/net_prio/used/net_prio.ifpriomap
echo $$ > /mnt/net_cls/used/cgroup.procs; echo $$ > /mnt/net_prio/used/cgroup.procs; echo used
"""
GIVE_BACK = "for controller in net_cls net_prio; do rmdir /mnt/$controller/used; umount /mnt/$controller; done"
KNOCK = "bash -c 'true > /dev/udp/192.0.2.10/9' 2> /dev/null && echo passed || echo denied"
PLAY = {"hosts": ",".join(TRIED), "gather_facts": False, "tasks": [
    role("start", ebpf_guard_policy=policy("enforce", hosts=(), paths=())),
    {"name": "Somebody uses them", "register": "used", "ansible.builtin.raw": USE}, tell("USED", "used.stdout_lines"),
    {"name": "Knock", "register": "knocked", "ansible.builtin.shell": KNOCK}, tell("KNOCKED", "knocked.stdout"),
    role("stop"),
    {"name": "And gives them back", "ansible.builtin.raw": GIVE_BACK, "ignore_errors": True},
]}


@pytest.fixture(scope="module")
def told(machines, tmp_path_factory):
    run = Controller(machines, tmp_path_factory.mktemp("old")).playbook([PLAY], timeout=1800, ANSIBLE_TIMEOUT="120")
    print(run)
    return findings(run)


@kernels
def test_sockets_stay_in_the_guards_reach(told, kernel):
    assert told["USED"][kernel][-1] == "used"
    assert told["KNOCKED"][kernel] == "denied"
