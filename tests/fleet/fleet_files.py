# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, and the archive with the private files of a node that node.sh unpacks."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from pathlib import Path

import fleet_plan as plan
from fleet_kernel import FleetError

SERVERS_PROGRAM = "/usr/local/lib/fleet/servers.py"     # where the servers' node has it


class Archive:
    """The private files of a node, as a tar archive in memory."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")

    def add(self, path: str, content: str | None, mode: int = 0o644, owner: int = 0, group: int = 0) -> None:
        entry = tarfile.TarInfo(path)
        entry.mode, entry.uid, entry.gid, entry.mtime = mode, owner, group, int(time.time())
        data = (content or "").encode()
        entry.size = len(data)
        if content is None:
            entry.type = tarfile.DIRTYPE
        self._tar.addfile(entry, io.BytesIO(data))

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


def public_key(private: Path) -> str:
    return private.with_name(private.name + ".pub").read_text().strip()


def private_files(node: str, addresses: list[str], directory: Path) -> bytes:
    archive = Archive()
    for path, content in plan.common_files(node, addresses).items():
        archive.add(path, content)
    if node == "servers":
        archive.add(SERVERS_PROGRAM.lstrip("/"), Path(__file__).with_name("servers.py").read_text())
    else:
        _add_host(archive, node, addresses, directory)
    return archive.bytes()


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
    for user, (uid, _password, _sudo) in plan.USERS.items():
        archive.add_home(f"home/{user}", uid, key)
