# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a fleet: who is where, and which files a node has for itself. Pure: touches nothing."""

from __future__ import annotations

import ipaddress
import re

PASSWORD = "fleet-password"
# `openssl passwd -6` of PASSWORD: Python lost its crypt module in 3.13
_PASSWORD_HASH = ("$6$loopbreakfleet$5FwyNc34Qh3aaTlh5QizqmcCg0kcW5VYziVmmKKjCeWZDHG5t."
                  "7CcLOsuo.Lqdsk4Ol7RWbrZwQArwuoagpCB1")

USERS = {  # name: (uid, password field of /etc/shadow, line of sudoers)
    # "*" and not "!": sshd without PAM takes "!" for a locked account and refuses its keys too
    "deploy": (1500, "*", "deploy ALL=(ALL:ALL) NOPASSWD: ALL"),
    "deploypw": (1501, _PASSWORD_HASH, "deploypw ALL=(ALL:ALL) ALL"),
    "plain": (1502, "*", None),
}

_SHARED = ["203.0.113.50", "2001:db8:3::50"]
MOVABLE = {     # where Fleet.point finds them at first
    "moving.example": ["203.0.113.80", "2001:db8:3::80"],
    "unmoved.example": ["203.0.113.81", "2001:db8:3::81"],
}
SERVICES = {    # one process each: the names it serves, with their addresses
    "github.com": {
        "github.com": ["192.0.2.10", "2001:db8:2::10"],
        "api.github.com": ["192.0.2.11", "2001:db8:2::11"],
    },
    "mirror.github.com": {"mirror.github.com": ["203.0.113.21", "2001:db8:3::21"]},
    "api.internal": {"api.internal": ["203.0.113.10", "2001:db8:3::10"]},
    "mirror.example": {"mirror.example": ["203.0.113.20", "2001:db8:3::20"]},
    "registry.example": {"registry.example": ["203.0.113.30"]},
    "shared.example": {
        "blocked.shared.example": _SHARED,
        "open.shared.example": _SHARED,
        "edge.github.com": _SHARED,
    },
    "others": {
        "notgithub.com": ["203.0.113.40", "2001:db8:3::40"],
        "github.com.example.org": ["203.0.113.41"],
        "zero.example": ["203.0.113.60", "2001:db8:3::60"],
        "rr.example": ["203.0.113.61", "203.0.113.62", "203.0.113.63", "203.0.113.64"],
        "spare.example": ["203.0.113.82", "2001:db8:3::82", "203.0.113.83", "2001:db8:3::83"],
        **MOVABLE,
    },
    "proxy": {"proxy": ["203.0.113.70", "2001:db8:3::70"]},
    "resolver": {"resolver": ["203.0.113.53", "2001:db8:3::53"]},
}
NAMES = {name: addresses for names in SERVICES.values() for name, addresses in names.items()}
SERVERS = {service: list(dict.fromkeys(address for addresses in names.values() for address in addresses))
           for service, names in SERVICES.items()}
WEB_SERVERS = [service for service in SERVICES if service not in ("proxy", "resolver")]

ALIASES = {     # CNAMEs
    "www.github.com": "github.com",
    "alias.example": "github.com",
    "deep.alias.example": "alias.example",
    "cdn.example": "edge.github.com",
}
TIMES_TO_LIVE = {"zero.example": 0}     # of all others: 30 s
TEXTS = {"github.com": "v=spf1 -all", "mirror.example": "a mirror of github.com"}
BROKEN_NAME = "unstable.example"        # the resolver answers SERVFAIL

CA = "/etc/ssl/fleet-ca.pem"            # on every node
# On the servers' node
LIBRARY = "/usr/local/lib/fleet"
PAGES = f"{LIBRARY}/pages"
MOVABLE_NAMES = "/var/lib/fleet/names"  # a hosts file for each, which the resolver reads when it changes

ROUTES = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"]   # all on the link
MAX_HOSTS = 100
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


def check_name(name: str) -> None:
    """Before the name becomes part of a path: an empty one would name all fleets."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"fleet name {name!r}: use at most 31 of a-z, 0-9 and '-'")


def check_size(hosts: int) -> None:
    if not 1 <= hosts <= MAX_HOSTS:
        raise ValueError(f"{hosts} hosts: a fleet has 1 to {MAX_HOSTS}")


def host_names(count: int) -> list[str]:
    return [f"web{number}" for number in range(1, count + 1)]


def node_addresses(hosts: list[str]) -> dict[str, list[str]]:
    """Every node on the bridge, with its addresses."""
    nodes = {
        "controller": ["198.51.100.2", "2001:db8:51::2"],
        "servers": [address for addresses in SERVERS.values() for address in addresses],
    }
    for number, host in enumerate(hosts, start=11):
        nodes[host] = [f"198.51.100.{number}", f"2001:db8:51::{number}"]
    return nodes


def netns(fleet: str, node: str) -> str:
    return f"lbf-{fleet}-{node}"


def is_netns_of(fleet: str, candidate: str) -> bool:
    """Whole match: fleet `a` must not take what belongs to fleet `a-b`."""
    nodes = r"(bridge|controller|servers|web\d+)"
    return re.fullmatch(re.escape(f"lbf-{fleet}-") + nodes, candidate) is not None


def bridge_commands(fleet: str, nodes: dict[str, list[str]]) -> str:
    """`ip -batch` for the bridge's own namespace: the veth pairs start there, never in the machine's."""
    lines = ["link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0", "link set br0 up"]
    for node in nodes:
        lines.append(f"link add {node} type veth peer name eth0 netns {netns(fleet, node)}")
        lines.append(f"link set {node} master br0 up")
    return "\n".join(lines) + "\n"


def node_commands(addresses: list[str]) -> str:
    """`ip -batch` for a node. Host-length prefixes: the routes are named, not implied."""
    lines = ["link set lo up"]
    for address in addresses:
        lines.append(f"address add {address}/128 dev eth0 nodad" if ":" in address
                     else f"address add {address}/32 dev eth0")
    lines.append("link set eth0 up")
    lines += [f"route add {route} dev eth0" for route in ROUTES]
    return "\n".join(lines) + "\n"


def resolver_records(hosts: list[str]) -> list[str]:
    """What the resolver knows, as dnsmasq options."""
    nodes = node_addresses(hosts)
    named = {**NAMES, **{host: nodes[host] for host in hosts}}
    records = []
    for name, addresses in named.items():
        if name not in ("resolver", *MOVABLE):
            ttl = f",{TIMES_TO_LIVE[name]}" if name in TIMES_TO_LIVE else ""
            # a record holds one address of each family, a name has as many records as it needs
            records += [f"--host-record={name},{address}{ttl}" for address in addresses]
    records += [f"--cname={alias},{target}" for alias, target in ALIASES.items()]
    records += [f"--txt-record={name},{text}" for name, text in TEXTS.items()]
    return [*records, f"--hostsdir={MOVABLE_NAMES}"]


def end_of(alias: str) -> str:
    """The name with addresses that a CNAME leads to, however many there are between."""
    return end_of(ALIASES[alias]) if alias in ALIASES else alias


def hosts_file(name: str, addresses: list[str]) -> str:
    return "".join(f"{address} {name}\n" for address in addresses)


def check_movable(name: str, addresses: list[str]) -> list[str]:
    """The addresses as the resolver will write them."""
    if name not in MOVABLE:
        raise ValueError(f"{name!r} stays where it is; the names that move are {', '.join(MOVABLE)}")
    return [str(ipaddress.ip_address(address)) for address in addresses]


def server_options(service: str, hosts: list[str]) -> list[str]:
    """The command line of servers.py, behind the service."""
    options = [f"--address={address}" for address in SERVERS[service]]
    if service == "resolver":
        options.append(f"--broken-name={BROKEN_NAME}")
        options += [f"--record={record}" for record in resolver_records(hosts)]
    elif service in WEB_SERVERS:
        options += [f"--name={name}" for name in SERVICES[service]]
        options += [f"--certificate={certificate_path(service)}", f"--pages={PAGES}/{service}"]
    return options


def certificate_path(service: str) -> str:
    return f"{LIBRARY}/tls/{service}.pem"


def ca_config() -> str:
    """`openssl req` for the fleet's own certificate authority."""
    return _openssl_config("Loopbreak test fleet", [
        "basicConstraints = critical, CA:TRUE",
        "keyUsage = critical, keyCertSign, cRLSign",
        "subjectKeyIdentifier = hash",
    ])


def certificate_config(service: str) -> str:
    """`openssl req` for a server: what its addresses are called, and any name directly below."""
    names = [service, *SERVICES[service]]
    names += [alias for alias in ALIASES if end_of(alias) in names]
    subjects = [f"DNS:{subject}" for name in dict.fromkeys(names) for subject in (name, f"*.{name}")]
    subjects += [f"IP:{address}" for address in SERVERS[service]]
    return _openssl_config(service, [
        f"subjectAltName = {', '.join(subjects)}",
        "extendedKeyUsage = serverAuth",
        "authorityKeyIdentifier = keyid",
    ])


def _openssl_config(common_name: str, extensions: list[str]) -> str:
    return "\n".join(["[req]", "prompt = no", "distinguished_name = subject", "x509_extensions = extensions",
                      "[subject]", f"CN = {common_name}", "[extensions]", *extensions, ""])


def account_lines(text: str, kind: str) -> str:
    """The machine's passwd, shadow or group with the fleet's users added."""
    kept = [line for line in text.splitlines() if line and line.split(":")[0] not in USERS]
    if kind == "shadow":
        # root's own password state must not decide whether its key is accepted
        kept = ["root:*:19000:0:99999:7:::" if line.startswith("root:") else line for line in kept]
    for user, (uid, password, _sudo) in USERS.items():
        kept.append({
            "passwd": f"{user}:x:{uid}:{uid}::/home/{user}:/bin/bash",
            "shadow": f"{user}:{password}:19000:0:99999:7:::",
            "group": f"{user}:x:{uid}:",
        }[kind])
    return "\n".join(kept) + "\n"


def common_files(node: str, addresses: list[str]) -> dict[str, str]:
    """The files that make a node look up names in the fleet and nowhere else."""
    own = "".join(f"{address} {node}\n" for address in addresses if node != "servers")
    return {
        "etc/hostname": f"{node}\n",
        "etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n{own or f'127.0.1.1 {node}' + chr(10)}",
        "etc/resolv.conf": "".join(f"nameserver {address}\n" for address in SERVERS["resolver"]),
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
                             "networks: files\nprotocols: files\nservices: files\n",
    }


def sshd_config(addresses: list[str]) -> str:
    listen = "".join(f"ListenAddress {address}\n" for address in addresses)
    return listen + """\
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 500:30:1000
MaxSessions 500
PrintMotd no
PrintLastLog no
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
"""


def sudoers() -> str:
    return "\n".join(line for _uid, _password, line in USERS.values() if line) + "\n"


def ssh_config(directory: str, hosts: list[str]) -> str:
    """No `User` line: who connects is the caller's to say (ssh -l, ansible_user)."""
    nodes = node_addresses(hosts)
    quoted = directory.replace("%", "%%")      # ssh expands %-tokens in these values
    blocks = []
    for host in hosts:
        v4, v6 = nodes[host]
        # Ansible asks for the address, people for the name: one block takes both
        blocks.append(f"""\
Host {host} {v4} {v6}
    HostName {v4}
    HostKeyAlias {host}
    ProxyCommand "{quoted}/connect" {v4} %p
    IdentityFile "{quoted}/id_ed25519"
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile "{quoted}/known_hosts"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    UpdateHostKeys no
    PasswordAuthentication no
""")
    return "\n".join(blocks)


def connect_script(controller_cgroup: str, controller_netns: str) -> str:
    """The ProxyCommand. It joins the fleet's cgroup, so that `down` also ends forgotten connections
    (Ansible leaves its ControlMaster running for a minute)."""
    return f"""\
#!/bin/sh
echo $$ > {controller_cgroup}/cgroup.procs || exit 1
exec nsenter --net=/run/netns/{controller_netns} nc "$1" "$2"
"""


def inventory(directory: str, hosts: list[str]) -> str:
    nodes = node_addresses(hosts)
    members = "".join(f"    {host}:\n      ansible_host: {nodes[host][0]}\n" for host in hosts)
    return f"""\
fleet:
  hosts:
{members}  vars:
    ansible_user: root
    ansible_python_interpreter: /usr/bin/python3
    ansible_ssh_common_args: '-F "{directory}/ssh_config"'
"""
