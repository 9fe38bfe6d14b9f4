# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The launcher, run for real: inside as a shell, or not at all. Needs root."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import time
import types
import uuid

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils import _said
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import doors, launcher
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup as cgroups

NOBODY = 65534
WHERE = 'grep ^0:: /proc/self/cgroup'


@pytest.fixture
def place():
    run = tempfile.mkdtemp(prefix='ebg-test-')  # below a directory that every user may enter
    os.chmod(run, 0o755)
    cgroup = os.path.join(cgroups.mount_point(), os.path.basename(run) + '-' + uuid.uuid4().hex[:6], 'guard')
    cgroups.make(cgroup)
    made = types.SimpleNamespace(name='deploy', cgroup=cgroup, desk=cgroup + '.agent', doors=run + '/join', flag=run + '/stopped',
                                 launcher=run + '/launcher', code=run + '/code.zip')
    write(made)
    yield made
    cgroups.empty(cgroup)
    cgroups.make(cgroup)
    parent = os.path.dirname(cgroup)
    for entry in list(os.scandir(parent)):
        if entry.is_dir():
            cgroups.remove(entry.path)
    shutil.rmtree(run)


def write(place, shell='/bin/sh', as_is=False):
    with open(place.launcher, 'w') as script:
        script.write(launcher.script(place, cgroups.relative(place.cgroup), shell, as_is))
    os.chmod(place.launcher, 0o755)


def run(program, *arguments, uid=0, cgroup=None, **options):
    def prepare():
        if cgroup:
            cgroups.enter(cgroup)
        os.setuid(uid)
    return subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False,
                          preexec_fn=prepare, **options)


def refused(done, reason):
    message = "ebpf_guard: this task was not run, because it could not enter the guard 'deploy': " + reason
    return (done.returncode, json.loads(done.stdout), done.stderr.decode()) == (
        _said.REFUSED, {'failed': True, 'msg': message}, message + '\n')


@pytest.mark.parametrize('checker', [['dash', '-n'], ['bash', '-n'], ['shellcheck', '--shell=sh']], ids=' '.join)
@pytest.mark.parametrize('shell', ['/bin/sh', '/opt/a shell/it\'s'])
@pytest.mark.parametrize('as_is', [False, True])
def test_the_script_is_plain_posix(place, checker, shell, as_is):
    write(place, shell, as_is)
    with open(place.launcher + '2', 'w') as script:
        script.write(launcher.tombstone('deploy', shell, "it's over", {}))
    for path in (place.launcher, place.launcher + '2'):
        done = subprocess.run(checker + [path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, '')


TMP = '/tmp/.ansible/tmp/ansible-tmp-1764458.12-4711-2345'
SLEEP = ' && sleep 0'  # until ansible-core 2.21
ENDS = pytest.mark.parametrize('end', [SLEEP, ''], ids=['until 2.21', 'since 2.21'])
MKDIR = ('( umask 77 && mkdir -p "` echo /tmp/.ansible/tmp `"&& mkdir "` echo {0} `" && echo ansible-tmp-1764458.12-4711-2345="` echo '
         '{0} `" )').format(TMP)
BURIED = 'it has ended'


@pytest.fixture
def tombstone(place):
    with open(place.launcher, 'w') as script:
        script.write(launcher.tombstone('deploy', '/bin/sh', BURIED, {'name': 'deploy', 'by': "its ttl's end"}))
    yield place.launcher
    shutil.rmtree('/tmp/.ansible/tmp', ignore_errors=True)


@ENDS
def test_a_tombstone_lets_ansible_prepare(tombstone, end):
    """What Ansible runs as the login user before and after a module; nothing of it is a task."""
    home = run(tombstone, '-c', 'echo ~root' + end)
    assert (home.returncode, home.stdout) == (0, b'/root\n')
    made = run(tombstone, '-c', MKDIR + end)
    assert (made.returncode, made.stdout.decode()) == (0, 'ansible-tmp-1764458.12-4711-2345=' + TMP + '\n')
    assert os.path.isdir(TMP)
    for command in ('chmod u+rwx %s/ %s/AnsiballZ_command.py', 'chmod u+x %s/ %s/', 'setfacl -m u:nobody:r-x %s/ %s/x.py'):
        with open(TMP + '/AnsiballZ_command.py', 'w'), open(TMP + '/x.py', 'w'):
            pass
        assert run(tombstone, '-c', command % (TMP, TMP) + end).returncode != _said.REFUSED
    assert run(tombstone, '-c', 'rm -f -r %s/ > /dev/null 2>&1' % TMP + end).returncode == 0
    assert not os.path.exists(TMP)


@pytest.mark.parametrize('command', [
    'touch /tmp/ebg-ran', '/usr/bin/python3' + SLEEP, 'echo ~root; touch /tmp/ebg-ran' + SLEEP,
    'echo ~root && touch /tmp/ebg-ran' + SLEEP, 'echo ~$(touch /tmp/ebg-ran)' + SLEEP, 'echo ~`touch /tmp/ebg-ran`' + SLEEP,
    'echo ~root\ntouch /tmp/ebg-ran' + SLEEP, MKDIR + '; touch /tmp/ebg-ran' + SLEEP,
    MKDIR.replace('/tmp/.ansible/tmp `"&&', '/tmp/.ansible/tmp; touch /tmp/ebg-ran `"&&') + SLEEP,
    MKDIR.replace('mkdir "', 'touch /tmp/ebg-ran; mkdir "') + SLEEP, MKDIR.replace('/tmp/.', '/tmp/$(touch /tmp/ebg-ran)') + SLEEP,
    MKDIR.replace('`" )', '`" ; touch /tmp/ebg-ran )') + SLEEP,
    'rm -f -r /tmp/ebg-keep > /dev/null 2>&1' + SLEEP, 'rm -f -r %s /tmp/ebg-keep > /dev/null 2>&1' % TMP + SLEEP,
    'rm -f -r %s/../../../ebg-keep > /dev/null 2>&1' % TMP + SLEEP, 'rm -f -r %s; touch /tmp/ebg-ran > /dev/null 2>&1' % TMP + SLEEP,
    'rm -f -r %s > /tmp/ebg-ran' % TMP + SLEEP, 'rm -f -r /*%s > /dev/null 2>&1' % TMP + SLEEP, 'rm -f -r > /dev/null 2>&1' + SLEEP,
    'chmod u+x /tmp/ebg-keep' + SLEEP, 'chmod u+x %s & touch /tmp/ebg-ran' % TMP + SLEEP, 'chmod u+x %s\ttouch' % TMP + SLEEP,
    'chown nobody %s ebg-keep' % TMP + SLEEP, 'setfacl -m u:x:r %s | touch /tmp/ebg-ran' % TMP + SLEEP, 'chmod %s' % TMP + SLEEP],
    ids=lambda command: command[-40:])
def test_a_tombstone_runs_nothing_else(tombstone, command):
    """Whatever looks like a preparation and is more than that, as a user's raw text may."""
    with open('/tmp/ebg-keep', 'w'):
        pass
    for asked in (command, command.replace(SLEEP, ''), 'echo BECOME-SUCCESS-%s ; %s' % ('a' * 32, command)):
        done = run(tombstone, '-c', asked, cwd='/tmp')
        answer = done.stdout.decode().split('\n')
        assert done.returncode == _said.REFUSED and done.stderr.decode() == BURIED + '\n'
        assert json.loads(answer[-2]) == {'failed': True, 'msg': BURIED, _said.GONE: {'name': 'deploy', 'by': "its ttl's end"}}
        assert answer[:-2] == (['BECOME-SUCCESS-' + 'a' * 32] if asked.startswith('echo B') else [])
    assert not os.path.exists('/tmp/ebg-ran') and os.stat('/tmp/ebg-keep').st_mode & 0o777 == 0o644
    os.unlink('/tmp/ebg-keep')


@ENDS
@pytest.mark.parametrize('command', ['/usr/bin/python3.11', 'LANG=C python', "sudo -n -u root /bin/sh -c 'echo BECOME-SUCCESS-x ; /usr/bin/python3'"])
def test_a_refused_module_is_read_to_its_end(tombstone, command, end):
    """More than a pipe holds, so that who sends it sees whether anybody reads."""
    with subprocess.Popen([tombstone, '-c', command + end], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as refusing:
        refusing.stdin.write(b'x' * 1000000)
        refusing.stdin.close()
        assert refusing.stdout.read() and refusing.wait(20) == _said.REFUSED


@pytest.mark.parametrize('command', ['/usr/bin/python3 /root/AnsiballZ_command.py', 'cat', 'python3 -m site'])
def test_who_is_refused_is_not_waited_for(tombstone, command):
    with subprocess.Popen([tombstone, '-c', command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as refusing:
        assert refusing.stdout.read() and refusing.wait(20) == _said.REFUSED


@ENDS
@pytest.mark.parametrize('command, refuses', [
    ('/sbin/shutdown -r 0 "Reboot initiated by Ansible"', True), ('/sbin/reboot ', True),
    ('echo BECOME-SUCCESS-abc ; /sbin/shutdown -r 0 "x"', True), ('systemctl reboot', True),
    ('echo /sbin/shutdown -r 0', False), ('echo BECOME-SUCCESS-abc ; echo reboot', False), ('echo reboot', False)])
def test_a_reboot_is_refused_by_name(place, command, refuses, end):
    done = run(place.launcher, '-c', command.replace('/sbin/', '/nonexistent/').replace('systemctl', '/nonexistent/systemctl') + end)
    assert (done.returncode == _said.REFUSED and b'does not survive a reboot' in done.stderr) == refuses, done


def test_after_a_denial_that_stops_a_task_is_refused(place):
    """With the sentence for people and the result for Ansible; what only prepares passes. A flag that is half written stops nobody."""
    sentence = "it's \\ \"denied\""
    with open(place.flag, 'w') as flag:
        flag.write(launcher.stopped(sentence))
    done = run(place.launcher, '-c', 'exit 0')
    assert (done.returncode, done.stderr.decode()) == (_said.REFUSED, sentence + '\n')
    assert json.loads(done.stdout) == {'failed': True, 'msg': sentence}
    assert run(place.launcher, '-c', 'echo ~root' + SLEEP).stdout == b'/root\n'
    open(place.flag, 'w').close()
    assert run(place.launcher, '-c', 'exit 3').returncode == 3


# Two modules as Ansible sends them: what says which one it is, and the arguments, on lines of their own.
NEWER = "module_fqn='ansible.modules.%s',"
OLDER = "    runpy.run_module(mod_name='ansible.modules.%s', init_globals=None)"
ARGUMENTS = 'params = %r' % json.dumps({'cmd': 'echo ' + NEWER % 'async_status' + OLDER % 'async_status'})
PYTHON, MARK = '/usr/bin/python3', 'BECOME-SUCCESS-' + 'a' * 32
MODULE = """'''
%s
'''
%s
print(len(params), 'polled')
"""


def module(says, name):
    return (MODULE % (says % name, ARGUMENTS)).encode()


@pytest.fixture
def stopped(place):
    """A guard after a denial that stops; and files of the module async_status and of another one."""
    with open(place.flag, 'w') as flag:
        flag.write(launcher.stopped('it was denied'))
    os.makedirs(TMP)
    for name in ('async_status', 'command'):
        with open('%s/AnsiballZ_%s.py' % (TMP, name), 'wb') as file:
            file.write(module(NEWER, name))
    yield place.launcher
    shutil.rmtree('/tmp/.ansible/tmp')


def as_root(command, launcher, become='sudo -H -S -n  -u root'):
    return "%s %s -c 'echo %s ; %s'" % (become, launcher, MARK, command)


PROMPT = 'sudo -H -S  -p "[sudo via ansible, key=abc] password:" -u root'
FILE, OTHER = ('%s %s/AnsiballZ_%s.py' % (PYTHON, TMP, name) for name in ('async_status', 'command'))


@ENDS
@pytest.mark.parametrize('says', [NEWER, OLDER], ids=['newer', 'older'])
@pytest.mark.parametrize('command', [PYTHON, 'LANG=C A_B=http://x:3128 ' + PYTHON])
def test_after_a_denial_a_job_that_began_before_is_asked_about(stopped, says, command, end):
    """Who becomes another user sends the module when the mark is there."""
    for asked in (command, as_root(command, stopped), as_root(command, stopped, PROMPT)):
        for name in ('async_status', 'command'):
            told = subprocess.Popen([stopped, '-c', asked + end], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            mark = MARK in asked and told.stdout.readline().decode()
            said, problem = told.communicate(module(says, name), timeout=20)
            assert mark == (MARK in asked and MARK + '\n') and MARK.encode() not in said + problem
            assert (told.returncode, b'polled' in said, problem == b'') == ((0, True, True) if name == 'async_status' else
                                                                            (_said.REFUSED, False, False)), (said, problem)


def test_after_a_denial_a_file_of_ansibles_asks_about_a_job(stopped):
    for wraps in (str, lambda command: as_root(command, stopped), lambda command: as_root(command, stopped, PROMPT)):
        assert b'polled' in run(stopped, '-c', wraps(FILE) + SLEEP).stdout
        done = run(stopped, '-c', wraps(OTHER) + SLEEP)
        assert done.returncode == _said.REFUSED and b'polled' not in done.stdout, done


@pytest.mark.parametrize('command', [
    'touch /tmp/ebg-ran; ' + FILE, FILE + '; touch /tmp/ebg-ran', FILE + ' && touch /tmp/ebg-ran', FILE + ' $(touch /tmp/ebg-ran)',
    'touch /tmp/ebg-ran ' + FILE,
    'A=`touch /tmp/ebg-ran` ' + FILE, 'A=1', '', PYTHON + ' -c "print(\'polled\')"',
    PYTHON + '\ntouch /tmp/ebg-ran', FILE.replace('ansible-tmp', 'tmp'),
    'touch /tmp/ebg-ran; sudo AGAIN', 'touch /tmp/ebg-ran AGAIN',
    'sudo touch /tmp/ebg-ran AGAIN', 'sudo -u root touch /tmp/ebg-ran AGAIN',
    'sudo $(touch /tmp/ebg-ran) AGAIN', 'sudo AGAIN; touch /tmp/ebg-ran', 'sudo AGAIN\ntouch /tmp/ebg-ran',
    'sudo -p "[sudo via ansible, key=`touch /tmp/ebg-ran`] password:" AGAIN'], ids=lambda command: command[-40:])
def test_after_a_denial_nothing_is_done_besides(stopped, command):
    asked = command.replace('AGAIN', as_root(FILE, stopped, '').strip())
    for name in ('async_status', 'command'):
        done = run(stopped, '-c', asked + SLEEP, input=module(NEWER, name), cwd='/tmp')
        assert done.returncode == _said.REFUSED and b'polled' not in done.stdout, done
    assert not os.path.exists('/tmp/ebg-ran')


@pytest.mark.parametrize('arguments', [
    ('-c', 'exit 0'), ('-c', 'exit 3'), ('-c', 'exit 255'), ('-c', 'kill -TERM $$'), ('-c', 'false; true'),
    ('-c', 'printf "<%s>" "$0" "$@"', 'zero', 'a b', '', "it's", 'say "x"', 'two\nlines', '*', '$HOME', '\\', '-c'),
    ('-c', 'echo out; echo err >&2; exit 4'), ('-c', "printf '%s\\n' \"it's\" 'a  b' `echo c` $((1 + 1))"),
    ('-c', 'cat; echo "$EXTRA"'), ('-c', 'echo $-; umask; pwd'), ('-e', '-c', 'false; echo never'), (),
    ('-s', 'a', 'b'),
    ('-c', 'exec 3<&0; read -r first <&3; echo "got $first"'), ('-c', 'syntax error ('), ('/nonexistent/script',),
    ('-c', b'printf %s "\xff\xc3\xb6"'), ('-c', '/nonexistent/command')],
    ids=lambda arguments: repr(arguments)[:30])
def test_what_runs_inside_runs_as_the_shell_would(place, arguments):
    options = dict(input=b'echo "$@"; first\nsecond\n', env={'EXTRA': "it's", 'PATH': '/usr/bin:/bin'}, cwd='/tmp')
    ours, theirs = run(place.launcher, *arguments, **options), run('/bin/sh', *arguments, **options)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)


@pytest.mark.parametrize('start, ends', [
    (None, 'guard'), ('guard', 'guard'), ('guard/below', 'guard/below'), ('guard2', 'guard'), ('guar', 'guard')])
def test_root_comes_inside_from_everywhere(place, start, ends):
    parent = os.path.dirname(place.cgroup)
    if start:
        cgroups.make(os.path.join(parent, start))
    done = run(place.launcher, '-c', WHERE, cgroup=start and os.path.join(parent, start))
    assert done.stdout.decode().strip() == '0::' + cgroups.relative(os.path.join(parent, ends))


def test_another_shell_can_be_chosen(place):
    write(place, '/bin/bash')
    assert run(place.launcher, '-c', 'echo "$BASH_VERSION"').stdout.strip()


@pytest.mark.parametrize('environment, told', [
    ({}, 'ndots:1'), ({'RES_OPTIONS': 'ndots:5 rotate'}, 'ndots:5 rotate ndots:1')])
def test_names_can_be_asked_for_as_they_are(place, environment, told):
    write(place, as_is=True)
    assert run(place.launcher, '-c', 'echo "$RES_OPTIONS"', env=environment).stdout.decode().strip() == told


@pytest.mark.parametrize('uids', [None, [], [0], [1234]])
def test_a_user_who_may_not_join_is_refused(place, uids):
    if uids is not None:
        doors.make_doors(place, uids)
    done = run(place.launcher, '-c', 'echo ran', uid=NOBODY)
    assert refused(done, 'this user may not join it (see join_users), and is not root.')


def test_a_user_who_is_inside_already_needs_no_door(place):
    done = run(place.launcher, '-c', WHERE, uid=NOBODY, cgroup=place.cgroup)
    assert done.stdout.decode().strip() == '0::' + cgroups.relative(place.cgroup)


@pytest.mark.parametrize('uid', [0, NOBODY])
def test_a_guard_that_is_down_is_told(place, uid):
    os.rmdir(place.cgroup)
    done = run(place.launcher, '-c', 'echo ran', uid=uid)
    assert refused(done, 'the guard is not up on this host (there is no %s/cgroup.procs).' % place.cgroup)


def test_a_kernel_that_lets_nobody_in_is_told(place):
    threads = os.path.join(os.path.dirname(place.cgroup), 'threads')
    cgroups.make(threads)
    with open(os.path.join(threads, 'cgroup.type'), 'w') as kind:
        kind.write('threaded')  # which makes the guard's cgroup beside it one that takes no processes
    assert refused(run(place.launcher, '-c', 'echo ran'), 'the kernel did not let it in. ' + labelled())


def labelled():
    """Where a security module has a word for the processes of this test, it is told."""
    try:
        label = open('/proc/self/attr/current').read().strip('\0\n')
    except OSError:
        label = 'unknown'
    return launcher.LABELLED.replace('@label', label)


def test_a_door_that_is_shut_to_its_user_is_told(place):
    doors.make_doors(place, [NOBODY])
    os.chmod(os.path.join(place.doors, str(NOBODY)), 0o400)  # as a security module does it, with modes that allow it
    done = run(place.launcher, '-c', 'echo ran', uid=NOBODY)
    assert refused(done, 'this user may join it, and something keeps this user from %s. %s' % (place.doors, labelled()))


def test_a_user_joins_through_the_own_door(place):
    doors.make_doors(place, [NOBODY, 1234])
    assert [(entry.name, stat.S_ISFIFO(entry.stat().st_mode), entry.stat().st_mode & 0o777, entry.stat().st_uid)
            for entry in sorted(os.scandir(place.doors), key=lambda entry: entry.name)] == [
                ('1234', True, 0o600, 1234), ('65534', True, 0o600, NOBODY)]
    door = os.open(os.path.join(place.doors, str(NOBODY)), os.O_RDWR)
    agent = threading.Thread(target=lambda: [doors.admit(place, os.read(door, 64), NOBODY) for _twice in range(2)])
    agent.start()
    for _twice in range(2):
        done = run(place.launcher, '-c', WHERE + '; id -u', uid=NOBODY)
        assert done.stdout.decode().split() == ['0::' + cgroups.relative(place.cgroup), str(NOBODY)]
    agent.join()
    os.close(door)


def test_a_user_is_told_that_the_agent_has_ended(place):
    doors.make_doors(place, [NOBODY])
    cgroups.make(place.desk)
    done = run(place.launcher, '-c', 'echo ran', uid=NOBODY)
    assert refused(done, "the guard's agent, which lets this user in, has ended. It is started again when root enters the guard, by "
                         'ebpf_guard_info, and by state=present.')


AGENT = '''import os, sys, time
while not os.path.exists('go'):
    time.sleep(0.01)
with open('told', 'w') as told:
    told.write(repr([*sys.argv[1:], sys.stdin.read(), os.readlink('/proc/self/fd/1')]))
'''


@pytest.mark.parametrize('is_at_work', [False, True])
def test_root_starts_an_agent_that_has_ended(place, is_at_work):
    """It gets nothing of what belongs to the task, and keeps nobody waiting."""
    directory = os.path.dirname(place.code)
    with open(place.code, 'w') as script:
        script.write(AGENT)
    cgroups.make(place.desk)
    sleeper = subprocess.Popen(['sleep', '60'])
    try:
        if is_at_work:
            cgroups.enter(place.desk, sleeper.pid)
        done = run(place.launcher, '-c', 'cat', input=b'of the task', cwd=directory)
        assert (done.returncode, done.stdout) == (0, b'of the task'), done
    finally:
        sleeper.kill()
        sleeper.wait()
    with open(directory + '/go', 'w'):
        pass
    told, deadline = directory + '/told', time.monotonic() + (1 if is_at_work else 20)
    while not (os.path.exists(told) and os.path.getsize(told)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert os.path.exists(told) != is_at_work
    if not is_at_work:
        with open(told) as found:
            assert found.read() == repr(['ebpf_guard', 'revive', 'deploy', '', '/dev/null'])


@pytest.mark.parametrize('word, refused', [(b'1', (NOBODY, 1, 0)), (b'junk', None), (b'-1', None), (b'0', None),
                                           (b'99999999', None)])
def test_a_door_moves_processes_of_its_user_only(place, word, refused):
    assert doors.admit(place, word, NOBODY) == refused
    assert cgroups.pids(place.cgroup) == []
