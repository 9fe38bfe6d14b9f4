# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a terminal shows of a run over many hosts: each thing once, no more lines than a person reads, and none too long."""

from __future__ import annotations

import documents
import pytest
from many_hosts import GUARD, result, run
from reports import record
from sandbox import MOVE, OURS, SWALLOW, UP, Sandbox, down, play

SAME = record(**{'count': 3, 'class': 'direct', 'evidence': None, 'path': None, 'entered': None})


def other(number):
    return dict(SAME, name='api%d.example' % number, rule='other', address='198.51.100.%d' % number, count=1)


def of_host(number):
    """20 hosts with the same denial, by a command that names the host; 5 with another one each; 500 clean ones."""
    if number % 26 == 7:
        return result(dict(SAME, command='curl https://github.com/?from=web%d' % number))
    return result(other(number // 105)) if number % 105 == 40 else result()


FLEET = {'web%d' % number: of_host(number) for number in range(525)}
DENIED = [name for name, told in FLEET.items() if told['denied']]


def of_guards(lines):
    return [line for line in lines if line.startswith('GUARD ') and not line.startswith('GUARD UP')]


def test_525_hosts():
    code, lines = run(FLEET)
    assert code == 2 and len(DENIED) == 25
    assert len(lines) < 100 and max(map(len, lines[:-1])) <= 80 and len(lines[-1]) <= 400
    assert lines[:4] == ['TASK Up', 'GUARD UP: deploy on 525 hosts [enforce]  connect, dns', 'TASK Down',
                         'GUARD deploy on web7 [enforce]: 3 accesses denied']
    assert of_guards(lines) == [
        'GUARD deploy on web7 [enforce]: 3 accesses denied',
        *('GUARD deploy on %s [enforce]: 1 access denied' % name for name in DENIED if FLEET[name]['denied'][0]['rule'] == 'other'),
        'GUARD deploy on 19 more hosts [enforce]: 57 accesses denied',
        'GUARD deploy on 500 hosts [enforce]: clean, nothing denied']
    told = '\n'.join(lines)
    assert ('  DENIED  192.0.2.10:443/tcp  github.com  57x  direct connect  (rule github)\n    as on    web7\n'
            'GUARD deploy on 500 hosts') in told
    block = told.partition('19 more hosts')[2].partition('DENIED')[0].replace(',', '').split()
    assert set(DENIED) & set(block) == {name for name in DENIED if FLEET[name]['denied'][0]['rule'] == 'github'} - {'web7'}
    table = [line.split() for line in lines[lines.index('GUARDS') + 2:lines.index('ENDPOINTS') - 1]]
    assert [row[0] for row in table[:20]] == DENIED[:20] and len(table) == 22
    assert table[20:] == [['5', 'more', 'hosts', 'deploy', 'enforce', *table[20][5:]], '500 hosts deploy enforce 0 0 0 0 0 clean'.split()]
    assert sum(int(row[-6]) for row in table) == 20 * 3 + 5


def test_what_is_not_shown_is_in_the_report(tmp_path):
    """Of 30 hosts, each with a denial of its own; the options say 4 rows."""
    hosts = {'web%d' % number: result(other(number)) for number in range(30)}
    code, lines = run(hosts, cwd=tmp_path, EBPF_GUARD_MAX_ROWS='4', EBPF_GUARD_REPORT_DIR='reports')
    assert code == 2 and len(lines) < 80
    assert of_guards(lines) == ['GUARD deploy on web%d [enforce]: 1 access denied' % number for number in range(4)] + [
        'GUARD deploy on 26 more hosts [enforce]: 26 accesses denied']
    told = '\n'.join(lines)
    assert '    hosts    web4, web5, web6, web7\n    … 22 more not shown (max_rows)\n' in told  # of the names, then of the rows
    assert '    on       web7\n    … 22 more not shown (max_rows)\n' in told
    assert '\n  26 more hosts  deploy  enforce      26 ' in told and told.count('\n    why ') == 4
    report = documents.only(tmp_path / 'reports')
    assert len(report['denied']) == len(report['outcome']['hosts']['denied']) == len(report['guards']) == 30
    assert lines[-3] == 'The JSON report has all that is not shown here.' and lines[-4].startswith('REPORT ')
    lines = run(hosts, cwd=tmp_path, EBPF_GUARD_MAX_ROWS='4')[1]
    assert lines[-3] == 'Not all is shown here. Set report_dir, and a JSON report has all of it.' and lines.count(lines[-3]) == 1


def test_a_host_with_something_of_its_own_is_told_at_once():
    """It tells what is its own, and of the rest where it was told."""
    hosts = {'web%d' % number: result(SAME) for number in range(8)}
    hosts['web5'] = result(SAME, other(1), faults=['The agent was killed.'])
    _code, lines = run(hosts)
    at = lines.index('GUARD deploy on web5 [enforce]: 4 accesses denied')
    block = lines[at:at + lines[at:].index('GUARD deploy on 6 more hosts [enforce]: 18 accesses denied')]
    assert block[1] == '  DENIED  198.51.100.1:443/tcp  api1.example  1x  direct connect  (rule other)'
    assert block[-3:] == ['  the guard was not whole all the time:', '    The agent was killed.', '    as on    web0 (1 row)']
    assert not any('github.com  3x' in line for line in block)


def test_what_is_no_denial_is_folded_too():
    """What was seen in mode monitor, what ran on, what was lost; and the few hosts that differ are named."""
    seen = dict(SAME, rule=None, address='192.0.2.99', name=None)
    hosts = {'web%d' % number: result(mode='monitor', observed=[seen], left_running=[{'pid': number, 'command': 'sleep 9'}])
             for number in range(100)}
    hosts['web11'] = result(mode='monitor', observed=[seen, dict(seen, address='192.0.2.77')],
                            counters={'connect': {'denied': 0}, 'lost': 2})
    guards = dict.fromkeys(hosts, dict(GUARD, mode='monitor'))
    guards['web9'] = dict(guards['web9'], enforced={'connect': True})
    code, lines = run(hosts, up=guards)
    assert code == 0 and len(lines) < 50
    assert lines[1:4] == ['GUARD UP: deploy on 99 hosts [monitor]  connect, dns', 'GUARD UP: deploy on web9 [monitor]  connect', 'TASK Down']
    assert lines[4:lines.index('TASK After')] == [
        'GUARD deploy on web11 [monitor]: nothing denied',
        '  seen  192.0.2.99:443/tcp  3x  direct connect  curl https://github.com',
        '  seen  192.0.2.77:443/tcp  3x  direct connect  curl https://github.com',
        '  details of 2 accesses did not fit; the totals are exact',
        'GUARD deploy on 99 hosts [monitor]: clean, nothing denied',
        '  seen  192.0.2.99:443/tcp  297x  direct connect  curl https://github.com',
        '  left running (moved out when the guard came down):',
        '    0        sleep 9'], lines


def test_three_hosts_are_told_one_by_one():
    hosts = {'web1': result(SAME), 'web2': result(SAME), 'web3': result()}
    _code, lines = run(hosts)
    assert lines[1:4] == ['GUARD UP: deploy on web%d [enforce]  connect, dns' % number for number in (1, 2, 3)]
    assert of_guards(lines) == [
        'GUARD deploy on web1 [enforce]: 3 accesses denied', 'GUARD deploy on web2 [enforce]: 3 accesses denied',
        'GUARD deploy on web3 [enforce]: clean, nothing denied']
    assert '\n'.join(lines).count('    why      github.com runs on mysql\n') == 2


LONG = 'x' * 300 + '.example'


@pytest.mark.parametrize('number', [1, 6])
def test_no_line_is_too_long(number):
    """Whatever a host, a command, a name, a rule, a user or a sentence is called."""
    one = dict(SAME, name=', '.join('%s%d' % (LONG, number) for number in range(40)), command='/bin/' + LONG * 9, path='/' + LONG * 9,
               rule=LONG, reason=LONG * 3, owner=LONG * 2, runbook='https://' + LONG * 2, ancestry=[{'pid': 1, 'command': LONG * 5}])
    hosts = {'%s%s%d' % (LONG, LONG, host): result(
        one, dict(one, kind='exec', address=None, name=None), dict(one, kind='dns', name=LONG), faults=[LONG * 40],
        ended={'by': LONG, 'at': 'then'}, left_running=[{'pid': 1, 'command': LONG * 4}],
        shared_with=[{'host': LONG, 'user': LONG, 'controller': LONG}] * 40,
        refused=[{'uid': 1, 'pid': 2, 'owner': 3, 'command': LONG * 3}]) for host in range(number)}
    code, lines = run(hosts)
    assert code == 2 and max(map(len, lines)) <= 400


def test_guards_that_are_left_up_are_told_together():
    hosts = {'web%d' % number: result() for number in range(40)}
    left = dict(list(hosts.items())[:4])
    code, lines = run(left, up=dict.fromkeys(hosts, GUARD))
    told = '\n'.join(lines)
    assert code == 2 and told.count('GUARD LEFT UP: ') == 1 and len(lines) < 50
    assert '\nGUARD LEFT UP: deploy on 36 hosts [enforce]\n    hosts    web4, web5, web6, ' in told
    assert "    remedy   run `ansible HOSTS -m %s -a 'state=absent'`, with their names for HOSTS, " % OURS in told


@pytest.fixture
def five(tmp_path):
    """Five hosts, for real plays."""
    sandbox = Sandbox(tmp_path)
    inventory = sandbox.path / 'inventory.ini'
    inventory.write_text(''.join('node%d\n' % number for number in range(5)) + inventory.read_text())
    return sandbox


@pytest.mark.parametrize('strategy', ['linear', 'free'])
def test_in_a_real_run(five, strategy):
    """The lines of a task come before the headline of the next one, and not after it."""
    text = play(UP, MOVE, down("denied: \"{{ [denial] if inventory_hostname in ('node1', 'node3') else [] }}\"", SWALLOW), MOVE,
                hosts='node*', strategy=strategy)
    code, out = five.play(text)
    assert code == 2, out
    assert '\nGUARD UP: deploy on 5 hosts [enforce]\n' in out and '\nGUARD deploy on 3 hosts [enforce]: clean, nothing denied\n' in out
    assert out.count('    why      github.com runs on the database') == 1
    assert out.count('    as on    node') == 1 and out.count(': 3 accesses denied\n') == 2
    if strategy == 'linear':
        headlines = [line for line in out.splitlines() if line.startswith(('TASK', 'GUARD', 'PLAY RECAP'))]
        assert [line.split()[0] for line in headlines] == ['TASK', 'GUARD', 'TASK', 'TASK', 'GUARD', 'GUARD', 'GUARD', 'TASK', 'PLAY', 'GUARDS']


def test_a_rolling_run_names_the_host_that_had_it_first(five):
    text = play(UP, down("denied: ['{{ denial }}']", SWALLOW), hosts='node*').replace('  gather_facts', '  serial: 1\n  gather_facts')
    code, out = five.play(text)
    assert code == 2 and out.count('    why      github.com runs on') == 3 and out.count('    as on    node0\n') == 2, out
