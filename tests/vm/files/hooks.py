# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each program of a guard runs for one access, on a machine whose clock counts instructions, 2 ns each.

Reads a policy, packed as the action plugin sends it. Prints {"verified": {program: instructions}, "run": {access: {program:
instructions}}}: what the verifier looked at, and what the machine executed. The kernel reads its clock before and after a run; that is in it, some fifty a run.
"""

import contextlib
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent_process, guard, place
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, objects
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed

NAME, SERVER, SERVER6 = "hooks", "192.0.2.1", "2001:db8:ffff::1"
NS = 2      # of an instruction
ROUNDS, TURNS = 3, 20   # an interrupt spoils a round now and then: the least one counts
RESET = struct.pack("ii", 1, 0)     # of SO_LINGER: a connection that is closed leaves nothing behind
QUESTION = b"\0\0\1\0\0\1\0\0\0\0\0\0\4n%03d\7allowed\7example\0\0\1\0\1"
RECORD = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc6\x33\x64\1"
REQUEST = b"GET / HTTP/1.1\r\nHost: www.allowed.example\r\nConnection: close\r\n\r\n"
FILE, LINK = "/srv/plain/of/all/rules/file", "/srv/plain/of/all/rules/link"


# --- the other side, outside ---

def furnish():
    subprocess.run(["ip", "address", "add", SERVER + "/32", "dev", "lo"], check=True)
    subprocess.run(["ip", "address", "add", SERVER6 + "/128", "dev", "lo", "nodad"], check=True)
    os.makedirs(os.path.dirname(FILE))
    open(FILE, "w").close()
    with open("/etc/resolv.conf", "w") as settings:
        settings.write("nameserver %s\n" % SERVER)


def resolve(server):
    while True:
        asked, client = server.recvfrom(512)
        server.sendto(asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + asked[12:] + RECORD, client)


def answer(server):
    while True:
        with server.accept()[0] as connection, contextlib.suppress(ConnectionResetError):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.recv(4096)


def serve():
    """In a process of its own, which is not in the guard. Returns its pid."""
    resolver, web = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
    discard = socket.socket(type=socket.SOCK_DGRAM)
    web.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for server, port in ((resolver, 53), (web, 80), (discard, 9)):
        server.bind((SERVER, port))
    web.listen()
    pid = os.fork()
    if pid:
        return pid
    threading.Thread(target=resolve, args=(resolver,), daemon=True).start()
    answer(web)


# --- the accesses, inside ---

def connects(to=(SERVER, 9), family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        while True:
            client.connect(to)
            yield


def connects_elsewhere():
    """To another address each time, of which no verdict is remembered."""
    number = 0
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        while True:
            number += 1
            client.connect(("127.1.%d.%d" % divmod(number, 256), 9))
            yield


def sends():
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        while True:
            client.sendto(b"", (SERVER, 9))
            yield


def asks():
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect((SERVER, 53))
        while True:
            for number in range(10):
                client.send(QUESTION % number)
                client.recv(512)
                yield


def requests(first):
    while True:
        with socket.create_connection((SERVER, 80)) as client:
            client.sendall(first)
            client.recv(4096)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        yield


def hello():
    """The first bytes of a TLS connection."""
    sent, context = ssl.MemoryBIO(), ssl.create_default_context()
    session = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="www.allowed.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return sent.read()


def opens():
    while True:
        os.close(os.open(FILE, os.O_RDONLY))
        yield


def links():
    while True:
        os.link(FILE, LINK)
        os.unlink(LINK)
        yield


def executes():
    while True:
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        yield


def accesses():
    return {"connect(2) to the same address": connects(), "the same over IPv6": connects((SERVER6, 9), socket.AF_INET6),
            "connect(2) to another address": connects_elsewhere(), "sendto(2) of a datagram": sends(),
            "DNS query and answer": asks(), "HTTP request and answer": requests(REQUEST),
            "the same with a ClientHello": requests(hello()), "open(2) of a file": opens(),
            "link(2) and unlink(2)": links(), "fork(2) and execve(2)": executes()}


# --- the measuring ---

def spent(kernel, programs):
    return {name: kernel.run_stats(identity)["nanoseconds"] for name, identity in programs.items()}


def measured(kernel, programs, access):
    """{program: instructions} of one turn."""
    rounds = []
    for number in range(-1, ROUNDS):    # a first round warms up
        before = spent(kernel, programs)
        for _turn in range(TURNS):
            next(access)
        after = spent(kernel, programs)
        if number >= 0:
            rounds.append({name: after[name] - before[name] for name in programs})
    least = {name: min(one[name] for one in rounds) / TURNS / NS for name in programs}
    return {name: round(least[name]) for name in sorted(least) if least[name]}


def verified(kernel, programs):
    found = {}
    for name, identity in programs.items():
        program = kernel.program(identity)
        with open("/proc/self/fdinfo/%d" % program) as lines:
            told = dict(line.strip().split(":\t") for line in lines)
        os.close(program)
        found[name] = int(told["verified_insns"])
    return found


def main():
    furnish()
    server = serve()
    try:
        guard.present(guard.Request(
            name=NAME, policy=packed.unpack(json.load(sys.stdin)), observe=False, ttl=0, uids=set(), shell="", loader="libbpf",
            objects=objects.unpacked(objects.packed("libbpf")), agent=agent_process.main))
        where, kernel = place.Place(NAME), bpf.kernel()
        programs = where.read()["programs"]
        kernel.measure()
        cgroup.enter(where.cgroup)
        run = {what: measured(kernel, programs, access) for what, access in accesses().items()}
        print(json.dumps({"verified": verified(kernel, programs), "run": run}))
    finally:
        os.kill(server, signal.SIGKILL)


if __name__ == "__main__":
    main()
