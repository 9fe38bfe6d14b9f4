# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries everything that a guard can deny, as real programs do, and looks around: attempts.py [--wait=SECONDS] [ATTEMPT...]

Prints {"attempts": {attempt: "ok", or the name of an error, or of what DNS says, or "waits"}, "cgroup": its own, "programs": those in the kernel,
"remains": what of any guard is on the host}. One program that does much: a task takes seconds on an emulated machine.
"""

import errno
import glob
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys

TIMEOUT = 60    # seconds; an emulated machine is slow, and nothing here is to run into it
ECHO_REQUEST = b"\x08\x00\xf7\xfe\x00\x00\x00\x01"
DENIED, DENIED6, OTHER = "192.0.2.10", "2001:db8:2::10", "198.51.100.10"
SITE, SITE6, ALIAS_SITE = "203.0.113.10", "2001:db8:3::10", "203.0.113.30"
NAME, RESOLVER, NAME_SERVICE = "api.github.com", ("127.0.0.1", 53), "/run/systemd/resolve/io.systemd.Resolve"
TREE = "/opt/matrix"
NXDOMAIN = 3


class NoSuchName(Exception):
    """The answer to a DNS question."""


def tcp(address, port=80, said=b"hello"):
    with socket.create_connection((address, port), TIMEOUT) as connection:
        connection.sendall(said)
        return heard(connection.recv(4096))


def udp(address, port=9000, connect=False):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(TIMEOUT)
        if connect:
            sender.connect((address, port))
            sender.send(b"hello")
        else:
            sender.sendto(b"hello", (address, port))
        return heard(sender.recv(4096))


def icmp(kind):
    with socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP) as sender:
        sender.settimeout(TIMEOUT)
        sender.sendto(ECHO_REQUEST, (DENIED, 0))
        return heard(sender.recv(4096))


def question(name):
    labels = b"".join(struct.pack("B", len(label)) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)


def dns_udp(name=NAME):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(TIMEOUT)
        sender.sendto(question(name), RESOLVER)
        answer = sender.recv(4096)
        heard(answer)
        if answer[3] & 15 == NXDOMAIN:
            raise NoSuchName()


def dns_libc():
    """The C library has errors of the network reported on its sockets; an error on a send it calls a passing one."""
    try:
        socket.getaddrinfo(NAME, 80, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NoSuchName() if error.errno == socket.EAI_NONAME else OSError(errno.EAGAIN, str(error))


def dns_tcp():
    with socket.create_connection(RESOLVER, TIMEOUT) as connection:
        connection.sendall(struct.pack("!H", len(question(NAME))) + question(NAME))
        answer = connection.recv(4096)
        heard(answer)
        if answer[5] & 15 == NXDOMAIN:
            raise NoSuchName()


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=NAME).do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()


def alias():
    """The answer to an allowed question tells where a denied name is."""
    dns_udp("alias.example")
    return tcp(ALIAS_SITE)


def unix():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(NAME_SERVICE)
        connection.sendall(b"hello")
        return heard(connection.recv(4096))


def heard(answer):
    if not answer:
        raise OSError(errno.ECONNRESET, "no answer")


# Scripts that start tools and then wait, end, or become another program; the tools wait for all, then are denied at once.
LINEAGE = """exec 3<&0
deploy='for port in $1 $(($1 + 1)); do
  bash -c "echo; read go <&3; : > /dev/udp/192.0.2.10/\\$0" $port &
done; eval $2'
set -- wait true 'exec sleep 0'
for script in 0 1 2; do sh -c "$deploy" deploy-$script 700$((2 * script)) "$1" & shift; done
wait"""
TOOLS = 6


def lineage():
    running = subprocess.Popen(["sh", "-c", LINEAGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    for _tool in range(TOOLS):
        running.stdout.readline()
    errors = running.communicate("")[1]     # ends their input, and waits for all who have their output
    refused = errors.count("/dev/udp/")
    if refused:
        raise OSError(errno.EACCES if refused == TOOLS else errno.EIO, errors)


def alone():
    """Connections that present a denied name, while the agent hangs and ends none of them."""
    with open(glob.glob("/sys/fs/cgroup/**/ebpf_guard/deploy.agent/cgroup.procs", recursive=True)[0]) as lines:
        agent = [int(line) for line in lines]
    for pid in agent:
        os.kill(pid, signal.SIGSTOP)
    try:
        outcomes = {attempt(ATTEMPTS[name]) for name in ("tls", "http", "dns_tcp")}
    finally:
        for pid in agent:
            os.kill(pid, signal.SIGCONT)
    raise OSError(errno.ETIMEDOUT if outcomes == {"ETIMEDOUT"} else errno.EIO, str(outcomes))


ATTEMPTS = {
    "tcp4": lambda: tcp(DENIED), "tcp6": lambda: tcp(DENIED6), "mapped": lambda: tcp("::ffff:" + DENIED, 443),
    "udp_connect": lambda: udp(DENIED, 80, connect=True), "udp4": lambda: udp(DENIED), "udp6": lambda: udp(DENIED6),
    "raw": lambda: icmp(socket.SOCK_RAW), "ping": lambda: icmp(socket.SOCK_DGRAM),
    "dns_udp": dns_udp, "dns_libc": dns_libc, "dns_tcp": dns_tcp, "alias": alias,
    "tls": lambda: tcp(SITE, 443, client_hello()),
    "http": lambda: tcp(SITE, 80, b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % NAME.encode()),
    "unix": unix, "lineage": lineage, "alone": alone,
    "file": lambda: open(TREE + "/file").close(), "exec": lambda: subprocess.run([TREE + "/program"], check=True),
    "other": lambda: tcp(OTHER), "allowed4": lambda: tcp(SITE), "allowed6": lambda: tcp(SITE6),
}


def attempt(act):
    try:
        act()
    except OSError as error:
        return "waits" if isinstance(error, socket.timeout) and not error.errno else errno.errorcode.get(error.errno, repr(error))
    except NoSuchName:
        return "NXDOMAIN"
    return "ok"


def programs():
    shown = subprocess.run(["bpftool", "--json", "prog", "show"], stdout=subprocess.PIPE, check=False).stdout
    return sorted(program.get("name", "") for program in json.loads(shown)) if os.geteuid() == 0 else []


def remains():
    found = glob.glob("/run/ebpf_guard*") + glob.glob("/sys/fs/bpf/ebpf_guard*")
    return found + [top for top, _directories, _files in os.walk("/sys/fs/cgroup") if "ebpf_guard" in top]


def main():
    global TIMEOUT  # pylint: disable=global-statement
    if sys.argv[1:2] and sys.argv[1].startswith("--wait="):
        TIMEOUT = int(sys.argv.pop(1).partition("=")[2])
    with open("/proc/self/cgroup") as cgroup:
        print(json.dumps({
            "attempts": {name: attempt(ATTEMPTS[name]) for name in sys.argv[1:] or ATTEMPTS},
            "cgroup": cgroup.read().strip(), "programs": programs(), "remains": remains()}))


if __name__ == "__main__":
    main()
