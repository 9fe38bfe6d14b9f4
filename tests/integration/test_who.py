# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who did it: the commands that led to a denial, and the task, its role and its line, also of what outlives its task."""

from __future__ import annotations

import re

import pytest
from controller import policy
from hosts import inside

LOADERS = ("libbpf", "bcc")
HERE = "/srv/chain"
# A deployment as they are: a script, make, a tool, curl. Its parts tell nothing of the endpoint.
SCRIPTS = {
    "deploy.sh": """#!/bin/sh
cd /srv/chain
case $1 in
  lives) make ;;
  becomes) exec make ;;
  ends) trap '' HUP; DEPLOY=$$; export DEPLOY; make > /dev/null 2>&1 & ;;
esac
""",
    "tool": """#!/bin/sh
while [ -n "$DEPLOY" ] && kill -0 "$DEPLOY" 2> /dev/null; do sleep 0.1; done
while [ -n "$GATE" ] && [ ! -e "$GATE" ]; do sleep 0.1; done
curl -s http://192.0.2.10/
touch "$GATE.done"
""",
    "Makefile": "all:\n\t./tool update\n",
}
CHAIN = ["./tool update", "make", "/bin/sh ./deploy.sh %s"]


@pytest.fixture
def chain(fleet):
    for name, content in SCRIPTS.items():
        fleet.exec("web1", "sh", "-ec", f'mkdir -p {HERE}; cat > "{HERE}/$0"; chmod +x "{HERE}/$0"', name, input=content)
    yield HERE
    fleet.exec("web1", "rm", "-r", HERE)


def deploy(how, gate, **task):
    return {"name": f"Deploy, whose script {how}", "ansible.builtin.command": {"cmd": f"./deploy.sh {how}", "chdir": HERE},
            "environment": {"GATE": f"{HERE}/{gate}"}, "changed_when": True, **task}


def let(gate):
    """A task that lets what waits at a gate go on, and waits until it is done."""
    return {"name": f"Wait for {gate}", "changed_when": False, "ansible.builtin.shell":
            f"touch {HERE}/{gate}; timeout 60 sh -c 'until [ -e {HERE}/{gate}.done ]; do sleep 0.1; done'"}


def rows(run):
    """{label: text, or texts} of each denial that the callback printed."""
    found = []
    for part in re.split(r"^  DENIED .*\n", run.output, flags=re.M)[1:]:
        row = {}
        for line in part.splitlines():
            if not line.startswith("    "):
                break
            label = line[4:12].strip() or label
            row.setdefault(label, []).append(line[13:])
        found.append(row)
    return found


def test_each_denial_is_of_its_task_and_tells_the_commands_that_led_to_it(controller, chain):
    """With pipelining; what is asynchronous goes without it, always."""
    tasks = controller.directory / "roles" / "mysql" / "tasks"
    tasks.mkdir(parents=True)
    content = [deploy("lives", "one"), deploy("becomes", "two"), deploy("ends", "three"), let("three"),
               deploy("lives", "four", **{"async": 100, "poll": 0}), let("four"),
               deploy("becomes", "five", **{"async": 100, "poll": 1})]
    for task in (content[0], content[1], content[6]):
        del task["environment"]  # these wait for nothing
    controller.write(content).rename(tasks / "main.yml")
    play = {"hosts": "web1", "gather_facts": False, "tasks": [{
        "name": "Guarded", "ansible.builtin.include_role": {"name": "loopbreak.deploy.ebpf_guard"},
        "vars": {"ebpf_guard_policy": policy(), "ebpf_guard_roles": ["mysql"]}}]}
    run = controller.playbook([play])
    run.ended(2).said("5 accesses denied")
    lines = dict(enumerate((tasks / "main.yml").read_text().splitlines(), 1))
    told = rows(run)
    assert [row["task"][0].partition(" (")[0] for row in told] == [
        f"mysql : Deploy, whose script {how}" for how in ("lives", "becomes", "ends", "lives", "becomes")]
    starts = []
    for row, how in zip(told, ("lives", "becomes", "ends", "lives", "becomes")):
        place = re.search(r"\(roles/mysql/tasks/main\.yml:(\d+)\)$", " ".join(row["task"]))
        assert lines[int(place[1])] == f"- name: Deploy, whose script {how}", run
        starts.append(int(place[1]))
        assert row["command"] == ["curl -s http://192.0.2.10/"] and "until" not in row, run
        assert row["ancestry"][:3] == ["sh ./tool update", "make", f"sh ./deploy.sh {how}"], run
        assert any("python" in parent for parent in row["ancestry"][3:]), run
    assert starts == sorted(starts) and len(set(starts)) == 5, run
    assert any("async_wrapper.py j" in parent for parent in told[3]["ancestry"]), run


def test_the_result_has_pids_and_whole_commands(controller, fleet, chain):
    controller.call("ebpf_guard", policy=policy())
    for how in ("lives", "becomes", "ends"):
        inside(fleet, "sh", "-c", f"cd {HERE} && GATE={HERE}/{how}; export GATE; touch $GATE; ./deploy.sh {how}; "
               "until [ -e $GATE.done ]; do sleep 0.1; done")
    report = controller.call("ebpf_guard", state="absent", fail_on_denied=False)
    for record, how in zip(report["denied"], ("lives", "becomes", "ends"), strict=True):
        tool, make, script, *launched = record["ancestry"]
        assert [tool["command"], make["command"], script["command"]] == ["/bin/sh ./tool update", "make",
                                                                         f"/bin/sh ./deploy.sh {how}"]
        assert (make["pid"] == script["pid"]) == (how == "becomes")
        # the first that the launcher started became the second, by `exec`
        assert [one["command"].split(" ", 2)[:2] for one in launched] == [["sh", "-c"], ["/bin/sh", "-c"]]
        assert launched[0]["pid"] == launched[1]["pid"] and record["entered"] < record["first_seen"]


SCRIPTS_AT_ONCE, EACH = 20, 10
SWARM = """
cd $(mktemp -d)
cat > tool <<'END'
#!/bin/bash
read go <&3
: 2> /dev/null > /dev/udp/192.0.2.10/$1
true
END
for n in $(seq 20); do
  case $((n % 3)) in 0) end=wait ;; 1) end=true ;; 2) end='exec sleep 0' ;; esac
  echo "for port in \\$(seq $((n * 10)) $((n * 10 + 9))); do ./tool \\$port & done; $end" > deploy-$n
done
chmod +x tool
mkfifo gate
for n in $(seq 20); do sh deploy-$n 3< gate & done
exec 4> gate     # opens once all read
until [ $(pgrep -fc '^/bin/bash ./tool [0-9]+$') = 200 ]; do sleep 0.1; done
exec 4>&-        # ends what they read: now all at once
wait
while pgrep -f '^/bin/bash ./tool [0-9]+$' > /dev/null; do sleep 0.1; done
rm -r $PWD
"""


def test_200_processes_that_are_denied_at_once_are_told_apart(controller, fleet):
    controller.call("ebpf_guard", policy=policy())
    inside(fleet, "bash", "-c", SWARM)
    report = controller.call("ebpf_guard", state="absent", fail_on_denied=False)
    assert report["counters"]["connect"]["denied"] == SCRIPTS_AT_ONCE * EACH
    told = {record["port"]: record for record in report["denied"]}
    assert sorted(told) == list(range(EACH, EACH + SCRIPTS_AT_ONCE * EACH)) and len(report["denied"]) == len(told)
    scripts = {}
    for port, record in told.items():
        assert (record["count"], record["command"]) == (1, f"/bin/bash ./tool {port}")
        assert record["ancestry"][0]["command"] == f"sh deploy-{port // EACH}"
        scripts.setdefault(record["ancestry"][0]["pid"], []).append(port // EACH)
    assert sorted(set(map(tuple, scripts.values()))) == [(number,) * EACH for number in range(1, SCRIPTS_AT_ONCE + 1)]
    assert len({record["pid"] for record in told.values()}) == len(told)
