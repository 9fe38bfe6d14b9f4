# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports that CI reads, under the real ansible-playbook: files of every format, a step's summary and annotations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import report_formats
from sandbox import MOVE, SWALLOW, SWALLOWED, UP, Sandbox, down, play

FORMATS = 'json,markdown,junit,sarif,codequality,openmetrics'
WHOLE = ("'{{ denial | combine({\"class\": \"direct\", \"expected\": false, \"path\": none, \"pid\": 7, \"uid\": 0, \"evidence\": none, "
         "\"entered\": none, \"mode\": \"enforce\"}, %s) }}'")
STEP = {'GITHUB_ACTIONS': 'true', 'GITHUB_STEP_SUMMARY': 'summary.md'}
# what a target may say, each as a word of its own and long enough to stand at the beginning of a wrapped line
EVIL = '::error::evil ##[error]evil ' + 'x' * 60 + ' ::warning::evil ' * 3
# a line that the runner of GitHub Actions takes for a command
COMMAND = re.compile(r'^\s*::|##\[')


@pytest.fixture
def sandbox(tmp_path):
    made = Sandbox(tmp_path)
    (tmp_path / '.git').mkdir()
    return made


def commands(out):
    return [line for line in re.split('[\r\n]', out) if COMMAND.search(line)]


def test_every_format_of_one_run(sandbox):
    code, out = sandbox.play(play(UP, MOVE, down('denied: [%s]' % WHOLE % '{}')), EBPF_GUARD_REPORT_DIR='made',
                             EBPF_GUARD_REPORTS=FORMATS, EBPF_GUARD_STEP_SUMMARY='mine.md', GITHUB_STEP_SUMMARY='summary.md')
    assert code == 2 and not commands(out)
    paths = [Path(line.partition(' ')[2]) for line in out.split('\n') if line.startswith('REPORT ')]
    assert {str(report_formats.READERS[form](path)) for form, path in zip(FORMATS.split(','), paths)} == {"Counter({'denied': 3})"}
    assert len(paths) == 6 and 'play.yml' in paths[3].read_text()
    assert (sandbox.path / 'mine.md').read_text() == paths[1].read_text() and not (sandbox.path / 'summary.md').exists()


def test_a_step_of_github_actions(sandbox):
    """Without report_dir: what fails is annotated, and nothing that a target said is a command."""
    (sandbox.path / 'deploy').mkdir()
    evil = '{"reason": evil, "command": evil, "name": none, "owner": evil}'
    text = play(UP, MOVE, down('denied: [%s, %s]' % (WHOLE % evil, WHOLE % '{"expected": true}'), SWALLOW)).replace(
        '  vars:\n', '  vars:\n    evil: "%s"\n' % EVIL)
    (sandbox.path / 'deploy' / 'site.yml').write_text(text)
    code, out = sandbox.run('ansible-playbook', 'deploy/site.yml', **STEP)
    command, = commands(out)
    assert code == 2 and out.index(command) < out.index('exit status 2')
    title, message = re.fullmatch(r'::error file=deploy/site\.yml,line=\d+,title=(.*?)::(.*)', command).groups()
    assert title == '192.0.2.10%3A443/tcp%3A denied' and message.startswith('192.0.2.10:443/tcp: denied, 3x on web1. Rule github: ::error')
    assert ' : :warning::evil : :warning' in out and '## [error]evil' in out
    summary = sandbox.path / 'summary.md'
    assert report_formats.as_markdown(summary) == {'denied': 3, 'expected': 3}
    before = summary.read_text()
    assert sandbox.run('ansible-playbook', 'deploy/site.yml', **STEP, EBPF_GUARD_STEP_SUMMARY='False')[0] == 2 and summary.read_text() == before


def test_a_command_says_what_it_likes_to_people_alone(sandbox):
    """As loopbreak.deploy.run prints it."""
    from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _github  # pylint: disable=import-outside-toplevel
    said = 'ok\r  ::error::x\n\u034f::stop-commands::y\n##[group]z ::not one\n2001:db8::1\n:::x\n'
    with pytest.MonkeyPatch.context() as step:
        step.setenv('GITHUB_ACTIONS', 'true')
        assert _github.harmless(said) == (
            'ok\r  : :error::x\n\u034f: :stop-commands::y\n## [group]z : :not one\n2001:db8::1\n: ::x\n')
        assert not commands(_github.harmless(EVIL, wraps=True).replace(' ', '\n'))
        step.setenv('GITHUB_ACTIONS', 'false')
        assert _github.harmless(said) == said


def test_where_nothing_can_be_written_the_verdict_is_the_same(sandbox):
    (sandbox.path / 'made').write_text('')
    for summary, where in (('made/summary.md', '/made/summary.md: Not a directory'), ('.', ': Is a directory')):
        code, out = sandbox.play(play(UP, MOVE, SWALLOWED), EBPF_GUARD_STEP_SUMMARY=summary)
        told = re.sub(r'\s+', ' ', out)
        assert code == 2 and out.endswith('exit status 2: accesses were denied on web1\n')
        assert "[WARNING]: The report of this run (step summary) can't be written to " in told and f'{where}. Nothing else' in told
