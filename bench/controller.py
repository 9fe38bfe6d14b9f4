# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callback costs the controller at the end of a big run: controller.py HOSTS DENIALS [FORMAT].

A process of its own, in which Ansible's own result objects go through the real callback: on each host a guard went up, ran 20
tasks and came down, with so many denials. Prints {"seconds" (in the callback, from the first guard's end on), "memory" (the
peak of the process, in bytes), "size" (of what was printed)}. With a format, such as json, or with `every`, the report is
written, too: "written" is the size of each file, by format, and "again" the seconds that json.loads and json.dumps alone take for
the rows of the JSON report. Of a page, "view" is the seconds until Chromium has painted it first.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(Path(__file__).resolve().parent.parent / "build" / "collections")
from ansible import context  # noqa: E402
from ansible.executor.stats import AggregateStats  # noqa: E402
from ansible.executor.task_result import CallbackTaskResult  # noqa: E402
from ansible.inventory.manager import InventoryManager  # noqa: E402
from ansible.module_utils.common.collections import ImmutableDict  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.playbook.play import Play  # noqa: E402
from ansible.plugins.loader import callback_loader, init_plugin_loader  # noqa: E402
from ansible.vars.manager import VariableManager  # noqa: E402

init_plugin_loader([])
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.document import ENDS, WRITERS  # noqa: E402

TASKS = 20
# it comes after the load, and on a busy machine not at once
FIRST_PAINT = """new Promise(resolve => new PerformanceObserver(entries => {
    const one = entries.getEntriesByName('first-contentful-paint')[0];
    if (one) resolve(one.startTime);
}).observe({type: 'paint', buffered: true}))"""
ENDPOINTS = 20      # that a host's denials are about, so that each comes from several processes


def denial(host, number):
    """As the module returns it, of a process in a tree as deployments have them."""
    where, pid = number % ENDPOINTS, 1000 + number
    return {"rule": "github", "reason": "github.com runs on the database that this play deploys", "owner": "db-team",
            "runbook": "https://wiki.example/no-github-in-deploys", "kind": "connect", "class": "direct",
            "name": f"s{where}.github.com", "address": f"192.0.2.{where}", "port": 443, "protocol": "tcp", "path": None,
            "count": 3, "first_seen": f"2026-01-01T00:00:{number % 50:02d}.{host:06d}Z",
            "last_seen": f"2026-01-01T00:00:{number % 50 + 5:02d}.000000Z", "pid": pid, "uid": 0,
            "command": f"curl -fsS https://s{where}.github.com/install.sh -o /tmp/{number}", "expected": False,
            "ancestry": [{"pid": pid - 1, "command": "sh ./install.sh"}, {"pid": pid - 2, "command": "make all"},
                         {"pid": pid - 3, "command": "/bin/sh ./deploy.sh"}],
            "evidence": {"pid": pid, "command": f"curl -fsS https://s{where}.github.com/install.sh -o /tmp/{number}"},
            "entered": f"2026-01-01T00:00:{number % 50:02d}.000000Z", "mode": "enforce"}


GUARD = {"name": "deploy", "mode": "enforce", "loader": "libbpf", "cgroup": "/sys/fs/cgroup/ebpf_guard/deploy",
         "launcher": "/run/ebpf_guard/deploy/launcher", "clock_offset": 0.0}


def memory(what):
    return int(re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


class Run:
    """What Ansible would tell the callback about a play on so many hosts."""

    def __init__(self, hosts):
        loader = DataLoader()
        inventory = InventoryManager(loader, sources="%s," % ",".join(f"web{number}" for number in range(hosts)))
        self.hosts = inventory.get_hosts()
        guard = "loopbreak.deploy.ebpf_guard"
        self.play = Play.load({"hosts": "all", "name": "Deploy", "tasks": [
            {"name": "Up", guard: {}}, *({"name": f"Task {number}", "command": "true"} for number in range(TASKS)),
            {"name": "Down", guard: {"state": "absent"}}]}, VariableManager(loader, inventory), loader)
        up, *tasks, down = self.play.get_tasks()[0]
        self.up, self.tasks, self.down = up, tasks, down
        context.CLIARGS = ImmutableDict(args=["deploy.yml"])
        self.callback = callback_loader.get(guard)
        self.callback.set_options()
        self.seconds = 0.0

    def happens(self, event, *arguments):
        began = time.process_time()
        try:
            return getattr(self.callback, event)(*arguments)
        finally:
            self.seconds += time.process_time() - began

    def ends(self, host, task, data, event="v2_runner_on_ok"):
        self.happens("v2_runner_on_start", host, task)
        self.happens(event, CallbackTaskResult(host, task, data, {}))


def again(file):
    """CPU time to read and write the rows of a report, one a line, and nothing else."""
    with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="ascii") as report:
        rows = [line.rstrip(",]\n") for line in report if line.startswith('{"host":')]
    began = time.process_time()
    for row in rows:
        json.dumps(json.loads(row), separators=(",", ":"))
    return time.process_time() - began


def view(file):
    from playwright.sync_api import sync_playwright     # now, because it would count as memory before

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(file.as_uri())
        painted = page.evaluate(FIRST_PAINT)
        browser.close()
    return painted / 1e3


def main():
    with tempfile.TemporaryDirectory() as directory:
        if sys.argv[3:]:
            forms = ",".join(form for form in WRITERS if form != "json.gz") if sys.argv[3] == "every" else sys.argv[3]
            os.environ.update(EBPF_GUARD_REPORT_DIR=directory, EBPF_GUARD_REPORTS=forms)
        told = measured(*map(int, sys.argv[1:3]))
        files = {file.name.partition(".")[2]: file for file in Path(directory).iterdir()}
        told["written"] = {form: files[end].stat().st_size for form in WRITERS if (end := ENDS.get(form, form)) in files}
        told["again"] = next((again(files[end]) for end in ("json", "json.gz") if end in files), None)
        if "html" in files:
            told["view"] = view(files["html"])
    print(json.dumps(told))


def measured(hosts, denials):
    run = Run(hosts)
    with tempfile.TemporaryFile() as printed:
        screen = os.dup(1)
        os.dup2(printed.fileno(), 1)
        run.happens("v2_playbook_on_start", SimpleNamespace(_file_name="deploy.yml"))
        run.happens("v2_playbook_on_play_start", run.play)
        for host in run.hosts:
            run.ends(host, run.up, {"changed": True, "guard": dict(GUARD)})
        for task in run.tasks:
            for host in run.hosts:
                run.ends(host, task, {"changed": True, "stdout": "", "rc": 0})
        tasks, run.seconds = run.seconds, 0.0
        for number, host in enumerate(run.hosts):
            run.ends(host, run.down, {
                "failed": True, "guard": dict(GUARD), "denied": [denial(number, one) for one in range(denials)],
                "observed": [], "left_running": [], "counters": {"connect": {"denied": 3 * denials}, "lost": 0}},
                "v2_runner_on_failed")
        stats = AggregateStats()
        try:
            run.happens("v2_playbook_on_stats", stats)
        except SystemExit as end:
            assert end.code == 2
        else:
            raise AssertionError("denials, and the run does not fail")
        sys.stdout.flush()
        os.dup2(screen, 1)
        size = printed.seek(0, os.SEEK_END)
    return {"seconds": run.seconds, "tasks": tasks, "memory": memory("VmHWM"), "size": size}


if __name__ == "__main__":
    main()
