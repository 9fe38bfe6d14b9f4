# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the callback's lines go, under the real ansible-playbook and ansible: a program can read standard output."""

from __future__ import annotations

import json
import re

import pytest
from sandbox import DENIED, MOVE, OURS, SWALLOWED, UP, Sandbox, down, play

# A stdout callback that prints one document at the end, as those for programs do
PRINTER = """
from __future__ import annotations
import json
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_TYPE, CALLBACK_NAME, CALLBACK_VERSION = 'stdout', '%s', 2.0

    def v2_playbook_on_stats(self, stats):
        self._display.display(json.dumps({host: stats.summarize(host) for host in stats.processed}))
"""
BLOCK = 'GUARD deploy on web1 [enforce]: 3 accesses denied\n  DENIED  192.0.2.10:443/tcp'
EXIT = f'\n{OURS}: exit status 2: accesses were denied on web1\n'


@pytest.fixture
def sandbox(tmp_path):
    (tmp_path / 'callbacks').mkdir()
    for name in ('my_json', 'plain'):
        (tmp_path / 'callbacks' / f'{name}.py').write_text(PRINTER % name)
    return Sandbox(tmp_path)


def run(sandbox, callback, **settings):
    code, stdout = sandbox.play(play(UP, MOVE, SWALLOWED), apart=True, ANSIBLE_STDOUT_CALLBACK=callback,
                                ANSIBLE_CALLBACK_PLUGINS=str(sandbox.path / 'callbacks'), **settings)
    assert code == 2
    return stdout, sandbox.stderr


# the stdout callback, the option, is stdout still a document
WHERE = [('my_json', None, True), ('plain', None, False), ('my_json', 'stdout', False),
         ('plain', 'stderr', True)]


@pytest.mark.parametrize('callback, option, apart', WHERE)
def test_stdout_or_stderr(sandbox, callback, option, apart):
    stdout, stderr = run(sandbox, callback, **({'EBPF_GUARD_OUTPUT': option} if option else {}))
    ours, others = (stderr, stdout) if apart else (stdout, stderr)
    assert BLOCK in ours and ours.endswith(EXIT) and 'GUARDS\n' in ours
    assert 'GUARD' not in others
    assert not apart or json.loads(stdout)['web1']['ok'] == 3


def test_a_file_gets_the_text_and_stderr_why_the_run_ends(sandbox):
    (sandbox.path / 'told.txt').write_text('before\n')
    for _run in range(2):
        stdout, stderr = run(sandbox, 'plain', EBPF_GUARD_OUTPUT='told.txt', ANSIBLE_FORCE_COLOR='1', ANSIBLE_NOCOLOR='0')
        assert json.loads(stdout) and 'DENIED' not in stderr and 'exit status 2' in stderr
    text = (sandbox.path / 'told.txt').read_text()
    assert text.startswith('before\nGUARD') and text.count(BLOCK) == 2 and text.endswith(EXIT) and '\x1b' not in text


def test_a_file_that_can_not_be_written_changes_nothing(sandbox):
    stdout, stderr = run(sandbox, 'plain', EBPF_GUARD_OUTPUT='nowhere/told.txt')
    assert json.loads(stdout) and BLOCK in stderr and stderr.count(EXIT) == 1
    told = ' '.join(stderr.split())  # older versions of ansible-core wrap a warning
    assert "report can't be written to" in told and '(No such file or directory)' in told


def test_one_line_for_each_host_stays_one(sandbox):
    code, stdout = sandbox.run('ansible', 'web1', '-o', '-m', OURS, '-a', json.dumps({'state': 'absent'}), apart=True)
    assert code == 0 and len(stdout.splitlines()) == 1 and 'GUARD deploy on web1' in sandbox.stderr


@pytest.mark.parametrize('setting, colored', [('NO_COLOR', False), ('ANSIBLE_NOCOLOR', False), ('ANYTHING', True)])
def test_a_terminal_of_80_columns(sandbox, setting, colored):
    text = play(UP, MOVE, down(DENIED, keywords='when: inventory_hostname == "web1"'),
                down(keywords='when: inventory_hostname == "web2"'), hosts='web1,web2')
    code, shown = sandbox.on_a_terminal(text, **{'ANSIBLE_NOCOLOR': '0', setting: '1'})
    ours = shown.split('GUARDS')[1].splitlines() + [line for line in shown.splitlines() if 'GUARD' in line]
    assert code == 2 and all(len(re.sub('\x1b\\[[0-9;]*m', '', line)) <= 80 for line in ours)
    assert ('\x1b[0;32mGUARD UP: deploy on web2 [enforce]\x1b[0m' in shown) == colored == ('\x1b' in shown)
    assert ('\x1b[0;31m  web1  deploy' in shown, '\x1b[0;32m  web2  deploy' in shown) == (colored, colored)
