# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of somebody who has never seen the collection: from a fresh checkout to a report, on a fresh machine, by the README.

docs/first-run.md has what each step printed, and how long it took.
"""

from __future__ import annotations

import os
import re
import subprocess
import time

import pages
import pytest

pytestmark = pytest.mark.large
PAGE = pages.ROOT / "docs/first-run.md"
MARKERS = "<!-- what `make matrix` saw -->\n", "<!-- end -->\n"
[ARTIFACT] = {found for where, line in pages.shell_lines() if where.startswith("README.md:") for found in re.findall(r"build/dist/\S+", line)}
# (what for, the command, its exit status)
STEPS = (
    ("Build the collection, and install it. Others say `ansible-galaxy collection install loopbreak.deploy`.",
     f"make dist && ansible-galaxy collection install {ARTIFACT}", 0),
    ("Ask the host whether it can.", "ansible-playbook loopbreak.deploy.doctor", 0),
    ("Look: nothing is denied.", "ansible-playbook site.yml -e ebpf_guard_mode=monitor", 0),
    ("Enforce. The script swallows the error of `curl`; the run does not.", "ansible-playbook site.yml", 2),
    ("The reports that both runs left, for people and for programs.", "ls reports", 0),
)


def files(directory, machine):
    """What the README says, as pasted; and what a stranger has already."""
    of_readme = [example for example in pages.blocks() if example.where.startswith("README.md:")]
    [config] = [example.text for example in of_readme if example.language == "ini"]
    [policy] = [example.text for example in of_readme if example.text.startswith("version: 1\n")]
    [site] = [example.text for example in of_readme if example.text.startswith("- hosts: web1\n")]
    [tasks] = [example.text for example in pages.blocks() if example.where.startswith("docs/first-run.md") and example.language == "yaml"]
    options = " ".join(machine.options())
    for name, text in {
            "ansible.cfg": config.replace("[defaults]\n", "[defaults]\ninventory = inventory\n")
            + "[callback_ebpf_guard]\nreport_dir = reports\n",
            "policies/mysql.yml": policy, "site.yml": site, "tasks/deploy.yml": tasks,
            "inventory": f"web1 ansible_host=127.0.0.1 ansible_port={machine.port} ansible_user=root "
                         f"ansible_ssh_common_args='{options}'\n"}.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)


def walk(directory, home):
    """[(step, what it printed, seconds)]"""
    environment = {"HOME": str(home), "PATH": f"{directory}/build/venv/bin:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1",
                   "LANG": "C.UTF-8", "ANSIBLE_TIMEOUT": "120"}
    for step in STEPS:
        began = time.monotonic()
        done = subprocess.run(["bash", "-c", step[1]], cwd=directory, env=environment, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3000, check=False)
        said = re.sub(r"\n{3,}", "\n\n", done.stdout.replace(str(home), "~").replace(str(directory), ".").strip("\n"))
        assert done.returncode == step[2], f"{step[1]}: exit status {done.returncode}\n{said}"
        yield step, said, time.monotonic() - began


def told(walked):
    """The part of the page. Of the first step, which prints what make and pip print, the end."""
    parts = []
    for (purpose, command, status), said, seconds in walked:
        if "make dist" in command:
            said = "...\n" + said.splitlines()[-1]
        exits = f", exit status {status}" if status else ""
        parts.append(f"{purpose}\n\n```sh\n{command}\n```\n\nAfter {seconds:.0f} seconds{exits}:\n\n```\n{said}\n```\n\n")
    return "".join(parts)


def same(text):
    """Numbers are of a run, of a version of Debian, or of a day."""
    return re.sub(r"\d+", "0", text)


def test_a_stranger_gets_from_a_checkout_to_a_report(fresh, tmp_path):
    checkout, home = tmp_path / "checkout", tmp_path / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", pages.ROOT, checkout], check=True)
    files(checkout, fresh)
    found = told(list(walk(checkout, home)))
    before, _marker, rest = PAGE.read_text().partition(MARKERS[0])
    stands, _marker, after = rest.partition(MARKERS[1])
    if same(stands) != same(found):
        PAGE.write_text(f"{before}{MARKERS[0]}{found}{MARKERS[1]}{after}")
        pytest.fail(f"{PAGE} did not say what a stranger sees. It does now: look at the difference, and commit it if it is right.")
