# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One guarded command, for CI/CD: the playbook, and the script that does the same on one host without Ansible words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from controller import COLLECTIONS, policy
from hosts import remains

SCRIPT = COLLECTIONS / "ansible_collections/loopbreak/deploy/scripts/guarded-deploy.sh"
DENIED = "curl -s http://192.0.2.10/ || true"
# command, exit status of the run, what is printed
ENDS = [
    ("true", 0, ["GUARD deploy on {host} [enforce]: clean"]),
    ("exit 1", 1, ["COMMAND on {host}: exit status 1", "exit status 1: that of the command on {host}"]),
    ("exit 2", 2, ["exit status 2: that of the command on {host}"]),
    ("exit 42", 42, ["exit status 42: that of the command on {host}"]),
    ("kill -TERM $$", 143, ["exit status 143: that of the command on {host}"]),
    (DENIED, 2, ["GUARD deploy on {host} [enforce]: 1 access denied", "DENIED  192.0.2.10:80/tcp", "(rule github)",
                 "task     Run the command\n", "exit status 2: accesses were denied on {host}"]),
    (f"{DENIED}; exit 42", 2, ["COMMAND on {host}: exit status 42", "exit status 2: accesses were denied on {host}"]),
]


@pytest.fixture
def ci(controller):
    """A pipeline's working directory, with a policy in it."""
    (controller.directory / "policies").mkdir()
    (controller.directory / "policies" / "p.yml").write_text(yaml.safe_dump(policy()))
    return controller


def run(ci, command, *arguments, hosts="web1", **environment):
    return ci.shipped("run", "-e", "ebpf_guard_policy=policies/p.yml", "-e", f"ebpf_guard_hosts={hosts}",
                      "-e", json.dumps({"ebpf_guard_command": command}), *arguments, **environment)


def script_environment(ci):
    """Ansible's own variables, as few as a pipeline has."""
    config = yaml.safe_load(ci.fleet.inventory.read_text())["fleet"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {**kept, "PATH": f"{ci.bin}:{os.environ['PATH']}", "ANSIBLE_HOME": ci.environment["ANSIBLE_HOME"],
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",  # as on a host without other ones in its PATH
            "ANSIBLE_SSH_COMMON_ARGS": config["vars"]["ansible_ssh_common_args"],
            "ANSIBLE_SSH_CONTROL_PATH_DIR": ci.environment["ANSIBLE_SSH_CONTROL_PATH_DIR"], "TMPDIR": str(ci.directory)}


def address(ci, host="web1"):
    return yaml.safe_load(ci.fleet.inventory.read_text())["fleet"]["hosts"][host]["ansible_host"]


def script(ci, *arguments, environment=None):
    return subprocess.run([SCRIPT, *arguments], cwd=ci.directory, env=environment or script_environment(ci), timeout=300,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)


@pytest.mark.parametrize("command, status, said", ENDS)
def test_the_run_ends_as_the_command_does(ci, command, status, said):
    """The playbook on one host, and meanwhile the script on another."""
    host = address(ci, "web2")
    with ThreadPoolExecutor() as pool:
        scripted = pool.submit(script, ci, "--policy", "policies/p.yml", f"root@{host}", "--", command)
        run(ci, command).ended(status).said(*(text.format(host="web1") for text in said))
    done, told = scripted.result(), scripted.result().stderr.decode()
    assert (done.returncode, done.stdout) == (status, b""), told
    assert not [text for text in said if text.format(host=host) not in told], told
    assert not list(ci.directory.glob("tmp.*")), "its temporary directory is left"


@pytest.mark.cores
def test_of_several_hosts_the_highest_status_counts_and_output_is_as_it_was(ci):
    command = ("printf '{\"a\": \"%s\"}\\n\\n' \"$WHO\"; pwd; id -un; hostname; echo 'a\tb' >&2; "
               "case $(hostname) in web2) exit 7 ;; web3) exit 3 ;; esac")
    told = run(ci, command, "-e", "ebpf_guard_chdir=/var/tmp", "-e", "ansible_user=deploy",
               "-e", '{"ebpf_guard_environment": {"WHO": "ci"}}', hosts="all").ended(7)
    for host, status in (("web1", 0), ("web2", 7), ("web3", 3)):
        told.said(f'COMMAND on {host}: exit status {status}\n{{"a": "ci"}}\n\n/var/tmp\ndeploy\n{host}\na\tb\n')
    told.said("exit status 7: that of the command on web2")


def test_become_runs_it_as_root(ci):
    run(ci, "id -un", "--become", "-e", "ansible_user=deploy").ended(0).said("exit status 0\nroot\n")


@pytest.mark.parametrize("arguments, environment, status, said", [
    (["-e", "ebpf_guard_chdir=/nowhere"], {}, 2, "Unable to change directory"),
    ([], {"ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.tree"}, 2, "The callback loopbreak.deploy.ebpf_guard is not enabled"),
    (["-e", "ansible_port=1"], {}, 4, "UNREACHABLE"),
    (["-e", "ebpf_guard_policy=none.yml"], {}, 2, "then in the working directory"),
    (["-e", "ebpf_guard_mode=strict"], {}, 2, "strict"),
    (["--check"], {}, 0, "changed="),
    (["-e", "ebpf_guard_hosts=nobody"], {}, 2, "exit status 2: the command was run on no host"),
])
def test_what_does_not_run_does_not_look_as_if_it_had(ci, arguments, environment, status, said):
    assert "COMMAND on" not in run(ci, "exit 5", *arguments, **environment).ended(status).said(said).output


def test_the_script_passes_words_and_bytes_on_as_they_are(ci):
    words = ["printf", r"%s|\377\n", "it's", "{{ none }} $HOME", "a  b\nc", '"', ""]
    done = script(ci, "-p", "policies/p.yml", "-m", "monitor", "-n", "ci", "-C", "/", "-b", f"deploy@{address(ci)}",
                  "--", *words)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b"".join(word.encode() + b"|\xff\n" for word in words[2:])
    assert b"GUARD ci on" in done.stderr and b"[monitor]" in done.stderr


def test_the_script_on_the_machine_itself(ci):
    """Where the pipeline's runner is the host: no SSH, in the working directory. This one is real: its name is its own."""
    name = f"run-{os.getpid()}"
    done = script(ci, "-p", "policies/p.yml", "-n", name, "localhost", "--", "head -c 8 policies/p.yml; exit 9")
    assert (done.returncode, done.stdout) == (9, b"deny:\n- "), done.stderr.decode()
    assert f"GUARD {name} on localhost [enforce]: clean" in done.stderr.decode()


@pytest.mark.parametrize("arguments, status, said", [
    (["--help"], 0, "Usage: guarded-deploy.sh"),
    ([], 2, "no host was given"),
    (["-p", "policies/p.yml", "web1"], 2, "no command was given"),
    (["-p", "policies/p.yml", "web1", "make"], 2, "'make' stands where -- and the command should"),
    (["web1", "--", "make"], 2, "no policy was given"),
    (["-p", "gone.yml", "web1", "--", "make"], 2, "the policy file 'gone.yml' can't be read"),
    (["-p"], 2, "-p needs a value"),
    (["--polcy", "x", "web1", "--", "make"], 2, "there is no option --polcy"),
    (["-p", "policies/p.yml", "web1:22:x", "--", "make"], 2, "is no host"),
    (["-p", "policies/p.yml", "we'b", "--", "make"], 2, "is no host"),
    (["-p", "policies/p.yml", "@web1", "--", "make"], 2, "is no host"),
])
def test_the_script_tells_what_is_wrong_with_its_call(ci, arguments, status, said):
    done = script(ci, *arguments)
    assert done.returncode == status and said in (done.stdout if status == 0 else done.stderr).decode(), done


def test_a_script_that_is_stopped_puts_its_things_away_and_leaves_the_guard(ci, fleet):
    fleet.exec("web1", "mkfifo", "/tmp/begun")
    call = [SCRIPT, "-p", "policies/p.yml", f"root@{address(ci)}", "--", "echo yes > /tmp/begun; sleep 60"]
    going = subprocess.Popen(call, cwd=ci.directory, env=script_environment(ci), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    try:
        assert fleet.exec("web1", "cat", "/tmp/begun").stdout == "yes\n"
        going.send_signal(signal.SIGTERM)
        told = going.communicate(timeout=60)[1].decode()
    finally:
        going.kill()
        fleet.exec("web1", "rm", "/tmp/begun")
    assert going.returncode == 143 and "its guard 'deploy' is left up" in told, told
    assert not list(ci.directory.glob("tmp.*")) and remains(fleet)
    ci.call("ebpf_guard", state="absent")
