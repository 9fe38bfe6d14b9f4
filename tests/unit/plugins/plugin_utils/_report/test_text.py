# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports in, exact lines out."""

from __future__ import annotations

import pytest
from reports import MADE, question, record, report, table, used

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model, tables, text

DIRECT = {'class': 'direct', 'evidence': {'pid': 7, 'command': 'curl github.com'}}
HIDDEN = {'class': 'hidden', 'evidence': None}


def told(*denied, max_rows=20, show=False, **changes):
    return [text for dummy, text in text.block(report(*denied, **changes), show, max_rows)]


@pytest.mark.parametrize('changes, shown', [
    ({}, '192.0.2.10:443/tcp'),
    ({'address': '2001:db8::1'}, '[2001:db8::1]:443/tcp'),
    ({'address': '2001:db8::1', 'port': 0, 'protocol': 'icmp'}, '2001:db8::1/icmp'),
    ({'port': None, 'protocol': '132'}, '192.0.2.10/132'),
    ({'address': None}, 'github.com'),
    ({'address': None, 'name': None, 'path': '/run/docker.sock'}, '/run/docker.sock'),
    ({'kind': 'dns', 'address': '203.0.113.53', 'port': 53, 'protocol': 'udp'}, 'github.com (DNS question)'),
    ({'kind': 'dns', 'address': '203.0.113.53', 'port': 53, 'name': None}, '203.0.113.53:53/tcp (DNS question)'),
    ({'kind': 'tls'}, 'github.com:443/tcp (TLS)'),
    ({'kind': 'tls', 'name': 'git\x1b[31m'}, 'git?[31m:443/tcp (TLS)'),
    ({'kind': 'http', 'port': 3128}, 'github.com:3128/tcp (HTTP)'),
    ({'kind': 'http', 'port': 80, 'name': None}, '192.0.2.10:80/tcp (HTTP)'),
    ({'kind': 'http', 'port': 80, 'name': 'a.example, b.example'}, '192.0.2.10:80/tcp (HTTP)'),
    ({'kind': 'tls', 'rule': None, 'reason': 'it could not be read, so no rule could be asked'},
     '192.0.2.10:443/tcp (TLS)'),
    ({'kind': 'file', 'address': None, 'name': None, 'path': '/mnt/tool'}, '/mnt/tool'),
    ({'kind': 'exec', 'address': None, 'name': None, 'path': '/mnt/tool'}, '/mnt/tool (executed)'),
    ({'kind': 'exec', 'address': None, 'name': None, 'path': None}, 'a file that has no path here (executed)'),
    ({'kind': 'file', 'address': None, 'name': None, 'path': '/mnt/\x1b[31m'}, '/mnt/?[31m'),
    ({'kind': 'unix', 'address': None, 'name': None, 'path': '@tool'}, '@tool'),
    ({'kind': 'tls', 'reason': None, 'rule': None}, 'github.com:443/tcp (TLS)'),
])
def test_endpoint(changes, shown):
    assert model.endpoint(record(**changes)) == shown


DETAILS = [
    '    why      github.com runs on mysql',
    '    task     during',
    '    command  curl https://github.com',
    '    owner    db-team   runbook https://wiki.example/x',
]
# name, mode of the guard, changes to the record, headline, first line of the row
VERDICTS = [
    ('denied', 'enforce', {}, '1 access denied', '  DENIED'),
    ('expected', 'enforce', {'expected': True, 'count': 2}, '2 accesses denied, 2 of them expected',
     '  DENIED (expected)'),
    ('monitor', 'monitor', {'mode': 'monitor'}, '1 access would be denied', '  WOULD DENY'),
    ('monitor, expected', 'monitor', {'mode': None, 'expected': True}, '1 access would be denied',
     '  WOULD DENY (expected)'),
    ('drill', 'drill', {'mode': 'drill'}, '1 access denied', '  DENIED (drill)'),
    ('drill, expected', 'drill', {'mode': 'drill', 'expected': True}, '1 access denied, 1 of them expected',
     '  DENIED (drill, expected)'),
    ('in the mode of its time', 'monitor', {}, '1 access denied', '  DENIED'),
]


@pytest.mark.parametrize('mode, changes, head, word', **table(VERDICTS))
def test_verdict(mode, changes, head, word):
    count = changes.get('count', 1)
    assert told(record(name=None, **changes), mode=mode) == [
        f'GUARD deploy on web1 [{mode}]: {head}',
        f'{word}  192.0.2.10:443/tcp  {count}x  connect  (rule github)', *DETAILS]


def test_tones():
    for expected, changes in (('bad', {}), ('warn', {'expected': True}), ('warn', {'mode': 'monitor'})):
        lines = text.block(report(record(**changes)), False, 20)
        assert [tone for tone, dummy in lines] == [expected] * 2 + ['plain'] * 4
    assert text.block(report(), False, 20) == [
        ('good', 'GUARD deploy on web1 [enforce]: clean, nothing denied')]


def test_rows_fold_processes_but_not_commands():
    late = '1970-01-01T00:02:05.000000+00:00'
    lines = told(
        record(pid=2), record(pid=1, address='2001:db8::1', count=2, first_seen=late, last_seen=late),
        record(command='wget', owner=None),
        record(address='192.0.2.9', expected=True, rule=None, reason=None))
    assert lines == [
        'GUARD deploy on web1 [enforce]: 5 accesses denied, 1 of them expected',
        '  DENIED  192.0.2.10:443/tcp  github.com  3x  connect  (rule github)',
        '    also     [2001:db8::1]:443/tcp', DETAILS[0], DETAILS[1], '    until    later', *DETAILS[2:],
        '  DENIED  192.0.2.10:443/tcp  github.com  1x  connect  (rule github)',
        DETAILS[0], DETAILS[1], '    command  wget', '    runbook  https://wiki.example/x',
        '  DENIED (expected)  192.0.2.9:443/tcp  github.com  1x  connect', *DETAILS[1:],
    ]


def test_questions_for_a_name_are_one_row():
    """For A and AAAA, at two resolvers, over UDP and again over TCP."""
    assert told(
        question(count=2), question(address='2001:db8:3::53', count=2),
        question(protocol='tcp'), question(name='api.github.com')) == [
            'GUARD deploy on web1 [enforce]: 6 accesses denied',
            '  DENIED  github.com (DNS question)  5x  (rule github)', *DETAILS,
            '  DENIED  api.github.com (DNS question)  1x  (rule github)', *DETAILS]


def test_a_presented_name_is_told_with_the_addresses():
    lines = told(record(kind='tls', **HIDDEN), record(kind='tls', address='2001:db8::1', **HIDDEN),
                 record(kind='http', address='203.0.113.70', port=3128))
    assert lines[1:3] == ['  DENIED  github.com:443/tcp (TLS)  2x  hidden  (rule github)',
                          '    at       192.0.2.10:443/tcp, [2001:db8::1]:443/tcp']
    assert lines[8:10] == ['  DENIED  github.com:3128/tcp (HTTP)  1x  (rule github)',
                           '    at       203.0.113.70:3128/tcp']


def test_files_are_told_by_their_path():
    late = '1970-01-01T00:02:05.000000+00:00'
    lines = told(used(count=2), used(pid=9, first_seen=late, last_seen=late), used(kind='exec', expected=True))
    assert lines == [
        'GUARD deploy on web1 [enforce]: 4 accesses denied, 1 of them expected',
        '  DENIED  /mnt/artifacts/tool  3x  file  (rule github)',
        *DETAILS[:2], '    until    later', *DETAILS[2:],
        '  DENIED (expected)  /mnt/artifacts/tool (executed)  1x  (rule github)', *DETAILS]


# the path, what is left of it in a line
LONG_PATHS = [
    ('fits', '/mnt/artifacts/linux-amd64/schema-tool-1', '/mnt/artifacts/linux-amd64/schema-tool-1'),
    ('cut at a slash', '/mnt/artifacts/releases/linux-amd64/schema-tool', '…/releases/linux-amd64/schema-tool'),
    ('a long name', '/mnt/' + 'x' * 250, '…' + 'x' * 39),
    ('cut by the kernel', '...' + '/deep' * 50, '…' + '/deep' * 7),
]


@pytest.mark.parametrize('path, left', **table(LONG_PATHS))
@pytest.mark.parametrize('kind', ['file', 'exec'])
def test_long_paths_lose_their_front_and_are_told_whole_below(path, left, kind):
    what = used(path, kind)
    head, *details = told(what)[1:]
    assert head.startswith('  DENIED  %s  1x' % (left + (' (executed)' if kind == 'exec' else ''))) and len(head) <= 80
    whole = [line[13:] for line in details[:details.index(DETAILS[0])] if not line.startswith('    rule')]
    assert ''.join(whole) == (path if path != left else '') and all(len(line) <= 80 for line in details)
    seen = told(observed=[what], show=True)[1]
    assert seen.startswith('  seen  ' + left) and len(seen) <= 80


def test_a_socket_is_told_with_its_kind():
    assert told(used('/run/docker.sock', 'unix'))[1] == '  DENIED  /run/docker.sock  1x  unix  (rule github)'


@pytest.mark.parametrize('show', (False, True))
def test_ways_out_are_listed_whatever_else_is_shown(show):
    asked = [used('/run/systemd/private', 'unix', rule=None, command='/usr/bin/systemctl restart x', count=2),
             used('/run/systemd/private', 'unix', rule=None, command='/usr/bin/systemd-run ' + 'y' * 90, pid=9),
             used('/mnt/tool', rule=None)]
    lines = told(observed=asked, show=show)
    place = lines.index('  ways out, asked to act outside the guard (not watched there):')
    assert lines[place + 1] == '    /run/systemd/private  2x  systemctl restart x'
    assert lines[place + 2].startswith('    /run/systemd/private  1x  systemd-run yyy') and len(lines[place + 2]) <= 80
    assert [line.startswith('  seen  /mnt/tool') for line in lines[1:place]] == [True] * show and not lines[place + 3:]
    assert '    … 1 more not shown (max_rows)' in told(observed=asked, max_rows=1)


def test_what_was_executed_comes_after_what_was_reached():
    seen = [used('/usr/bin/sh', 'exec', rule=None, count=9), used(rule=None), record(name=None, rule=None)]
    lines = told(observed=seen, show=True, mode='monitor')[1:]
    assert [line.split('  ')[2] for line in lines] == ['/mnt/artifacts/tool', '192.0.2.10:443/tcp', '/usr/bin/sh (executed)']
    fleet = model.Fleet()
    fleet.add(report(used(kind='exec', mode='monitor'), observed=seen, mode='monitor'), True)
    assert [line for dummy, line in tables.fleet_lines(fleet, 20)][-5:] == [
        '  endpoint                        name  rule    verdict     hosts  accesses',
        '  /mnt/artifacts/tool (executed)  -     github  WOULD DENY      1         1',
        '  /mnt/artifacts/tool             -     -       seen            1         1',
        '  192.0.2.10:443/tcp              -     -       seen            1         1',
        '  /usr/bin/sh (executed)          -     -       seen            1         9']


def test_many_names_of_an_address_get_lines_of_their_own():
    names = ', '.join(f'name-{number}.shared.example' for number in range(4))
    for kind, where in (('send', '192.0.2.10:443/tcp'), ('tls', '192.0.2.10:443/tcp (TLS)')):
        lines = told(record(kind=kind, name=names))
        assert lines[1:4] == [
            '  DENIED  %s  1x%s  (rule github)' % (where, '  send' if kind == 'send' else ''),
            '    names    name-0.shared.example, name-1.shared.example,',
            '             name-2.shared.example, name-3.shared.example']


def test_a_denial_without_a_rule_or_a_reason():
    for kind in ('connect', 'dns', 'tls'):
        lines = told(record(kind=kind, rule=None, reason=None, owner=None, runbook=None, name=None))
        assert lines[2:] == DETAILS[1:3]


def test_long_and_hostile_texts_stay_in_their_line():
    lines = told(record(
        address='2001:db8:1111:2222:3333:4444:5555:6666', name='a-long-name.github.com', command='x' * 200,
        reason='word ' * 20, ancestry=[{'pid': 1, 'command': '/usr/bin/sh -c \x1b[31m\nrm'}] * 9))
    assert lines[1:] == [
        '  DENIED  [2001:db8:1111:2222:3333:4444:5555:6666]:443/tcp  a-long-name.github.com  1x  connect',
        '    rule     github',
        '    why      ' + ' '.join(['word'] * 13),
        '             ' + ' '.join(['word'] * 7),
        '    task     during',
        '    command  ' + 'x' * 66 + '…',
        '    ancestry sh -c ?[31m rm',
        DETAILS[3],
    ]
    assert all(len(line) <= 80 for line in lines[2:])


BY_A_PARENT = {'class': 'direct', 'evidence': {'pid': 5, 'command': '/bin/sh -c ./update %s' % ('https://github.com/x ' * 4)}}
# class and evidence of a record, how the class and how the evidence is told
CLASSES = [
    ('the process itself', DIRECT, 'direct connect', ['    evidence its command line names it']),
    ('a parent, whole', BY_A_PARENT, 'direct connect', [
        '    evidence named by /bin/sh -c ./update https://github.com/x',
        '             https://github.com/x https://github.com/x https://github.com/x']),
    ('none', HIDDEN, 'hidden connect', ['    evidence no command line names it that a person wrote']),
    ('the arguments of the task', {'class': 'direct', 'evidence': {'pid': None, 'command': None, 'task': 'Fetch'}}, 'direct connect',
     ['    evidence the arguments of its task name it']),
    ('through others', {'class': 'transient', 'evidence': {'pid': None, 'command': None, 'path': ['a', 'b', 'c', 'd']}},
     'transient connect', ['    evidence a depends on d through b, c']),
    ('not known', {}, 'connect', [])]


@pytest.mark.parametrize('changes, shown, lines', **table(CLASSES))
def test_the_class_and_its_evidence(changes, shown, lines):
    head, *details = told(record(**changes))[1:]
    assert f'1x  {shown}  (rule github)' in head
    assert details == DETAILS[:3] + lines + DETAILS[3:]


def test_rows_of_different_classes_stay_apart():
    lines = told(record(**DIRECT), record(**HIDDEN), record(**dict(DIRECT, pid=9)), record(**dict(HIDDEN, command='x')))
    assert [line.split('  ')[3:] for line in lines if line.startswith('  DENIED')] == [
        ['github.com', '2x', 'direct connect', '(rule github)'], ['github.com', '1x', 'hidden connect', '(rule github)'],
        ['github.com', '1x', 'hidden connect', '(rule github)']]


def test_ancestors_have_a_line_each():
    chain = ['./tool --fetch', './tool --fetch', '/usr/bin/make -C /srv all', '/bin/sh ./deploy.sh', MADE % 100.5,
             '/bin/sh -c ' + 'x' * 80]
    assert told(record(ancestry=[{'pid': pid, 'command': command} for pid, command in enumerate(chain)]))[5:-1] == [
        '    ancestry tool --fetch',
        '             make -C /srv all',
        '             sh ./deploy.sh',
        '             python3 AnsiballZ_command.py',
        '             sh -c ' + 'x' * 60 + '…']
    become = '/bin/sh -c sudo -H -S -n -u root /run/ebpf_guard/deploy/launcher -c "echo BECOME-SUCCESS-abc ; deploy.sh"'
    assert told(record(ancestry=[{'pid': 1, 'command': './deploy.sh'}, {'pid': 2, 'command': become}]))[5:-1] == [
        '    ancestry deploy.sh']
    deep = [{'pid': pid, 'command': f'nest {pid}'} for pid in range(text.ANCESTORS + 3)]
    assert told(record(ancestry=deep))[-3:-1] == ['             nest 7', '             … 3 more']


def test_one_command_that_two_scripts_ran_is_two_rows():
    scripts = [[{'pid': pid, 'command': f'sh ./deploy-{pid}.sh'}, {'pid': 9, 'command': MADE % (100.5 + pid)}] for pid in (1, 2, 2)]
    lines = told(*(record(ancestry=ancestry) for ancestry in scripts))
    assert [line.split()[3] for line in lines if 'DENIED' in line] == ['1x', '2x']
    assert [line.split()[-1] for line in lines if 'ancestry' in line] == ['./deploy-1.sh', './deploy-2.sh']


def test_lost_details_still_count():
    left_out = record(stands_for=70, command=None, address=None, name=None, count=900, **HIDDEN)
    lines = told(record(), left_out, counters={'connect': {'denied': 901}}, rows_left_out={'denied': 70, 'observed': 0})
    assert lines[0].endswith(': 901 accesses denied') and lines[-1] == (
        '  70 rows more are in the event log on the host; the totals are exact')
    assert not any('900x' in line for line in lines)
    one = report(record(), counters={'connect': {'denied': 2}, 'send': {'denied': 1}, 'lost': 9})
    assert model.totals(one)['denied'] == 3
    assert '  details of 9 accesses did not fit; the totals are exact' in [line for dummy, line in text.block(one, False, 20)]


def test_lost_details_follow_the_mode():
    for mode, counter, outcome in (('drill', 'denied', 'drill'), ('monitor', 'would_deny', 'would deny')):
        assert model.totals(report(mode=mode, counters={'connect': {counter: 3}, 'lost': 3}))[outcome] == 3


def test_rest_of_the_block():
    seen = dict(kind='connect', name='mirror', address='10.0.0.1', port=80, protocol='tcp', count=2,
                command='wget ' * 20)
    assert told(
        observed=[seen], show=True, counters={'lost': 1}, faults=['The link was replaced. ' * 4],
        left_running=[{'pid': 4711, 'command': 'sleep 9'}],
        refused=[{'time': '', 'uid': 1001, 'pid': 1, 'owner': 0, 'command': '/sbin/init ' * 9}],
        outside=[('raw', 'Check'), ('delegated to localhost', 'Notify'), ('raw', 'Check')]) == [
            'GUARD deploy on web1 [enforce]: nothing denied',
            '  seen  10.0.0.1:80/tcp  mirror  2x  connect  wget wget wget wget wget wget wge…',
            '  details of 1 access did not fit; the totals are exact',
            '  the guard was not whole all the time:',
            '    The link was replaced. The link was replaced. The link was replaced. The',
            '    link was replaced.',
            '  outside the guard (not watched, not stopped):',
            '    raw      Check',
            '    delegated to localhost: Notify',
            "  refused at the door (somebody else's process was to be brought in):",
            '    uid 1001 pid 1 of uid 0: /sbin/init /sbin/init /sbin/init /sbin/init /sbin/…',
            '  left running (moved out when the guard came down):',
            '    4711     sleep 9']


def test_max_rows():
    bare = dict(command='', reason='', owner='', runbook='')
    denied = [record(address=f'192.0.2.{number}', name=None, **bare) for number in range(4)]
    outside = [('raw', 'a'), ('raw', 'b')]
    assert told(*denied, max_rows=1, observed=[record()], show=True, outside=outside) == [
        'GUARD deploy on web1 [enforce]: 4 accesses denied',
        '  DENIED  192.0.2.0:443/tcp  1x  connect  (rule github)',
        '    task     during',
        '    … 4 more not shown (max_rows)',
        '  outside the guard (not watched, not stopped):',
        '    raw      a',
        '    … 1 more not shown (max_rows)']


@pytest.mark.parametrize('limits, lines', [
    ({}, ['GUARD deploy on web1 [enforce]: clean, nothing denied']),
    ({'memory': {'limit': 2 ** 31, 'peak': None, 'oom_kills': None}, 'pids': {'limit': 9, 'peak': None, 'refused': None}},
     ['GUARD deploy on web1 [enforce]: clean, nothing denied']),
    ({'memory': {'limit': 2 ** 31, 'peak': 2 ** 31, 'oom_kills': 2}, 'cpus': {'limit': 1.5, 'throttled': 7},
      'pids': {'limit': 512, 'peak': 512, 'refused': 3}},
     ['GUARD deploy on web1 [enforce]: nothing denied', '  limits were hit:',
      '    memory   limit of 2G: 2 processes killed for lack of memory',
      '    pids     limit of 512: no process could be started, 3x']),
    ({'memory': {'limit': 1500000, 'peak': 1, 'oom_kills': 1}},
     ['GUARD deploy on web1 [enforce]: nothing denied', '  limits were hit:',
      '    memory   limit of 1500000: 1 process killed for lack of memory']),
])
def test_limits(limits, lines):
    assert told(limits=limits) == lines


def test_what_was_before_this_run_stands_apart_and_counts_apart():
    lines = told(record(), record(earlier=True, count=4), earlier={'since': '2026-11-22T15:00:00Z', 'by': 'o on c (a.yml)'})
    assert lines[0].endswith('1 access denied, 4 accesses denied before this run')
    before = lines.index('  before this run:')
    assert [line.split('  ')[1] for line in lines if line.startswith('  DENIED')] == ['DENIED', 'DENIED (earlier)']
    assert lines[before + 1:before + 3] == ['    since    2026-11-22T15:00:00Z', '    by       o on c (a.yml)']
    assert lines[before + 3].startswith('  DENIED (earlier)')


def test_a_guard_that_had_ended_or_is_shared_says_so():
    lines = told(record(), ended={'by': 'its ttl', 'at': 'x'},
                 shared_with=[{'host': 'db2', 'user': 'o', 'controller': 'c', 'playbook': 'a.yml', 'since': 'x'}])
    assert lines[1:4] == ['  GUARD GONE before state=absent: tasks that came later were not run',
                          '  it stays up, shared with others: what is denied may be of any of them', '    shared   db2 (o on c)']


def test_what_is_new_to_the_baseline():
    observed = [question(new=True, rule=None, reason=None), record(kind='tls', new=True, rule=None, reason=None),
                question(name='known.example', rule=None, reason=None)]
    news = dict(observed=observed, baseline={'file': 'b.yml', 'on_new': 'fail'})
    lines = told(record(expected=True, new=True), **news)
    assert lines[0].endswith('[enforce]: 1 access denied, 1 of them expected, 2 accesses new to the baseline')
    assert lines[1].startswith('  DENIED (expected, new)  192.0.2.10:443/tcp')
    lines = told(**news)
    assert lines[:2] == ['GUARD deploy on web1 [enforce]: 2 accesses new to the baseline', '  NEW  github.com:443/tcp (TLS)  1x']
    assert '    task     during' in lines and '    command  curl https://github.com' in lines and not any('known' in line for line in lines)
    fleet = model.Fleet()
    fleet.add(report(**news), False)
    fleet.add(report(host='web2'), False)
    assert fleet.hosts_with_news() == ['web1']
    table = [line for _tone, line in tables.fleet_lines(fleet, 20)]
    assert table[1:4] == ['  host  guard   mode     denied  expected  would  seen  new  outside  outcome',
                          '  web1  deploy  enforce       0         0      0     3    2        0  new',
                          '  web2  deploy  enforce       0         0      0     0    0        0  clean']
    assert [line.split()[-3] for line in table[7:9]] == ['NEW', 'NEW']
    fleet = model.Fleet()
    fleet.add(report(**dict(news, baseline={'file': 'b.yml', 'on_new': 'report'})), False)
    assert not fleet.hosts_with_news()


def test_a_guard_that_is_followed():
    one = record(last_seen='2026-11-30T12:31:03.123456Z', mode='enforce', command='/usr/bin/curl https://github.com/\x1b[31m')
    other = record(kind='connect', name=None, address='203.0.113.9', port=443, protocol='tcp', rule=None, reason=None, count=2,
                   first_seen='2026-11-30T12:31:02.000000Z', command='apt-get update', mode='monitor')
    found = {'denied': [one], 'observed': [other], 'more': 3, 'up': True}
    assert text.followed('web1', found, False) == [
        'web1 … and 3 things before', '12:31:02 web1 REACHED    203.0.113.9:443/tcp  2 times  apt-get update',
        '12:31:03 web1 DENIED     192.0.2.10:443/tcp  1 time  curl https://github.com/?[31m  (rule github)']
    none = {'denied': [], 'observed': [], 'more': 0, 'up': False}
    assert text.followed('web1', none, False) == ['web1 the guard is down']
    assert text.followed('web1', none, True) == ['web1 has no such guard']


def test_a_guard_that_came_up_is_one_line():
    guard = {'mode': 'enforce', 'enforced': {'connect': True, 'dns': True, 'lock': 'nothing needs it'}}
    assert text.up_line('web1', 'deploy', guard) == ('good', 'GUARD UP: deploy on web1 [enforce]  connect, dns')
    assert text.up_line('web1', 'deploy', {'mode': 'drill'}) == ('good', 'GUARD UP: deploy on web1 [drill]')
    _tone, line = text.up_line('w' * 30, 'deploy', {**guard, 'enforced': dict.fromkeys(('connect', 'send', 'payload', 'unix'), True)})
    assert len(line) == 80 and line.endswith('[enforce]  connect, send, pa…')
