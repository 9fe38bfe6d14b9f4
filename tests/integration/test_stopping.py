# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy with on_denied: stop. After a denial no further task starts on the host, and the report is complete."""

from __future__ import annotations

import pytest
from controller import REASON, policy, where
from hosts import KILL_AGENT, denied, inside, remains
from names import until

LOADERS = ("libbpf", "bcc")
FLAG = "/run/ebpf_guard/deploy/stopped"
STOPS = policy(deny=[{"id": "github", "reason": REASON, "owner": "db-team", "networks": ["192.0.2.10"]},
                     {"id": "known", "reason": "it is known", "networks": ["192.0.2.11"]}],
               expected=["known"], on_denied="stop")
AWAITED = f"for _time in $(seq 600); do [ -e {FLAG} ] && break; sleep 0.1; done"


def shell(name, line, **more):
    return {"name": name, "ansible.builtin.shell": line, **more}


def further(name, **more):
    return shell(name, f"touch '/tmp/further-{name}'", **more)


def ran(fleet):
    """The further tasks that ran on the host."""
    found = fleet.exec("web1", "sh", "-c", "cd /tmp; ls further-* 2> /dev/null; rm -f further-*; true").stdout.split()
    return [name.partition("-")[2] for name in found]


def test_no_further_task_starts(controller, fleet):
    """Nor the next item of a loop. What nobody is to see of a task stands in no sentence."""
    secret = "http://192.0.2.10/?token=s3cr3t"
    tasks = [
        shell("Expected", "curl -s --max-time 5 http://192.0.2.11/ || true; sleep 0.5"), further("first"),
        {"block": [shell("Reach", f"curl -s --max-time 5 {secret} || true; {AWAITED}; touch /tmp/further-{{{{ item }}}}",
                         loop=["reached", "again"], no_log=True),
                   further("second")],
         "rescue": [shell("Tell", "true", ignore_errors=True, register="told"),
                    {"name": "Told", "ansible.builtin.debug": {"msg": "TOLD {{ told.msg | to_json }}"}},
                    further("third", become=True, become_user="deploy", ignore_errors=True)],
         "always": [{"name": "Reached", "ansible.builtin.debug": {"msg": "ALWAYS 1"}}, further("fourth")]}]
    run = controller.guarded(tasks, "-v", policy=STOPS, after=[{**further("after"), "when": "true"}]).ended(2)
    told, = run.values("TOLD")
    assert told.startswith("ebpf_guard: this task was not run, because guard 'deploy' denied 192.0.2.10:80/tcp to curl (process "), run
    assert told.endswith("which its policy does not expect, and the policy says on_denied: stop. "
                         f"Rule 'github' (db-team): {REASON}. ebpf_guard_info tells more."), told
    run.said("Guard 'deploy' denied what the policy does not expect:", "in the task 'Reach'", "DENIED (expected)")
    assert run.values("ALWAYS") == [1] and "s3cr3t" not in run.output, run
    assert ran(fleet) == ["first", "reached"] and remains(fleet) == [], run


def test_jobs_that_began_before_are_waited_for(controller, fleet):
    """With pipelining, and (here with BCC) without. The job of `Fire` is another user's."""
    job = f"curl -s --max-time 5 http://192.0.2.10/ || true; {AWAITED}; sleep 1.5; touch /tmp/further-reached; echo whole"
    as_deploy = {"become": True, "become_user": "deploy"}
    tasks = [
        {"block": [shell("Fire", f"{AWAITED}; touch /tmp/further-fired", **as_deploy, register="fired", **{"async": 300, "poll": 0}),
                   shell("Reach", job, environment={"STAGE": "test"}, register="reached", **{"async": 300, "poll": 1}),
                   {"name": "Told", "ansible.builtin.debug": {"msg": "TOLD {{ reached.stdout_lines | to_json }}"}},
                   further("second")],
         "always": [{"name": "Wait", "ansible.builtin.async_status": {"jid": "{{ fired.ansible_job_id }}"}, **as_deploy,
                     "register": "waited", "until": "waited.finished", "retries": 100, "delay": 0.2},
                    {"name": "Told", "ansible.builtin.debug": {"msg": "TOLD {{ [waited.finished | int] | to_json }}"}},
                    further("third", **{"async": 300, "poll": 1})]}]
    run = controller.guarded(tasks, policy=STOPS, ANSIBLE_PIPELINING=str(controller.loader == "libbpf")).ended(2)
    assert [told[-1] for told in run.values("TOLD")] == ["whole", 1], run
    assert ran(fleet) == ["fired", "reached"], run


@pytest.mark.libbpf
def test_without_an_agent_the_end_judges(controller, fleet):
    lost = f"rm /run/ebpf_guard/deploy/agent/code.zip; {KILL_AGENT}; curl -s --max-time 5 http://192.0.2.10/ || true"
    controller.guarded([shell("Lost", lost), further("second")], policy=STOPS).ended(2).said("denied what the policy does not expect")
    assert ran(fleet) == ["second"] and remains(fleet) == []


@pytest.mark.libbpf
def test_another_run_begins_anew(controller, fleet):
    controller.call("ebpf_guard", policy=STOPS)
    assert denied(fleet) and until(lambda: fleet.exec("web1", "test", "-e", FLAG, check=False).returncode == 0, 60)
    assert inside(fleet, "true", check=False).returncode == 97
    again = controller.call("ebpf_guard", policy=STOPS)  # a call alone is no other run: what was denied still counts
    assert not again["changed"] and inside(fleet, "true", check=False).returncode == 97
    run = controller.guarded([*where(), shell("Wait", "sleep 1"), *where()], policy=STOPS).ended(0)
    assert len(run.values("WHERE")) == 2, run
