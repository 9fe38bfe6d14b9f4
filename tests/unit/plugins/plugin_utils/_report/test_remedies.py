# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines in, the tool whose switch is told out."""

from __future__ import annotations

import re

import pytest
from reports import record, report

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import remedies, text

MODULE = 'python3 /root/.ansible/tmp/ansible-tmp-1-2-3/AnsiballZ_command.py'


def hidden(command, *ancestry, **changes):
    return record(command=command, ancestry=[{'pid': number, 'command': one} for number, one in enumerate(ancestry)],
                  **{'class': 'hidden', 'evidence': None, **changes})


def tool_of(*commands, **changes):
    return (remedies.remedy_of(hidden(*commands, **changes)) or {}).get('tool')


# what it shows, the tool, the commands, nearest first
FOUND = [
    ('a program', 'terraform', 'terraform init'),
    ('by its path', 'gh', '/usr/local/bin/gh pr list'),
    ('with a version', 'pip', '/opt/venv/bin/pip3.11 install x'),
    ('with a version behind a line', 'terraform', 'terraform_1.9.8 plan'),
    ('one whose name ends with a digit', 'k6', 'k6 run load.js'),
    ('its title', 'npm', 'npm install'),
    ('a script of node', 'npm', 'node /usr/lib/node_modules/npm/bin/npm-cli.js ci'),
    ('behind options of node', 'npm', 'node --no-warnings -r ./x.js /usr/bin/npm ci'),
    ('a script of python', 'pip', 'python3 /usr/bin/pip3 install x'),
    ('a module of python', 'pip', 'python3.12 -m pip install x'),
    ('a module with a point', 'az', '/opt/az/bin/python3 -Im azure.cli login'),
    ('the file of a module', 'pip', 'python3 /usr/lib/python3/dist-packages/pip/__main__.py install x'),
    ('a script of bash', 'brew', '/bin/bash -p /home/linuxbrew/.linuxbrew/Homebrew/Library/Homebrew/brew.sh update'),
    ('a script with a version', 'yarn', 'node .yarn/releases/yarn-4.5.0.cjs install'),
    ('a script known with its directory', 'update-notifier',
     'node /usr/lib/node_modules/firebase-tools/node_modules/update-notifier/check.js {"pkg":{}}', '/usr/bin/firebase deploy'),
    ('below a task', 'npm', 'npm install', '/bin/sh -c npm install', MODULE),
    ('the nearest tool', 'pip', 'pip install x', 'terraform apply'),
    ('what its script fetches with', 'vagrant', '/usr/bin/curl -q https://x.example', 'ruby /opt/vagrant/bin/vagrant up'),
    ('a script of its own', 'az', 'python3 /opt/az/lib/python3.12/site-packages/azure/cli/telemetry/__init__.py',
     'python3 -Im azure.cli login'),
    ('in its own process', 'pulumi', 'pulumi run'),
]


@pytest.mark.parametrize('tool, commands', [pytest.param(row[1], row[2:], id=row[0]) for row in FOUND])
def test_a_tool_is_known_by_its_command(tool, commands):
    assert tool_of(*commands) == tool


# what it shows, the commands, nearest first
NOT_FOUND = [
    ('an argument', 'grep npm'),
    ('a file that is edited', 'vim terraform.tf'),
    ('a directory', '/opt/npm/x'),
    ('a part of a name', '/opt/notnpm/x'),
    ('the beginning of a name', 'npmrc-tool'),
    ('another name with that ending', 'terraform-docs .'),
    ('a program that is no tool', './deploy.sh'),
    ('a script of another tool', 'node /srv/npm/index.js'),
    ('a script of the deployment with a name like it', 'python3 deploy/terraform.py'),
    ('the name alone of one known with its directory', 'node ./check.js'),
    ('a module', 'python3 -m pipx install npm'),
    ('a text for a shell', 'sh -c npm install'),
    ('what a package runs', 'node install.mjs', 'sh -c node install.mjs', 'npm install'),
    ('what a package fetches', 'curl https://x.example', 'sh -c curl https://x.example', 'npm install'),
    ('what a tool is told to run', 'curl https://x.example', 'npm run deploy'),
    ('the same, in a script that was installed', 'ruby /usr/bin/rake deploy', 'ruby /usr/bin/bundle exec rake deploy'),
    ('a plugin', '/srv/.terraform/providers/terraform-provider-x_v5.1.0', 'terraform apply'),
    ('a package from a repository', '/usr/lib/git-core/git-remote-https origin https://x.example/a', 'git fetch', 'pip install x'),
    ('a script of the deployment', '/bin/sh ./deploy.sh', 'npm install'),
    ('nothing', ''),
    ('a task with no_log', 'hidden (no_log)'),
]


@pytest.mark.parametrize('commands', [pytest.param(row[1:], id=row[0]) for row in NOT_FOUND])
def test_what_is_no_tool_of_its_own_accord(commands):
    assert tool_of(*commands) is None


@pytest.mark.parametrize('changes', [
    {'class': 'direct'}, {'class': 'transient'}, {'class': None}, {'kind': 'file'}, {'kind': 'unix'}, {'kind': 'exec'},
    {'command': None, 'ancestry': []}], ids=str)
def test_what_has_no_remedy(changes):
    assert tool_of('npm install') == 'npm' and remedies.remedy_of({**hidden('npm install'), **changes}) is None


def test_the_data():
    names = [tool for tool, *_rest in remedies.TOOLS]
    programs = [program for _tool, told, *_rest in remedies.TOOLS for program in told.split()]
    assert names == sorted(set(names)) and len(names) >= 40
    assert len(programs) == len(set(programs)) == len(remedies.REMEDIES)
    for tool, told, switch, ends, url in remedies.TOOLS:
        assert told.split() and all(re.fullmatch(r'([\w.-]+/)?[\w.-]+', program) for program in told.split()), tool
        assert switch.strip() == switch and len(switch) > 5 and ends.split()[0].endswith('ing'), tool
        assert re.fullmatch(r'https://[a-z0-9.-]+\.[a-z]+/\S+', url), tool


def test_it_is_told_beside_the_denial():
    lines = [line for _tone, line in text.block(report(hidden('npm install')), False, 20)]
    assert lines[5:8] == [
        '    evidence no command line names it that a person wrote',
        '    remedy   npm_config_update_notifier=false keeps npm from asking for updates',
        '             (https://docs.npmjs.com/cli/using-npm/config#update-notifier)']
    lines = [line for _tone, line in text.block(report(hidden('sam deploy')), False, 20)]
    assert '             (' + remedies.REMEDIES['sam']['url'] + ')' in lines  # whole, though it is long
