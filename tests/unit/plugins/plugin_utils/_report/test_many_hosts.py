# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of many hosts in, the tables at the end of a run out."""

from __future__ import annotations

import time

from reports import question, record, report, used

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model, tables, text


def test_long_paths_with_one_end_stay_apart_in_the_fleet():
    fleet = model.Fleet()
    tools = [used('/mnt/%s/releases/linux-amd64/schema-tool' % disk) for disk in ('artifacts-a', 'artifacts-b')]
    fleet.add(report(*tools), False)
    assert [line for dummy, line in tables.fleet_lines(fleet, 20)][-2:] == [
        '  …/releases/linux-amd64/schema-tool  -     github  DENIED       1         1'] * 2


def test_fleet():
    fleet = model.Fleet()
    assert tables.fleet_lines(fleet, 20) == []
    seen = record(address='10.0.0.1', rule=None, name=None)
    fleet.add(report(record(count=3), observed=[seen], outside=[('raw', 'x')]), True)
    fleet.add(report(host='web2'), False)
    fleet.add(report(record(), host='web2'), False)
    fleet.add(report(record(mode='drill'), host='web3', mode='drill'), False)
    fleet.add(report(record(expected=True), host='web3', name='other'), False)
    fleet.add(report(record(mode='monitor'), host='web4', mode='monitor'), False)
    fleet.add(report(host='web5', observed=[seen], faults=['x']), False)
    fleet.add(report(host='web5', name='other'), False)
    fleet.note('web6', 'deploy', 'enforce', 'up')
    fleet.miss('LEFT UP', 'web7', 'deploy', 'enforce', [('because', 'of that')], 2)
    assert fleet.denying_hosts() == ['web1', 'web2']
    assert fleet.missing_hosts() == ['web7']
    assert [line for dummy, line in tables.fleet_lines(fleet, 4)] == [
        'GUARDS',
        '  host  guard   mode     denied  expected  would  seen  outside  outcome',
        '  web7  deploy  enforce       0         0      0     0        2  left up',
        '  web1  deploy  enforce       3         0      0     1        1  denied',
        '  web2  deploy  enforce       1         0      0     0        0  denied',
        '  web3  deploy  drill         1         0      0     0        0  drill',
        '  web5  deploy  enforce       0         0      0     1        0  faulty',
        '  web4  deploy  monitor       0         0      1     0        0  would deny',
        '  web3  other   enforce       0         1      0     0        0  expected',
        '  web6  deploy  enforce       0         0      0     0        0  up',
        '  web5  other   enforce       0         0      0     0        0  clean',
        '',
        'ENDPOINTS',
        '  endpoint            name        rule    verdict            hosts  accesses',
        '  192.0.2.10:443/tcp  github.com  github  DENIED                 2         4',
        '  192.0.2.10:443/tcp  github.com  github  DENIED (drill)         1         1',
        '  192.0.2.10:443/tcp  github.com  github  DENIED (expected)      1         1',
        '  192.0.2.10:443/tcp  github.com  github  WOULD DENY             1         1',
        '    … 1 more not shown (max_rows)',
        '',
        'DRILL',
        '  task     endpoint    outage  host  waited  survived',
        '  unknown  github.com  denied  web3  -       -',
        '  Whether the deployment survived is not known.',
        '',
        'GUARD LEFT UP: deploy on web7 [enforce]',
        '    because  of that',
    ]


def lines_of(*reports):
    fleet = model.Fleet()
    for one in reports:
        fleet.add(one, False)
    return [line for _tone, line in tables.fleet_lines(fleet, 20)]


def test_a_table_of_long_names_fits_80_columns():
    """First goes what says nothing, then a name gets a line of its own. No name is cut."""
    host = 'database-primary-01.eu-central.example.com'
    assert lines_of(report(record(), host=host[:-12]))[:3] == [
        'GUARDS',
        '  host                            guard   mode     denied  outcome',
        '  database-primary-01.eu-central  deploy  enforce       1  denied']
    lines = lines_of(report(record(), host=host, name='mysql-cluster-upgrade'), report(host='web1', outside=[('raw', 'x')]))
    assert lines[:7] == [
        'GUARDS',
        '  host',
        '    guard                  mode     denied  outside  outcome',
        f'  {host}',
        '    mysql-cluster-upgrade  enforce       1        0  denied',
        '  web1',
        '    deploy                 enforce       0        1  clean']
    lines = lines_of(report(record(name='a-name-of-many-letters.example', rule='no-github-in-deploys', address='2001:db8::1:2:3')))
    assert lines[4:] == [
        'ENDPOINTS',
        '  endpoint                   name',
        '    rule                  verdict  hosts  accesses',
        '  [2001:db8::1:2:3]:443/tcp  a-name-of-many-letters.example',
        '    no-github-in-deploys  DENIED       1         1']


def test_a_sentence_names_some_hosts():
    hosts = [f'web{number:02}' for number in range(12)]
    assert model.reasons({'denied': hosts[:10]}) == ['accesses were denied on ' + ', '.join(hosts[:10])]
    assert model.reasons({'denied': hosts}) == ['accesses were denied on ' + ', '.join(hosts[:9]) + ' and 3 more hosts']


def test_the_fleet_tells_names_apart_that_one_resolver_was_asked_for():
    fleet = model.Fleet()
    for host in ('web1', 'web2'):
        fleet.add(report(question(), question(name='api.github.com'), record(kind='tls'),
                         host=host), False)
    assert [line for dummy, line in tables.fleet_lines(fleet, 20)][-4:] == [
        '  endpoint                       name  rule    verdict  hosts  accesses',
        '  api.github.com (DNS question)  -     github  DENIED       2         2',
        '  github.com (DNS question)      -     github  DENIED       2         2',
        '  github.com:443/tcp (TLS)       -     github  DENIED       2         2']


def test_a_big_fleet_is_told_in_time():
    fleet, windows = model.Fleet(), [model.Window(n, n + 1, f'task {n}', False) for n in range(90, 110)]
    start = time.process_time()
    for host in range(1000):
        denied = [record(address=f'192.0.2.{number}') for number in range(100)]
        one = report(*denied, host=f'web{host}', tasks=windows)
        text.block(one, False, 20)
        fleet.add(one, False)
    assert len(tables.fleet_lines(fleet, 20)) == 1 + 1 + 21 + 1 + 1 + 1 + 20 + 1
    assert time.process_time() - start < 10  # the aim is 2 s; the rest is room for slow machines
