# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of every page, as it is pasted: it parses, what it names is there, and a play of it is a play. And every link."""

from __future__ import annotations

import configparser
import json
import re
import shlex

import pages
import pytest
import yaml
from ansible.cli.adhoc import AdHocCLI
from ansible.cli.doc import DocCLI
from ansible.cli.galaxy import GalaxyCLI
from ansible.cli.playbook import PlaybookCLI
from ansible.cli.vault import VaultCLI
from ansible.parsing.splitter import parse_kv

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import check as checker
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _baseline, _given, _services
from tools import ROOT, WORK, must

EXAMPLES = [*pages.blocks(), *pages.documented()]
LINES = sorted(set(pages.shell_lines()))
CLIS = {'ansible': AdHocCLI, 'ansible-playbook': PlaybookCLI, 'ansible-galaxy': GalaxyCLI, 'ansible-doc': DocCLI,
        'ansible-vault': VaultCLI}
FOREIGN = 'awx.awx.', 'ara_record'  # modules of others, that are not installed here
SERVICES = 'services:\n  mysql: {}\n'
COLLECTIONS = str(ROOT / 'build' / 'collections')


def named(examples):
    return {'argvalues': examples, 'ids': [example[0] for example in examples]}


def of(language):
    return named([example for example in EXAMPLES if example.language == language])


def kind_of(content):
    if isinstance(content, list):
        return 'playbook' if 'hosts' in content[0] else 'tasks'
    for kind, key in (('baseline', 'dependencies'), ('catalogue', 'apiVersion'), ('requirements', 'collections'),
                      ('workflow', 'jobs'), ('pipeline', 'deploy')):
        if key in content:
            return kind
    return 'policy'


def policy_of(content):
    """The policy, with what a page leaves out because it shows a part."""
    whole = {'version': 1, **({'service': 'mysql'} if 'services' in content else {}),
             **({'baseline': 'mysql.deps.yml'} if 'on_new' in content else {}), **content}
    entries = _services.of_policy(whole, Where('page', {}), lambda path: (path, SERVICES))
    return checker.check(whole, 'page', None, entries)


@pytest.mark.parametrize('example', **of('yaml'))
def test_yaml(example):
    """Playbooks and tasks are tried below; the files of CI systems in the tests of the callback."""
    content = yaml.safe_load(example.text)
    kind = kind_of(content)
    if kind == 'policy':
        assert policy_of(content)
    elif kind == 'baseline':
        assert _baseline.parse(example.text, example.where)
    elif kind == 'tasks':
        given = [options.get('policy', options.get('ebpf_guard_policy')) for task in content for options in task.values()
                 if isinstance(options, dict)]
        assert all(map(policy_of, [policy for policy in given if isinstance(policy, dict)]))


@pytest.mark.parametrize('example', **of('json'))
def test_json(example):
    assert json.loads(example.text.replace(', …', ''))  # where it is shortened


@pytest.mark.parametrize('example', **of('ini'))
def test_ini(example):
    settings = configparser.ConfigParser()
    settings.read_string(example.text)
    assert set(settings.sections()) <= {'defaults', 'callback_ebpf_guard'}


def test_plays_are_plays():
    """All at once, by ansible-playbook."""
    directory = WORK / 'examples'
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for number, example in enumerate(EXAMPLES):
        content = yaml.safe_load(example.text) if example.language == 'yaml' else {}
        if not isinstance(content, list) or any(word in example.text for word in FOREIGN):
            continue
        if kind_of(content) == 'tasks':
            content = [{'hosts': 'all', 'tasks': content}]
        file = directory / ('%d.yml' % number)
        file.write_text('# %s\n%s' % (example.where, yaml.safe_dump(content, sort_keys=False)))
        files.append(file)
    assert len(files) > 10
    must('ansible-playbook', '--syntax-check', '-i', 'localhost,', *files, ANSIBLE_COLLECTIONS_PATH=COLLECTIONS)


def words_of(line):
    """A command and its arguments; nothing where it is none of Ansible's."""
    words = shlex.split(line, comments=True)
    while words and re.match(r'[A-Z_]+=', words[0]):
        words = words[1:]
    return words if words and words[0] in CLIS else None


def extra_variables(text):
    """What -e means to Ansible, and -a of a module."""
    if text.startswith('@'):
        return {}
    return json.loads(text) if text.startswith('{') else parse_kv(text)


@pytest.mark.parametrize('where, line', **named([(where, line) for where, line in LINES if words_of(line)]))
def test_command_lines(where, line):
    words = words_of(line)
    command = CLIS[words[0]](words)
    command.init_parser()
    options = command.parser.parse_args(command.args[1:])  # it exits for an option that is none
    known = set(_given.OPTIONS) | _given.OTHERS
    for text in getattr(options, 'extra_vars', None) or ():
        variables = extra_variables(text)
        assert '_raw_params' not in variables, '%s: -e loses %s' % (where, variables['_raw_params'])
        assert {name for name in variables if name.startswith('ebpf_guard_')} <= known, where
    for playbook in options.args if words[0] == 'ansible-playbook' else ():
        if playbook.startswith('loopbreak.deploy.'):
            assert ROOT / 'playbooks' / (playbook.rpartition('.')[2] + '.yml') in pages.PLAYBOOKS, where
    if words[0] == 'ansible' and options.module_name.startswith('loopbreak.deploy.'):
        module = ROOT / 'plugins/modules' / (options.module_name.rpartition('.')[2] + '.py')
        given = extra_variables(options.module_args or '')
        assert given.keys() <= {*yaml.safe_load(pages.part_of(module, 'DOCUMENTATION'))['options'], 'policy'}, where


def test_other_commands_are_there():
    targets = re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    script = (ROOT / 'scripts' / 'guarded-deploy.sh').read_text()
    workflows = [(path.name, line) for path in ROOT.glob('.github/workflows/*.yml')
                 for line in re.findall(r'run: (make .*)', path.read_text())]
    assert workflows
    for where, line in LINES + workflows:
        words = shlex.split(line, comments=True)
        if words[:1] == ['make']:
            assert words[1] in targets, where
        elif words[:1] == ['guarded-deploy.sh']:
            assert not [word for word in words[:words.index('--')] if word.startswith('--') and word not in script], where


def headings(page):
    """The anchors of a page, as GitHub makes them."""
    text = re.sub(r'^ *```.*?^ *```$', '', page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r'[^\w\- ]', '', re.sub(r'[`*]', '', head).strip().lower()).replace(' ', '-')
            for head in re.findall(r'^#+ (.*)$', text, re.MULTILINE)}


@pytest.mark.parametrize('page', pages.PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    wrong = []
    for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        path, _hash, anchor = link.partition('#')
        target = page.parent / path if path else page
        if not link.startswith('http') and not (target.exists() and (not anchor or anchor in headings(target))):
            wrong.append(link)
    assert not wrong
