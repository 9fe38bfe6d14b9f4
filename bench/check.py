# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy file costs the controller before anything is sent: check.py FILE.

A process with what an action plugin has loaded. Prints {"seconds" (CPU time: read, check, pack), "memory" (the peak of the
process, in bytes), "size" (of what is sent, in bytes)}.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import ansible.plugins.action  # noqa: F401  # pylint: disable=unused-import

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _policy_file


def main():
    path = sys.argv[1]
    began = time.process_time()
    mapping, lines = _policy_file.parse(Path(path).read_text(), path)
    sent = packed.pack(check(mapping, path, lines))
    seconds = time.process_time() - began
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
    print(json.dumps({"seconds": seconds, "memory": peak, "size": len(sent)}))


if __name__ == "__main__":
    main()
