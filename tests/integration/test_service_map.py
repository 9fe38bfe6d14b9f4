# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service map in place of hand-written rules: what follows from it is denied, and each report has the path."""

from __future__ import annotations

import subprocess

from controller import guarded_play
from names import report_of

POLICY = "version: 1\nservice: mysql\nresolve: {interval: 0}\nservices: ../maps/%s.yml\n"
MAP = """\
services:
  mysql:
  github.com:
    endpoints: {hosts: [.github.com], networks: [192.0.2.0/24, "2001:db8:2::/48"]}
    depends_on: [mysql]
    owner: web-team
  migrations:
    endpoints: {hosts: [api.internal]}
    depends_on: [github.com]
  wiki:
    depends_on: [mysql]
"""
ENTITY = "---\napiVersion: backstage.io/v1alpha1\nkind: %s\nmetadata:\n  name: %s\n%sspec: %s\n"
AT = "  annotations:\n    loopbreak.deploy/endpoints: '%s'\n"
CATALOGUE = (ENTITY % ("Resource", "mysql", "", "{dependencyOf: [component:wiki]}")
             + ENTITY % ("Component", "migrations", AT % "api.internal", "{dependsOn: [component:github.com]}")
             + ENTITY % ("Component", "github.com", AT % ".github.com, 192.0.2.0/24, 2001:db8:2::/48",
                         "{dependsOn: [resource:default/mysql], owner: web-team}")
             + ENTITY % ("Component", "wiki", "", "{}"))
TRY = [{"name": "Call the API", "ansible.builtin.shell": "curl -s http://api.internal/ || true"},
       {"name": "Fetch", "ansible.builtin.command": "curl -s http://mirror.example/"}]


def write(controller):
    for folder in ("maps", "policies"):
        (controller.directory / folder).mkdir()
    for name, text in (("map", MAP), ("catalogue", CATALOGUE)):
        (controller.directory / "maps" / f"{name}.yml").write_text(text)
        (controller.directory / "policies" / f"{name}.yml").write_text(POLICY % name)


def test_what_depends_on_the_deployed_service_is_denied(controller):
    write(controller)
    run = controller.playbook([guarded_play(controller, TRY, "policies/map.yml")], "-v").ended(2)
    run.said("    why      migrations → github.com → mysql\n", "  transient  (rule service:migrations)\n",
             "    evidence migrations depends on mysql through github.com\n", "in the task 'Call the API': curl -s http://api.internal/",
             "[WARNING]: The service map has no endpoints of wiki, so nothing")
    denied = report_of(run)["denied"]
    assert {(one["name"], one["class"], one["rule"], one["reason"]) for one in denied} == {
        ("api.internal", "transient", "service:migrations", "migrations → github.com → mysql")}, run
    assert denied[0]["evidence"] == {"pid": None, "command": None, "path": ["migrations", "github.com", "mysql"]}
    assert denied[0]["command"] == "curl -s http://api.internal/"


def test_a_catalogue_gives_the_same_rules(controller):
    write(controller)
    by_map = controller.call("ebpf_guard", policy_file="policies/map.yml")
    by_catalogue = controller.call("ebpf_guard", policy_file="policies/catalogue.yml")
    assert not by_catalogue["changed"]
    assert by_catalogue["guard"]["policy_sha256"] == by_map["guard"]["policy_sha256"]
    # a map that came from a vault makes the whole policy a secret
    key = ["--vault-password-file", "key"]
    (controller.directory / "key").write_text("password\n")
    subprocess.run([controller.bin / "ansible-vault", "encrypt", *key, "maps/map.yml"], cwd=controller.directory, check=True,
                   capture_output=True, env=controller.environment)
    results, run = controller.adhoc("ebpf_guard", {"policy_file": "policies/map.yml"}, "web1", "--diff", *key)
    assert results["web1"]["guard"]["policy_sha256"] == by_map["guard"]["policy_sha256"], run
    run.said('+  "policy": "(hidden: the policy came from a vault)"')
    controller.call("ebpf_guard", state="absent")


def test_the_map_of_a_catalogue_is_told_without_any_host(controller):
    write(controller)
    (controller.directory / "map.yml").write_text(MAP)  # as a playbook of ours is called
    given = ("-i", "localhost,", "-e", "ebpf_guard_services=maps/catalogue.yml")
    run = controller.shipped("map", *given, "-e", "ebpf_guard_service=mysql").ended(0)
    run.said("\n  migrations → github.com → mysql\n    endpoints  api.internal\n", "nothing can be denied:\n  mysql, wiki\n")
    run = controller.shipped("map", "-e", "ebpf_guard_services=map.yml", "-e", "ebpf_guard_format=mermaid").ended(0)
    run.said('\ngraph LR\n  s0["github.com"]\n', "\n  s1 --> s0\n")
    run = controller.shipped("map", *given, "-e", "ebpf_guard_service=mysq").ended(2).said("no service 'mysq'", "Did you mean mysql?")
