# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback under the real ansible-playbook: what it prints and how the run ends.

Only the module is a stand-in here. Runs with the real module, end to end, live among the integration tests.
"""

from __future__ import annotations

import re

import pytest
from sandbox import DENIED, MOVE, OURS, SWALLOW, SWALLOWED, UP, Sandbox, down, play


@pytest.fixture
def sandbox(tmp_path):
    return Sandbox(tmp_path)


def test_tells_a_denial(sandbox):
    code, out = sandbox.play(play(UP, MOVE, down(DENIED)))
    assert code == 2
    assert '''
GUARD deploy on web1 [enforce]: 3 accesses denied
  DENIED  192.0.2.10:443/tcp  github.com  3x  connect  (rule github)
    why      github.com runs on the database that this play deploys
    task     Move (play.yml:23)
    command  curl -fsS https://github.com/install.sh
    ancestry sh deploy.sh
             python3
    owner    db-team   runbook https://wiki.example/runbook
''' in out, out
    assert out.endswith('''
GUARDS
  host  guard   mode     denied  expected  would  seen  outside  outcome
  web1  deploy  enforce       3         0      0     0        0  denied

ENDPOINTS
  endpoint            name        rule    verdict  hosts  accesses
  192.0.2.10:443/tcp  github.com  github  DENIED       1         3

loopbreak.deploy.ebpf_guard: exit status 2: accesses were denied on web1
'''), out


PRESENT = '    - {loopbreak.deploy.ebpf_guard: {%s}, %s}\n'
BROKEN = PRESENT % ('broken: true', 'ignore_errors: true')
EXPECTED = "denied: ['{{ denial | combine({\"expected\": true}) }}']"
RESCUED = '    - block:\n  %s      rescue: [{ansible.builtin.debug: }]\n' % down(DENIED)
END_HOST = '    - ansible.builtin.meta: end_host\n'

# name, play, exit status, what is printed
OUTCOMES = [
    ('swallowed', play(UP, SWALLOWED), 2, 'accesses were denied on web1'),
    ('rescued', play(UP, RESCUED), 2, 'accesses were denied on web1'),
    ('ignored', play(UP, down(DENIED, keywords='ignore_errors: true')), 2, 'accesses were denied on web1'),
    # With web2 untouched, the failure of web1 is in the statistics, but not in the exit status.
    ('cleared', play(UP, down(DENIED, keywords='when: inventory_hostname == "web1"'),
                     down(keywords='when: inventory_hostname == "web2"'),
                     '    - ansible.builtin.meta: clear_host_errors\n', hosts='web1,web2'),
     2, 'exit status 2: accesses were denied on web1'),
    ('clean', play(UP, down()), 0, 'GUARD deploy on web1 [enforce]: clean, nothing denied'),
    ('expected', play(UP, down(EXPECTED)), 0,
     'GUARD deploy on web1 [enforce]: 3 accesses denied, 3 of them expected\n  DENIED (expected)  192.'),
    ('monitor', play(UP, down('mode: monitor', DENIED)), 0,
     'GUARD deploy on web1 [monitor]: 3 accesses would be denied\n  WOULD DENY  192.0.2.10:443/tcp'),
    ('drill', play(UP, down('mode: drill', DENIED)), 0, '  DENIED (drill)  192.0.2.10:443/tcp'),
    ('details lost', play(UP, down('counters: {connect: {denied: 4}, lost: 4}')), 2,
     'GUARD deploy on web1 [enforce]: 4 accesses denied\n  details of 4 accesses did not fit'),
    ('left up', play(UP, END_HOST), 2,
     '\nGUARD LEFT UP: deploy on web1 [enforce]\n'
     '    up since Start (play.yml:22)\n'
     '    because  no state=absent task ran after it (meta: end_host in play.yml:23)\n'
     f"    remedy   run `ansible web1 -m {OURS} -a 'state=absent'`\n"),
    ('left up by a failure', play(UP, down('broken: true')), 2, 'state=absent failed in Stop (play.yml:23)'),
    ('start failed', play(BROKEN), 0, 'ignored=1'),
    ('exchange failed', play(UP, BROKEN, down()), 0, 'clean, nothing denied'),
    ('restart failed', play(UP, BROKEN), 2, 'GUARD LEFT UP'),
    ('gone by itself', play(UP, down('gone: true')), 2, 'GUARD REPORT LOST: deploy on web1 [enforce]'),
    ('never there', play(down('gone: true')), 0, 'ok=1'),
    ('from an earlier run', play(MOVE, SWALLOWED), 2, '    task     unknown\n'),
    ('left running', play(UP, down('left_running: [{pid: 4711, command: sleep 1000}]')), 0,
     '  left running (moved out when the guard came down):\n    4711     sleep 1000\n'),
    ('no_log hides a pass', play(UP, down(keywords='no_log: true')), 0, 'no_log hides the report in Stop'),
    ('no_log hides a failure', play(UP, down(DENIED, keywords='no_log: true, ignore_errors: true')), 2,
     'GUARD REPORT LOST: deploy on web1 [enforce]'),
    ('no_log hides a swallowed denial', play(UP, down(SWALLOW, DENIED, keywords='no_log: true')), 2,
     'because  no_log hides the report in Stop (play.yml:23)'),
    ('no_log hides a start', play(UP.replace('{}', '{}, no_log: true'), down()), 0, 'clean, nothing denied'),
    ('no_log hides a start left up', play(UP.replace('{}', '{}, no_log: true')), 2, 'GUARD LEFT UP: deploy'),
    ('no_log hides a loop', play(PRESENT % ('name: "{{ item }}"', 'loop: [a], no_log: true')), 2,
     'GUARD REPORT LOST'),
    ('skipped', play(UP.replace('{}', '{}, when: false')), 0, 'skipped=1'),
    ('the callback itself fails', play(UP.replace('{}', '{raw_guard: [1]}')), 2,
     'the callback itself failed, denials may be missing (v2_runner_on_ok: AttributeError'),
]


@pytest.mark.parametrize('text, code, said', [row[1:] for row in OUTCOMES], ids=[row[0] for row in OUTCOMES])
def test_outcome(sandbox, text, code, said):
    got, out = sandbox.play(text)
    assert said in out, out
    assert got == code, out


def test_nothing_without_a_guard(sandbox):
    code, out = sandbox.play(play(MOVE, BROKEN))
    assert code == 0
    assert 'GUARD' not in out.split('PLAY RECAP')[1]


def test_fail_false_only_reports(sandbox):
    text = play(UP, SWALLOWED, UP)
    code, out = sandbox.play(text, EBPF_GUARD_FAIL='false')
    assert code == 0
    assert 'DENIED  192.0.2.10' in out and 'GUARD LEFT UP' in out and 'exit status' not in out


def test_bad_option_does_not_unload_the_judge(sandbox):
    code, out = sandbox.play(play(UP, SWALLOWED), EBPF_GUARD_MAX_ROWS='many')
    assert code == 2
    assert 'denied on web1; the callback itself failed' in out


def test_check_mode_brings_nothing_up(sandbox):
    code, out = sandbox.play(play(UP, END_HOST), '--check')
    assert code == 0
    assert 'GUARD' not in out


def test_unreachable(sandbox):
    nowhere = '{ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}'
    cut = '    - {name: Cut, ansible.builtin.ping: , vars: %s}\n' % nowhere
    code, out = sandbox.play(play(UP, cut, down()))
    assert code == 2
    assert 'because  the host became unreachable in Cut (play.yml:23)\n' in out
    code, out = sandbox.play(play(UP, down(), hosts='gone'))
    assert code == 4
    assert 'GUARD' not in out


OUTSIDE = '''
    - {name: Plain, ansible.builtin.raw: 'true'}
    - {name: Looped, ansible.legacy.raw: 'true', loop: [1, 2]}
    - {name: Skipped, raw: 'true', when: false}
    - {name: As root, raw: 'true', become: true, vars: {ansible_user: deploy}}
    - {name: Same user, raw: 'true', become: true, vars: {ansible_user: root}}
    - {name: Who knows, raw: 'true', become: true}
    - {name: Own shell, raw: 'true', become: true, args: {executable: /bin/sh}, vars: {ansible_user: deploy}}
    - {name: Notify, ansible.builtin.command: 'true', delegate_to: localhost}
    - {name: Itself, ansible.builtin.command: 'true', delegate_to: '{{ inventory_hostname }}'}
    - {name: Words, ansible.builtin.debug: , delegate_to: localhost}
    - {name: Inside, ansible.builtin.command: 'true'}
'''.replace('become: true', 'become: true, become_method: pass')

# A way to become somebody without a sudo or a second user on the test machine.
BECOME = '''
from __future__ import annotations
DOCUMENTATION = """
name: pass
short_description: changes nothing
author: none
description: changes nothing
options:
  become_user: {description: who, default: root, vars: [{name: ansible_become_user}]}
  become_exe: {description: none, default: ''}
  become_flags: {description: none, default: ''}
  become_pass: {description: none}
"""
from ansible.plugins.become import BecomeBase


class BecomeModule(BecomeBase):
    name = 'pass'

    def build_become_command(self, cmd, shell):
        super().build_become_command(cmd, shell)
        return self._build_success_command(cmd, shell)
'''


@pytest.mark.parametrize('scope, listed', [
    ('', ['raw      Plain', 'raw      Looped', 'raw      Same user', 'raw, where root logs in: Who knows',
          'raw with executable: Own shell', 'delegated to localhost: Notify']),
    ('scope: user', ['delegated to localhost: Notify']),
    ('cgroup: system.slice', []),
])
def test_outside(sandbox, scope, listed):
    (sandbox.path / 'become').mkdir()
    (sandbox.path / 'become' / 'pass.py').write_text(BECOME)
    text = play(UP.replace('{}', '{%s}' % scope), OUTSIDE, down())
    code, out = sandbox.play(text, ANSIBLE_BECOME_PLUGINS='become')
    assert code == 0, out
    block = out.split('GUARD deploy')[1].split('\nPLAY RECAP')[0]
    lines = [line.strip() for line in block.splitlines()[2:] if line]
    assert [re.sub(r' \(play.yml:\d+\)$', '', line) for line in lines] == listed
    assert ('outside the guard (not watched, not stopped):' in block) == bool(listed)
    assert f'{len(listed)}  clean' in out


# Prints the moments that lie so many seconds away from now, on a target whose clock is ahead by `offset`.
MOMENTS = """\
    - name: Slow
      ansible.builtin.command: sleep %s
    - ansible.builtin.set_fact: {x: 1}
    - name: Move
      register: moments
      ansible.builtin.command:
        argv:
          - '{{ ansible_playbook_python }}'
          - -c
          - |
            from datetime import datetime, timedelta, timezone
            for distance in (%s, %s):
                print((datetime.now(timezone.utc) + timedelta(seconds=distance + %s)).isoformat())
    - ansible.builtin.set_fact:
        denial: '{{ denial | combine({"first_seen": lines[0], "last_seen": lines[1]}) }}'
      vars: {lines: '{{ moments.stdout_lines }}'}
"""


SLOW_TO_MOVE = '    task     Slow (play.yml:23)\n    until    Move (play.yml:26)\n'
IN_MOVE = '    task     Move (play.yml:26)\n    command'


@pytest.mark.parametrize('slow, first, last, offset, said', [
    (0, 0, 0, 0, IN_MOVE),
    (0, 1, 1, 0, IN_MOVE),
    (0, 0, 0, 3600, IN_MOVE),
    (3, -2.5, 0, -86400, SLOW_TO_MOVE),
    (4, -3, 0, 0, SLOW_TO_MOVE),
    (0, -3600, 0, 0, '    task     unknown\n    until    Move (play.yml:26)\n'),
])
def test_attribution(sandbox, slow, first, last, offset, said):
    moments = MOMENTS % (slow, first, last, offset)
    out = sandbox.play(play(UP, moments, down(DENIED, f'clock_offset: {offset}')))[1]
    assert said in out, out


@pytest.mark.parametrize('strategy', ['linear', 'free'])
def test_three_hosts(sandbox, strategy):
    slow = '    - {name: Slow, ansible.builtin.command: "sleep {{ inventory_hostname[-1] | int * 0.3 }}"}\n'
    text = play(UP, slow, MOVE, down(DENIED, keywords='when: inventory_hostname != "web3"'),
                down(keywords='when: inventory_hostname == "web3"'),
                hosts='web1,web2,web3', strategy=strategy)
    code, out = sandbox.play(text, ANSIBLE_FORKS='3')
    assert code == 2
    assert out.count('    task     Move (play.yml:24)\n    command') == 2
    assert '''
  web1  deploy  enforce       3         0      0     0        0  denied
  web2  deploy  enforce       3         0      0     0        0  denied
  web3  deploy  enforce       0         0      0     0        0  clean
''' in out
    assert '  192.0.2.10:443/tcp  github.com  github  DENIED       2         6\n' in out
    assert 'accesses were denied on web1, web2\n' in out


def test_several_guards_in_a_loop_over_two_serial_plays(sandbox):
    loop = ', loop: [one, two]}\n'
    start = '    - {loopbreak.deploy.ebpf_guard: {name: "{{ item }}"}' + loop
    stop = '    - {loopbreak.deploy.ebpf_guard: {name: "{{ item }}", state: absent, fail_on_denied: false, ' \
           'denied: "{{ [denial] if item == \'two\' else [] }}"}' + loop
    text = play(start, hosts='web1,web2').replace('gather_facts', 'serial: 1\n  gather_facts') + play(
        MOVE, stop, hosts='web1,web2')
    code, out = sandbox.play(text)
    assert code == 2
    for host in ('web1', 'web2'):
        assert f'GUARD one on {host} [enforce]: clean' in out
        assert re.search(rf'GUARD two on {host} .*: 3 accesses denied\n(.*\n){{2}}    task     Move', out)
    assert 'GUARD LEFT UP' not in out


def test_task_of_another_host_delegated_into_the_guard(sandbox):
    text = play(UP.replace('{}', '{}, delegate_to: web3, run_once: true'),
                MOVE.replace('register', 'delegate_to: web3, run_once: true, register'),
                down(DENIED, keywords='delegate_to: web3, run_once: true'), hosts='web1,web2')
    code, out = sandbox.play(text)
    assert code == 2
    assert re.search(r'GUARD deploy on web3 .*\n(.*\n){2}    task     Move', out)
    assert 'outside the guard' not in out


def test_max_rows_and_observed(sandbox):
    seen = '{kind: connect, address: "10.0.0.%d", port: 80, protocol: tcp, count: 1, command: wget}'
    text = play(UP, down('observed: [%s]' % ', '.join(seen % number for number in range(5))))
    code, out = sandbox.play(text, EBPF_GUARD_MAX_ROWS='2', EBPF_GUARD_OBSERVED='true')
    assert code == 0
    assert '  seen  10.0.0.1:80/tcp  1x  connect  wget\n    … 3 more not shown (max_rows)\n' in out
    assert '10.0.0.2' not in out.split('GUARD deploy')[1]
    assert '  seen  ' not in sandbox.play(text)[1].split('PLAY RECAP')[0]


def test_guard_kept_for_a_later_playbook(sandbox):
    (sandbox.path / 'later.yml').write_text(play(down()))
    code, out = sandbox.play(play(UP), 'later.yml')
    assert code == 0
    assert re.search(r'enforce .* up\n(.*\n)+GUARD deploy .*: clean, nothing denied\n(.*\n)+.* clean\n', out)


def test_ad_hoc(sandbox):
    code, out = sandbox.run('ansible', 'w', '-m', OURS)
    assert code == 0
    assert '  w     deploy  enforce       0         0      0     0        0  up\n' in out
    code, out = sandbox.run('ansible', 'w', '-m', OURS, '-a', 'state=absent')
    assert code == 0
    assert 'GUARD deploy on w [enforce]: clean, nothing denied\n' in out
