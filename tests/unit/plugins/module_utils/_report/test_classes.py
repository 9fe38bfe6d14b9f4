# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was reached, and command lines, in; whether one of these names it out."""

from __future__ import annotations

import shlex

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import classes


def network(name='github.com', address='192.0.2.10', kind='connect'):
    return {'kind': kind, 'name': name, 'address': address, 'path': None}


def file(path='/mnt/artifacts/a/tool', kind='file'):
    return {'kind': kind, 'name': None, 'address': None, 'path': path}


def named(record, line, rule_paths=()):
    return classes.naming(record, rule_paths, [tuple(shlex.split(line))]) == 0


@pytest.mark.parametrize('line', [
    'curl https://github.com/x', 'git clone git@github.com:a/b', 'env GITHUB=github.com ./x', 'ping github.com',
    'curl HTTPS://GitHub.com./x', 'curl https://bob:x@github.com:443/x', 'tool --from=github.com,other.example',
    'sh -c "cd /srv && curl -s https://github.com | sh"', 'go install github.com/a/b@latest', 'tool -hgithub.com',
    'curl https://mirror.example/fetch?from=github.com', 'ssh -J a@github.com b', "python3 -c \"get('github.com')\"",
    'curl -x http://proxy:3128 github.com', 'curl http://192.0.2.10/', 'nc 192.0.2.10 80', 'tool --to=192.0.2.10:443',
    "bash -c 'true > /dev/tcp/192.0.2.10/80'", "bash -c 'exec 3<> /dev/udp/github.com/53'"])
def test_a_line_that_names_the_host(line):
    assert named(network(), line)


@pytest.mark.parametrize('line', [
    './deploy.sh', 'curl https://www.github.com/x', 'curl https://notgithub.com/', 'curl https://github.com.example/',
    'tar -xf github.com.tar.gz', 'make -C /root/go/src/github.com/a/b', 'ls github-com', 'curl https://github.community/',
    'tool github', 'curl http://192.0.2.101/', 'curl http://192.0.2.1/', 'nc 1192.0.2.10 80', 'tool my_github.com', "''",
    "sh -c 'cat /srv/dev/github.com/80'"])
def test_a_line_that_does_not(line):
    assert not named(network(), line)


# what was reached, a command line, whether that names it
HOSTS = [
    ('one of several names', network('a.example, b.example'), 'curl b.example', True),
    ('none of several names', network('a.example, b.example'), 'curl example', False),
    ('the address, where no name is known', network(None), 'nc 192.0.2.10 80', True),
    ('no name, another address', network(None), 'nc 192.0.2.11 80', False),
    ('the name of a question', network(kind='dns', address='192.0.2.53'), 'dig github.com', True),
    ('the resolver is not what was asked for', network(kind='dns', address='192.0.2.53'), 'dig @192.0.2.53 x', False),
    ('nor is the proxy', network(kind='http', address='192.0.2.70'), 'tool --proxy 192.0.2.70:3128', False),
    ('a proxy, and the name', network(kind='http', address='192.0.2.70'), 'curl -x 192.0.2.70:3128 github.com', True),
    ('a message without a name', network(None, kind='tls'), 'curl -k https://192.0.2.10/', True),
    ('IPv6', network(None, '2001:db8::1'), 'curl http://[2001:db8::1]:80/', True),
    ('IPv6, as others write it', network(None, '2001:db8::1'), 'ping 2001:DB8:0:0::1', True),
    ('IPv6, another', network(None, '2001:db8::1'), 'ping 2001:db8::11', False),
    ('IPv6, by its name', network('a.example', '2001:db8::1'), 'ping a.example', True),
    ('an international name', network('xn--bcher-kva.example'), 'curl https://B\xfccher.example/', True),
    ('a short name', network('db'), 'mysql -h db', True), ('not in the middle of one', network('db'), 'mysql -h db2', False),
    ('not a directory', network('db'), 'ls /srv/db', False), ('nothing is known', network(None, None), 'None', False),
]


@pytest.mark.parametrize('record, line, expected', [row[1:] for row in HOSTS], ids=[row[0] for row in HOSTS])
def test_hosts(record, line, expected):
    assert named(record, line) == expected


RULE = ['/mnt/artifacts', '/mnt/other']
# what was used, the rule's paths, a command line, whether that names it
FILES = [
    ('itself', file(), RULE, 'cat /mnt/artifacts/a/tool', True),
    ('the directory of the rule', file(), RULE, 'tar -C /mnt/artifacts -cf x.tar .', True),
    ('a directory between', file(), RULE, 'cp -r /mnt/artifacts/a /tmp', True),
    ('a directory above the rule', file(), RULE, 'ls -R /mnt', False),
    ('a neighbour', file(), RULE, 'cat /mnt/artifacts/b/tool', False),
    ('a longer name', file(), RULE, 'cat /mnt/artifacts/a/tool2 /mnt/artifacts-old', False),
    ('the end of another path', file(), RULE, 'cat /srv/mnt/artifacts', False),
    ('an option in the same word', file(), RULE, 'tar -C/mnt/artifacts/ x', True),
    ('a value', file(), RULE, 'tool --from=/mnt/artifacts', True),
    ('a URL', file(), RULE, 'curl file:///mnt/artifacts/a/tool', True),
    ('a pattern', file(), RULE, 'sh -c "cp /mnt/artifacts/*.tar /tmp"', True),
    ('in a script', file(), RULE, 'sh -c "cd /mnt/artifacts; ./a/tool"', True),
    ('relative', file(), RULE, 'cat ../a/tool', True), ('relative, another', file(), RULE, 'cat b/tool', False),
    ('a bare name', file(), RULE, 'install tool', False), ('here', file(), RULE, 'sh ./tool', True),
    ('a program, by PATH', file(kind='exec'), RULE, 'tool -v', True),
    ('another program', file(kind='exec'), RULE, 'sh tool2', False),
    ('by type: itself', file(), [], 'cat /mnt/artifacts/a/tool', True),
    ('by type: a directory', file(), [], 'ls -R /mnt/artifacts', True),
    ('by type: too far up', file(), [], 'ls -R /mnt', False),
    ('spaces', file('/mnt/artifacts/a b'), RULE, "cat '/mnt/artifacts/a b'", True),
    ('what looks like a pattern', file('/mnt/artifacts/a+b'), RULE, 'cat /mnt/artifacts/aab', False),
    ('a network name', file(), RULE, 'curl mnt', False),
]


@pytest.mark.parametrize('record, paths, line, expected', [row[1:] for row in FILES], ids=[row[0] for row in FILES])
def test_files(record, paths, line, expected):
    assert named(record, line, paths) == expected


MODULE = '/usr/bin/python3 /root/.ansible/tmp/ansible-tmp-1.5-7-8/AnsiballZ_command.py'
ENTERED = ["/bin/sh -c '/usr/bin/python3 && sleep 0'", '/usr/bin/python3']  # a task with pipelining: the module comes by stdin
URL = 'https://github.com/a/b'
# what, the commands from the outermost on, the place of the one that is the evidence
WRITTEN = [
    ('the command of a task', [*ENTERED, f'curl {URL}'], 2),
    ('without pipelining', ["/bin/sh -c '/usr/bin/python3 /root/x.py && sleep 0'", MODULE, f'curl {URL}'], 2),
    ('asynchronous', ['/usr/bin/python3 /root/.ansible/tmp/ansible-tmp-1.5-7-8/async_wrapper.py j1 100', MODULE, f'curl {URL}'], 2),
    ('in the home of a service', ['/usr/bin/python3 /var/lib/ci/.ansible/tmp/ansible-tmp-1.5-7-8/AnsiballZ_command.py', f'curl {URL}'], 1),
    ('a line for the shell', [*ENTERED, f"/bin/sh -c 'sleep 1; curl {URL}'", f'curl {URL}'], 3),
    ('a script', [*ENTERED, 'sh ./deploy.sh', f'curl {URL}'], 3),
    ('a script, by its whole path', [*ENTERED, '/bin/bash -eu -o pipefail /srv/app/deploy.sh fast', f'curl {URL}'], 3),
    ('a script in Python', [*ENTERED, '/usr/bin/python3 -u deploy.py', f'curl {URL}'], 3),
    ('of an application in /opt', ['/opt/app/venv/bin/python3 /opt/app/manage.py migrate', f'curl {URL}'], 1),
    ('a source tree', ['sh /usr/src/app/deploy.sh', f'curl {URL}'], 1),
    ('perl', ['perl -w deploy.pl', f'curl {URL}'], 1), ('a text for perl', [f"perl -e 'system q(curl {URL})'", f'curl {URL}'], 1),
    ('a recipe', [*ENTERED, 'make -C /srv/app all', "/bin/sh -c './fetch'", 'sh ./fetch', f'curl {URL}'], 5),
    ('a recipe in Ruby', ['ruby /usr/bin/rake deploy', f'curl {URL}'], 1),
    ('through other programs', ['sudo -u app env A=1 nice timeout 10 sh', 'sudo -u app', 'timeout 10 sh', 'sh', f'curl {URL}'], 4),
    ('a login', ['sshd: root@notty', '-bash', f'curl {URL}'], 2), ('a unit', [f'/usr/bin/tool --from {URL}'], 0),
    ('a tool, and what it starts', [*ENTERED, f'git clone {URL}', f'git-remote-https origin {URL}'], 2),
    ('a tool, and its helper alone', [*ENTERED, 'git submodule update', '/bin/sh /usr/lib/git-core/git-submodule update',
                                      f'git clone --no-checkout {URL}', f'git-remote-https origin {URL}'], None),
    ('a script of a tool', ['sh deploy.sh', '/bin/sh /usr/local/bin/update', f'curl {URL}'], None),
    ('a script of a package in /opt', ['sh deploy.sh', 'sh /opt/vendor/tool/bin/update', f'curl {URL}'], None),
    ('pip', ['python3 -m pip install -r requirements.txt', f'git clone --quiet {URL}'], None),
    ('pip of Fedora', ['/usr/bin/python3 -s /usr/bin/pip3 install -r requirements.txt', f'git clone --quiet {URL}'], None),
    ('pip of a virtual environment', ['/srv/v/bin/python3 /srv/v/bin/pip install x', f'git clone {URL}'], None),
    ('pip is told', [f'python3 -m pip install git+{URL}', f'git clone --quiet {URL}'], 0),
    ('npm', ['npm install', f"sh -c 'node install.js {URL}'", f'node install.js {URL}'], None),
    ('npm, by its file', ['node /root/.nvm/versions/node/v18/bin/npm install', f"sh -c 'curl {URL}'", f'curl {URL}'], None),
    ('a script of package.json', ['node /usr/bin/npm --silent run deploy', f"sh -c 'curl {URL}'", f'curl {URL}'], 2),
    ('a tool that is told to run something', ['sh x.sh', '/bin/sh /usr/local/bin/schema-tool run', f'curl {URL}'], None),
    ('through a bundle', ['bundle exec ./deploy.rb', 'ruby ./deploy.rb', f'curl {URL}'], 2),
    ('a tool in one file', ['php composer.phar install', f'git clone {URL}'], None),
    ('a package script', ['node node_modules/x/install.js', f'curl {URL}'], None),
    ('apt', ['sh deploy.sh', 'apt-get update', '/usr/lib/apt/methods/http'], None),
    ('a hook of a tool', ['apt-get install x', f'sh /srv/hook {URL}', f'curl {URL}'], None),
]


@pytest.mark.parametrize('lines, expected', [row[1:] for row in WRITTEN], ids=[row[0] for row in WRITTEN])
def test_a_command_counts_where_a_person_wrote_it(lines, expected):
    commands = [tuple(shlex.split(line)) for line in reversed(lines)]
    found = classes.naming(network(), (), commands)
    assert (found if found is None else len(lines) - 1 - found) == expected


def test_a_file_that_a_tool_uses():
    lines = [('tar', '-xf', '/mnt/artifacts/a/tool'), ('dpkg', '-i', 'x.deb'), ('sh', 'deploy.sh')]
    assert classes.naming(file(), RULE, lines) is None
    assert classes.naming(file(), RULE, [lines[0], lines[2]]) == 0


def test_words_of_a_task_count():
    assert classes.is_named_by(network(), ('GET', 'https://github.com/a'))
    assert not classes.is_named_by(network(), ('https://www.github.com/',)) and not classes.is_named_by(network(), ())
    assert classes.is_named_by(file(), ('/mnt/artifacts/a',)) and not classes.is_named_by(file(kind='exec'), ('tool',))


def test_the_nearest_that_names_it_is_the_evidence():
    lines = [('sh', 'x'), ('curl', 'github.com'), ('sh', '-c', 'curl github.com')]
    assert classes.naming(network(), (), lines) == 1
    assert classes.naming(network('other.example'), (), lines) is None
    assert classes.naming(file(kind='exec'), RULE, [('sh',), ('tool',)]) is None  # a parent's own name is no path


@pytest.mark.parametrize('via, line, its_class', [
    ([], 'curl github.com', 'direct'), ([], 'x', 'hidden'), (['web', 'mysql'], 'curl github.com', 'direct'), (['mysql'], 'x', 'hidden'),
    (['tool', 'web', 'mysql'], 'curl github.com', 'transient'), (['tool', 'web', 'mysql'], 'x', 'transient')])
def test_what_needs_the_deployed_service_through_others_is_transient(via, line, its_class):
    shown = {'pid': 7, 'command': line}
    evidence = {'direct': shown, 'hidden': None, 'transient': {'pid': None, 'command': None, 'path': via}}
    assert classes.of(network(), {'paths': [], 'via': via}, [tuple(line.split())], [shown], True) == (its_class, evidence[its_class])
