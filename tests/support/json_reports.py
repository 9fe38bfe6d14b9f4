# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON reports of runs, as a controller keeps them, made by hand."""

from __future__ import annotations

import json


def access(name="mirror.example", kind="connect", port=443, **more):
    """A record of what was allowed. A path, where it is given, is all it speaks of."""
    record = {
        "rule": None, "reason": None, "owner": None, "runbook": None, "expected": False, "kind": kind, "class": "direct",
        "name": name, "address": "203.0.113.20", "port": port, "protocol": "udp" if kind == "dns" else "tcp", "path": None,
        "count": 1, "first_seen": "2026-11-30T08:15:00.000000Z", "last_seen": "2026-11-30T08:15:00.000000Z", "pid": 7, "uid": 0,
        "command": "curl https://mirror.example/", "ancestry": [{"pid": 1, "command": "sh deploy.sh"}], "evidence": None,
        "entered": None, "mode": "monitor", "host": "web1", "guard": "deploy",
        "task": {"name": "Fetch", "file": "site.yml", "line": 3}, **more}
    return {**record, "name": None, "address": None, "port": 0, "protocol": None} if record["path"] else record


def run_report(run, *observed, hosts=("web1",), service="mysql", observes=True, check=False, denied=(), **more):
    return {
        "schema": "loopbreak.report/1",
        "run": {"id": run, "started": "2026-11-30T08:15:00Z", "ended": "2026-11-30T08:16:00Z", "cut_off": False, "check": check},
        "guards": [{"host": host, "name": "deploy", "mode": "monitor", "service": service, "observes": observes}
                   for host in hosts],
        "denied": list(denied), "new": [], "observed": list(observed), "outside": [], "tasks": [], "endpoints": [],
        "outcome": {"status": 0, "reasons": [], "hosts": {}}, **more}


def write(directory, *reports):
    directory.mkdir(exist_ok=True)
    for report in reports:
        (directory / f"20261130T081500Z-{report['run']['id']}.json").write_text(json.dumps(report))
    return directory
