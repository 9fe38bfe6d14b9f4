# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of every kind in the place of those that are read, and too little of everything: every call answers, in a sentence.

For more than a sample: HOSTILE=SEED,NUMBER python -m pytest tests/integration/test_hostile_host.py
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import hostile

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi

HOST = r"""
umount -l "$1"; mount -t cgroup2 none "$1" && mount -t tmpfs -o mode=755 run /run || exit 98
mount -t bpf -o mode=700 bpf /sys/fs/bpf || exit 98
mount -t tmpfs -o mode=755 log /var/log; ip link set lo up; ip address add 192.0.2.53/32 dev lo
echo 'nameserver 192.0.2.53' > /var/log/resolv.conf
mount --bind /var/log/resolv.conf /etc/resolv.conf; shift; exec "$@"
"""
# what Python says to those who wrote the program, and what is no sentence
BAD = re.compile(r"Errno|Traceback|object has no attribute|NoneType|Error\b.*:|must be str|not subscriptable|codec can't"
                 r"|0x[0-9a-f]{6}|error of the collection itself")


def complaints(case):
    """What is wrong with the answers to the calls of a case, in words."""
    for name, answer in case["answers"].items():
        said = "%s, %s: %s" % (case["case"], name, answer["said"][-1500:])
        message = (answer["result"] or {}).get("msg")
        if answer["status"] is None:
            yield f"no end: {said}"
        elif answer["result"] is None:
            yield f"no JSON: {said}"
        elif answer["status"] != 0 and not (message and message.rstrip()[-1] in ".?)" and len(message) < 900):
            yield f"no sentence: {said}"
        elif BAD.search(" ".join([message or "", *map(str, answer["result"].get("warnings") or [])])):
            yield f"Python's words: {said}"
        elif answer["seconds"] > 45:
            yield f"{answer['seconds']:.0f} seconds: {said}"
    if case["left"] or case["answers"]["last"]["status"] != 0:
        yield f"{case['case']}: left {case['left']}, {case['answers']['last']['said']}"


def on_a_host_of_its_own(*arguments):
    """What hostile.py printed there."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        cgroup2 = next(line.split()[4] for line in mounts if " - cgroup2 " in line)
    home = Path(cgroup2, f"hostile-{os.getpid()}")
    home.mkdir()
    (home / "host").mkdir()
    try:
        done = subprocess.run(
            ["sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec "$@"', home / "host", "unshare", "-m", "-n", "-u", "-C",
             "--propagation", "private", "sh", "-c", HOST, "sh", cgroup2,
             sys.executable, hostile.__file__, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            env=dict(os.environ, LC_ALL="C.UTF-8", PYTHONPATH=os.pathsep.join(sys.path)))
    finally:
        for procs in home.rglob("cgroup.procs"):
            for pid in procs.read_text().split():
                os.kill(int(pid), 9)
        for _attempt in range(100):
            if subprocess.run(["find", home, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], stderr=subprocess.DEVNULL,
                              check=False).returncode == 0:
                break
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_call_answers_in_a_sentence():
    cases = on_a_host_of_its_own(*os.environ.get("HOSTILE", "1,16").split(","))
    wrong = [complaint for case in cases for complaint in complaints(case)]
    assert not wrong, "\n\n".join(wrong)


def test_a_full_ledger_is_told_quickly_and_in_short():
    told, = on_a_host_of_its_own("ledger")
    answers = told["answers"]
    last = answers["absent"]["result"]
    seen, = answers["info"]["result"]["guards"]
    for report in (last, seen):
        kept = [row for row in report["denied"] if "stands_for" not in row]
        assert sum(row["count"] for row in report["denied"]) == _abi.MAX_DENIED
        assert len(kept) + report["rows_left_out"]["denied"] == _abi.MAX_DENIED and len(kept) > 500
        assert report["counters"]["lost"] == 100 and report["counters"]["connect"]["denied"] == _abi.MAX_DENIED + 100
    assert told["logged"] == _abi.MAX_DENIED
    for name in ("info", "absent"):
        assert answers[name]["size"] < 2 << 20
        assert answers[name]["cpu"] < 4  # 0.7 seconds where nothing else runs; a busy machine takes more for the same
