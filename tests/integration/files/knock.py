# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs PROGRAM, which is knock.c, once for each line: knock.py PROGRAM HOW BASE64 of a JSON list of argument lists."""

import base64
import json
import subprocess
import sys

program, how, lines = sys.argv[1:]
running = [subprocess.Popen(arguments, executable=program, env={"KNOCK": how})
           for arguments in json.loads(base64.b64decode(lines))]
if how != "stay":
    assert [process.wait() for process in running] == [0] * len(running)
