# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is outside of the guards: servers on all addresses of the host, and a resolver that knows every name.

Prints a line when it serves. It answers whatever reaches it, so an answer is the proof that something came through.
"""

from __future__ import annotations

import selectors
import socket
import struct

import targets

ANSWER = socket.inet_aton("198.51.100.99")  # nobody connects there


def listen(port, kind):
    listening = socket.socket(socket.AF_INET6, kind)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if kind == socket.SOCK_DGRAM:   # the answer comes from where the question went to
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    listening.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        listening.listen(4096)
    listening.setblocking(False)
    return listening


def answered(question):
    """The answer to a DNS question: one address, whatever the name."""
    end = question.index(b"\0", 12) + 5
    if question[end - 4:end - 2] != b"\0\x01":  # no A record was asked for
        return question[:2] + struct.pack(">HHHHH", 0x8180, 1, 0, 0, 0) + question[12:end]
    return (question[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + question[12:end]
            + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + ANSWER)


def datagrams(server, answer):
    def serve():
        try:
            while True:
                data, more, _flags, sender = server.recvmsg(2048, 256)
                server.sendmsg([answer(data)], [one for one in more if one[1] == socket.IPV6_PKTINFO], 0, sender)
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            pass    # the asker is gone, or asked for nothing
    return serve


def accepts(selector, server):
    def hears(connection):
        def serve():
            try:
                if connection.recv(2048):
                    connection.sendall(b"served\n")
                    return
            except BlockingIOError:
                return
            except OSError:
                pass
            selector.unregister(connection)
            connection.close()
        return serve

    def serve():
        try:
            while True:
                connection, _address = server.accept()
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ, hears(connection))
        except OSError:
            pass
    return serve


def main():
    selector = selectors.DefaultSelector()
    for port in (targets.ECHO, targets.HTTP, targets.TLS):
        server = listen(port, socket.SOCK_STREAM)
        selector.register(server, selectors.EVENT_READ, accepts(selector, server))
    for port, answer in ((targets.ECHO, lambda data: data), (targets.DNS, answered)):
        server = listen(port, socket.SOCK_DGRAM)
        selector.register(server, selectors.EVENT_READ, datagrams(server, answer))
    print("serves", flush=True)
    while True:
        for key, _events in selector.select():
            key.data()


if __name__ == "__main__":
    main()
