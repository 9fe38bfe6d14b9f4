# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet's web servers have to offer, by service and path; among it a git repository. Pure."""

from __future__ import annotations

import hashlib
import zlib

INSTALL = "#!/bin/sh\necho tool 1.2.3 installed\n"
_AUTHOR = "Loopbreak <fleet@example.org> 1767225600 +0000"


def repository(files: dict[str, str], message: str) -> dict[str, bytes]:
    """A bare git repository of one commit, as far as git's dumb HTTP protocol reads it: what a commit and
    `git update-server-info` leave, without running git."""
    blobs = {name: _git_object("blob", text.encode()) for name, text in sorted(files.items())}
    tree = _git_object("tree", b"".join(
        b"100644 %s\0%s" % (name.encode(), bytes.fromhex(blob[0])) for name, blob in blobs.items()))
    commit = _git_object("commit", (
        f"tree {tree[0]}\nauthor {_AUTHOR}\ncommitter {_AUTHOR}\n\n{message}\n").encode())
    loose = {f"objects/{name[:2]}/{name[2:]}": data for name, data in (*blobs.values(), tree, commit)}
    return {
        "HEAD": b"ref: refs/heads/main\n",
        "info/refs": f"{commit[0]}\trefs/heads/main\n".encode(),
        "objects/info/packs": b"\n",
        **loose,
    }


def _git_object(kind: str, content: bytes) -> tuple[str, bytes]:
    """Its name, and how git stores it."""
    data = f"{kind} {len(content)}\0".encode() + content
    return hashlib.sha1(data, usedforsecurity=False).hexdigest(), zlib.compress(data)


def _pages() -> dict[str, str | bytes]:
    tool = repository({"README": "tool 1.2.3\n", "install.sh": INSTALL}, "tool 1.2.3")
    return {
        "github.com/install.sh": INSTALL,
        **{f"{service}/tool.git/{path}": content
           for service in ("github.com", "mirror.github.com") for path, content in tool.items()},
    }


PAGES = _pages()
