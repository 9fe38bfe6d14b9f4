# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of docs/in-your-ci.md: each is what its CI reads, and what they run is run here, but for the way to the hosts."""

from __future__ import annotations

import configparser
import re
import subprocess

import pytest
import yaml
from sandbox import BIN, DENIED, MOVE, OURS, ROOT, UP, Sandbox, down, play

from ansible_collections.loopbreak.deploy.plugins.callback import ebpf_guard

PAGE = (ROOT / 'docs' / 'in-your-ci.md').read_text()
FILES = dict(re.findall(r'^```\w+\n(?:#|//) (\S+)\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL))
YAML = [name for name in FILES if name.endswith('.yml')]
OPTIONS = yaml.safe_load(ebpf_guard.DOCUMENTATION)['options']
VARIABLES = {variable['name']: option for option in OPTIONS.values() for variable in option['env']}


@pytest.fixture
def sandbox(tmp_path):
    made = Sandbox(tmp_path)
    (tmp_path / 'site.yml').write_text(play(UP, MOVE, down(DENIED)))
    return made


def settings_of(name):
    """The environment that a file of CI gives to the command."""
    if name == 'Jenkinsfile':
        return dict(re.findall(r"^ +([A-Z_]+) = '(.*)'$", FILES[name], re.MULTILINE))
    file = yaml.safe_load(FILES[name])
    return step_of(file)['env'] if 'jobs' in file else file['deploy']['variables']


def step_of(workflow, name='Deploy'):
    return next(step for step in workflow['jobs']['deploy']['steps'] if step.get('name') == name)


@pytest.mark.parametrize('name', YAML)
def test_each_file_is_yaml_and_none_is_missing(name):
    assert yaml.safe_load(FILES[name])
    assert set(FILES) == {'.github/workflows/deploy.yml', '.gitlab-ci.yml', 'Jenkinsfile', 'collections/requirements.yml',
                          'ansible.cfg', 'tell.yml', 'awx.yml', 'site.yml'}


@pytest.mark.parametrize('schema, name', [
    ('github-workflows', '.github/workflows/deploy.yml'), ('gitlab-ci', '.gitlab-ci.yml')])
def test_each_file_has_the_keys_that_its_ci_knows(tmp_path, schema, name):
    (tmp_path / 'file.yml').write_text(FILES[name])
    subprocess.run([BIN / 'check-jsonschema', '--builtin-schema', f'vendor.{schema}', tmp_path / 'file.yml'], check=True)


def test_every_option_and_variable_is_real():
    named = set(re.findall(r'\b(EBPF_GUARD_[A-Z_]+)\b', PAGE))
    assert named and named <= set(VARIABLES)
    settings = configparser.ConfigParser()
    settings.read_string(FILES['ansible.cfg'])
    assert settings['defaults']['callbacks_enabled'] == OURS
    assert set(re.findall(r'^\| `(\w+)` in `\[callback_ebpf_guard\]`', PAGE, re.MULTILINE)) == {'report_dir', 'reports'}


# where a file of CI says what it takes from the reports
TAKEN = {'.github/workflows/deploy.yml': [r'hashFiles\(.(reports/\S+?).\)'], 'Jenkinsfile': [r"junit testResults: '(\S+)'"],
         '.gitlab-ci.yml': [r'junit: (\S+)', r'codequality: (\S+)']}


@pytest.mark.parametrize('name', TAKEN)
def test_what_runs_there_runs_here(sandbox, name):
    """The line of the file, with its environment, fails for a denial, and leaves what the file takes."""
    settings, text = settings_of(name), FILES[name]
    line = re.search(r"(?:run: |- |sh ')(?:\S*/)?(ansible-playbook .*?)'?$", text, re.MULTILINE)[1]
    assert set(settings['EBPF_GUARD_REPORTS'].split(',')) <= set(OPTIONS['reports']['choices'])
    environment = sandbox.environment({**settings, 'PATH': f'{BIN}:/usr/bin:/bin', 'GITHUB_STEP_SUMMARY': 'summary.md'})
    job = subprocess.run(line, shell=True, cwd=sandbox.path, env=environment, capture_output=True, text=True, check=False)
    assert job.returncode == 2 and job.stdout.endswith('exit status 2: accesses were denied on web1\n'), job.stdout + job.stderr
    reports = list((sandbox.path / 'reports').iterdir())
    assert len(reports) == len(settings['EBPF_GUARD_REPORTS'].split(','))
    for pattern in TAKEN[name]:
        assert len(list(sandbox.path.glob(re.search(pattern, text)[1]))) == 1, reports
    assert 'accesses were denied on web1' in (sandbox.path / 'summary.md').read_text()


def test_what_awx_hands_on_is_told(sandbox):
    """The playbook of the next job gets the artifacts as variables."""
    tell = yaml.safe_load(FILES['tell.yml'])
    body = tell[0]['tasks'][0].pop('ansible.builtin.uri')['body']['text']
    tell[0]['tasks'][0]['ansible.builtin.debug'] = {'msg': body}
    given = re.search(r'^```json\n(.*?)```', PAGE, re.MULTILINE | re.DOTALL)[1].strip()
    code, out = sandbox.play(yaml.safe_dump(tell), '-e', given)
    assert code == 0 and 'ended as denied, with 4 accesses denied: github.com (DNS question)' in out
    assert 'skipping: [localhost]' in sandbox.play(yaml.safe_dump(tell), '-e', given.replace('"denied",', '"clean",'))[1]


@pytest.mark.parametrize('name', ['tell.yml', 'site.yml'])
def test_the_playbooks_are_playbooks(sandbox, name):
    """Those whose modules are here; a role, and a module of ARA, are looked for when they run."""
    assert sandbox.play(FILES[name].replace('ara_record:', 'ansible.builtin.command:'), '--syntax-check')[0] == 0
