# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs command lines one after the other, and tells how each went: commands.py BASE64 of a JSON list.

Prints a JSON list of {command, status, ms, said}. @DIR@ in a command becomes a new directory. No shell: a command that
is denied stands in the records as it stands here.
"""

import base64
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

LIMIT = 60  # seconds: what takes so long has long failed its test, but tells how long it takes


def attempt(command):
    directory = tempfile.mkdtemp()
    argv = shlex.split(command.replace("@DIR@", directory))
    began = time.monotonic()
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=LIMIT, check=False)
        status, said = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        status, said = "timeout", error.stdout or b""
    milliseconds = round((time.monotonic() - began) * 1000)
    shutil.rmtree(directory)
    return {"command": command, "status": status, "ms": milliseconds, "said": said.decode("utf-8", "replace")[-500:]}


def main():
    print(json.dumps([attempt(command) for command in json.loads(base64.b64decode(sys.argv[1]))]))


if __name__ == "__main__":
    main()
