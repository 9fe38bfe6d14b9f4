# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the first bytes of a connection: the guard counts them as denied, or they arrive whole."""

from __future__ import annotations

import socket
import struct
import time

from workbench import child, listener

PATIENCE = 2
SERVER = '127.0.0.2'  # of 127.0.0.1 no name is learned
AT_ONCE = struct.pack('ii', 1, 0)  # SO_LINGER: a connection that ends leaves nothing to be sent


def denials(guard):
    return sum(verdicts['denied'] for kind, verdicts in guard.counters().items() if isinstance(verdicts, dict))


def judged(guard, server, *parts):
    """The verdict over the parts, which are sent one by one on a connection of their own. Call it inside the guard."""
    before, wanted = denials(guard), b''.join(parts)
    with socket.socket(server.family) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(PATIENCE)
        client.connect(server.getsockname()[:2])
        with server.accept()[0] as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            peer.setblocking(False)
            try:
                for part in parts:
                    client.sendall(part)
            except PermissionError:
                pass
            return _told(guard, peer, wanted, before)


def _told(guard, peer, wanted, before):
    heard, end = b'', time.monotonic() + PATIENCE
    while heard != wanted and time.monotonic() < end:
        try:
            heard += peer.recv(1 << 20)
        except BlockingIOError:
            if denials(guard) > before:
                return 'denied'
            time.sleep(0.001)
    if denials(guard) > before:
        return 'denied'
    return 'arrived' if heard == wanted else 'lost'


def verdicts(guard, messages):
    """The verdict over each message, which is a list of parts."""
    def run():
        with listener(SERVER) as server:
            guard.enter()
            return [judged(guard, server, *parts) for parts in messages]

    return child(run, patience=600)
