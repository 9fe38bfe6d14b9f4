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

HOST = r"""
umount -l "$1"; mount -t cgroup2 none "$1" && mount -t tmpfs -o mode=755 run /run && mount -t bpf -o mode=700 bpf /sys/fs/bpf || exit 98
mount -t tmpfs -o mode=755 log /var/log; ip link set lo up; ip address add 192.0.2.53/32 dev lo
echo 'nameserver 192.0.2.53' > /var/log/resolv.conf
mount --bind /var/log/resolv.conf /etc/resolv.conf; shift; exec "$@"
"""
# what Python says to those who wrote the program, and what is no sentence
BAD = re.compile(r"Errno|Traceback|object has no attribute|NoneType|Error\b.*:|must be str|not subscriptable|codec can't|0x[0-9a-f]{6}"
                 r"|error of the collection itself")


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


def test_every_call_answers_in_a_sentence():
    seed, number = map(int, os.environ.get("HOSTILE", "1,16").split(","))
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        cgroup2 = next(line.split()[4] for line in mounts if " - cgroup2 " in line)
    home = Path(cgroup2, f"hostile-{os.getpid()}")
    home.mkdir()
    (home / "host").mkdir()
    try:
        done = subprocess.run(
            ["sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec "$@"', home / "host", "unshare", "-m", "-n", "-u", "-C",
             "--propagation", "private", "sh", "-c", HOST, "sh", cgroup2, sys.executable, hostile.__file__, str(seed), str(number)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, env=dict(os.environ, LC_ALL="C.UTF-8", PYTHONPATH=os.pathsep.join(sys.path)))
    finally:
        for procs in home.rglob("cgroup.procs"):
            for pid in procs.read_text().split():
                os.kill(int(pid), 9)
        for _attempt in range(100):
            if subprocess.run(["find", home, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], stderr=subprocess.DEVNULL,
                              check=False).returncode == 0:
                break
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(cases) == number, done.stderr.decode("utf-8", "replace")[-3000:]
    wrong = [complaint for case in cases for complaint in complaints(case)]
    assert not wrong, "\n\n".join(wrong)
