# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one process meets in a drill: outages.py DIRECTORY prints {access: [how it ends, seconds]} as JSON.

It connects to github.com, makes DIRECTORY/open, and goes on when DIRECTORY/drill is there. All accesses are tried side by side;
`waits` is one that has heard nothing after LIMIT seconds.
"""

import errno
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

LIMIT = 3
SITE, SITE6, OTHER, OTHER6 = "192.0.2.10", "2001:db8:2::10", "203.0.113.40", "2001:db8:3::40"
RESOLVER, RESOLVER6 = "203.0.113.53", "2001:db8:3::53"
NAME = "github.com"


def of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp(address, said=b"", port=80):
    with socket.create_connection((address, port), LIMIT) as client:
        if said:
            client.sendall(said)
            heard(client)


def heard(client):
    if not client.recv(4096):
        raise OSError(errno.EPIPE, "an end")


def udp(address, connected):
    with socket.socket(of(address), socket.SOCK_DGRAM) as client:
        client.settimeout(LIMIT)
        if connected:
            client.connect((address, 9000))
            client.send(b"x")
        else:
            client.sendto(b"x", (address, 9000))
        heard(client)


def speak(client):
    """UDP hears by its second message what became of the first one."""
    client.settimeout(LIMIT)
    for _turn in range(2):
        client.send(request(NAME))
        time.sleep(0.1)
    heard(client)


def question(kind):
    name = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split(".")) + b"\0"
    return struct.pack("!HHHHHH", kind, 0x100, 1, 0, 0, 0) + name + struct.pack("!HH", kind, 1)


def ask(address):
    with socket.socket(of(address), socket.SOCK_DGRAM) as client:
        client.settimeout(LIMIT)
        client.sendto(question(1), (address, 53))
        return rcode(client.recv(4096))


def ask_by_tcp(address):
    """For both kinds of addresses at once, as C libraries do."""
    with socket.create_connection((address, 53), LIMIT) as client:
        client.sendall(b"".join(struct.pack("!H", len(one)) + one for one in (question(1), question(28))))
        answers = b""
        while len(answers) < 60:
            more = client.recv(4096)
            if not more:
                raise OSError(errno.EPIPE, "an end")
            answers += more
        return rcode(answers[2:])


def rcode(answer):
    return {0: "ok", 2: "SERVFAIL", 3: "NXDOMAIN"}[answer[3] & 15]


def run(*command, **environment):
    """The exit status of a tool that asks for the name."""
    done = subprocess.run(["timeout", str(LIMIT), *command], env={**os.environ, **environment}, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False)
    if done.returncode == 124:
        raise TimeoutError
    return "status %d" % done.returncode


def request(name):
    return b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % name.encode()


def client_hello(name):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


def connected(address, kind):
    client = socket.socket(of(address), kind)
    client.settimeout(LIMIT)
    client.connect((address, 80 if kind == socket.SOCK_STREAM else 9000))
    return client


def main(directory):
    opened = {"open TCP": connected(SITE, socket.SOCK_STREAM), "open TCP6": connected(SITE6, socket.SOCK_STREAM),
              "open UDP": connected(SITE, socket.SOCK_DGRAM)}
    open(directory + "/open", "w").close()
    while not os.path.exists(directory + "/drill"):
        time.sleep(0.05)
    accesses = {
        "TCP": lambda: tcp(SITE), "TCP6": lambda: tcp(SITE6), "UDP": lambda: udp(SITE, False), "UDP6": lambda: udp(SITE6, False),
        "connected UDP": lambda: udp(SITE, True), "connected UDP6": lambda: udp(SITE6, True),
        "DNS": lambda: ask(RESOLVER), "DNS6": lambda: ask(RESOLVER6), "DNS by TCP": lambda: ask_by_tcp(RESOLVER),
        "DNS6 by TCP": lambda: ask_by_tcp(RESOLVER6), "getent": lambda: run("getent", "ahosts", NAME),
        "getent by TCP": lambda: run("getent", "ahosts", NAME, RES_OPTIONS="use-vc"),
        "dig by TCP": lambda: run("dig", "+tcp", "+time=1", "+tries=1", NAME),
        "TLS": lambda: tcp(OTHER, client_hello(NAME), 443), "HTTP": lambda: tcp(OTHER, request(NAME)),
        "HTTP6": lambda: tcp(OTHER6, request(NAME)),
        "allowed TCP": lambda: tcp(OTHER, request("notgithub.com")), "allowed UDP6": lambda: udp(OTHER6, True),
        "allowed name": lambda: run("getent", "ahosts", "notgithub.com"),
        "allowed name by TCP": lambda: run("dig", "+tcp", "notgithub.com"),
        **{name: lambda client=client: speak(client) for name, client in opened.items()},
    }
    told = {}

    def attempt(name):
        began = time.monotonic()
        try:
            said = accesses[name]() or "ok"
        except OSError as error:
            said = errno.errorcode.get(error.errno, "waits")
        told[name] = said, round(time.monotonic() - began, 2)

    threads = [threading.Thread(target=attempt, args=(name,)) for name in accesses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
