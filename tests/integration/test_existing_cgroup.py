# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`cgroup`: a cgroup that is there, such as a service's, is guarded where it is, and left as it was found."""

from __future__ import annotations

import subprocess

import pytest
from controller import guarded_play, policy, where

SERVICE = "/sys/fs/cgroup/unified/site/service"
# Asks at each line of its input whether it is denied; what a service does while a guard comes and goes.
KNOCK = r"""
import errno, socket, sys
for line in sys.stdin:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knock:
        print(errno.errorcode.get(knock.connect_ex(("192.0.2.10", 9)), "ok"), flush=True)
"""


class Service:
    """A process in a cgroup that is not the collection's."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.start()

    def start(self):
        self.process = self.fleet.popen(
            "web1", "sh", "-c", f'mkdir -p {SERVICE} && echo $$ > {SERVICE}/cgroup.procs && exec "$@"', "sh",
            "/usr/bin/python3", "-uc", KNOCK, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.knock()

    def knock(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def listing(self):
        return self.fleet.exec("web1", "sh", "-c", f"find {SERVICE} -type d; cat {SERVICE}/cgroup.procs").stdout.split()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.fleet.exec("web1", "sh", "-c", f"until rmdir {SERVICE}; do sleep 0.01; done")


@pytest.fixture
def service(fleet):
    service = Service(fleet)
    yield service
    service.stop()
    fleet.exec("web1", "rmdir", SERVICE.rpartition("/")[0])


def test_it_is_guarded_in_place_and_left_as_it_was(controller, fleet, service):
    def refused(*fragments, **options):
        _results, run = controller.adhoc("ebpf_guard", {"policy": policy(), **options})
        run.ended(2).said(*fragments)
    before = service.listing()
    refused("limits bound a cgroup of the guard alone", policy=policy(limits={"pids": 9}), cgroup="site/service")
    up = controller.call("ebpf_guard", policy=policy("drill"), cgroup="site/service")
    assert up["guard"]["cgroup"] == SERVICE and up["guard"]["launcher"] is None
    assert service.knock() in ("EACCES", "EPERM") and service.listing() == before
    assert not controller.call("ebpf_guard", policy=policy("drill"), cgroup="site/service")["changed"]
    refused("guard 'deploy'", "no process can be in two guards", name="other", cgroup="site")
    refused("is up, at the cgroup", "state=absent")
    wider = policy("drill")
    wider["deny"][0]["networks"] = ["198.51.100.0/24"]
    assert controller.call("ebpf_guard", policy=wider, cgroup="site/service")["changed"]
    assert service.knock() == "ok"
    down = controller.call("ebpf_guard", state="absent")
    assert service.knock() == "ok" and service.listing() == before and down["left_running"] == []
    assert [record["pid"] for record in down["denied"]] == [service.process.pid]


def test_the_role_leaves_tasks_outside(controller, service):
    play = guarded_play(controller, where(), policy("enforce"), variables={"ebpf_guard_cgroup": "site/service"})
    run = controller.playbook([play])
    run.ended(0).said("GUARD deploy on web1 [enforce]: clean")
    assert run.values("WHERE") == ["web1 0::/"] and service.knock() == "ok", run


def test_a_restart_of_the_service_is_told_and_mended(controller, fleet, service):
    controller.call("ebpf_guard", policy=policy("drill"), cgroup="site/service")
    service.stop()
    _results, run = controller.adhoc("ebpf_guard", {"policy": policy("drill"), "cgroup": "site/service"})
    run.ended(2).said("there is no cgroup")
    service.start()
    assert service.knock() == "ok"
    [found] = controller.call("ebpf_guard_info")["guards"]
    assert any(f"{SERVICE} was removed and made anew" in fault for fault in found["faults"]), found
    assert controller.call("ebpf_guard", policy=policy("drill"), cgroup="site/service")["repaired"]
    assert service.knock() in ("EACCES", "EPERM")
    assert controller.call("ebpf_guard", state="absent")["faults"]
