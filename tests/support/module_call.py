# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A call of a module by a fork of a process that has imported it already: so it takes as long as its work does, and hundreds of
calls a minute are possible. All else is as on a target: options in, JSON on standard output.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback

from ansible.module_utils import basic

BROKEN = 99     # exit status of a call that ended with an exception


def become(main, options, output, first=None):
    """What a new process is from now on, to its end. `output`: a file descriptor. `first`: what is done before the module begins."""
    status = BROKEN
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
        basic._ANSIBLE_PROFILE = "legacy"
        if first:
            first()
        main()
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.settrace(None)
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
