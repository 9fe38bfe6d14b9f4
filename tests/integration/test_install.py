# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built artifact, installed into an empty path, is all that a user needs."""

from __future__ import annotations

import subprocess

from controller import BIN, ROOT, Controller, policy, reach


def test_the_artifact_works_from_an_empty_path(fleet, controller, tmp_path):
    [artifact] = (ROOT / "build" / "dist").glob("loopbreak-deploy-*.tar.gz")
    empty = tmp_path / "collections"
    subprocess.run([BIN / "ansible-galaxy", "collection", "install", "--offline", "-p", empty, artifact], check=True,
                   capture_output=True, env={**controller.environment, "ANSIBLE_COLLECTIONS_PATH": str(empty)})
    user = Controller(fleet, tmp_path / "user", collections=empty)
    run = user.guarded(reach("tcp", "192.0.2.10"))
    run.ended(2).said("GUARD deploy on web1 [enforce]: 1 access denied", "exit status 2")
    assert user.call("ebpf_guard", policy=policy())["changed"]
    assert [guard["name"] for guard in user.call("ebpf_guard_info")["guards"]] == ["deploy"]
    assert user.call("ebpf_guard", state="absent")["guard"]["name"] == "deploy"


def test_a_host_without_libbpf_is_told_the_package(controller, fleet):
    """The library is taken from one host; its package manager can't bring it back without a network."""
    find = "ls /usr/lib/*/libbpf.so.[01]*"
    libraries = fleet.exec("web3", "sh", "-c", find).stdout.split()
    fleet.exec("web3", "sh", "-c", f"mkdir /tmp/away && mv {' '.join(libraries)} /tmp/away")
    try:
        results, run = controller.adhoc("ebpf_guard", {"policy": policy()}, "web3")
        run.ended(2).said("This host has no libbpf", "Install the package libbpf1")
        run = controller.guarded([], hosts="web3", variables={"ebpf_guard_install": False})
        run.ended(2).said("This host has no libbpf")
    finally:
        fleet.exec("web3", "sh", "-c", f"mv /tmp/away/* {libraries[0].rsplit('/', 1)[0]}")


def test_the_role_installs_what_is_missing(controller, fleet):
    """By real apt, from a repository of one package that is made of the library itself; nothing else is installed."""
    find = "ls /usr/lib/*/libbpf.so.[01]*"
    libraries = fleet.exec("web3", "sh", "-c", find).stdout.split()
    directory = libraries[0].rsplit("/", 1)[0]
    fleet.exec("web3", "sh", "-ec", f"""
        mkdir -p /tmp/repo/pkg/DEBIAN /tmp/repo/pkg{directory}
        cp -a {' '.join(libraries)} /tmp/repo/pkg{directory}
        printf 'Package: libbpf1\\nVersion: 9:9\\nArchitecture: all\\nMaintainer: t <t@example.org>\\nDescription: t\\n' \
            > /tmp/repo/pkg/DEBIAN/control
        dpkg-deb -Zgzip --build /tmp/repo/pkg /tmp/repo/libbpf1.deb
        cd /tmp/repo; {{ dpkg-deb -f libbpf1.deb; echo Filename: ./libbpf1.deb; stat -c 'Size: %s' libbpf1.deb;
        echo "SHA256: $(sha256sum libbpf1.deb | cut -d' ' -f1)"; }} > Packages
        mkdir -p /tmp/lists.d && mv /etc/apt/sources.list* /tmp/lists.d
        echo 'deb [trusted=yes] file:/tmp/repo ./' > /etc/apt/sources.list
        rm {' '.join(libraries)} && : > /var/lib/dpkg/status
    """)
    run = controller.guarded(reach("tcp", "192.0.2.10"), hosts="web3")
    run.ended(2).said("GUARD deploy on web3 [enforce]: 1 access denied")
