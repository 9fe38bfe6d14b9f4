# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oldest Python that a target may have, and older ones, which are told in a sentence."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import ansible
import pythons
from controller import COLLECTIONS, GUARD_NETS, policy
from hosts import agents, denied

PACKAGE = "ansible_collections.loopbreak.deploy.plugins.module_utils"
IMPORT_ALL = f"""
import importlib, pkgutil
names = [found.name for found in pkgutil.walk_packages([{str(COLLECTIONS)!r} + "/{PACKAGE.replace('.', '/')}"], "{PACKAGE}.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
NAMED = policy(deny=[{"id": "github", "reason": "r", "hosts": [".github.com"], "networks": GUARD_NETS}])


def test_all_that_runs_on_a_target_is_imported_by_the_oldest_python():
    done = subprocess.run([pythons.oldest(), "-c", IMPORT_ALL], text=True, check=False, capture_output=True,
                          env={"PYTHONPATH": f"{COLLECTIONS}:{Path(ansible.__file__).parents[1]}", "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0 and int(done.stdout) > 50, done


def test_a_guard_by_the_oldest_python(controller, fleet):
    """Up, exchanged, looked at, down; and by the role, asked for a name that its agent answers."""
    python = str(pythons.on(fleet, "web1", pythons.oldest()))
    version = subprocess.run([pythons.oldest(), "-c", "import platform; print(platform.python_version())"], text=True, check=True,
                             stdout=subprocess.PIPE).stdout.strip()

    def call(module, **arguments):
        results, run = controller.adhoc(module, arguments, "web1", "-e", f"ansible_python_interpreter={python}")
        run.ended(0)
        return results["web1"]

    call("ebpf_guard", policy=policy("monitor"))
    assert call("ebpf_guard", policy=policy())["changed"] and denied(fleet)
    told = call("ebpf_guard_info", capabilities=True)
    assert (told["host"]["python"], told["guards"][0]["whole"], told["capabilities"]["dns"]) == (version, True, True), told
    for pid in agents(fleet):
        said = subprocess.run([f"/proc/{pid}/exe", "-V"], text=True, check=True, capture_output=True).stdout
        assert said.split() == ["Python", version]
    down = call("ebpf_guard", state="absent", fail_on_denied=False)
    assert [(row["address"], row["count"]) for row in down["denied"]] == [("192.0.2.10", 1)], down
    curl = {"name": "By name", "ansible.builtin.command": "curl -s http://github.com/", "changed_when": False, "ignore_errors": True}
    run = controller.guarded([curl], "-e", f"ansible_python_interpreter={python}", policy=NAMED).ended(2)
    run.said("GUARD deploy on web1 [enforce]: ", "DENIED  github.com (DNS question)")


def test_a_python_that_is_too_old_is_told(controller, fleet):
    """By the role on one host for each, and by the doctor."""
    of = {host: str(pythons.on(fleet, host, python)) for host, python in zip(fleet.hosts, pythons.too_old())}
    run = controller.guarded([], hosts=",".join(of), play={"vars": {"ansible_python_interpreter": "{{ %s[inventory_hostname] }}" % of}}).ended(2)
    doctor = controller.shipped("doctor", "--limit", "web1", "-e", f"ansible_python_interpreter={of['web1']}").ended(2)
    for python in of.values():
        version = re.findall(r"\d\.\d+", python)[-1]
        said = f"The Python of this host, {python}, is {version}, and the guard needs Python 3.8 or later."
        run.said(said)
        assert (said in doctor.output) == (python == of["web1"]), doctor
