# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report in; the few lines with which the host fails out."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records, verdict

HEAD = "Guard 'deploy' denied what the policy does not expect:"
RULE = "Rule 'github' (db-team): it runs on this."
BROKEN = "Guard 'deploy' was not whole all the time, so accesses may have passed unseen: The link was detached."
TASK = 'mysql : Install the tool (roles/mysql/tasks/main.yml:12)'


def record(**changes):
    return dict({'rule': 'github', 'reason': 'it runs on this.', 'owner': 'db-team', 'expected': False, 'kind': 'dns',
                 'name': 'github.com', 'address': '192.0.2.53', 'port': 53, 'protocol': 'udp', 'path': None, 'count': 1,
                 'command': 'curl https://github.com', 'mode': 'enforce'}, **changes)


def lines(*denied, mode='enforce', faults=(), counters=None, where='denied'):
    told = verdict.of({'guard': {'name': 'deploy', 'mode': mode}, 'denied': list(denied), 'faults': list(faults),
                       'counters': counters or {}}, where)
    return told and told.split('\n')


def test_endpoint_task_and_command():
    many = [record(count=3, task=TASK), record(task=TASK), record(kind='tls', port=443, protocol='tcp', task='Migrate'),
            record(kind='connect', port=443, protocol='tcp', name='x', command='/tmp/ansible-tmp-1.5-2-3/x.sh y'),
            record(kind='exec', name=None, address=None, path='/mnt/a/tool', command=None)]
    assert lines(*many, where='guard.denied') == [
        HEAD, "github.com (DNS question), 4 times, in the task 'mysql : Install the tool': curl https://github.com",
        "github.com:443/tcp (TLS), once, in the task 'Migrate': curl https://github.com",
        'and 2 more: see the report of the guard, or guard.denied. ' + RULE]
    assert lines(*many[3:]) == [HEAD, '192.0.2.53:443/tcp, once: x.sh y', '/mnt/a/tool (executed), once', RULE]


def test_each_rule_is_told_with_its_owner():
    by_default = record(rule=None, reason=records.BY_DEFAULT['reason'], name='c')
    assert lines(record(), record(rule='b', owner=None, reason=None, name='b'), by_default)[3] == (
        'and 1 more: see the report of the guard, or denied. %s Rule \'b\': no reason is known. '
        'No rule allows it, and the policy says default: deny.' % RULE)


def test_rows_that_are_left_out_are_counted():
    assert lines(record(), record(stands_for=70, name=None, command=None, rule=None, count=900))[:3] == [
        HEAD, 'github.com (DNS question), once: curl https://github.com',
        'and 70 more: see the report of the guard, or denied. ' + RULE + ' It runs on this.']


def test_what_fails_no_host_has_no_verdict():
    assert verdict.of({'guard': None, 'denied': [record()]}) is None
    assert lines() is None and lines(record(expected=True)) is None
    assert lines(record(mode='drill'), mode='drill', faults=['x']) is None and lines(record(mode='monitor')) is None


def test_four_lines_whatever_happened():
    faults = ['The link was\ndetached.']
    assert lines(faults=faults) == [BROKEN]
    assert lines(record(), record(name='b'), faults=faults) == [
        HEAD, 'github.com (DNS question), once: curl https://github.com',
        'and 1 more: see the report of the guard, or denied. ' + RULE, BROKEN]
    assert lines(counters={'connect': {'denied': 5}}, faults=faults) == [
        "5 denials of guard 'deploy' did not fit into the records, so nobody can tell whether they were expected.", BROKEN]
    wild = lines(record(name='a\nb\x1b[31m', command='x\n' * 900, reason='long ' * 900), faults=faults * 900)
    assert len(wild) == 4 and max(map(len, wild)) <= verdict.ROOM and all(line.isprintable() for line in wild)


def test_why_no_further_task_starts():
    """The program alone: the arguments of a task may be nobody's business."""
    assert verdict.why_stopped('deploy', record(command='/usr/bin/curl https://github.com/?token=x', pid=12)) == (
        "ebpf_guard: this task was not run, because guard 'deploy' denied github.com (DNS question) to curl (process 12), which its "
        'policy does not expect, and the policy says on_denied: stop. %s ebpf_guard_info tells more.' % RULE)


NEWS = "Guard 'deploy' saw what the baseline does not have, and the policy says on_new: fail:"
LEARN = 'If the deployment needs it, learn it: ansible-playbook loopbreak.deploy.learn.'


def news(*observed, denied=(), mode='enforce', faults=()):
    return verdict.of({'guard': {'name': 'deploy', 'mode': mode}, 'denied': list(denied), 'faults': list(faults), 'counters': {},
                       'observed': [record(rule=None, reason=None, new=True, **one) for one in observed],
                       'baseline': {'file': 'b.yml', 'on_new': 'fail'}}, 'x.denied').split('\n')


def test_what_is_new_is_told_once_for_each_name_and_port():
    steps = [{}, {'kind': 'connect', 'port': 443, 'protocol': 'udp'}, {'kind': 'connect', 'port': 443, 'protocol': 'tcp'},
             {'kind': 'tls', 'port': 443, 'protocol': 'tcp'}]
    assert news(*steps, mode='monitor') == [NEWS, 'github.com:443/tcp (TLS), once: curl https://github.com', LEARN]
    more = [{'name': name} for name in 'abc']
    assert news(*more)[1:] == ['a (DNS question), once: curl https://github.com', 'b (DNS question), once: curl https://github.com',
                               'And 1 more: see the report of the guard, or x.observed. ' + LEARN]
    assert news(*more, faults=['The link was detached.'])[2:] == [
        'And 2 more: see the report of the guard, or x.observed. ' + LEARN, BROKEN]
    assert news(*more, denied=[record()])[1:] == [
        'github.com (DNS question), once: curl https://github.com', RULE, '3 more were reached that the baseline does not have: on_new: fail.']
