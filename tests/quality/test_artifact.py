# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users get: the built artifact, installed. And that what is generated in it is not older than its sources."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from tools import ROOT, WORK, must

COLLECTIONS = ROOT / 'build' / 'collections'
NAME = 'loopbreak.deploy.ebpf_guard'
OBJECTS = sorted('plugins/' + path.name for path in (ROOT / 'plugins').glob('*.bpf.[co]'))
# Users get what they run and its source. The tests, the benchmarks and the demo need the repository anyway.
UNWANTED = {'bench', 'build', 'demo', 'fragments', 'molecule', 'pytest.ini', 'tests', 'Makefile', '.git', '.github', '.gitignore', '.ci',
            '.ansible', '.ansible-lint', '.cache', '.nox', '__pycache__', 'antsibull-nox.toml', 'noxfile.py'}


@pytest.fixture(scope='module')
def artifact():
    must('make', 'dist')
    version = json.loads((COLLECTIONS / 'ansible_collections/loopbreak/deploy/MANIFEST.json').read_text())
    return ROOT / 'build' / 'dist' / ('loopbreak-deploy-%s.tar.gz' % version['collection_info']['version'])


@pytest.fixture(scope='module')
def fresh():
    """The directory with the object and _abi.py, made of the sources as they are now."""
    build = Path('build', 'quality', 'fresh')
    shutil.rmtree(ROOT / build, ignore_errors=True)
    must('make', 'BUILD=%s' % build, build / 'bpf' / '_abi.py',
         *(build / 'bpf' / Path(path).name for path in OBJECTS))
    return ROOT / build / 'bpf'


@pytest.mark.parametrize('shipped', [*OBJECTS, 'plugins/module_utils/_abi.py'])
def test_what_is_generated_is_not_stale(fresh, shipped):
    same = (fresh / Path(shipped).name).read_bytes() == (ROOT / shipped).read_bytes()
    assert same, '%s is not what bpf/ makes now: run `make bpf`, and commit what it writes.' % shipped


@pytest.mark.parametrize('path', OBJECTS)
def test_artifact_holds_the_object_as_it_is(artifact, path):
    with tarfile.open(artifact) as archive:
        shipped = archive.extractfile(path).read()
    assert hashlib.sha256(shipped).hexdigest() == hashlib.sha256((ROOT / path).read_bytes()).hexdigest()


def test_artifact_holds_only_what_git_lists(artifact):
    listed = set(must('git', 'ls-files', '-co', '--exclude-standard').splitlines())
    with tarfile.open(artifact) as archive:
        shipped = {member.name for member in archive if member.isfile()}
    assert shipped - listed <= {'MANIFEST.json', 'FILES.json'}
    assert not [name for name in shipped if UNWANTED & set(Path(name).parts)]


def test_what_runs_is_where_certified_collections_may_have_it(artifact, tmp_path):
    """That is below meta, plugins, roles and playbooks. The action packs all that either loader needs when it is imported."""
    home = tmp_path / 'ansible_collections' / 'loopbreak' / 'deploy'
    home.mkdir(parents=True)
    for part in ('meta', 'plugins', 'roles', 'playbooks', 'MANIFEST.json'):
        (home / part).symlink_to(COLLECTIONS / 'ansible_collections' / 'loopbreak' / 'deploy' / part)
    must('ansible', 'localhost', '--connection', 'local', '-m', NAME, '-a', 'name=none state=absent',
         ANSIBLE_COLLECTIONS_PATH=str(tmp_path))


def test_installed_copy_is_verified(artifact):
    must('ansible-galaxy', 'collection', 'verify', '--offline', '--collections-path', COLLECTIONS, 'loopbreak.deploy')


@pytest.mark.parametrize('kind, name, told', [
    ('module', NAME, 'policy_file'),
    ('module', NAME + '_info', 'guards'),
    ('callback', NAME, 'max_rows'),
    ('role', NAME, 'ENTRY POINT: main'),
    ('role', NAME, 'ENTRY POINT: start'),
    ('role', NAME, 'ENTRY POINT: stop'),
])
def test_ansible_doc_shows(artifact, kind, name, told):
    said = must('ansible-doc', '--type', kind, name, ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS))
    assert told in re.sub(r'[*`]', '', said)
    assert 'WARNING' not in said and 'ERROR' not in said, said


def test_galaxy_importer_has_nothing_to_say(artifact):
    """What Galaxy and the certification of Automation Hub do with an upload, ansible-lint in it."""
    config = WORK / 'importer.cfg'
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[galaxy-importer]\ncheck_required_tags = True\nrequire_v1_or_greater = True\n')
    # it leaves importer_result.json where it stands
    said = must('python', '-m', 'galaxy_importer.main', artifact, cwd=WORK, GALAXY_IMPORTER_CONFIG=str(config))
    assert 'ansible-lint run complete' in said and 'Importer processing completed successfully' in said, said
    assert not re.findall('^(?:WARNING|ERROR|CRITICAL).*', said, re.MULTILINE), said
