# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller of the tests: runs the real ansible-playbook and ansible against the fleet, as a user does."""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / "build" / "collections"
FILES = Path(__file__).resolve().parent / "files"
BIN = Path(sys.executable).parent
ADHOC_LINE = re.compile(r"^(\S+) \| (\w+)!? => (\{.*?^\})$", re.M | re.S)
GUARD_NETS = ["192.0.2.0/24", "2001:db8:2::/48"]
REASON = "github.com runs on the database that this play deploys"


def policy(mode="enforce", **changes):
    """The policy that most tests use: github.com's networks are denied."""
    rule = {"id": "github", "reason": REASON, "owner": "db-team", "networks": GUARD_NETS}
    return {"version": 1, "mode": mode, "deny": [rule], **changes}


class Run:
    """What a command printed, its exit status and how long it took."""

    def __init__(self, argv, status, output, seconds):
        self.argv, self.status, self.output, self.seconds = argv, status, output, seconds

    def __repr__(self):
        return f"exit status {self.status} after {self.seconds:.1f} s:\n{self.output}"

    def said(self, *fragments):
        missing = [fragment for fragment in fragments if fragment not in self.output]
        assert not missing, f"not printed: {missing}\n{self}"
        return self

    def ended(self, status):
        assert self.status == status, f"expected exit status {status}, but {self}"
        return self

    def values(self, mark):
        """What tasks printed as `mark JSON`, as debug messages: one value a line."""
        return [json.loads(json.loads(f'"{text}"'))
                for text in re.findall(rf'"msg": "{mark} (.*)"', self.output)]


class Controller:
    bin = BIN  # another version of ansible-core may stand there

    def __init__(self, fleet, directory: Path, collections: Path = COLLECTIONS, loader: str | None = None):
        """`loader`: for guards that do not say which."""
        self.fleet, self.directory, self.loader = fleet, directory, loader
        directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY": str(fleet.inventory), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORKS": "10",
            "ANSIBLE_CALLBACKS_ENABLED": "loopbreak.deploy.ebpf_guard", "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_HOME": str(directory / "ansible-home"), "ANSIBLE_SSH_CONTROL_PATH_DIR": f"/tmp/lbt{os.getpid()}",
            "ANSIBLE_GATHERING": "explicit", "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
        }
        (directory / "ansible.cfg").write_text("")
        self.numbers = itertools.count(1)

    def _run(self, argv, environment, timeout, input=""):
        began = time.monotonic()
        done = subprocess.run([str(part) for part in argv], cwd=self.directory, timeout=timeout, text=True,
                              input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**self.environment, **environment}, check=False)
        return Run(argv, done.returncode, done.stdout, time.monotonic() - began)

    @functools.cached_property
    def core(self):
        """The version of ansible-core, as a tuple."""
        said = subprocess.run([self.bin / "ansible-playbook", "--version"], check=True, text=True, capture_output=True).stdout
        return tuple(int(part) for part in re.search(r"core ([\d.]*\d)", said)[1].split("."))

    def start(self, plays, *arguments, **environment):
        """An ansible-playbook in the background, for tests that look while it runs."""
        return subprocess.Popen([str(self.bin / "ansible-playbook"), str(self.write(plays)), *arguments],
                                cwd=self.directory, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, env={**self.environment, **environment})

    def playbook(self, plays, *arguments, timeout=300, input="", **environment):
        """`input`: what a person types."""
        return self._run([self.bin / "ansible-playbook", self.write(plays), *arguments], environment, timeout, input)

    def shipped(self, playbook, *arguments, timeout=300, **environment):
        """A playbook of the collection, by its name."""
        return self._run([self.bin / "ansible-playbook", f"loopbreak.deploy.{playbook}", *arguments], environment, timeout)

    def guarded(self, tasks, *arguments, policy=None, hosts="web1", variables=None, play=None, after=(),
                handlers=(), timeout=300, **environment):
        """A play that runs tasks through the role, as the README shows it."""
        return self.playbook([guarded_play(self, tasks, policy, hosts, variables, play, after, handlers)],
                             *arguments, timeout=timeout, **environment)

    def adhoc(self, module, arguments, hosts="web1", *more, timeout=300, **environment):
        """({host: result}, Run) of one module call."""
        if self.loader and module == "ebpf_guard" and arguments.get("state") != "absent":
            arguments = {"loader": self.loader, **arguments}
        run = self._run([self.bin / "ansible", hosts, "-m", f"loopbreak.deploy.{module}", "-a", json.dumps(arguments) if arguments else "",
                         *more], environment, timeout)
        return {host: json.loads(text) for host, _word, text in ADHOC_LINE.findall(run.output)}, run

    def call(self, module, hosts="web1", **arguments):
        """The result of one module call on one host that must not fail."""
        results, run = self.adhoc(module, arguments, hosts)
        run.ended(0)
        return results[hosts]

    def write(self, content, suffix=".yml"):
        path = self.directory / f"{next(self.numbers)}{suffix}"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path


def guarded_play(controller, tasks, policy=None, hosts="web1", variables=None, play=None, after=(), handlers=()):
    from_role = {"ebpf_guard_policy": policy or globals()["policy"](),
                 "ebpf_guard_tasks": str(controller.write(tasks)),
                 **({"ebpf_guard_loader": controller.loader} if controller.loader else {}), **(variables or {})}
    return {"hosts": hosts, "gather_facts": False, **(play or {}),
            "tasks": [{"name": "Guarded", "ansible.builtin.include_role": {"name": "loopbreak.deploy.ebpf_guard"},
                       "vars": from_role}, *after],
            "handlers": list(handlers)}


def reach(way, address, port=80, name=None, **more):
    """Two tasks: try to reach an address, and tell how it went."""
    return [
        {"name": name or f"Reach {address} by {way}",
         "ansible.builtin.script": {"cmd": f"{FILES}/reach.py {way} {address} {port}",
                                    "executable": "/usr/bin/python3"},
         "register": "reached", **more},
        {"name": "Tell", "ansible.builtin.debug": {"msg": "REACHED {{ reached.stdout | trim }}"}},
    ]


def where(name="Where am I", **more):
    """Two tasks: tell in which cgroup a task runs."""
    return [
        {"name": name, "ansible.builtin.command": "tail -n 1 /proc/self/cgroup", "register": "cgroup", **more},
        {"name": "Tell", "ansible.builtin.debug": {
            "msg": "WHERE {{ (inventory_hostname ~ ' ' ~ cgroup.stdout) | to_json }}"}},
    ]
