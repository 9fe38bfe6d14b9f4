# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of whole runs as a writer gets them, made by hand: like document.Document, without a run."""

from __future__ import annotations

import io
import json

HOSTS = {'denied': [], 'broken': [], 'never_up': [], 'deserted': [], 'missing': [], 'new': []}
TOTALS = {'denied': 0, 'drill': 0, 'expected': 0, 'would_deny': 0, 'earlier': 0, 'seen': 0, 'outside': 0}
ENFORCED = dict.fromkeys(('connect', 'send', 'dns', 'payload', 'unix', 'lock', 'file', 'exec'), True)
TASK = {'name': 'Deploy mysql', 'file': 'tasks/deploy.yml', 'line': 8}
LISTS = ('guards', 'denied', 'new', 'observed', 'outside', 'tasks', 'endpoints', 'drill')
STRANGE = ('<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', '| a | b |', '`rm`', '::error file=x::y',
           '\x1b[2J\x1b[31m', 'nul\0nul', '\u202egnp.exe\u2066', 'x' * 10000, '\udcff\udc80', '{{ 7 * 7 }}{% raw %}', ']]>',
           "'; DROP", '\u05d0\u05d1\u05d2', '&lt;b&gt;&#x41;')


class Model:
    """`lists`: those of the report that are not empty, each anything to go through again and again."""

    def __init__(self, hosts=None, status=0, reasons=(), **lists):
        self.run = {'id': '4edd72ee', 'playbooks': ['site.yml'], 'controller': 'ci-7', 'user': 'deploy', 'check': False,
                    'ansible': '2.19.14', 'collection': '1.0.0', 'started': '2026-11-30T08:12:32.754173Z',
                    'ended': '2026-11-30T08:12:40.336782Z', 'cut_off': False}
        self.outcome = {'status': status, 'reasons': list(reasons), 'hosts': {**HOSTS, **(hosts or {})}}
        self._lists = lists

    def lists(self):
        for name in LISTS:
            yield name, (json.dumps(row).encode() + b'\n' for row in self._lists.get(name, ()))


def written(write, model):
    """What a writer makes of a model."""
    output = io.BytesIO()
    write(model, output)
    return output.getvalue()


def guard(host='web1', outcome='clean', mode='enforce', told=True, **more):
    totals = {**TOTALS, **{key: more.pop(key) for key in list(more) if key in TOTALS}} if told else None
    rest = dict.fromkeys(('counters', 'rows_left_out', 'damages', 'left_running', 'left', 'refused', 'limits', 'agent', 'ended',
                          'earlier', 'shared_with', 'waited', 'survived', 'denied_tasks'))
    return {'host': host, 'name': 'deploy', 'mode': mode, 'outcome': outcome, 'service': 'mysql', 'policy_sha256': 'e21f' * 16,
            'started_at': '2026-11-30T08:12:35.120894Z', 'loader': 'libbpf', 'enforced': dict(ENFORCED) if told else None,
            'observes': True, 'totals': totals, 'faults': [], **rest, **more}


def record(host='web1', name='github.com', second=36.0, **more):
    stamp = f'2026-11-30T08:12:{second:09.6f}Z'
    return {'host': host, 'guard': 'deploy', 'rule': 'github',
            'reason': 'github.com runs on the database that this play deploys', 'owner': 'db-team',
            'runbook': 'https://wiki.example/no-github-in-deploys', 'expected': False, 'kind': 'dns',
            'class': 'hidden', 'name': name, 'address': '203.0.113.53', 'port': 53, 'protocol': 'udp', 'path': None, 'count': 2,
            'first_seen': stamp, 'last_seen': stamp, 'pid': 20347, 'uid': 0,
            'command': 'python3 /usr/local/bin/schema-tool prepare', 'ancestry': [
                {'pid': 20346, 'command': 'bash /root/.ansible/tmp/ansible-tmp-1764490356.1-47-08/deploy.sh'},
                {'pid': 20345, 'command': "sh -c /root/.ansible/tmp/ansible-tmp-1764490356.1-47-08/deploy.sh && sleep 0"}],
            'evidence': None, 'entered': stamp, 'mode': 'enforce', 'processes': 1, 'pids': [20347], 'task': dict(TASK), **more}


def task(host='web1', name=TASK['name'], line=8, begin=35.6, end=38.2, **more):
    return {'host': host, 'name': name, 'file': 'tasks/deploy.yml', 'line': line, 'started': f'2026-11-30T08:12:{begin:09.6f}Z',
            'ended': f'2026-11-30T08:12:{end:09.6f}Z', 'idle': False, **more}


def drilled(*hosts, waited=6.0, outcome='passed', taken=(('github.com', 'timeout'),), **more):
    return {'task': dict(TASK), 'outcome': outcome, 'waited': waited, 'hosts': list(hosts),
            'taken': [{'what': what, 'outage': outage} for what, outage in taken], **more}


def tasks(*hosts):
    return [one for number, host in enumerate(hosts) for one in (
        task(host, 'Install the schema tool', 3, 35.1 + number / 9, 35.6 + number / 9),
        task(host, begin=35.7 + number / 9, end=38.2 + number / 5),
        task(host, 'Show what the script said', 13, 38.9, 39.0, idle=True))]


def story():
    """Three hosts, a circle through another service, and something new: much as the demo has it."""
    hosts = ('web1', 'web2', 'web3')
    mapped = {'owner': 'web-team', 'runbook': None, 'rule': 'service:github.com', 'reason': 'github.com → mysql'}
    through = {'owner': 'platform-team', 'runbook': 'https://wiki.example/api', 'rule': 'service:api.internal',
               'class': 'transient', 'reason': 'api.internal → github.com → mysql',
               'command': 'curl --silent --max-time 2 http://api.internal/migrate',
               'evidence': {'pid': None, 'command': None, 'path': ['api.internal', 'github.com', 'mysql']}}
    new = {'rule': None, 'reason': None, 'owner': None, 'runbook': None, 'class': 'direct', 'kind': 'http', 'port': 80,
           'protocol': 'tcp', 'command': 'curl --silent http://registry.example/schema', 'new': True,
           'evidence': {'pid': 20347, 'command': 'curl --silent http://registry.example/schema'}}
    seen = {**new, 'command': 'curl --silent http://mirror.example/latest', 'new': False}
    return Model(
        hosts={'denied': list(hosts), 'new': list(hosts)}, status=2, reasons=['accesses were denied on web1, web2, web3'],
        guards=[guard(host, 'denied', denied=4, seen=2) for host in hosts], tasks=tasks(*hosts),
        denied=[one for number, host in enumerate(hosts) for one in (
            record(host, second=36.1 + number / 9, **mapped),
            record(host, 'api.internal', second=37.3 + number / 9, **through))],
        observed=[one for host in hosts for one in (
            record(host, 'registry.example', 37.8, **new), record(host, 'mirror.example', 36.4, **seen))])


def watched():
    """The same rules in mode monitor, on two of four hosts."""
    hosts = ('db1', 'db2', 'db3', 'db4')
    return Model(
        guards=[guard(host, 'would deny', 'monitor', would_deny=6) for host in hosts[:2]] + [
            guard(host, 'clean', 'monitor') for host in hosts[2:]],
        denied=[record(host, mode='monitor', second=36.2) for host in hosts[:2]], tasks=tasks(*hosts))


def everything():
    """Each sort of thing that a report can tell."""
    unix = {'rule': None, 'reason': None, 'owner': None, 'runbook': None, 'kind': 'unix', 'name': None, 'address': None,
            'port': 0, 'protocol': None, 'path': '/run/docker.sock', 'command': 'docker run mysql'}
    return Model(
        hosts={'denied': ['web1'], 'broken': ['web2'], 'missing': ['web3'], 'new': ['web1']}, status=2,
        reasons=['accesses were denied on web1', 'guards were not whole on web2', 'reports are missing from web3'],
        guards=[guard('web1', 'denied', denied=2, expected=2, seen=2, outside=1, counters={'lost': 7}),
                guard('web2', 'faulty', faults=['The program ebg_connect4 was gone for a while.'], enforced={
                    **ENFORCED, 'file': 'this kernel has no BPF trampolines'}),
                guard('web3', 'left up', told=False, faults=['no state=absent task ran after it (a stopped run)']),
                guard('web4', 'would deny', 'monitor', would_deny=2),
                guard('web5', 'drill', 'drill', drill=2, observes=False, waited=6.0, survived=True)],
        drill=[drilled('web5', taken=[('registry.example', 'denied')])],
        denied=[record(), record(rule='update-check', expected=True, name='updates.example', second=37),
                record('web4', mode='monitor'), record('web5', mode='drill', name='registry.example', rule='registry', second=37.5),
                record(name='old.example', earlier=True, task=None)],
        observed=[record(name='new.example', rule=None, reason=None, new=True),
                  record(name='mirror.example', rule=None, reason=None), record(**unix)],
        outside=[{'host': 'web1', 'guard': 'deploy', 'how': 'raw', 'task': {'name': 'Raw', 'file': 'site.yml', 'line': 24}}],
        tasks=tasks('web1', 'web2', 'web4', 'web5'))


def clean(hosts):
    names = [f'app{number:02}.fra1.example' for number in range(1, hosts + 1)]
    return Model(guards=[guard(name, seen=3) for name in names], tasks=tasks(*names),
                 observed=[record(name, host, 36.5, rule=None, reason=None, owner=None, runbook=None, **{'class': 'direct'})
                           for name in names for host in ('mirror.example', 'packages.example', 'vault.internal')])


class Repeated:
    """Rows that are made while somebody goes through them."""

    def __init__(self, make):
        self._make = make

    def __iter__(self):
        return self._make()


def fleet(hosts, denials, alike=True):
    """Many hosts, each with so many denials; or no two of all alike, and each with the most that it can say."""
    names = [f'web{number}' for number in range(hosts)]

    def denied():
        for host in names:
            for number in range(denials):
                where = f's{number % 20}.github.com' if alike else f'{host}-{number}.example'
                command = f'curl -fsS https://{where}/install.sh -o /tmp/{number}'
                more = {} if alike else {
                    'reason': '<' * 10000, 'task': {**TASK, 'name': f'<{host} {number}' * 200, 'line': number * hosts},
                    'command': (command + '<&">' * 64)[:256],
                    'ancestry': [{'pid': 1, 'command': f'{host} {number} {above} ' + '&' * 240} for above in range(16)]}
                yield record(host, where, 35.7 + number % 25 / 10, **{
                    'kind': 'connect', 'address': f'192.0.2.{number % 20}', 'port': 443, 'protocol': 'tcp', 'command': command, **more})
    return Model(hosts={'denied': names}, status=2, reasons=['accesses were denied on ' + ', '.join(names)],
                 guards=[guard(host, 'denied', denied=2 * denials) for host in names], denied=Repeated(denied),
                 tasks=Repeated(lambda: (one for host in names for one in tasks(host))))


def hostile():
    """Everything that a target can say is strange."""
    rows = [record(text, text, rule=f'rule {text}', reason=text, owner=text, runbook=link, command=text, guard='deploy',
                   ancestry=[{'pid': 1, 'command': text}], evidence={'pid': 2, 'command': text}, path=text, kind=kind,
                   task={'name': text, 'file': text, 'line': 1}, **{'class': 'direct'})
            for text in STRANGE for kind, link in (
                ('dns', 'javascript:alert(1)'), ('file', 'https://x.example/"><script>'), ('tls', 'https://['))]
    return Model(hosts={'denied': list(STRANGE)}, status=2, reasons=list(STRANGE), denied=rows,
                 guards=[guard(text, 'denied', denied=3, faults=[text], service=text, enforced={text: text})
                         for text in STRANGE],
                 observed=[{**row, 'new': number % 2 == 0} for number, row in enumerate(rows)],
                 outside=[{'host': text, 'guard': text, 'how': text, 'task': {'name': text, 'file': text, 'line': 3}}
                          for text in STRANGE],
                 tasks=[task(text, text, file=text) for text in STRANGE],
                 drill=[drilled(text, taken=[(text, text)], task={'name': text, 'file': text, 'line': 3}) for text in STRANGE])


SAMPLES = {'story': story, 'watched': watched, 'everything': everything, 'empty': Model, 'clean': lambda: clean(50),
           'fleet': lambda: fleet(200, 3), 'hostile': hostile}
