# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, certificates, and the archive with the private files of a node that node.sh unpacks."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from pathlib import Path

import fleet_headers as headers
import fleet_pages as pages
import fleet_plan as plan
from fleet_kernel import FleetError

SERVERS_PROGRAM = f"{plan.LIBRARY}/servers.py"      # where the servers' node has it
# Where Debian's curl, git, wget, openssl and Python look for whom to trust
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"


class Archive:
    """The private files of a node, as a tar archive in memory."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")

    def add(self, path: str, content: str | bytes | None, mode: int = 0o644, owner: int = 0,
            group: int = 0) -> None:
        """A file, or without content a directory, at that path of the node."""
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.mode, entry.uid, entry.gid, entry.mtime = mode, owner, group, int(time.time())
        data = content if isinstance(content, bytes) else (content or "").encode()
        entry.size = len(data)
        if content is None:
            entry.type = tarfile.DIRTYPE
        self._tar.addfile(entry, io.BytesIO(data))

    def add_link(self, path: str, target: str) -> None:
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(entry)

    def add_home(self, path: str, uid: int, authorized_key: str) -> None:
        if uid:
            self.add(path, None, 0o755, uid, uid)
        self.add(f"{path}/.ssh", None, 0o700, uid, uid)
        self.add(f"{path}/.ssh/authorized_keys", authorized_key, 0o600, uid, uid)

    def bytes(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()


def make_keys(directory: Path, names: list[str]) -> None:
    """Those of an earlier fleet in the directory are used again, so that its clients still know the hosts."""
    makers = []
    for name in names:
        private = directory / name
        if not private.with_name(name + ".pub").exists():
            private.unlink(missing_ok=True)     # of a maker that was killed half-way
            makers.append(subprocess.Popen(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fleet",
                                            "-f", str(private)], stdin=subprocess.DEVNULL))
    statuses = [maker.wait() for maker in makers]    # of all of them, also behind one that failed
    if any(statuses):
        raise FleetError(f"ssh-keygen could not make the keys in {directory}")


def make_certificates(directory: Path) -> None:
    """ca.pem, and in tls/ a file with key and certificate for each web server. New ones every time: they
    take milliseconds, and those of an earlier plan may lack a name."""
    tls = directory / "tls"
    tls.mkdir(exist_ok=True)
    ca, ca_key = directory / "ca.pem", tls / "ca.key"
    _openssl_req([(plan.ca_config(), ["-keyout", ca_key, "-out", ca])])
    both = {service: tls / f"{service}.pem" for service in plan.WEB_SERVERS}
    issuer = ["-CA", ca, "-CAkey", ca_key]
    _openssl_req([(plan.certificate_config(service), [*issuer, "-keyout", pem, "-out", pem])
                  for service, pem in both.items()])


def _openssl_req(certificates: list[tuple[str, list]]) -> None:
    """Makes certificates, each of a config and options, all at once."""
    makers = []
    for config, options in certificates:
        maker = subprocess.Popen(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc",
             "-days", "3650", "-config", "/dev/stdin", *options],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        makers.append((maker, config))
    errors = [maker.communicate(config)[1] for maker, config in makers]
    if any(maker.returncode for maker, _config in makers):
        raise FleetError(f"openssl could not make the certificates: {''.join(errors).strip()}")


def public_key(private: Path) -> str:
    return private.with_name(private.name + ".pub").read_text().strip()


def private_files(node: str, addresses: list[str], directory: Path) -> bytes:
    archive = Archive()
    for path, content in plan.common_files(node, addresses).items():
        archive.add(path, content)
    ca = (directory / "ca.pem").read_text()
    archive.add(plan.CA, ca)
    archive.add(TRUSTED, ca)
    if node == "servers":
        _add_servers(archive, directory)
    else:
        _add_host(archive, node, addresses, directory)
        if headers.is_needed():
            _add_headers(archive)
    return archive.bytes()


def _add_servers(archive: Archive, directory: Path) -> None:
    archive.add(SERVERS_PROGRAM, Path(__file__).with_name("servers.py").read_text())
    for path, content in pages.PAGES.items():
        archive.add(f"{plan.PAGES}/{path}", content)
    for service in plan.WEB_SERVERS:
        archive.add(plan.certificate_path(service), (directory / "tls" / f"{service}.pem").read_text(), 0o600)
    for name, addresses in plan.MOVABLE.items():
        archive.add(f"{plan.MOVABLE_NAMES}/{name}", plan.hosts_file(name, addresses))


def _add_headers(archive: Archive) -> None:
    for path, content in headers.files().items():
        archive.add(f"{headers.DIRECTORY}/{path}", content)
    for path, target in headers.links().items():
        archive.add_link(f"{headers.DIRECTORY}/{path}", target)


def _add_host(archive: Archive, host: str, addresses: list[str], directory: Path) -> None:
    for kind, mode in (("passwd", 0o644), ("group", 0o644), ("shadow", 0o640)):
        machine = Path("/etc", kind)
        archive.add(f"etc/{kind}", plan.account_lines(machine.read_text(), kind), mode,
                    group=machine.stat().st_gid)
    archive.add("etc/sudoers.d/loopbreak-fleet", plan.sudoers(), 0o440)
    archive.add("etc/ssh/sshd_config", plan.sshd_config(addresses))
    host_key = directory / f"host_{host}"
    archive.add("etc/ssh/ssh_host_ed25519_key", host_key.read_text(), 0o600)
    archive.add("etc/ssh/ssh_host_ed25519_key.pub", public_key(host_key) + "\n")
    key = public_key(directory / "id_ed25519") + "\n"
    archive.add_home("root", 0, key)
    archive.add("root/.bashrc", "")     # sshd's bash reads it before each command: the machine's own may take long
    for user, (uid, _password, _sudo) in plan.USERS.items():
        archive.add_home(f"home/{user}", uid, key)
