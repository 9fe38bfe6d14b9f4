# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways out of a guard: what test_ways_out.py has tried on each kernel.

`outward.py prepare` starts what the ways lead to, before there is a guard, and stays as who listens. `outward.py try`
tries each way in a process of its own and prints {way: {"outcome", "pid"}} as JSON, `outcome` being `ok`, the name of
an errno, or what a command complained about.
"""

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import sys

DOCKER, TOOL, PLAIN, DATAGRAMS, LATER = "/run/docker.sock", "\0tool", "/run/plain", "/run/datagrams", "/run/later"
OF_USERS = "/run/user/7/docker.sock", "/run/user/7/systemd/private", "/root/gnupg/S.dirmngr"
CGROUPS = "/sys/fs/cgroup"
UNIT = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
CLONE3, CLONE_INTO_CGROUP = 435, 0x200000000
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def listen(address, kind=socket.SOCK_STREAM):
    with contextlib.suppress(OSError, ValueError):
        os.unlink(address)
    server = socket.socket(socket.AF_UNIX, kind)
    server.bind(address)
    if kind == socket.SOCK_STREAM:
        server.listen(64)
    return server


def prepare():
    with open("/etc/systemd/system/x.service", "w") as unit:
        unit.write(UNIT)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "start", "cron", "atd", "x"], check=True)
    with contextlib.suppress(FileExistsError):
        os.symlink(DOCKER, "/root/docker")
    for address in OF_USERS:
        os.makedirs(os.path.dirname(address), exist_ok=True)
    listeners = [listen(address) for address in (DOCKER, TOOL, PLAIN, *OF_USERS)] + [listen(DATAGRAMS, socket.SOCK_DGRAM)]
    if os.fork():
        os._exit(0)
    os.setsid()
    for descriptor in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    while listeners:
        signal.pause()


def connect(address):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)


def master():
    write("/proc/self/comm", "ssh")
    connect(PLAIN)


def relative():
    os.chdir("/run")
    connect("docker.sock")


def later():
    with listen(LATER):
        connect(LATER)


def datagram():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", DATAGRAMS)


def command(*words, said=""):
    done = subprocess.run(words, input=said, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise ValueError("%s: %s" % (words[0], done.stdout.strip()[:200]))


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def leave(mounted=CGROUPS):
    write(mounted + "/cgroup.procs", "0")
    if own_cgroup() != "/":
        raise ValueError("it is still in " + own_cgroup())


def own_cgroup():
    with open("/proc/self/cgroup") as lines:
        return lines.read().strip().partition("0::")[2]


def mount(source, target, kind=None, flags=0):
    """In a namespace of its own."""
    os.makedirs(target, exist_ok=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_PRIVATE | MS_REC, None) or libc.mount(
            source.encode(), target.encode(), kind and kind.encode(), flags, None):
        raise ValueError("it could not be mounted")


def bind_mount():
    mount("/run", "/mnt", flags=MS_BIND)
    connect("/mnt/docker.sock")


def hard_link():
    os.link(DOCKER, "/run/linked")
    try:
        connect("/run/linked")
    finally:
        os.unlink("/run/linked")


def leave_by_own_mount():
    mount("none", "/run/mounted", "cgroup2")
    leave("/run/mounted")


def below():
    directory = CGROUPS + own_cgroup() + "/below"
    os.mkdir(directory)
    write(directory + "/cgroup.procs", "0")
    write(os.path.dirname(directory) + "/cgroup.procs", "0")
    os.rmdir(directory)


def read_members():
    with open(CGROUPS + "/cgroup.procs") as members:
        members.read()


def clone():
    directory = os.open(CGROUPS, os.O_RDONLY)
    arguments = (ctypes.c_uint64 * 11)(CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, directory)
    child = libc.syscall(CLONE3, arguments, ctypes.c_size_t(ctypes.sizeof(arguments)))
    if child < 0:
        raise OSError(ctypes.get_errno(), "clone3")
    if not child:
        os._exit(own_cgroup() != "/")
    if os.waitpid(child, 0)[1]:
        raise ValueError("it did not begin there")


WAYS = {
    "docker": lambda: connect(DOCKER),
    "docker by /var/run": lambda: connect("/var" + DOCKER),
    "docker by a symbolic link": lambda: connect("/root/docker"),
    "docker by a relative path": relative,
    "docker by a hard link": hard_link,
    "docker by a bind mount": bind_mount,
    "a socket without a file": lambda: connect(TOOL),
    "a socket that is made later": later,
    "a datagram": datagram,
    "a socket of no rule": lambda: connect(PLAIN),
    "docker of a user": lambda: connect(OF_USERS[0]),
    "systemd of a user": lambda: connect(OF_USERS[1]),
    "dirmngr": lambda: connect(OF_USERS[2]),
    "a master of ssh": master,
    "systemd-run": lambda: command("systemd-run", "--wait", "--quiet", "true"),
    "systemctl restart": lambda: command("systemctl", "restart", "x"),
    "the system bus": lambda: connect("/run/dbus/system_bus_socket"),
    "at": lambda: command("at", "-M", "now + 1 day", said="true\n"),
    "crontab": lambda: command("crontab", "-", said="0 0 1 1 * true\n"),
    "cron.d": lambda: write("/etc/cron.d/x", "0 0 1 1 * root true\n"),
    "cgroup.procs": leave,
    "cgroup.procs by a mount of its own": leave_by_own_mount,
    "cgroup.procs below the guard": below,
    "reading a cgroup.procs": read_members,
    "clone3 into a cgroup": clone,
    "fork": lambda: command("true"),
}


def attempt(way):
    receive, send = os.pipe()
    pid = os.fork()
    if not pid:
        write("/proc/self/comm", way[:15])  # programs are told apart by it
        try:
            WAYS[way]()
            outcome = "ok"
        except OSError as error:
            outcome = errno.errorcode[error.errno]
        except Exception as error:
            outcome = str(error)
        os.write(send, outcome.encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as answer:
        told = answer.read()
    os.waitpid(pid, 0)
    return {"outcome": told, "pid": pid}


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare()
    else:
        print(json.dumps({way: attempt(way) for way in WAYS}))
