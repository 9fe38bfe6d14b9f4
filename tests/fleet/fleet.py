# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""N hosts with real sshd, and the servers they may not reach, on one Linux machine. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import select
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fleet_kernel as kernel
import fleet_plan as plan
import fleet_registry as registry
from fleet_files import SERVERS_PROGRAM, make_certificates, make_keys, private_files, public_key
from fleet_kernel import FleetError

HERE = Path(__file__).resolve().parent
READY_WITHIN = 15

# What a login as root has; the caller's own PATH and variables are the machine's business
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh", "LANG": "C.UTF-8",
}


class Fleet:
    """One fleet. `with Fleet("name", hosts=3) as fleet:` brings it up and takes it down."""

    def __init__(self, name: str, hosts: int = 3, directory: str | os.PathLike | None = None,
                 owner_pid: int | None = None) -> None:
        """owner_pid: when that process is dead, the next `up` of any fleet removes this one.
        None: the calling process; 0: nobody, the fleet stays until `down`."""
        self.cgroup = registry.cgroup_of(name)
        try:
            plan.check_size(hosts)
        except ValueError as error:
            raise FleetError(str(error)) from None
        self.name = name
        self.hosts = plan.host_names(hosts)
        self.owner_pid = os.getpid() if owner_pid is None else owner_pid
        # without one, `up` makes a temporary one, which goes with the fleet
        self.directory = Path(directory).resolve() if directory else None
        self._temporary = directory is None
        self.anchors: dict[str, dict] = {}      # node: the process that keeps its namespaces

    @classmethod
    def attach(cls, name: str) -> Fleet:
        """The fleet of that name that is already up, whoever brought it up."""
        state = registry.read_state(name)
        if not state:
            raise FleetError(f"no fleet {name!r} is up")
        owner = state["owner"]
        fleet = cls(name, state["hosts"], state["directory"], owner["pid"] if owner else 0)
        fleet.anchors = state["anchors"]
        fleet._temporary = state["temporary"]
        return fleet

    # Up and down

    def up(self) -> Fleet:
        check_machine()
        with registry.lock():
            registry.refuse_if_in_use(self.name, self.owner_pid)
            for leftover in {self.name, *registry.orphans()}:
                registry.remove(leftover)
            if self._temporary:
                self.directory = Path(tempfile.mkdtemp(prefix=f"fleet-{self.name}-"))
            self._write_state()
            registry.remember_netns_mount()
        try:
            self._bring_up()
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        with registry.lock():
            registry.remove(self.name)
        self.anchors = {}

    def __enter__(self) -> Fleet:
        return self.up()

    def __exit__(self, *_exception) -> None:
        self.down()

    def _bring_up(self) -> None:
        nodes = plan.node_addresses(self.hosts)
        self._make_cgroups(nodes)
        self._write_files()
        make_network(self.name, nodes)
        self._start_nodes({node: addresses for node, addresses in nodes.items() if node != "controller"})
        self._write_state()
        self._start_servers(list(plan.SERVERS))

    def _write_state(self) -> None:
        registry.write_state(self.name, {
            "hosts": len(self.hosts), "directory": str(self.directory), "temporary": self._temporary,
            "owner": kernel.identity(self.owner_pid) if self.owner_pid else None,
            "anchors": self.anchors})

    def _make_cgroups(self, nodes) -> None:
        for parent in (self.cgroup.parent.parent, self.cgroup.parent, self.cgroup):
            parent.mkdir(exist_ok=True)
            kernel.hand_down_controllers(parent)
        for node in nodes:
            (self.cgroup / node).mkdir()
        for service in plan.SERVERS:
            (self.cgroup / "servers" / service).mkdir()

    def _write_files(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        make_keys(self.directory, ["id_ed25519", *[f"host_{host}" for host in self.hosts]])
        make_certificates(self.directory)
        keys = {host: public_key(self.directory / f"host_{host}") for host in self.hosts}
        files = {
            "known_hosts": "".join(f"{host} {key}\n" for host, key in keys.items()),
            "ssh_config": plan.ssh_config(str(self.directory), self.hosts),
            "inventory.yml": plan.inventory(str(self.directory), self.hosts),
            "connect": plan.connect_script(str(self.cgroup / "controller"),
                                           plan.netns(self.name, "controller")),
            **{f"{service}.log": "" for service in plan.SERVERS},
            **{f"{service}.err": "" for service in plan.SERVERS},
        }
        for file, content in files.items():
            (self.directory / file).write_text(content)
        (self.directory / "connect").chmod(0o755)

    def _start_nodes(self, nodes: dict[str, list[str]]) -> None:
        builders = {}
        for node, addresses in nodes.items():
            with tempfile.TemporaryFile() as archive:
                archive.write(private_files(node, addresses, self.directory))
                archive.seek(0)
                builders[node] = subprocess.Popen(
                    self._in_cgroup(node, *kernel.in_netns(
                        plan.netns(self.name, node), "unshare", "--mount", "--uts", "--cgroup",
                        "--propagation", "private", "sh", str(HERE / "node.sh"), str(self.directory),
                        str(self.cgroup.parent.parent), node, "yes" if node in self.hosts else "no")),
                    stdin=archive, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
                    env=ENVIRONMENT)
        results = {node: builder.communicate() for node, builder in builders.items()}
        for node, (output, errors) in results.items():
            if builders[node].returncode:
                raise FleetError(f"node {node} of fleet {self.name} did not come up: {errors.strip()}")
            self.anchors[node] = kernel.identity(int(output))

    # Commands on nodes

    def _in_cgroup(self, cgroup: str, *command: str) -> list[str]:
        # joined from outside: once inside the node's cgroup namespace, its cgroup is "/"
        return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.cgroup / cgroup), *command]

    def command(self, node: str, *command: str, cgroup: str | None = None) -> list[str]:
        """The command line that runs a command as root on a node, from the machine."""
        if node == "controller":    # the fleet's network, the machine's files
            return self._in_cgroup(node, *kernel.in_netns(plan.netns(self.name, node), *command))
        anchor = self.anchors.get(node)
        if anchor is None:
            raise FleetError(f"fleet {self.name} has no node {node!r}; "
                             f"it has controller, {', '.join(self.anchors) or 'nothing up'}")
        if not kernel.lives(anchor):
            raise FleetError(f"node {node} of fleet {self.name} is dead")
        return self._in_cgroup(cgroup or node, "nsenter", f"--target={anchor['pid']}", "--mount", "--uts",
                               "--cgroup", "--net", *command)

    def popen(self, node: str, *command: str, cgroup: str | None = None, **options) -> subprocess.Popen:
        """Starts a command as root on a host, on `servers` or on `controller`; Popen's own pid is the
        command's."""
        options = {"text": True, "env": dict(os.environ) if node == "controller" else ENVIRONMENT, **options}
        return subprocess.Popen(self.command(node, *command, cgroup=cgroup), **options)

    def exec(self, node: str, *command: str, check: bool = True, timeout: float | None = 60,
             input: str | None = None, **options) -> subprocess.CompletedProcess:
        """Runs a command as popen does, and returns its output; with check, FleetError when it fails."""
        options = {"stdin": subprocess.DEVNULL if input is None else subprocess.PIPE,
                   "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        with self.popen(node, *command, **options) as process:
            try:
                output, errors = process.communicate(input, timeout)
            except BaseException:
                process.kill()
                raise
        return _finished(process.args, shlex.join(command), node, process.returncode, output, errors, check)

    def ssh(self, host: str, command: str, user: str = "root", check: bool = True,
            timeout: float | None = 60, **options) -> subprocess.CompletedProcess:
        """Runs a command line over ssh, as any user of the host."""
        argv = ["ssh", "-F", str(self.ssh_config), "-o", "BatchMode=yes", "-l", user, host, command]
        options = {"text": True, "capture_output": True, **options}
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(argv, timeout=timeout, check=False, **options)
        return _finished(argv, command, f"{user}@{host}", done.returncode, done.stdout, done.stderr, check)

    # Servers

    def start(self, *services: str) -> None:
        """Starts servers that were stopped; returns when they listen."""
        self._start_servers([_known(service) for service in services])

    def stop(self, *services: str) -> None:
        """Stops servers: their addresses stay, connections to them are refused."""
        for service in map(_known, services):
            kernel.remove_cgroup(self.cgroup / "servers" / service)
            (self.cgroup / "servers" / service).mkdir()

    def _start_servers(self, services: list[str]) -> None:
        waiting = {}
        for service in services:
            if (self.cgroup / "servers" / service / "cgroup.procs").read_text():
                continue    # it runs
            reader, writer = os.pipe()
            with open(self.directory / f"{service}.log", "a") as log, \
                    open(self.directory / f"{service}.err", "a") as errors:
                # setsid --fork: the server is nobody's child, so that any process may stop it
                command = ["setsid", "--fork", "/usr/bin/python3", SERVERS_PROGRAM, service,
                           *plan.server_options(service, self.hosts), f"--ready-fd={writer}"]
                self.popen("servers", *command, cgroup=f"servers/{service}", pass_fds=[writer], stdout=log,
                           stderr=errors, stdin=subprocess.DEVNULL).wait()
            os.close(writer)
            waiting[service] = reader
        deadline = time.monotonic() + READY_WITHIN
        late = [service for service, reader in waiting.items() if not _became_ready(reader, deadline)]
        if late:
            errors = "".join((self.directory / f"{service}.err").read_text() for service in late)
            raise FleetError(f"{', '.join(late)} of fleet {self.name} did not start: {errors.strip()}")

    def point(self, name: str, *addresses: str) -> None:
        """Changes what the resolver says of a name that moves: these addresses, or with none, that there is
        no such name. Returns when it says so."""
        try:
            wanted = plan.check_movable(name, addresses)
        except ValueError as error:
            raise FleetError(str(error)) from None
        # renamed: the resolver reads the file at once, and must not find half of it
        self.exec("servers", "sh", "-ec", 'cat > "$0/.$1"; mv "$0/.$1" "$0/$1"', plan.MOVABLE_NAMES, name,
                  input=plan.hosts_file(name, wanted))
        deadline = time.monotonic() + READY_WITHIN
        while (answer := self._resolved(name)) != set(wanted):
            if time.monotonic() > deadline:
                raise FleetError(f"the resolver of fleet {self.name} does not say that {name} is at "
                                 f"{wanted}, but: {answer}")

    def _resolved(self, name: str) -> set[str]:
        # from 127.0.0.1: the resolver's log leaves out what is asked from there
        done = self.exec("servers", "dig", "-b", "127.0.0.1", f"@{plan.SERVERS['resolver'][0]}", "+short",
                         "+tries=1", "+time=1", name, "A", name, "AAAA", check=False)
        return set(done.stdout.splitlines())

    def log(self, service: str) -> list[dict]:
        """Everything that reached the service, oldest first."""
        lines = (self.directory / f"{_known(service)}.log").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def forget_logs(self) -> None:
        """Empties the services' logs; the servers append, so they just go on."""
        for service in plan.SERVERS:
            os.truncate(self.directory / f"{service}.log", 0)

    # Where things are

    def address(self, node: str, family: int = 4) -> str:
        """Of a host, a service or a name, IPv4 or IPv6: the first one, where it was at first."""
        known = {**plan.node_addresses(self.hosts), **plan.SERVERS, **plan.NAMES}
        for address in known[node]:
            if (":" in address) == (family == 6):
                return address
        raise FleetError(f"{node} has no IPv{family} address")

    @property
    def ssh_config(self) -> Path:
        return self.directory / "ssh_config"

    @property
    def inventory(self) -> Path:
        return self.directory / "inventory.yml"


def _known(service: str) -> str:
    if service not in plan.SERVERS:
        raise FleetError(f"there is no server {service!r}; there are {', '.join(plan.SERVERS)}")
    return service


def _finished(argv, command, where, status, output, errors, check) -> subprocess.CompletedProcess:
    if check and status:
        raise FleetError(f"`{command}` on {where} failed ({status}): {(errors or output or '').strip()}")
    return subprocess.CompletedProcess(argv, status, output, errors)


def _became_ready(reader: int, deadline: float) -> bool:
    try:
        readable, _writable, _exceptional = select.select([reader], [], [], max(0, deadline - time.monotonic()))
        return bool(readable) and os.read(reader, 1) == b"1"    # nothing to read: it ended
    finally:
        os.close(reader)


def make_network(name: str, nodes: dict[str, list[str]]) -> None:
    bridge = plan.netns(name, "bridge")
    kernel.add_netns([bridge, *[plan.netns(name, node) for node in nodes]])
    # the bridge only forwards: without IPv6 it adds no addresses and no packets of its own
    kernel.run(*kernel.in_netns(bridge, "sh", "-c",
                                "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip -batch -"),
               input=plan.bridge_commands(name, nodes))
    # accept_dad=0: link-local addresses work at once too (both knobs count, the larger one wins);
    # ping_group_range: what systemd sets on every Debian, so that ping needs no privilege
    setup = ("echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad;"
             "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad;"
             "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range; ip -batch -")
    for node, addresses in nodes.items():
        kernel.run(*kernel.in_netns(plan.netns(name, node), "sh", "-c", setup),
                   input=plan.node_commands(addresses))


def check_machine() -> None:
    if os.geteuid() != 0:
        raise FleetError("a fleet needs root: it makes namespaces, mounts and cgroups")
    missing = kernel.missing_packages()
    if missing:
        raise FleetError(f"this machine lacks packages of the fleet: apt-get install {' '.join(missing)}")


# Command line

def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fleet.py", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, text: str, **options) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text, **options)
        made.add_argument("--name", required=True, help="the fleet")
        return made

    up = verb("up", "bring a fleet up; replaces one of the same name")
    up.add_argument("--hosts", type=int, default=3)
    up.add_argument("--dir", required=True, help="for ssh_config, inventory.yml, keys and logs")
    up.add_argument("--owner-pid", type=int, default=0,
                    help="the fleet may be removed once this process is dead (default: it stays until down)")
    verb("down", "remove a fleet, whole or half; no error when there is none")
    execute = verb("exec", "run a command as root: exec --name NAME NODE -- COMMAND...")
    execute.add_argument("node", help="web1..., servers or controller")
    execute.add_argument("command", nargs="+")
    verb("stop", "stop a server: connections are refused").add_argument("server", choices=plan.SERVERS)
    verb("start", "start a stopped server", aliases=["serve"]).add_argument("server", choices=plan.SERVERS)
    point = verb("point", "change what the resolver says of a name")
    point.add_argument("hostname", choices=plan.MOVABLE)
    point.add_argument("address", nargs="*", help="none: the name does not exist")
    needs = verbs.add_parser("needs", help="list the Debian packages that the fleet needs")
    needs.add_argument("--missing", action="store_true", help="only those that this machine lacks")
    return parser


def _act(options: argparse.Namespace) -> None:
    if options.verb == "needs":
        print("\n".join(kernel.missing_packages() if options.missing else kernel.PACKAGES))
    elif options.verb == "up":
        fleet = Fleet(options.name, options.hosts, options.dir, options.owner_pid).up()
        print(f"{len(fleet.hosts)} hosts are up: ansible -i {shlex.quote(str(fleet.inventory))} all -m ping")
    elif options.verb == "down":
        with registry.lock():
            registry.remove(options.name)
    elif options.verb == "exec":
        command = Fleet.attach(options.name).command(options.node, *options.command)
        os.execvpe("sh", command, os.environ if options.node == "controller"
                   else {**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")})
    elif options.verb == "point":
        Fleet.attach(options.name).point(options.hostname, *options.address)
    elif options.verb == "stop":
        Fleet.attach(options.name).stop(options.server)
    else:
        Fleet.attach(options.name).start(options.server)


def main() -> None:
    options = _parser().parse_args()
    try:
        _act(options)
    except FleetError as error:
        sys.exit(f"fleet: {error}")


if __name__ == "__main__":
    main()
