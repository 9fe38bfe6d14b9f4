# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records and the text of a baseline in; what they are as dependencies, what is known of them, and the changed text, out."""

from __future__ import annotations

import pytest
from json_reports import access
from reports import table

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, PolicyError
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _baseline, _baseline_text
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._baseline import Entry

DEPENDENCIES = [
    ('a connection to a name', access(), ('host', ('mirror.example',), '443')),
    ('by UDP', access(protocol='udp', port=123), ('host', ('mirror.example',), 'udp/123')),
    ('a look for the own address', access(protocol='udp', port=0), None),
    ('a question tells no port', access(kind='dns', port=53), ('host', ('mirror.example',), None)),
    ('a question for a service', access('_http._tcp.mirror.example', 'dns', 53), ('host', ('mirror.example',), None)),
    ('a presented name', access(kind='tls'), ('host', ('mirror.example',), '443')),
    ('a request may be to a proxy', access(kind='http', port=3128), ('host', ('mirror.example',), None)),
    ('a request that named nobody', access('a.example, b.example', 'http', 80), ('host', ('a.example', 'b.example'), '80')),
    ('names of an address', access('a.example, b.example'), ('host', ('a.example', 'b.example'), '443')),
    ('an address', access(None), ('network', ('203.0.113.20/32',), '443')),
    ('an address of IPv6', access(None, address='2001:db8::1'), ('network', ('2001:db8::1/128',), '443')),
    ('ICMP', access(None, port=0, protocol='icmp'), ('network', ('203.0.113.20/32',), '0')),
    ('loopback', access(None, address='127.0.0.53', port=53), None),
    ('a name through a proxy at home', access('github.com', 'http', 3128, address='127.0.0.1'), ('host', ('github.com',), None)),
    ('nothing but the host', access('localhost', 'http', 8080, address='::1'), None),
    ('a socket', access(kind='unix', path='/run/docker.sock'), ('socket', ('/run/docker.sock',), None)),
    ('a file', access(kind='file', path='/mnt/a/b'), ('path', ('/mnt/a/b',), None)),
    ('a program', access(kind='exec', path='/usr/bin/['), ('exec', ('/usr/bin/[',), None)),
    ('what Ansible made', access(kind='exec', path='/root/.ansible/tmp/ansible-tmp-1.5-2-3/x.sh'), None),
    ('a file without a path', access(kind='file', address=None, name=None), None),
    ('a row for others', access(stands_for=7), None),
]


@pytest.mark.parametrize('record, dependency', **table(DEPENDENCIES))
def test_what_a_record_is(record, dependency):
    assert _baseline.of(record) == dependency


FILE = """\
# ours
version: 1
service: mysql
fold: [.cdn.example, 10.0.0.0/8, /mnt/artifacts]
dependencies:

  # the mirror
  - host: mirror.example     # by hand
    ports: [443, "8000-8080", udp/123]
    tasks:
    - Fetch   # first
    - "Second: task"
    runs: 3/4  # of November
    reason: our tools
    reviewed: true
  - {host: .github.io, reason: pages}
  - host: asked.example
    ports: []
  - network: 192.0.2.0/24
    ports:
      - 5432
  - path: /mnt/tools
  # end
"""
KNOWN = [
    ('the name', access(), True), ('a port of a range', access(port=8010), True), ('another port', access(port=22), False),
    ('its UDP', access(protocol='udp'), True), ('a question', access(kind='dns'), True),
    ('a port of UDP alone', access(port=123), False), ('one of its names', access('other.example, mirror.example'), True),
    ('below', access('www.mirror.example'), False), ('below a suffix', access('a.b.github.io'), True),
    ('the suffix itself', access('github.io', port=1), True), ('no whole label', access('notgithub.io'), False),
    ('only asked for until now', access('asked.example', 'dns'), True), ('and now connected', access('asked.example'), False),
    ('in a network', access(None, address='192.0.2.7', port=5432), True),
    ('at another port of it', access(None, address='192.0.2.7', port=22), False),
    ('outside of it', access(None, address='198.51.100.7', port=5432), False),
    ('below a directory', access(kind='file', path='/mnt/tools/x/y'), True),
    ('beside it', access(kind='file', path='/mnt/toolset'), False), ('no dependency', access(None, address='::1'), True),
    ('a kind that is not listed', access(kind='exec', path='/usr/bin/id'), True),
    ('a way out, not listed', access(kind='unix', path='/run/docker.sock'), True),
]


@pytest.mark.parametrize('record, known', **table(KNOWN))
def test_what_is_known(record, known):
    assert _baseline.parse(FILE, 'b.yml').knows(record) is known


@pytest.mark.parametrize('kind, listed', [('unix', 'socket: /run/a.sock'), ('exec', 'exec: /usr/bin/id')])
def test_what_a_baseline_lists_is_compared(kind, listed):
    baseline = _baseline.parse(FILE.replace('  # end', '  - ' + listed), 'b.yml')
    assert not baseline.knows(access(kind=kind, path='/new')) and baseline.knows(access(kind=kind, path=listed.split(': ')[1]))


START = 'version: 1\ndependencies:\n'
BAD = [
    ('empty', '', 'b.yml: the file is empty.'), ('a policy', 'version: 1\nmode: enforce\n', 'b.yml:1: this is no baseline.'),
    ('a list', '- host: a\n', 'b.yml:1: this is no baseline.'),
    ('another version', 'version: 2\ndependencies: []\n', 'b.yml:1: version: 2 is not supported.'),
    ('no YAML', 'version: [\n', 'b.yml:2: not readable as YAML'),
    ('an unknown key', START + '- {host: a}\ndeny: []\n', "b.yml:4: unknown key 'deny'."),
    ('no list', 'version: 1\ndependencies: a\n', "b.yml:2: dependencies: 'a' where a list is needed."),
    ('a word', START + '- a\n', "b.yml:3: dependencies: 'a' is no dependency."),
    ('two things', START + '- {host: a, path: /b}\n', 'b.yml:3: dependencies: a dependency is one thing.'),
    ('no name', START + '- host: a b\n', "b.yml:3: dependencies: host: 'a b' is not a host name."),
    ('a bad port', START + '- host: a\n  ports: [x]\n', "b.yml:4: host 'a': ports: 'x' is not a port."),
    ('ports of a file', START + '- path: /a\n  ports: [1]\n', "b.yml:4: path '/a': ports: a path has no ports."),
    ('runs that are none', START + '- host: a\n  runs: many\n', "b.yml:4: host 'a': runs: 'many' does not say"),
    ('twice', START + '- host: a\n- host: A\n', "b.yml:4: dependencies: host 'a' stands twice: line 3 has it, too."),
    ('folding to a name', 'version: 1\nfold: [a.example]\ndependencies: []\n', "b.yml:2: fold: 'a.example' is nothing to fold to."),
    ('reviewed by a word', START + '- host: a\n  reviewed: maybe\n', "b.yml:4: host 'a': reviewed: 'maybe' is neither"),
]


@pytest.mark.parametrize('text, begins', **table(BAD))
def test_bad_files(text, begins):
    with pytest.raises(PolicyError) as raised:
        _baseline.parse(text, 'b.yml')
    assert str(raised.value).startswith(begins)


def changed(text, **changes):
    """The text with what is given of an entry, by its name, in place of what it says; None removes it."""
    before = _baseline.parse(text, 'b.yml')
    entries = {entry.what: entry for entry in before.entries}
    for what, data in changes.items():
        entry = entries.pop(what, Entry('host', what, {'host': what}))
        if data is not None:
            data = {key: value for key, value in {**entry.data, **data}.items() if value is not None}
            entries[what] = Entry(entry.kind, what, data)
    return _baseline_text.changed(text, 'b.yml', before, list(entries.values()))


EDITS = [
    ('nothing', {}, '', ''),
    ('a port', {'mirror.example': {'ports': ['22', '443']}}, '    ports: [443, "8000-8080", udp/123]\n', '    ports: [22, 443]\n'),
    ('the evidence', {'mirror.example': {'runs': '4/5'}}, 'runs: 3/4  #', 'runs: 4/5  #'),
    ('a task', {'mirror.example': {'tasks': ['Fetch', 'Second: task', 'new: one']}}, '    - "Second: task"\n',
     '    - "Second: task"\n    - "new: one"\n'),
    ('a task less', {'mirror.example': {'tasks': ['Second: task']}}, '    - Fetch   # first\n', ''),
    ('a task and commands', {'mirror.example': {'tasks': ['Fetch', 'Second: task', 'b'], 'commands': ['a b', '- c']}},
     '    - "Second: task"\n', '    - "Second: task"\n    - b\n    commands:\n      - a b\n      - "- c"\n'),
    ('what has no key yet', {'mirror.example': {'first_seen': '2026-11-30', 'hosts': 2}}, '    runs: 3/4  # of November\n',
     '    first_seen: 2026-11-30\n    runs: 3/4  # of November\n    hosts: 2\n'),
    ('an entry in one line', {'.github.io': {'runs': '1/1'}}, '  - {host: .github.io, reason: pages}\n',
     '  - host: .github.io\n    reason: pages\n    runs: 1/1\n'),
    ('a list in lines', {'192.0.2.0/24': {'ports': ['5432', '22']}}, '    ports:\n      - 5432\n', '    ports: [5432, 22]\n'),
    ('no list any more', {'asked.example': {'ports': ['443']}}, 'ports: []', 'ports: [443]'),
    ('a new entry', {'b.example': {'ports': ['443']}}, '  # the mirror', '  - host: b.example\n    ports: [443]\n  # the mirror'),
    ('one less, with its comment', {'mirror.example': None}, FILE[FILE.index('  # the'):FILE.index('  - {host')], ''),
    ('the last', {'/mnt/tools': None, '192.0.2.0/24': {'runs': '1/1'}}, '      - 5432\n  - path: /mnt/tools\n', '      - 5432\n    runs: 1/1\n'),
]


@pytest.mark.parametrize('end', ['\n', '\r\n'], ids=['LF', 'CRLF'])
@pytest.mark.parametrize('changes, old, new', **table(EDITS))
def test_only_what_changes_is_changed(changes, old, new, end):
    given, wanted = FILE.replace('\n', end), FILE.replace(old, new, 1).replace('\n', end)
    assert changed(given, **changes) == wanted


def test_a_file_without_dependencies_gets_some():
    assert changed('version: 1\ndependencies: []  # none\n', a={}, b={'runs': '1/1'}) == (
        'version: 1\ndependencies:  # none\n  - host: a\n  - host: b\n    runs: 1/1\n')
    assert changed('version: 1\ndependencies:\n- host: a\n- host: c', b={}) == 'version: 1\ndependencies:\n- host: a\n- host: b\n- host: c'


@pytest.mark.parametrize('text', ['version: 1\ndependencies: [{host: a}]\n',
                                  'version: 1\ndependencies:\n- &x {host: a, hosts: 1}\n- <<: *x\n  host: b\n'])
def test_what_can_not_be_changed_so_is_told(text):
    with pytest.raises(GuardError, match='b.yml can\'t be changed line by line'):
        changed(text, a=None, b={'reviewed': True})
