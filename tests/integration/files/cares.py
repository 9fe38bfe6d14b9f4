# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks names up by c-ares, all at once on one socket: cares.py NAME... Prints `NAME ADDRESS` or `NAME ERROR` for each."""

import select
import sys

import pycares

found = {}
channel = pycares.Channel(timeout=2, tries=3, servers=["203.0.113.53"])
for name in sys.argv[1:]:
    channel.query(name, pycares.QUERY_TYPE_A, lambda records, error, name=name: found.setdefault(
        name, pycares.errno.errorcode[error] if error else records[0].host))
while len(found) < len(sys.argv) - 1:
    readable, writable, _exceptional = select.select(*channel.getsock(), [], channel.timeout())
    for descriptor in readable:
        channel.process_fd(descriptor, pycares.ARES_SOCKET_BAD)
    for descriptor in writable:
        channel.process_fd(pycares.ARES_SOCKET_BAD, descriptor)
    if not readable and not writable:
        channel.process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)
print("\n".join(f"{name} {said}" for name, said in sorted(found.items())))
