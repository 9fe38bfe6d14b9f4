# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of many hosts in, what Ansible's statistics have of them out."""

from __future__ import annotations

import json

from reports import question, record, report

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import brief, model


def briefs(*reports, missing=()):
    fleet, found = model.Fleet(), brief.Briefs()
    for one in reports:
        fleet.add(one, False)
    for host in missing:
        fleet.miss('LEFT UP', host, 'deploy', 'enforce', [])
    found.add(fleet)
    return found.of_hosts()


def test_hosts_and_the_run():
    news = {'observed': [record(new=True, rule=None, address='192.0.2.11', count=2), record(rule=None, address='192.0.2.12')],
            'baseline': {'file': 'b.yml', 'on_new': 'report'}}
    found = briefs(report(record(count=3), question(), record(expected=True, name='x.example')), report(host='web2', **news),
                   report(host='web2', name='other'), report(record(stands_for=7, count=9, mode='monitor'), host='web3', mode='monitor'),
                   missing=['web4'])
    assert found['web1'] == {'outcome': 'denied', 'denied': 4, 'new': 0,
                             'endpoints': ['192.0.2.10:443/tcp (github.com)', 'github.com (DNS question)']}
    assert found['web2'] == {'outcome': 'new', 'denied': 0, 'new': 2, 'endpoints': ['192.0.2.11:443/tcp (github.com)']}
    assert found['web3'] == {'outcome': 'would deny', 'denied': 0, 'new': 0, 'endpoints': []}
    assert found['web4']['outcome'] == 'left up'
    assert found[None] == {'outcome': 'denied', 'denied': 4, 'new': 2, 'endpoints': [
        '192.0.2.10:443/tcp (github.com)', '192.0.2.11:443/tcp (github.com)', 'github.com (DNS question)']}
    assert briefs(report(host='web3'), missing=['web4'])[None]['outcome'] == 'left up'


def test_it_stays_small_and_is_no_template():
    """A process chooses the names that it asks for, and the next job may get them as variables."""
    wild = [question(name=f'{{{{ x | pipe({number}) }}}}{{% x %}}\n{"x" * 10000}') for number in range(100)]
    told = briefs(report(*wild))['web1']
    assert told['endpoints_left_out'] == 80 and len(json.dumps(told)) < 3000
    assert not any('{' in one or not one.isprintable() for one in told['endpoints'])
    assert 'curl' not in json.dumps(briefs(report(record(command='curl -u secret'))))


def test_of_one_result():
    assert brief.of_report({'guard': None}) is None
    told = {'guard': {'name': 'deploy', 'mode': 'drill'}, 'denied': [record(mode='drill')], 'observed': [], 'counters': {}}
    assert brief.of_report(told) == {'outcome': 'drill', 'denied': 1, 'new': 0, 'endpoints': ['192.0.2.10:443/tcp (github.com)']}
