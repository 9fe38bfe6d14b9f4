# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a guard: one that stands from an earlier run, two runs at once, and two names of one machine."""

from __future__ import annotations

import pytest
import yaml
from controller import guarded_play, policy, reach, where
from hosts import denied
from names import until


def another(controller, plays, name, *arguments):
    """A task: another run, while this one goes on."""
    return [{"name": name, "ansible.builtin.command": {"argv": [
        str(controller.bin / "ansible-playbook"), str(controller.write(plays)), *arguments]}, "delegate_to": "localhost",
        "vars": {"ansible_connection": "local"}, "register": "other", "failed_when": False},
        {"name": "Tell", "ansible.builtin.debug": {"msg": "OTHER {{ [other.rc, other.stdout] | to_json }}"}}]


@pytest.mark.shape("a run is killed, and another one comes",
                   "it takes the guard over, says so, and is not blamed for what was before")
def test_a_guard_of_a_killed_run_is_taken_over(controller, fleet):
    fleet.exec("web1", "rm", "-f", "/tmp/denied", "/tmp/go-on")
    killed = controller.start([guarded_play(controller, [*reach("tcp", "192.0.2.10"), {
        "name": "Long", "ansible.builtin.shell": "touch /tmp/denied; until [ -e /tmp/go-on ]; do sleep 0.1; done"}])])
    until(lambda: fleet.exec("web1", "test", "-e", "/tmp/denied", check=False).returncode == 0, 60)
    killed.kill()
    fleet.exec("web1", "touch", "/tmp/go-on")
    killed.communicate()
    run = controller.guarded(where())
    run.ended(0).said("1 access denied before this run", "before this run:", "DENIED (earlier)")
    warned = " ".join(run.output.split())  # before ansible-core 2.19 warnings are wrapped
    assert "Guard 'deploy' stands from an earlier run: up since 2" in warned and "with 1 access denied." in warned, run
    assert run.values("WHERE") == ["web1 0::/ebpf_guard/deploy"]


def test_what_was_before_counts_where_it_is_asked_for_and_fresh_starts_anew(controller, fleet):
    """An ad-hoc call leaves its guard up on purpose, and its run is over."""
    first = controller.call("ebpf_guard", policy=policy())
    assert denied(fleet)
    run = controller.guarded([], variables={"ebpf_guard_fail_on_earlier": True})
    run.ended(2).said("denied what the policy does not expect", "(ad-hoc)")
    first = controller.call("ebpf_guard", policy=policy())
    assert denied(fleet)
    again = controller.call("ebpf_guard", policy=policy(), fresh=True)
    assert again["guard"]["started_at"] > first["guard"]["started_at"] and again["denied"] == []
    assert [record["address"] for record in again["collected"]["denied"]] == ["192.0.2.10"]
    assert denied(fleet)
    taken = controller.call("ebpf_guard", policy=policy())  # so is each call: it takes nothing over
    assert taken["counters"]["connect"]["denied"] == 1 and "earlier" not in taken["denied"][0]
    controller.call("ebpf_guard", state="absent", fail_on_denied=False)


@pytest.mark.shape("two runs on one host with one guard",
                   "the second is refused with who holds it, or shares it where it says so")
def test_two_runs_at_once(controller, fleet):
    other = [guarded_play(controller, where())]
    shared = [guarded_play(controller, [*where(), *reach("tcp", "192.0.2.10")], variables={"ebpf_guard_share": True})]
    broken = [guarded_play(controller, where(), policy="nowhere.yml")]
    run = controller.guarded([*another(controller, other, "Not shared"), *another(controller, broken, "Broken"),
                              *another(controller, shared, "Shared"), *where()])
    refused, failed, joined = run.values("OTHER")
    assert failed[0] == 2 and "There is no policy file" in failed[1] and "GUARD" not in failed[1], failed
    assert refused[0] == 2 and "is held by another run" in refused[1] and "Nothing was changed" in refused[1], refused
    assert "WHERE" not in refused[1] and "GUARD LEFT UP" not in refused[1], refused
    assert joined[0] == 2 and "WHERE web1 0::/ebpf_guard/deploy" in joined[1].replace('\\"', ''), joined[1]
    assert "it stays up, shared with others" in joined[1] and "1 access denied" in joined[1], joined[1]
    assert run.values("WHERE") == ["web1 0::/ebpf_guard/deploy"], run
    run.ended(2).said("GUARD deploy on web1 [enforce]: 1 access denied")  # its guard, so it is told as well


@pytest.mark.shape("several names of the inventory are one machine",
                   "each of them that has no guard of its own is refused by name")
def test_two_names_of_one_machine(controller, fleet):
    inventory = yaml.safe_load(fleet.inventory.read_text())
    hosts = inventory["fleet"]["hosts"]
    hosts.update(db1=dict(hosts["web1"]), db2=dict(hosts["web1"]))
    both = controller.write(inventory)
    run = controller.guarded(where(), "-i", str(both), hosts="db1:db2")
    run.ended(2).said("is the same machine as db", "which holds guard 'deploy' in this run")
    assert len(run.values("WHERE")) == 1, run
    tries = {**reach("tcp", "192.0.2.10")[0], "when": "inventory_hostname == 'db2'"}
    run = controller.guarded([tries, *where()], "-i", str(both), hosts="db1:db2", variables={"ebpf_guard_share": True})
    run.ended(2).said("shared with others: what is denied may be of any of them")
    assert len(run.values("WHERE")) == 2, run
    own = {"ebpf_guard_name": "deploy-{{ inventory_hostname }}"}
    controller.guarded(where(), "-i", str(both), hosts="db1:db2", variables=own).ended(0)
