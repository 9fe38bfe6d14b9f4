# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs inside a guard, each a process of its own, and what the guard says of them."""

from __future__ import annotations

import os
import subprocess
import sys

from workbench import PATIENCE, own_network

PYTHON = os.path.realpath(sys.executable)  # one that every user may run
DENIED = '198.51.100.1'
RULES = dict(deny=[('net', ['198.51.100.0/24', '2001:db8:1::/48'])])
CONNECT = 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(("%s", %%d))\n' % DENIED


def start(guard, arguments, uid=0, directory='/', **options):
    def enter():
        guard.enter()
        own_network()
        os.setuid(uid)
    return subprocess.Popen(arguments, preexec_fn=enter, stdout=subprocess.PIPE, cwd=directory, **options)


def run(guard, arguments, **options):
    """The pid and the output of a program that ran inside the guard."""
    process = start(guard, arguments, **options)
    output = process.communicate(timeout=PATIENCE)[0].decode()
    assert process.returncode == 0
    return process.pid, output


def denials(guard):
    return guard.reader().denials(guard.denials())
