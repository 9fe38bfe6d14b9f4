# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bench runs: namespaces of its own with nothing but lo, and guards, servers and loads in them.

Network, processes, /run, /var/log and the BPF file system are the room's own, so they end with it, however it ends.
What the kernel has once for all are cgroups: they are removed at the end, and what a killed bench has left at the start.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import fleet_headers
from supplies import SUPPLIES

from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import guard, look, place, stop
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import emptying, pinned
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILT = ROOT / "build" / "bench"
BIN = ROOT / "build" / "venv" / "bin"
COLLECTIONS = ROOT / "build" / "collections"
OBJECT = COLLECTIONS / "ansible_collections/loopbreak/deploy/plugins/ebpf_guard.bpf.o"

SERVER = "192.0.2.1"    # the room has no other network, so nobody else has these
PROXY, RESOLVER = "192.0.2.3", "192.0.2.5"     # odd: the rules of the bench deny every second address
ANSWERED = "198.51.100.1"   # what the server answers when it is asked for a name
AROUND = "192.0.0.0/13"     # the addresses that the rules deny, and those between them
NAME = "bench-"         # what the guards' names begin with
PLAIN = "loopbreak-bench"   # the cgroup beside the guards'
UNSHARED = "LOOPBREAK_BENCH_ROOM"
# The servers on one CPU. A load that goes on while they work runs on another; one that waits for each answer on the
# same: a CPU's way out of its sleep would be most of what is measured.
SERVER_CPU, *_OTHER_CPUS = sorted(os.sched_getaffinity(0))
LOAD_CPU = [SERVER_CPU, *_OTHER_CPUS][-1]


def enter():
    """Go on inside namespaces of the bench's own. One bench at a time: two would measure each other."""
    if UNSHARED in os.environ:
        return
    if os.geteuid() != 0:
        sys.exit("bench: needs root, for guards and namespaces")
    lock = os.open(cgroup.mount_point(), os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(lock, True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("bench: another one is running")
    os.environ[UNSHARED] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                          sys.executable, *sys.argv])


def run(*command, **options):
    """The output of a command, which must succeed."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, **options)
    if done.returncode:
        raise RuntimeError(f"`{command[0]}` failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
    return done.stdout


def peak_memory(*command):
    """In bytes, of a command. A small process starts it: what a process had before exec counts, too."""
    starter = "import os, sys; os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:]); print(os.wait3(0)[2].ru_maxrss)"
    return int(run(sys.executable, "-I", "-S", "-c", starter, *command)) * 1024


class Room:
    """`with Room() as room:` makes it; what it has started ends with it."""

    def __init__(self):
        self.plain = Path(cgroup.mount_point(), PLAIN)
        self.environment = dict(os.environ)
        self._ending = contextlib.ExitStack()

    def __enter__(self):
        self._ending.callback(self._remove_cgroups)
        try:
            self._furnish()
        except BaseException:
            self._ending.close()
            raise
        return self

    def __exit__(self, *_exception):
        self._ending.close()

    def _furnish(self):
        run("mount", "-t", "bpf", "bpf", place.BPFFS)
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        run("mount", "-t", "tmpfs", "tmpfs", "/var/log")
        self._remove_cgroups()
        self.plain.mkdir()
        if fleet_headers.is_needed():
            self.environment["BCC_KERNEL_SOURCE"] = str(fleet_headers.write(Path("/run/headers")))
        run("ip", "-batch", "-", input="link set lo up\n" + "".join(
            f"address add {address}/32 dev lo\n" for address in (SERVER, PROXY, RESOLVER, ANSWERED))
            + f"route add local {AROUND} dev lo\n")

    def _remove_cgroups(self):
        for name in look.names():
            if name.startswith(NAME):
                stop.sweep(place.Place(name))
        if self.plain.exists():
            cgroup.empty(str(self.plain))
            cgroup.remove(str(self.plain))

    def cgroup(self, name):
        """A cgroup without a guard."""
        path = self.plain / name
        path.mkdir(exist_ok=True)
        return path

    def start_guard(self, name, policy, loader="libbpf"):
        """Brings a guard up in a process of its own, with the Python of a target; returns what that took (start.py)."""
        return self.start_packed(name, packed.pack(check(policy)), loader)

    def start_packed(self, name, sent, loader="libbpf"):
        """The same of a policy that has been made ready to be sent, which takes seconds if it is large."""
        wanted = {"name": NAME + name, "policy": sent, "loader": loader}
        return json.loads(run("/usr/bin/python3", HERE / "start.py", input=json.dumps(wanted), env=self.environment))

    def end_guard(self, name):
        guard.absent(NAME + name)

    def guard(self, name, policy):
        """Brings a guard up for as long as the room is there; returns its cgroup."""
        self._ending.callback(self.end_guard, name)
        self.start_guard(name, policy)
        return Path(place.Place(NAME + name).cgroup)

    @contextlib.contextmanager
    def resolver(self, address):
        """Guards that start meanwhile take it for the host's, and find out whether answers arrive from there."""
        settings = Path("/run/resolv.conf")
        settings.write_text(f"nameserver {address}\n")
        run("mount", "--bind", settings, "/etc/resolv.conf")
        yield
        run("umount", "/etc/resolv.conf")

    def empty_programs(self):
        """A cgroup with programs that decide nothing, where a guard has its own for IPv4."""
        path, pins = self.cgroup("empty"), Path(place.BPFFS, "bench_empty")
        run("bpftool", "prog", "loadall", BUILT / "empty.bpf.o", pins)
        for pin in pins.iterdir():
            run("bpftool", "cgroup", "attach", path, pin.name, "pinned", pin)
        return path

    def trie_program(self, name):
        """A cgroup with a program at connect(2) that looks the address up in the table of this guard's networks."""
        path, pin = self.cgroup(f"trie-{name}"), Path(place.BPFFS, f"bench_{name}")
        run("bpftool", "prog", "load", BUILT / "trie.bpf.o", pin, "map", "name", "trie", "pinned",
            pinned.path(place.Place(NAME + name).pins, emptying.TABLE))
        run("bpftool", "cgroup", "attach", path, "connect4", "pinned", pin)
        return path

    def nft_table(self, networks):
        """A cgroup that nftables matches, with sets of the same networks; and what has the table judge, or sleep.

        It would look at the packets of every other way, too. Raises RuntimeError where this kernel or nft can't.
        """
        path = self.cgroup("nft")
        elements = {4: [network for network in networks if ":" not in network],
                    6: [network for network in networks if ":" in network]}
        table = "table inet bench {\n" + "".join(
            f"set s{family} {{ type ipv{family}_addr; flags interval; elements = {{ {', '.join(those)} }} }}\n"
            for family, those in elements.items()) + "chain out { type filter hook output priority 0;\n" + "".join(
            f'socket cgroupv2 level 2 "{PLAIN}/{path.name}" {header} daddr @s{family} reject\n'
            for family, header in ((4, "ip"), (6, "ip6"))) + "}\n}\n"
        # nft looks for the cgroup below /sys/fs/cgroup, which is elsewhere on a hybrid host
        run("unshare", "--mount", "sh", "-c", "mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec nft -f -", input=table)

        @contextlib.contextmanager
        def awake():
            run("nft", "add table inet bench")
            try:
                yield
            finally:
                run("nft", "add table inet bench { flags dormant; }")
        with awake():
            pass
        return path, awake

    def serve(self, *command, ready=None):
        """Starts a server; returns once it has said that it is ready."""
        pinned = ["taskset", "--cpu-list", str(SERVER_CPU), "chrt", "--fifo", "1", *map(str, command)]
        process = subprocess.Popen(pinned, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, text=True)
        self._ending.callback(process.wait)
        self._ending.callback(process.kill)
        for line in process.stdout:
            if ready in line:
                return
        raise RuntimeError(f"{command[0]} did not start")

    def serve_dnsmasq(self, address, *options):
        """dnsmasq in front of the server."""
        self.serve("dnsmasq", "--keep-in-foreground", "--log-facility=-", "--user=root", "--no-resolv", "--no-hosts",
                   f"--server={SERVER}", f"--listen-address={address}", "--bind-interfaces", "--pid-file=", *options,
                   ready="using nameserver")

    def serve_web(self):
        """nginx at port 80: something small, and what `make bench` has got for deployments."""
        settings = Path("/run/nginx.conf")
        settings.write_text(
            "daemon off; master_process off; pid /run/nginx.pid; error_log /run/nginx.log;\n"
            "events {}\n"
            "http { access_log off; server { listen 80; location / { return 200 ok; }\n"
            f"location ~ ^/(debs|simple)/ {{ root {SUPPLIES}; autoindex on; }} }} }}\n")
        self.serve("sh", "-c", f"echo starting; exec nginx -c {settings}", ready="starting")
        for _attempt in range(100):
            with contextlib.suppress(OSError), socket.create_connection((SERVER, 80)):
                return
            time.sleep(0.05)
        raise RuntimeError("nginx did not start: " + Path("/run/nginx.log").read_text())

    def serve_git(self, directory):
        """The repositories in it, to everybody."""
        self.serve("git", "daemon", "--verbose", "--export-all", f"--base-path={directory}",
                   ready="Ready to rumble")

    def beside(self, *command):
        """Starts a load that goes on beside others, on the CPU on which no server is."""
        return subprocess.Popen(["taskset", "--cpu-list", str(LOAD_CPU), *map(str, command)], stdout=subprocess.PIPE, text=True)

    @contextlib.contextmanager
    def stalls(self, longest):
        """Meanwhile a process on each CPU sleeps a millisecond at a time; adds by how many ms one woke too late at most."""
        with subprocess.Popen([BUILT / "stall", *map(str, sorted(os.sched_getaffinity(0)))], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stall:
            yield
            told = stall.communicate()[0]
        if stall.returncode:
            raise RuntimeError("`stall` failed")
        longest.append(int(told) / 1e6)

    def load(self, cgroup, what, count, address=SERVER, cpu=LOAD_CPU, under=()):
        """ns that so many of it take, each."""
        return int(run(*under, BUILT / "load", cgroup, cpu, what, address, count)) / count
