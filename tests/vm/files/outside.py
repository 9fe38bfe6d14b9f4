# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a guarded process may or may not reach, outside the guard: servers on a machine's own loopback.

Echoes TCP and UDP on documentation addresses, answers DNS, and is a name service daemon's socket. Prints `ready`.
"""

import os
import socket
import socketserver
import struct
import subprocess
import threading

ADDRESSES = ("192.0.2.10", "198.51.100.10", "203.0.113.10", "203.0.113.30", "2001:db8:2::10", "2001:db8:3::10")
PORTS = (80, 443, 9000)
RESOLVER = "127.0.0.1"
NAME_SERVICE = "/run/systemd/resolve/io.systemd.Resolve"
SITE = "203.0.113.30"                                   # where every name is
ALIAS, ALIASED = b"\x05alias\x07example\0", b"\x03api\x06github\x03com\0"    # the second is a name that the tests deny
PING_GROUPS = "/proc/sys/net/ipv4/ping_group_range"     # who may have ping sockets


class Stream(socketserver.BaseRequestHandler):
    def handle(self):
        said = self.request.recv(4096)
        if said:
            self.request.sendall(said)


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        said, sender = self.request
        sender.sendto(said, self.client_address)


class DnsStream(socketserver.BaseRequestHandler):
    def handle(self):
        question = self.request.recv(4096)[2:]
        if question:
            reply = answer(question)
            self.request.sendall(struct.pack("!H", len(reply)) + reply)


class DnsDatagram(socketserver.BaseRequestHandler):
    def handle(self):
        question, sender = self.request
        sender.sendto(answer(question), self.client_address)


def answer(question):
    name = question[12:question.index(b"\0", 12) + 1]
    kind, _class = struct.unpack_from("!HH", question, 12 + len(name))
    records = [record(name, 1, socket.inet_aton(SITE))]
    if name == ALIAS:
        records = [record(name, 5, ALIASED), record(ALIASED, 1, socket.inet_aton(SITE))]
    return (question[:2] + struct.pack("!HHHHH", 0x8180, 1, len(records), 0, 0) + name + struct.pack("!HH", kind, 1)
            + b"".join(records))


def record(name, kind, data):
    return name + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def serve(base, address, handler):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    kind = type("Server", (socketserver.ThreadingMixIn, base), {
        "address_family": family, "allow_reuse_address": True, "daemon_threads": True})
    threading.Thread(target=kind(address, handler).serve_forever).start()


def main():
    with open(PING_GROUPS, "w") as groups:
        groups.write("0 2147483647")
    for address in ADDRESSES:
        subprocess.run(["ip", "address", "add", address + ("/128" if ":" in address else "/32"), "dev", "lo"]
                       + (["nodad"] if ":" in address else []), check=True)
        for port in PORTS:
            serve(socketserver.TCPServer, (address, port), Stream)
            serve(socketserver.UDPServer, (address, port), Datagram)
    serve(socketserver.TCPServer, (RESOLVER, 53), DnsStream)
    serve(socketserver.UDPServer, (RESOLVER, 53), DnsDatagram)
    os.makedirs(os.path.dirname(NAME_SERVICE), exist_ok=True)
    serve(socketserver.TCPServer, NAME_SERVICE, Stream)
    print("ready", flush=True)


if __name__ == "__main__":
    main()
