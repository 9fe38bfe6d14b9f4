# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a denial descends from: also parents that have ended, and what a process was before it became another program."""

from __future__ import annotations

import os
import subprocess

import pytest
from programs import CONNECT, PYTHON, RULES, denials, run, start
from workbench import PATIENCE

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi

LOADERS = ('libbpf', 'bcc')

# Each script tells its pid and its name, as the ancestry will show them, then does what its line says.
SCRIPT = '#!%s\necho $$ %s "$0" "$@"\n%s\n'
TOOL = '%s -c \'%s\' denied\n' % (PYTHON, CONNECT % 1)


@pytest.fixture
def scripts(tmp_path):
    """Writes {name: what it does} as shell scripts; `./name` starts one."""
    def write(contents, shell='/bin/sh'):
        for name, does in contents.items():
            (tmp_path / name).write_text(SCRIPT % (shell, shell, does))
            (tmp_path / name).chmod(0o755)
        return tmp_path
    return write


def told(output):
    """[{pid, command}] as the scripts have printed them, the last one first."""
    lines = (line.split(' ', 1) for line in output.splitlines())
    return [{'pid': int(pid), 'command': command} for pid, command in lines][::-1]


WAIT = 'until [ -e gone ]; do sleep 0.01; done; '  # for `gone`, which the test makes once the parent has ended
# name, what each of the scripts deploy, make and tool does
CHAINS = [
    ('all of them live', './make all; true', './tool; true', TOOL + 'true'),
    ('the first became the second', 'exec ./make all', './tool; true', TOOL + 'true'),
    ('each became the next', 'exec ./make all', 'exec ./tool', 'exec ' + TOOL),
    ('the first has ended', './make all &', WAIT + './tool; true', TOOL + 'true'),
    ('all have ended', './make all &', './tool &', WAIT + TOOL),
    ('ended, and became another', './make all &', WAIT + 'exec ./tool', TOOL),
]


@pytest.mark.parametrize('deploy, make, tool', [row[1:] for row in CHAINS], ids=[row[0] for row in CHAINS])
def test_the_chain_up_to_the_guard(guards, scripts, deploy, make, tool):
    guard, directory = guards(**RULES), scripts({'deploy': deploy, 'make': make, 'tool': tool})
    process = start(guard, ['./deploy'], directory=directory)
    process.wait(timeout=PATIENCE)
    (directory / 'gone').touch()
    output = process.communicate(timeout=PATIENCE)[0].decode()
    record, = denials(guard)
    assert record['ancestry'] == told(output)
    assert [one['command'] for one in record['ancestry']] == ['/bin/sh ./tool', '/bin/sh ./make all', '/bin/sh ./deploy']
    assert record['command'].endswith(' denied')


def test_a_copy_of_a_process_is_told_once_by_each_pid(guards, scripts):
    """A subshell is one that its parent forked; where it becomes another program, it was no more than the way there."""
    directory = scripts({'deploy': '(./tool; true); true', 'tool': '(%s); true' % TOOL.strip()})
    guard = guards(**RULES)
    output = run(guard, ['./deploy'], directory=directory)[1]
    record, = denials(guard)
    tool, deploy = told(output)
    assert [one['command'] for one in record['ancestry']] == ['/bin/sh ./tool', '/bin/sh ./deploy', '/bin/sh ./deploy']
    assert [one['pid'] for one in record['ancestry']] == [tool['pid'], record['ancestry'][1]['pid'], deploy['pid']]


@pytest.mark.parametrize('how', ['os.fork() or act()', 'threading.Thread(target=act).start()',
                                 'threading.Thread(target=lambda: os.execv(sys.executable, again)).start()',
                                 'subprocess.Popen(again)', 'os.posix_spawn(sys.executable, again, os.environ)'])
def test_every_way_to_start_something(guards, how):
    guard = guards(**RULES)
    act = 'def act():\n    ' + CONNECT % 1
    script = 'import os, subprocess, sys, threading\n%sagain = [sys.executable, "-c", act_text, "again"]\n%s' % (act, how)
    process, _output = run(guard, [PYTHON, '-c', 'act_text = %r\n' % (CONNECT % 1) + script])
    record, = denials(guard)
    same = how.startswith('threading.Thread(target=act')
    assert [one['pid'] for one in record['ancestry']] == ([] if same else [process])
    assert (record['pid'] == process) == ('threading' in how)
    assert record['command'].endswith(' again') == ('again' in how)


def test_deep_chains_are_told_from_the_nearest_on(guards, scripts):
    directory = scripts({'nest': 'if [ $1 -gt 1 ]; then ./nest $(($1 - 1)); else %s; fi; true' % TOOL.strip()})
    guard = guards(**RULES)
    output = run(guard, ['./nest', str(_abi.ANCESTORS + 3)], directory=directory)[1]
    record, = denials(guard)
    assert record['ancestry'] == told(output)[:_abi.ANCESTORS]


def test_what_nobody_has_seen_begin_is_told_by_its_name(guards):
    """A process that was inside before its start could be seen; its parent, too."""
    guard = guards(**RULES)
    script = ('import os, sys\nenter = lambda: open("%s/cgroup.procs", "w").write(str(os.getpid()))\n'
              'receive, send = os.pipe()\n'
              'if os.fork():\n    enter(); os.close(send); os.wait()\n'
              'else:\n    os.close(send); os.read(receive, 1); enter()\n    %s' % (guard.cgroup, CONNECT % 1))
    outside = subprocess.run([PYTHON, '-c', script], check=True, timeout=PATIENCE, stdout=subprocess.PIPE)
    assert outside.returncode == 0
    record, = denials(guard)
    assert [one['command'] for one in record['ancestry']] == [os.path.basename(PYTHON)]


def test_what_was_forgotten_is_made_up_for_by_living_parents(guards, scripts):
    directory = scripts({'deploy': 'for i in $(seq 300); do /bin/true; done; ./tool; true', 'tool': TOOL + 'true'})
    guard = guards(sizes={'ebg_images': 64}, **RULES)
    output = run(guard, ['/bin/sh', '-c', './deploy; true'], directory=directory)[1]
    record, = denials(guard)
    assert record['ancestry'][:2] == told(output)
    assert [one['command'] for one in record['ancestry']][2:] in (['/bin/sh -c ./deploy; true'], ['sh'])


def test_kept_ancestors_outlast_those_that_come_after(guards, scripts):
    directory = scripts({'deploy': './tool; for i in $(seq 300); do /bin/true; done; true', 'tool': TOOL + 'true'})
    guard = guards(sizes={'ebg_images': 64}, **RULES)
    output = run(guard, ['./deploy'], directory=directory)[1]
    record, = denials(guard)
    assert record['ancestry'] == told(output)


def test_a_full_table_of_ancestors_cuts_the_chain(guards, scripts):
    directory = scripts({'deploy': './make', 'make': './tool; true', 'tool': TOOL + 'true'})
    guard = guards(sizes={'ebg_ancestors': 2}, **RULES)
    output = run(guard, ['./deploy'], directory=directory)[1]
    record, = denials(guard)
    assert record['ancestry'] == told(output)[:2]


def test_lineage_goes_on_under_other_rules(guards, scripts):
    guard = guards(**RULES)
    other = guards(attach=False, after=guard, **RULES)
    directory = scripts({'deploy': 'read go; ./tool; true', 'tool': TOOL + 'true'})
    process = start(guard, ['./deploy'], directory=directory, stdin=subprocess.PIPE)
    process.stdout.readline()
    guard.exchange(other)
    process.communicate(b'go', timeout=PATIENCE)
    record, = denials(guard)
    assert [one['command'] for one in record['ancestry']] == ['/bin/sh ./tool', '/bin/sh ./deploy']


SCRIPTS, EACH = 20, 10
ENDINGS = 'wait', 'true', 'exec sleep 0'  # of the scripts: they live, they end, they become another program


def test_200_processes_at_once_are_told_apart(guards, scripts):
    contents = {'deploy-%d' % number: 'for port in $(seq %d %d); do ./tool $port & done; %s'
                % (number * EACH, number * EACH + EACH - 1, ENDINGS[number % len(ENDINGS)])
                for number in range(1, SCRIPTS + 1)}
    directory = scripts(contents)
    scripts({'tool': 'read go <&3; for i in 1 2 3; do : > /dev/udp/198.51.100.1/$1; done 2> /dev/null; true'}, '/bin/bash')
    guard = guards(**RULES)
    running = start(guard, ['/bin/sh', '-c', 'exec 3<&0; for script in deploy-*; do ./$script & done; wait'],
                    directory=directory, stdin=subprocess.PIPE)
    lines = [running.stdout.readline().decode().split() for _line in range(SCRIPTS * EACH + SCRIPTS)]
    running.communicate(timeout=PATIENCE)  # ends their input: now all of them at once
    pids = {tuple(words[2:]): int(words[0]) for words in lines}
    found = denials(guard)
    assert guard.counters()['connect']['denied'] == SCRIPTS * EACH * 3
    assert {record['port']: (record['pid'], record['count'], record['command']) for record in found} == {
        port: (pids['./tool', str(port)], 3, '/bin/bash ./tool %d' % port)
        for port in range(EACH, EACH * SCRIPTS + EACH)}
    for record in found:
        script = './deploy-%d' % (record['port'] // EACH)
        assert record['ancestry'][0] == {'pid': pids[script,], 'command': '/bin/sh ' + script}
        assert [one['pid'] for one in record['ancestry']][1:] == [running.pid]
