# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built artifact, installed into an empty path, is all that a user needs."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
import yaml
from controller import ROOT, Controller, policy, reach
from pages import blocks, shell_lines


@pytest.mark.cores
def test_the_artifact_works_from_an_empty_path(fleet, controller, tmp_path):
    [artifact] = (ROOT / "build" / "dist").glob("loopbreak-deploy-*.tar.gz")
    empty = tmp_path / "collections"
    subprocess.run([controller.bin / "ansible-galaxy", "collection", "install", "--offline", "-p", empty, artifact], check=True,
                   capture_output=True, env={**controller.environment, "ANSIBLE_COLLECTIONS_PATH": str(empty)})
    user = Controller(fleet, tmp_path / "user", collections=empty)
    run = user.guarded(reach("tcp", "192.0.2.10"))
    run.ended(2).said("GUARD deploy on web1 [enforce]: 1 access denied", "exit status 2")
    assert user.call("ebpf_guard", policy=policy())["changed"]
    assert [guard["name"] for guard in user.call("ebpf_guard_info")["guards"]] == ["deploy"]
    assert user.call("ebpf_guard", state="absent")["guard"]["name"] == "deploy"


def test_the_quickstart_works_as_it_is_pasted(controller):
    """The files and the command lines of the README, by a shell; and its one command of a pipeline, with its argument."""
    readme = [block for block in blocks() if block.where.startswith("README.md:")]
    for name, begins in (("ansible.cfg", "[defaults]"), ("policies/mysql.yml", "version: 1"), ("site.yml", "- hosts:")):
        path = controller.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(next(block.text for block in readme if block.text.startswith(begins)))
    (controller.directory / "tasks").mkdir()
    (controller.directory / "tasks" / "deploy.yml").write_text(yaml.safe_dump([
        {"name": "Install the schema tool", "ansible.builtin.shell": "curl -fsS http://github.com/install.sh || true"}]))
    (controller.directory / "inventory").symlink_to(controller.fleet.inventory)
    controller.fleet.exec("web1", "sh", "-c", "cd; echo 'test \"$1\" = arg && exit 7' > deploy.sh; chmod +x deploy.sh")

    def pasted(line, **environment):
        given = {key: value for key, value in controller.environment.items() if key != "ANSIBLE_CALLBACKS_ENABLED"}
        done = subprocess.run(line, shell=True, cwd=controller.directory, text=True, check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={**given, "PATH": f"{controller.bin}:{os.environ['PATH']}", **environment})
        return done.returncode, done.stdout

    look, enforce, pipeline = [line for where, line in shell_lines() if where.startswith("README.md:")
                               and line.startswith(("ansible-playbook site.yml", "ansible-playbook loopbreak.deploy.run"))]
    status, said = pasted(look)
    assert status == 0 and "GUARD deploy on web1 [monitor]" in said, said
    status, said = pasted(enforce)
    assert status == 2 and "DENIED  github.com (DNS question)" in said, said
    callback = {"ANSIBLE_CALLBACKS_ENABLED": "loopbreak.deploy.ebpf_guard"}
    status, said = pasted(f"{pipeline} --limit web1", **callback)
    assert status == 7, said
    status, said = pasted(re.sub("'{.*}'", "ebpf_guard_command='./deploy.sh arg'", pipeline), **callback)
    assert status == 2 and "'arg' stands in -e and belongs to no variable" in said, said


def test_a_host_without_libbpf_is_told_the_package(controller, fleet):
    """The library is taken from one host; its package manager can't bring it back without a network."""
    find = "ls /usr/lib/*/libbpf.so.[01]*"
    libraries = fleet.exec("web3", "sh", "-c", find).stdout.split()
    fleet.exec("web3", "sh", "-c", f"mkdir /tmp/away && mv {' '.join(libraries)} /tmp/away")
    try:
        results, run = controller.adhoc("ebpf_guard", {"policy": policy()}, "web3")
        run.ended(2).said("This host has no libbpf", "Install it with 'apt-get install libbpf1'.")
        run = controller.guarded([], hosts="web3", variables={"ebpf_guard_install": False})
        run.ended(2).said("This host has no libbpf")
        # as in a container: nothing is installed where no guard can be
        fleet.exec("web3", "sh", "-c", "cat > /opt/less; chmod +x /opt/less", input=(
            '#!/bin/sh\nexec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin /usr/bin/python3 "$@"\n'))
        run = controller.guarded([], "-e", "ansible_python_interpreter=/opt/less", hosts="web3").ended(2)
        run.said("Root lacks CAP_SYS_ADMIN here, as in a container. Bring the guard up on the machine itself")
        assert "Install what the guard needs" not in run.output and "Install the packages" not in run.output, run
    finally:
        fleet.exec("web3", "sh", "-c", f"mv /tmp/away/* {libraries[0].rsplit('/', 1)[0]}")


def only_to_be_installed(fleet, packages):
    """Makes files of web3 packages of a repository, the only one that it has, and removes them. {package: files}"""
    for package, files in packages.items():
        fleet.exec("web3", "sh", "-ec", f"""
            mkdir -p /tmp/repo/{package}/DEBIAN; cd /tmp/repo
            tar -c {" ".join(files)} | tar -x -C {package}
            printf 'Package: {package}\\nVersion: 9:9\\nArchitecture: all\\nMaintainer: t <t@example.org>\\nDescription: t\\n' \
                > {package}/DEBIAN/control
            dpkg-deb -Zgzip --build {package} {package}.deb
            {{ dpkg-deb -f {package}.deb; echo Filename: ./{package}.deb; stat -c 'Size: %s' {package}.deb;
            echo "SHA256: $(sha256sum {package}.deb | cut -d' ' -f1)"; echo; }} >> Packages
            rm -r {" ".join(files)}
        """)
    fleet.exec("web3", "sh", "-ec", """
        mkdir -p /tmp/lists.d; mv /etc/apt/sources.list* /tmp/lists.d 2> /dev/null || true
        echo 'deb [trusted=yes] file:/tmp/repo ./' > /etc/apt/sources.list
        : > /var/lib/dpkg/status
    """)


def test_the_role_installs_what_is_missing(controller, fleet):
    """By real apt, from a repository of one package that is made of the library itself; nothing else is installed."""
    only_to_be_installed(fleet, {"libbpf1": fleet.exec("web3", "sh", "-c", "ls /usr/lib/*/libbpf.so.[01]*").stdout.split()})
    run = controller.guarded(reach("tcp", "192.0.2.10"), hosts="web3")
    run.ended(2).said("GUARD deploy on web3 [enforce]: 1 access denied")


def test_the_role_installs_bcc_and_the_headers_of_the_kernel(controller, fleet):
    headers = f"/usr/lib/modules/{os.uname().release}/build"
    only_to_be_installed(fleet, {"python3-bpfcc": ["/usr/lib/python3/dist-packages/bcc"],
                                 f"linux-headers-{os.uname().release}": [headers]})
    asked = {"ebpf_guard_loader": "bcc"}
    controller.guarded([], hosts="web3", variables={**asked, "ebpf_guard_install": False}).ended(2).said("can not import bcc")
    run = controller.guarded(reach("tcp", "192.0.2.10"), hosts="web3", variables=asked)
    run.ended(2).said("GUARD deploy on web3 [enforce]: 1 access denied")
