# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy stage: text of a policy file -> mapping and lines -> Policy, or one error that helps.

The tables come first: what is refused and in which words, then what is accepted and what it means.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.loopbreak.deploy.plugins.module_utils import _policy
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import BUILT_IN, DOH_HOSTS, NOT_YET, Ports, check
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _policy_file

RULE = 'version: 1\ndeny:\n  - id: github\n    reason: it runs on this database\n'  # what is added has line 5
GITHUB = RULE + '    hosts: [github.com]\n'  # what is added has line 6
IN_RULE = "p.yml:5: rule 'github': "


def read(text):
    mapping, lines = _policy_file.parse(text, 'p.yml')
    return check(mapping, 'p.yml', lines)


def one_rule(added):
    """The one rule of a policy whose fifth line is `added`."""
    return read(RULE + '    ' + added + '\n').rules[0]


def refusal(text):
    with pytest.raises(PolicyError) as caught:
        read(text)
    return str(caught.value)


# --- what is refused: name, the fifth line of RULE, how the error begins, what else it says ---

BAD_MATCHERS = [
    # networks
    ('prefix too long', 'networks: [192.0.2.0/33]', "networks: '192.0.2.0/33' is not a network.",
     ['such as 192.0.2.0/24 or 2001:db8::/32']),
    ('IPv6 prefix too long', 'networks: ["2001:db8::/129"]', "networks: '2001:db8::/129' is not a network.",
     []),
    ('host bits', 'networks: [192.0.2.7/24]', "networks: '192.0.2.7/24' is an address in a network.",
     ['192.0.2.0/24 for the network', '192.0.2.7/32 for the address']),
    ('IPv6 host bits', 'networks: ["2001:db8::7/32"]', "networks: '2001:db8::7/32' is an address",
     ['2001:db8::/32 for', '2001:db8::7/128 for']),
    ('mapped host bits', 'networks: ["::ffff:192.0.2.7/120"]', "networks: '::ffff:192.0.2.7/120' is",
     ['192.0.2.0/24 for', '192.0.2.7/32 for']),
    ('netmask', 'networks: [192.0.2.0/255.255.255.0]', 'networks: ', ['is not a network', '192.0.2.0/24']),
    ('zone', 'networks: ["fe80::1%eth0"]', 'networks: ', ['is not a network']),
    ('short address', 'networks: [10.1]', 'networks: 10.1 where text is needed.', ['quotes']),
    ('short address in quotes', 'networks: ["10.1/16"]', "networks: '10.1/16' is not a network.", []),
    ('name as network', 'networks: [github.com]', 'networks: ',
     ['is not a network', 'Names go under hosts.']),
    ('networks is text', 'networks: 192.0.2.0/24', "networks: '192.0.2.0/24' where a list",
     ['["192.0.2.0/24"]']),
    ('networks is empty', 'networks: []', 'networks: an empty list where a list with something',
     ['leave networks out']),
    ('network is nothing', 'networks: [~]', 'networks: nothing where text is needed.',
     ['Write 192.0.2.0/24']),
    # hosts
    ('hosts is text', 'hosts: github.com', "hosts: 'github.com' where a list",
     ['Write hosts: ["github.com"]']),
    ('hosts is a mapping', 'hosts: {github.com: true}', 'hosts: a mapping where a list', ['[github.com]']),
    ('hosts is nothing', 'hosts:', 'hosts: nothing where a list', ['[github.com]']),
    ('host is empty', 'hosts: [""]', 'hosts: the text is empty.', ['github.com']),
    ('host is blank', 'hosts: ["  "]', 'hosts: the text is empty.', []),
    ('host is a number', 'hosts: [443]', 'hosts: 443 where text is needed.', ['Put it in quotes']),
    ('host is a date', 'hosts: [2024-01-31]', 'hosts: 2024-01-31 where text is needed.',
     ['Put it in quotes']),
    ('host is true', 'hosts: [yes]', 'hosts: true where text is needed.', ['Put it in quotes']),
    ('host is a list', 'hosts: [[github.com]]', 'hosts: a list where text is needed.', []),
    ('host is binary', 'hosts: [!!binary Z2g=]', 'hosts: a bytes where text is needed.', []),
    ('address', 'hosts: [192.0.2.1]', "hosts: '192.0.2.1' is an address, not a name.", ['under networks']),
    ('IPv6 address', 'hosts: ["2001:db8::1"]', "hosts: '2001:db8::1' is an address", ['under networks']),
    ('IPv6 address in brackets', 'hosts: ["[::1]"]', "hosts: '[::1]' is an address", ['under networks']),
    ('network', 'hosts: [10.0.0.0/8]', "hosts: '10.0.0.0/8' is an address", ['under networks']),
    ('old form of an address', 'hosts: ["127.1"]', "hosts: '127.1' ends in a number", ['under networks']),
    ('hexadecimal address', 'hosts: ["0x7f000001"]', "hosts: '0x7f000001' ends in a number", []),
    ('address with a dot', 'hosts: ["192.0.2.1."]', "hosts: '192.0.2.1.' ends in a number", []),
    ('wide digits', 'hosts: ["１９２.0.2.１"]', 'hosts: ', ['ends in a number']),
    ('URL', 'hosts: ["https://github.com/a/b"]', "hosts: 'https://github.com/a/b' is more than a host name.",
     ['Write the host alone: github.com;']),
    ('URL with a user and port', 'hosts: ["ssh://git@github.com:22/a"]', 'hosts: ', ['alone: github.com;']),
    ('git address', 'hosts: ["git@github.com:a/b.git"]', 'hosts: ', ['alone: github.com;']),
    ('host and port', 'hosts: ["github.com:443"]', 'hosts: ', ['alone: github.com;', 'ports go under ports']),
    ('host and path', 'hosts: [github.com/a]', 'hosts: ', ['alone: github.com;']),
    ('URL of an address', 'hosts: ["http://192.0.2.1/"]', 'hosts: ', ['Write the host alone;']),
    ('wildcard in the middle', 'hosts: [api.*.github.com]',
     "hosts: 'api.*.github.com' has a wildcard in a wrong",
     ['"*.github.com"']),
    ('wildcard in a label', 'hosts: ["git*.com"]', 'hosts: ', ['wildcard in a wrong place']),
    ('wildcard behind a dot', 'hosts: [".*.com"]', 'hosts: ', ['wildcard in a wrong place']),
    ('wildcard at the end', 'hosts: ["github.*"]', 'hosts: ', ['wildcard in a wrong place']),
    ('wildcard of an address', 'hosts: ["*.0.0.127"]', "hosts: '*.0.0.127' ends in a number", []),
    ('wildcard of an empty label', 'hosts: ["*..com"]', 'hosts: ', ['is not a host name']),
    ('wildcard of a dot', 'hosts: ["*."]', 'hosts: ', ['wildcard in a wrong place']),
    ('two wildcards', 'hosts: ["*.*.com"]', 'hosts: ', ['wildcard in a wrong place']),
    ('every name', 'hosts: ["*"]', 'hosts: ', ['wildcard in a wrong place', 'default: deny']),
    ('question mark', 'hosts: ["gith?b.com"]', 'hosts: ', ['wildcard in a wrong place']),
    ('empty label', 'hosts: [github..com]', "hosts: 'github..com' is not a host name.", ['single dots']),
    ('two dots at the end', 'hosts: [github.com..]', 'hosts: ', ['is not a host name']),
    ('two dots in front', 'hosts: [..github.com]', 'hosts: ', ['is not a host name']),
    ('only a dot', 'hosts: ["."]', 'hosts: ', ['is not a host name']),
    ('space inside', 'hosts: ["github com"]', 'hosts: ', ['is not a host name', 'such as github.com']),
    ('hyphen first', 'hosts: ["-a.com"]', 'hosts: ', ['inner hyphens']),
    ('exclamation', 'hosts: ["github!.com"]', 'hosts: ', ['is not a host name']),
    ('escape sequence', r'hosts: ["a\e[2Jb"]', 'hosts: ', ['control characters']),
    ('long label', 'hosts: [%s.com]' % ('a' * 64), "hosts: 'aaa", ['too long', '253', '63']),
    ('long label behind a wildcard', 'hosts: ["*.%s.com"]' % ('a' * 64), "hosts: '*.aaa", ['too long']),
    ('long name', 'hosts: [%s]' % '.'.join(['a' * 50] * 5), "hosts: 'aaa", ['too long', '253']),
    ('endless name', 'hosts: ["%s"]' % ('ü' * 5000), "hosts: 'üüü", ['too long', '253']),
    ('long IDNA label', 'hosts: ["%s.com"]' % ('ü' * 63), "hosts: 'üüü", ['xn--']),
    ('letter with two IDNA forms', 'hosts: [straße.de]', "hosts: 'straße.de' ", ['xn--']),
    ('hidden joiner', r'hosts: ["git\u200dhub.com"]', 'hosts: ', ['xn--']),
    ('capital younger than IDNA', 'hosts: [STRAẞE.de]', 'hosts: ', ['xn--']),
    # ports
    ('only ports', 'ports: [443]', 'ports only narrows hosts and networks', ['"0.0.0.0/0", "::/0"']),
    ('port with path', 'paths: [/a]\n    ports: [1]', 'ports only narrows hosts and networks', []),
    ('port with file system', 'filesystems: [nfs4]\n    ports: [1]', 'ports only narrows hosts and networks', []),
    ('port with socket', 'sockets: [/a]\n    ports: [1]', 'ports only narrows hosts and networks', []),
    # paths
    ('relative path', 'paths: [mnt/artifacts]', "paths: 'mnt/artifacts' is not an absolute path.",
     ['from the root on, such as /mnt/artifacts.']),
    ('word as path', 'paths: [nfs4]', "paths: 'nfs4' is not an absolute path.", ['Types of file systems go under filesystems.']),
    ('export as path', 'paths: ["files.example:/export"]', 'paths: ', ['not an absolute', 'under hosts or networks']),
    ('URL as path', 'paths: ["file:///mnt"]', 'paths: ', ['not an absolute', 'under hosts or networks']),
    ('path is empty', 'paths: [""]', 'paths: the text is empty.', ['Write /mnt/artifacts']),
    ('path is blank', 'paths: ["  "]', 'paths: the text is empty.', []),
    ('path is a number', 'paths: [1]', 'paths: 1 where text is needed.', ['Put it in quotes']),
    ('path is nothing', 'paths: [~]', 'paths: nothing where text is needed.', ['Write /mnt/artifacts']),
    ('paths is text', 'paths: /mnt', "paths: '/mnt' where a list", ['["/mnt"]', 'leave paths out']),
    ('paths is empty', 'paths: []', 'paths: an empty list where a list', ['[/mnt/artifacts]']),
    ('path with NUL', r'paths: ["/mnt/a\0b"]', 'paths: ', ['control characters']),
    ('path with a line feed', r'paths: ["/mnt/a\n"]', "paths: '/mnt/a\\n' has control characters", []),
    ('path with an escape sequence', r'paths: ["/mnt/\e[2J"]', 'paths: ', ['control characters']),
    ('path ends with a space', 'paths: ["/mnt/a "]', "paths: '/mnt/a ' begins or ends with a space.", []),
    ('path begins with a space', 'paths: [" /mnt/a"]', "paths: ' /mnt/a' begins or ends with a space.", []),
    ('path ends with a hidden space', r'paths: ["/mnt/a\u00a0"]', 'paths: ', ['begins or ends with a space']),
    ('the root', 'paths: [/]', "paths: '/' means every file, also the shell", ['under filesystems']),
    ('the root, twice', 'paths: [//]', "paths: '//' means every file", []),
    ('dot', 'paths: [/mnt/./a]', "paths: '/mnt/./a' has a \".\" or \"..\"", ["without it: '/mnt/a'."]),
    ('dot at the end', 'paths: [/mnt/.]', 'paths: ', ["without it: '/mnt'."]),
    ('two dots', 'paths: [/mnt/a/../b]', "paths: '/mnt/a/../b' has", ["without it: '/mnt/b'."]),
    ('up to the root', 'paths: [/mnt/..]', "paths: '/mnt/..' has", ['Write the path without it.']),
    ('tilde', 'paths: [~/bin]', "paths: '~/bin' is not filled in", ['~', 'such as /home/deploy/bin']),
    ("somebody's tilde", 'paths: [~deploy/bin]', "paths: '~deploy/bin' is not filled in", []),
    ('variable', 'paths: [/home/$USER/bin]', "paths: '/home/$USER/bin' is not filled in", ['variables']),
    ('variable first', 'paths: [$HOME]', "paths: '$HOME' is not filled in", []),
    ('variable in braces', 'paths: ["/srv/app-${VERSION}"]', 'paths: ', ['is not filled in']),
    ('template', 'paths: ["/mnt/{{ service }}"]', 'paths: ', ['is not filled in', 'templates']),
    ('star', 'paths: ["/mnt/artifacts/*"]', "paths: '/mnt/artifacts/*' has a wildcard",
     ['means all that is below it', "write '/mnt/artifacts', or each path by itself."]),
    ('two stars', 'paths: ["/mnt/**/tool"]', 'paths: ', ["write '/mnt', or each"]),
    ('star in a name', 'paths: [/mnt/tool-*]', 'paths: ', ["write '/mnt', or each"]),
    ('star below the root', 'paths: [/*]', "paths: '/*' has a wildcard", ['write each path by itself.']),
    ('question mark in a path', 'paths: ["/mnt/tool?"]', 'paths: ', ['has a wildcard']),
    ('choice of letters', 'paths: ["/mnt/tool[12]"]', 'paths: ', ['has a wildcard']),
    ('choice of words', 'paths: ["/mnt/{a,b}"]', 'paths: ', ['has a wildcard']),
    ('long path', 'paths: [%s]' % ('/artifact' * 456), "paths: '/artifact/art", ['too long', 'at most 4095 bytes.']),
    ('path of many bytes', 'paths: ["%s"]' % ('/ü' * 1366), "paths: '/ü/ü", ['at most 4095 bytes.']),
    ('long name of a file', 'paths: [/mnt/%s]' % ('a' * 256), "paths: '/mnt/aaa", ['at most 255 bytes between']),
    ('name of many bytes', 'paths: ["/%s/b"]' % ('ü' * 128), "paths: '/üüü", ['at most 255 bytes between']),
    # file systems
    ('filesystems is text', 'filesystems: nfs4', "filesystems: 'nfs4' where a list", ['["nfs4"]']),
    ('filesystem is a number', 'filesystems: [9]', 'filesystems: 9 where text is needed.', []),
    ('filesystem is empty', 'filesystems: [""]', 'filesystems: the text is empty.', ['Write nfs4']),
    ('path as file system', 'filesystems: [/mnt]', "filesystems: '/mnt' is not a type of file systems.",
     ['as /proc/mounts shows it', 'Paths go under paths.']),
    ('capitals', 'filesystems: [NFS4]', "filesystems: 'NFS4' is not a type", ['Did you mean nfs4?']),
    ('capitals of FUSE', 'filesystems: [FUSE.sshfs]', 'filesystems: ', ['Did you mean fuse.sshfs?']),
    ('version of NFS', 'filesystems: [nfs4.1]', "filesystems: 'nfs4.1' is not a type",
     ['Only fuse has something behind a dot.', 'Did you mean nfs4?']),
    ('two words', 'filesystems: [nfs nfs4]', "filesystems: 'nfs nfs4' is not a type of file systems.", []),
    ('nothing behind the dot', 'filesystems: [fuse.]', "filesystems: 'fuse.' is not a type", ['Did you mean fuse?']),
    ('letters beyond ASCII', 'filesystems: [nfß]', "filesystems: 'nfß' is not a type", []),
    ('every file system', 'filesystems: ["*"]', "filesystems: '*' has a wildcard in a wrong place.", ['"fuse.*"']),
    ('start of a type', 'filesystems: ["nfs*"]', "filesystems: 'nfs*' has a wildcard", ['by itself']),
    ('start of a subtype', 'filesystems: ["fuse.ssh*"]', "filesystems: 'fuse.ssh*' has a wildcard", []),
    ('wildcard of what has no subtypes', 'filesystems: ["nfs4.*"]', "filesystems: 'nfs4.*' has a wildcard", []),
    ('wildcard without a dot', 'filesystems: ["fuse*"]', "filesystems: 'fuse*' has a wildcard", []),
    ('long type', 'filesystems: [%s]' % ('a' * 32), "filesystems: 'aaa", ['too long', '31 bytes']),
    ('long subtype', 'filesystems: [fuse.%s]' % ('a' * 32), "filesystems: 'fuse.aaa", ['too long', '31 bytes']),
    # texts of the rule
    ('socket not absolute', 'sockets: [docker.sock]', "sockets: 'docker.sock' is no unix socket.", ['/run/docker.sock', '@name']),
    ('directory of sockets', 'sockets: [/run/]', "sockets: '/run/' is a directory.", ['each socket by itself']),
    ('every socket', 'sockets: [/]', "sockets: '/' is a directory.", []),
    ('no name', 'sockets: ["@"]', "sockets: '@' is no unix socket.", []),
    ('socket by a variable', 'sockets: [$XDG_RUNTIME_DIR/bus]', 'sockets: ', ['is not filled in']),
    ('wildcard in a socket', 'sockets: ["/run/user/*/bus"]', 'sockets: ', ['has a wildcard in it']),
    ('long socket', 'sockets: [/%s]' % ('a' * 108), "sockets: '/aaa", ['too long', '108 bytes']),
    ('socket is a number', 'sockets: [9]', 'sockets: 9 where text is needed.', []),
    ('control character in a name', 'sockets: ["@a\\x01"]', 'sockets: ', ['control characters']),
    ('empty rule', 'owner: db-team', 'it matches nothing.', ['Add hosts, networks, paths, filesystems or sockets.']),
    ('runbook is a word', 'runbook: wiki', "runbook: 'wiki' is not a web address.", ['https://']),
    ('runbook is a file', 'runbook: "file:///etc/x"', 'runbook: ', ['is not a web address']),
    ('runbook without a host', 'runbook: "https://"', 'runbook: ', ['is not a web address']),
    ('runbook with a space', 'runbook: "https://a/b c"', 'runbook: ', ['is not a web address']),
    ('owner is a list', 'owner: [a]', 'owner: a list where text is needed.', ['Write db-team']),
    ('owner is empty', 'owner: ""', 'owner: the text is empty.', []),
    # keys
    ('misspelt key', 'netwroks: [192.0.2.0/24]', "unknown key 'netwroks'. Did you mean networks?",
     ['Allowed here: id, reason, owner, runbook, ports, hosts, networks, paths, filesystems, sockets.']),
    ('far-off key', 'zzz: 1', "unknown key 'zzz'. Allowed here: id,", []),
    ('key is true', 'on: 1', 'unknown key true. Allowed here', []),
]

BAD_PORTS = [  # the item, what the error says
    ('65536', ['65536 is not a port', '0 to 65535', '"udp/443"']),
    ('-1', ['-1 is not a port']),
    ('4.5', ['4.5 where text is needed']),
    ('true', ['true where text is needed']),
    ('https', ["'https' is not a port"]),
    ('"80,443"', ["'80,443' is not a port"]),
    ('"8080-8000"', ["'8080-8000' runs backwards. Write \"8000-8080\"."]),
    ('"udp/9-7"', ['Write "udp/7-9".']),
    ('"1-70000"', ["'1-70000' is not a port"]),
    ('"sctp/1"', ["'sctp/1' is not a port", 'udp/443']),
    ('"UDP/1"', ["'UDP/1' is not a port"]),
    ('"443/udp"', ["'443/udp' is not a port"]),
    ('"1-"', ["'1-' is not a port"]),
    ('"99999999999999999999"', ['is not a port']),
    ('99999999999999999999999999999999999999999999', ['a huge number is not a port']),
    ('~', ['nothing where text is needed']),
]

BAD_POLICIES = [  # name, text, how the error begins, what else it says
    ('no version', 'deny: []', 'p.yml:1: version is missing.', ['version: 1']),
    ('later version', 'mode: drill\nversion: 2\nnew: 1', 'p.yml:2: version: 2 is not supported.',
     ['version: 1']),
    ('version as text', 'version: "1"', "p.yml:1: version: '1' is not supported.", ['without quotes']),
    ('version is true', 'version: true', 'p.yml:1: version: true is not supported.', []),
    ('version with a point', 'version: 1.0', 'p.yml:1: version: 1.0 is not supported.', []),
    ('a list', '- version: 1', 'p.yml:1: a list is not a policy.', ['mapping', 'version: 1']),
    ('a word', 'hello', "p.yml:1: 'hello' is not a policy.", []),
    ('unknown key', 'version: 1\ndenny: []', "p.yml:2: unknown key 'denny'. Did you mean deny?",
     ['version, service, mode, default, deny, allow, expected, resolve, limits, lock, encrypted_dns.']),
    ('bad mode', 'version: 1\nmode: enforced', "p.yml:2: mode: 'enforced' is no mode. Did you mean enforce?",
     ['monitor or enforce or drill']),
    ('mode is off', 'version: 1\nmode: off', 'p.yml:2: mode: false is no mode.', []),
    ('bad default', 'version: 1\ndefault: block', "p.yml:2: default: 'block' is no default.",
     ['allow or deny']),
    ('default is nothing', 'version: 1\ndefault:', 'p.yml:2: default: nothing is no default.', []),
    ('service is a sentence', 'version: 1\nservice: my sql',
     "p.yml:2: service: 'my sql' is not a plain word.", []),
    ('service is a list', 'version: 1\nservice: [a]', 'p.yml:2: service: a list where text is needed.',
     ['mysql']),
    ('deny is nothing', 'version: 1\ndeny:', 'p.yml:2: deny: nothing where a list', []),
    ('deny is empty', 'version: 1\ndeny: []', 'p.yml:2: deny: an empty list where', ['leave deny out']),
    ('deny is a mapping', 'version: 1\ndeny: {id: x}', 'p.yml:2: deny: a mapping where a list', ['[{id']),
    ('rule is a word', 'version: 1\ndeny:\n  - github.com',
     "p.yml:3: deny rule 1: 'github.com' is not a rule.",
     ['id, reason and hosts, networks, paths, filesystems or sockets.']),
    ('no id', 'version: 1\nallow:\n  - hosts: [a]', 'p.yml:3: allow rule 1: id is missing.', ['id: github']),
    ('second rule without id', GITHUB + '  - reason: x', 'p.yml:6: deny rule 2: id is missing.', []),
    ('id is a number', 'version: 1\ndeny:\n  - id: 1', 'p.yml:3: deny rule 1: id: 1 where text', ['quotes']),
    ('id in capitals', 'version: 1\ndeny:\n  - id: GitHub',
     "p.yml:3: rule 'GitHub': id: 'GitHub' is not an id.",
     ['a-z, 0-9']),
    ('id starts with a hyphen', 'version: 1\ndeny:\n  - id: -a', "p.yml:3: rule '-a': id: ",
     ['start with a']),
    ('same id twice', GITHUB + '  - id: github', "p.yml:6: rule 'github': id: used twice:",
     ['the deny rule in line 3']),
    ('same id in allow', GITHUB + 'allow:\n  - hosts: [x]\n    id: github',
     "p.yml:8: rule 'github': id: used twice:",
     ['the deny rule in line 3']),
    ('no reason', 'version: 1\ndeny:\n  - id: x\n    hosts: [a]', "p.yml:3: rule 'x': reason is missing.",
     ['why']),
    ('reason is blank', 'version: 1\ndeny:\n  - id: x\n    reason: " "',
     "p.yml:4: rule 'x': reason: the text is",
     []),
    ('expected is text', GITHUB + 'expected: github', "p.yml:6: expected: 'github' where a list",
     ['["github"]']),
    ('expected is misspelt', GITHUB + 'expected: [gihub]',
     "p.yml:6: expected: there is no deny rule 'gihub'.",
     ['Did you mean github?', 'Deny rules here: github, encrypted_dns.']),
    ('expected without rules', 'version: 1\nexpected: [a]', 'p.yml:2: expected: ',
     ['Deny rules here: none.']),
    ('expected is an allow rule', 'version: 1\nallow:\n  - {id: m, hosts: [a]}\nexpected:\n  - m',
     "p.yml:5: expected: 'm' is an allow rule", ['deny rules only']),
    ('resolve is a number', 'version: 1\nresolve: 0', 'p.yml:2: resolve: 0 where a mapping',
     ['{interval: 30}']),
    ('resolve is empty', 'version: 1\nresolve: {}', 'p.yml:2: resolve: an empty mapping where', []),
    ('resolve key', 'version: 1\nresolve:\n  intervall: 0', "p.yml:3: resolve: unknown key 'intervall'.",
     ['Did you mean interval? Allowed here: interval.']),
    ('interval below 0', 'version: 1\nresolve: {interval: -1}', 'p.yml:2: resolve: interval: -1 is not', []),
    ('interval too long', 'version: 1\nresolve: {interval: 86401}', 'p.yml:2: resolve: interval: 86401 is not',
     ['from 0 to 86400', 'interval: 30; 0 looks names up once']),
    ('interval is a fraction', 'version: 1\nresolve: {interval: 0.5}', 'p.yml:2: resolve: interval: 0.5 is not', []),
    ('interval is text', 'version: 1\nresolve: {interval: 30s}', "p.yml:2: resolve: interval: '30s' is not", []),
    ('interval is true', 'version: 1\nresolve: {interval: true}', 'p.yml:2: resolve: interval: true is not',
     []),
    ('encrypted_dns is a word', 'version: 1\nencrypted_dns: denied',
     "p.yml:2: encrypted_dns: 'denied' is no encrypted_dns. Did you mean deny?", ['Write deny or allow.']),
    ('encrypted_dns is off', 'version: 1\nencrypted_dns: off', 'p.yml:2: encrypted_dns: false is no', []),
    ('the built-in id', 'version: 1\nallow:\n  - hosts: [a]\n    id: encrypted_dns',
     "p.yml:4: rule 'encrypted_dns': id: this id stands for the built-in rule", ['Choose another']),
    ('expected built-in without names', RULE + '    networks: [10.0.0.0/8]\nexpected: [encrypted_dns]',
     'p.yml:6: expected: encrypted DNS passes under this policy.', ['Take encrypted_dns out', 'encrypted_dns: deny']),
    ('expected built-in that is off', GITHUB + 'encrypted_dns: allow\nexpected:\n  - encrypted_dns',
     'p.yml:8: expected: encrypted DNS passes under this policy.', []),
    ('expected built-in is misspelt', GITHUB + 'expected: [encrypted-dns]',
     "p.yml:6: expected: there is no deny rule 'encrypted-dns'. Did you mean encrypted_dns?",
     ['Deny rules here: github, encrypted_dns.']),
    ('limits key', 'version: 1\nlimits: {mem: 2G}', "p.yml:2: limits: unknown key 'mem'.",
     ['memory, cpus, pids']),
    ('limits memory', 'version: 1\nlimits: {memory: lots}', "p.yml:2: limits: memory: 'lots' is not a limit.",
     []),
    ('limits cpus', 'version: 1\nlimits: {cpus: 0}', 'p.yml:2: limits: cpus: 0 is not a limit.', []),
    ('limits pids', 'version: 1\nlimits: {pids: 1.5}', 'p.yml:2: limits: pids: 1.5 is not a limit.', []),
    ('limits memory without its unit', 'version: 1\nlimits: {memory: 2}', 'p.yml:2: limits: memory: 2 is no limit that',
     ['from 1M to']),
    ('limits cpus too few', 'version: 1\nlimits: {cpus: 0.001}', 'p.yml:2: limits: cpus: 0.001 is no limit that', []),
    ('limits pids too many', 'version: 1\nlimits: {pids: 9999999}', 'p.yml:2: limits: pids: 9999999 is no limit', []),
    ('limits are a list', 'version: 1\nlimits: [2G]', 'p.yml:2: limits: a list where a mapping', []),
    ('no limits', 'version: 1\nlimits: {}', 'p.yml:2: limits: an empty mapping where', []),
    ('lock is a word', 'version: 1\nlock: maybe', "p.yml:2: lock: 'maybe' is neither true nor false.", []),
    ('services is a number', 'version: 1\nservices: 1', 'p.yml:2: services: 1 where text', []),
    # the line is that of the item, also in the long form
    ('item of a long list', RULE + '    networks:\n      - 10.0.0.0/8\n\n      - 10.0.0.0/99',
     "p.yml:8: rule 'github': networks: '10.0.0.0/99' is not", []),
]

LATER = [  # the entry of NOT_YET, text, how the error begins
    ('services', 'version: 1\nservices: services.yml', 'p.yml:2: services: '),
]

BAD_YAML = [  # name, text, how the error begins, what else it says
    ('empty', '', 'p.yml: the file is empty.', ['version: 1']),
    ('only comments', '# nothing\n', 'p.yml: the file is empty.', []),
    ('only a marker', '---\n', 'p.yml: the file is empty.', []),
    ('two documents', 'version: 1\n---\nversion: 1', 'p.yml:2: ',
     ['another document', 'take the second --- out']),
    ('colon in text', 'version: 1\nservice: a: b', 'p.yml:2: not readable as YAML', ['quotes']),
    ('tab', 'version: 1\ndeny:\n\t- id: x', 'p.yml:3: not readable as YAML', ['Indent with spaces']),
    ('bare wildcard', RULE + '    hosts: [*.github.com]', 'p.yml:5: not readable as YAML',
     ['"*.github.com"']),
    ('unclosed list', 'version: 1\nexpected: [a\nmode: drill', 'p.yml:3: not readable as YAML', ['line 2']),
    ('duplicate key', 'version: 1\nmode: drill\nmode: enforce', "p.yml:3: the key 'mode' stands twice",
     ['line 2', 'line 3']),
    ('duplicate key in a rule', GITHUB + '    reason: x', "p.yml:6: the key 'reason' stands twice",
     ['line 4']),
    ('octal number', RULE + '    hosts: [a]\n    ports: [0443]', "p.yml:6: '0443' is another number",
     ['quotes']),
    ('number in base 60', RULE + '    hosts: [a]\n    ports: [20:22]', "p.yml:6: '20:22' is another number",
     []),
    ('impossible date', 'version: 1\nservice: 2024-13-99', "p.yml:2: '2024-13-99' has a wrong value",
     ['quotes']),
    ('impossible date as key', 'version: 1\n2024-13-99: 1', "p.yml:2: '2024-13-99' has a wrong value", []),
    ('impossible truth value', 'version: 1\nlock: !!bool maybe', "p.yml:2: 'maybe' has a wrong value", []),
    ('unknown tag', 'version: 1\nservice: !mine x', 'p.yml:2: ', ["'!mine'", 'Take the tag']),
    ('vault tag', 'version: 1\nservice: !vault x', 'p.yml:2: ', ["'!vault'"]),
    ('tag that runs code', 'version: 1\nservice: !!python/object/apply:os.abort []', 'p.yml:2: ',
     ['python/object']),
    ('template without quotes', 'version: 1\nservice: {{ name }}', 'p.yml:2: a key must be a word.',
     ['quotes']),
    ('set as a key', 'version: 1\n? !!set\n: 1', 'p.yml:2: a key must be a word.', []),
    ('unknown alias', 'version: 1\nservice: *x', 'p.yml:2: not readable as YAML', []),
    ('own alias', 'version: 1\ndeny: &a [*a]', 'p.yml:2: this refers to itself', []),
    ('merge of a word', 'version: 1\ndeny: {<<: a}', 'p.yml:2: not readable as YAML', []),
    ('unprintable', 'version: 1\nservice: a\x07', "p.yml:2: the character '\\x07'", []),
    ('half a surrogate', 'version: 1\nservice: \ud800', "p.yml:2: the character '\\ud800'", []),
    ('deep', 'version: 1\ndeny: %s%s' % ('[' * 300000, ']' * 300000), 'p.yml:2: nested more than', []),
]


@pytest.mark.parametrize('added, begins, says', [row[1:] for row in BAD_MATCHERS],
                         ids=[row[0] for row in BAD_MATCHERS])
def test_bad_rule(added, begins, says):
    error = refusal(RULE + '    ' + added + '\n')
    line = 'p.yml:3: ' if begins.startswith(('it matches', 'ports only')) else 'p.yml:5: '
    assert error.startswith(line + "rule 'github': " + begins)
    assert [part for part in says if part not in error] == []
    assert len(error) < 400 and '\n' not in error


@pytest.mark.parametrize('item, says', BAD_PORTS)
def test_bad_port(item, says):
    error = refusal(GITHUB + '    ports:\n      - 443\n      - %s\n' % item)
    assert error.startswith("p.yml:8: rule 'github': ports: ")
    assert [part for part in says if part not in error] == []


@pytest.mark.parametrize('text, begins, says', [row[1:] for row in BAD_POLICIES + BAD_YAML],
                         ids=[row[0] for row in BAD_POLICIES + BAD_YAML])
def test_bad_policy(text, begins, says):
    error = refusal(text)
    assert error.startswith(begins)
    assert [part for part in says if part not in error] == []
    assert len(error) < 400 and '\n' not in error


@pytest.mark.parametrize('feature, text, begins', LATER)
def test_not_yet(feature, text, begins):
    missing, meanwhile = NOT_YET[feature]
    assert refusal(text) == begins + (
        'this version %s, so the policy would be weaker than it reads. Meanwhile %s.' % (missing, meanwhile))


def test_every_missing_feature_is_tested():
    assert {row[0] for row in LATER} == set(NOT_YET)


# --- without lines, and errors as such ---

def test_without_lines_the_source_opens_the_error():
    with pytest.raises(PolicyError, match="^policy: rule 'x': reason is missing"):
        check({'version': 1, 'deny': [{'id': 'x', 'hosts': ['a']}]})


def test_the_longest_known_path_gives_the_line():
    bad = {'version': 1, 'deny': [{'id': 'x', 'reason': 'r', 'networks': ['10.0.0.0/8', '10.0.0.0/99']}]}
    for lines, where in (({('deny', 0, 'networks', 1): 9, ('deny', 0): 4}, 'f:9: '),
                         ({('deny', 0): 4}, 'f:4: '),
                         ({('deny', 0, 'networks', 0): 8, (): 1}, 'f:1: '), ({('deny', 1): 4}, 'f: ')):
        with pytest.raises(PolicyError) as caught:
            check(bad, 'f', lines)
        assert str(caught.value).startswith(where + 'rule')


def test_facts_travel_with_the_error():
    error = GuardError('It failed.', left_running=[])
    assert (str(error), error.facts) == ('It failed.', {'left_running': []})
    assert PolicyError('x').facts == {}


# --- what is accepted, and what it means ---

HOSTS = [('GitHub.COM', 'github.com'), ('github.com.', 'github.com'), ('" github.com "', 'github.com'),
         ('münchen.de', 'xn--mnchen-3ya.de'), ('MÜNCHEN.de', 'xn--mnchen-3ya.de'),
         ('XN--MNCHEN-3YA.de', 'xn--mnchen-3ya.de'), ('例え。テスト', 'xn--r8jz45g.xn--zckzah'),
         ('_sip._tcp.a.b', '_sip._tcp.a.b'), ('🦀.com', 'xn--zs9h.com'), ('ｇｉｔ.com', 'git.com'),
         ('\u212aay.com', 'kay.com'), ('localhost', 'localhost'), ('a--b.c', 'a--b.c'), ('1.a', '1.a'),
         ('.github.com', '.github.com'), ('"*.github.com"', '*.github.com'), ('.GitHub.com.', '.github.com'),
         ('"*.GitHub.COM."', '*.github.com'), ('"*.münchen.de"', '*.xn--mnchen-3ya.de'),
         ('。例え。テスト', '.xn--r8jz45g.xn--zckzah'), ('.com', '.com'), ('"*.localhost"', '*.localhost'),
         ('"*._tcp.a"', '*._tcp.a'), ('"*.%s"' % '.'.join(['a' * 62] * 4), '*.' + '.'.join(['a' * 62] * 4)),
         ('4chan.org', '4chan.org'), ('beef', 'beef'), ('a' * 63 + '.b', 'a' * 63 + '.b')]

NETWORKS = [('192.0.2.0/24', '192.0.2.0/24'), ('192.0.2.7', '192.0.2.7/32'),
            ('2001:DB8::/32', '2001:db8::/32'), ('2001:db8::1', '2001:db8::1/128'),
            ('0.0.0.0/0', '0.0.0.0/0'), ('::/0', '::/0'),
            ('::ffff:192.0.2.0/120', '192.0.2.0/24'), ('::ffff:192.0.2.7', '192.0.2.7/32'),
            ('::ffff:0:0/96', '0.0.0.0/0'), ('::fffe:0:0/95', '::fffe:0:0/95'), ('::/64', '::/64')]

PORTS = [('443', Ports(None, 443, 443)), ('"443"', Ports(None, 443, 443)), ('0', Ports(None, 0, 0)),
         ('8000-8080', Ports(None, 8000, 8080)), ('"tcp/1-5"', Ports('tcp', 1, 5)),
         ('udp/443', Ports('udp', 443, 443)),
         ('"0-65535"', Ports(None, 0, 65535)), ('"7-7"', Ports(None, 7, 7))]

PATHS = [('/mnt/artifacts', '/mnt/artifacts'), ('/mnt/artifacts/', '/mnt/artifacts'), ('//mnt///a//', '/mnt/a'),
         ('/a', '/a'), ('/proc/1/root', '/proc/1/root'), ('/dev', '/dev'), ('/mnt/two words', '/mnt/two words'),
         ('"/mnt/two  spaces"', '/mnt/two  spaces'), ('/mnt/größe', '/mnt/größe'), ('/mnt/.hidden/..b', '/mnt/.hidden/..b'),
         ('/mnt/...', '/mnt/...'), ('/mnt/a~', '/mnt/a~'), ('"/usr/bin/["', '/usr/bin/['), ('/mnt/$', '/mnt/$'),
         ("/mnt/dev\\x2dsda1", "/mnt/dev\\x2dsda1"), ('"/mnt/{a}"', '/mnt/{a}'), ('/Mnt', '/Mnt'),
         ('/' + 'a' * 255, '/' + 'a' * 255), ('/%s/b' % ('ü' * 127), '/%s/b' % ('ü' * 127)),
         ('/artifact' * 455, '/artifact' * 455)]

FILESYSTEMS = ['nfs4', 'nfs', 'cifs', '9p', 'fuse', 'fuse.sshfs', 'fuse.*', 'fuseblk.ntfs-3g', 'fuseblk.*', 'ext2+x',
               'binfmt_misc', 'fuse.a.b', 'fuse.gvfsd-fuse', 'a' * 31, 'fuse.' + 'a' * 31]


@pytest.mark.parametrize('written, meant', PATHS)
def test_path(written, meant):
    assert one_rule('paths: [%s]' % written).paths == (meant,)


@pytest.mark.parametrize('written', FILESYSTEMS)
def test_filesystem(written):
    assert one_rule('filesystems: ["%s"]' % written).filesystems == (written,)


@pytest.mark.parametrize('rule, has_files', [
    ('hosts: [a]', False), ('networks: ["::1"]', False), ('paths: [/a]', True), ('filesystems: [nfs4]', True),
    ('hosts: [a]\n    paths: [/a]\n    ports: [1]', True)])
def test_which_policies_speak_of_files(rule, has_files):
    policy = read(RULE + '    %s\n' % rule)
    assert policy.has_files == has_files and check(policy.as_mapping()) == policy
    assert read('version: 1\nallow:\n  - id: x\n    %s\n' % rule).has_files == has_files
    assert not read('version: 1\ndefault: deny').has_files


def test_half_a_character_is_no_part_of_a_path():
    with pytest.raises(PolicyError, match='paths: .* has control characters'):  # Python's form of a byte that is not UTF-8
        check({'version': 1, 'deny': [{'id': 'x', 'reason': 'r', 'paths': ['/mnt/\udcff']}]})


def test_files_alone_bring_no_rule_against_encrypted_dns():
    assert read(RULE + '    paths: [/a]\n').all_rules == read(RULE + '    paths: [/a]\n').rules


@pytest.mark.parametrize('written, meant', HOSTS)
def test_host(written, meant):
    assert one_rule('hosts: [%s]' % written).hosts == (meant,)


def test_host_forms_of_one_name_are_kept_apart():
    assert one_rule('hosts: ["*.a.com", .a.com, a.com, A.com., "*.A.com"]').hosts == ('*.a.com', '.a.com', 'a.com')


@pytest.mark.parametrize('written, meant', NETWORKS)
def test_network(written, meant):
    assert [str(network) for network in one_rule('networks: ["%s"]' % written).networks] == [meant]


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), st.builds(
    ipaddress.IPv6Address, st.integers(0, 2 ** 40))), st.integers(0, 130), st.sampled_from(['%s/%d', '%s/0%d', '%s']))
@settings(deadline=None)
def test_a_network_in_its_normal_form_is_read_as_any_other(address, length, form):
    """What the short way takes is what Python's own writes, and nothing that it refuses."""
    written = form % ((address, length) if '%d' in form else address)
    try:
        meant = str(ipaddress.ip_network(written))
    except ValueError:
        meant = None
    assert _policy._normal_network(written) in (meant, None)
    if meant and '0%d' not in form and address.version == 4:
        assert _policy._normal_network(written) == meant


@pytest.mark.parametrize('written, meant', PORTS)
def test_port(written, meant):
    assert one_rule('hosts: [a]\n    ports: [%s]' % written).ports == (meant,)


FULL = '''
version: 1
service: mysql
mode: drill
default: deny
deny:
  - id: github
    reason: >
      github.com runs on the database
      that this play deploys
    owner: db-team
    runbook: https://wiki.example/no-github-in-deploys
    hosts: [GitHub.com., api.github.com, github.com]
    networks: ["2001:db8::/32", 192.0.2.0/24]
    ports: [udp/443, 8000-8080, 443]
    paths: [/mnt/tools/, /mnt/artifacts]
    filesystems: [nfs4, fuse.sshfs]
    sockets: ["@tool", /run//docker.sock]
  - {id: 2nd_rule, reason: é, networks: [10.0.0.1]}
allow:
  - id: mirror
    hosts: [mirror.github.com]
    paths: [/mnt/artifacts/public]
expected: [github]
resolve: {interval: 30}
lock: false
encrypted_dns: deny
'''


def test_full_policy():
    policy = read(FULL)
    assert (policy.version, policy.service, policy.mode, policy.default) == (1, 'mysql', 'drill', 'deny')
    assert [(one.id, one.action, one.expected) for one in policy.rules] == [
        ('github', 'deny', True), ('2nd_rule', 'deny', False), ('mirror', 'allow', False)]
    assert policy.expected == frozenset({'github'})
    github = policy.rules[0]
    assert github.reason == 'github.com runs on the database that this play deploys'
    assert (github.owner, github.runbook) == ('db-team', 'https://wiki.example/no-github-in-deploys')
    assert github.hosts == ('api.github.com', 'github.com')
    assert github.sockets == ('/run/docker.sock', '@tool') and policy.lock is False
    assert (github.paths, github.filesystems) == (('/mnt/artifacts', '/mnt/tools'), ('fuse.sshfs', 'nfs4'))
    assert policy.rules[2].reason is None and policy.rules[2].paths == ('/mnt/artifacts/public',)
    assert (policy.interval, policy.encrypted_dns) == (30, 'deny')
    assert policy.as_mapping()['deny'][0]['ports'] == ['443', '8000-8080', 'udp/443']
    assert check(json.loads(json.dumps(policy.as_mapping()))) == policy


def test_smallest_policy_enforces_and_allows():
    policy = read('version: 1')
    assert (policy.mode, policy.default, policy.rules, policy.service) == ('enforce', 'allow', (), None)
    assert (policy.encrypted_dns, policy.interval, policy.all_rules) == ('allow', 30, ())
    assert policy.as_mapping() == {'version': 1, 'mode': 'enforce', 'default': 'allow'}


def test_another_mode():
    policy = read(FULL)
    assert policy.with_mode('monitor').mode == 'monitor' and policy.mode == 'drill'
    assert policy.with_mode('monitor').sha256() != policy.sha256() == policy.with_mode('drill').sha256()
    with pytest.raises(PolicyError, match="mode: 'off' is no mode"):
        policy.with_mode('off')


SAME = [('capitals', 'GitHub.com', 'github.COM'), ('last dot', 'GitHub.com., ', 'github.com, '),
        ('order in a rule', '[udp/443, 8000-8080, 443]', '["8000-8080", "443", "udp/443"]'),
        ('spelling of a network', '2001:db8::/32', '2001:0DB8:0::/32'),
        ('order of paths', '[/mnt/tools/, /mnt/artifacts]', '[/mnt/artifacts, //mnt/tools, /mnt/tools]'),
        ('spelling of a socket', '/run//docker.sock', '/run/docker.sock'),
        ('order of types', '[nfs4, fuse.sshfs]', '[fuse.sshfs, nfs4, nfs4]'),
        ('mapped network', '192.0.2.0/24', '"::ffff:192.0.2.0/120"'),
        ('default written or not', 'lock: false\n', ''), ('no interval', 'resolve: {interval: 30}\n', ''),
        ('encrypted DNS by default', 'encrypted_dns: deny\n', '')]
OTHER = [('mode', 'drill', 'enforce'), ('reason', 'é', 'e'), ('owner', 'db-team', 'web-team'),
         ('network', '192.0.2.0/24', '192.0.2.0/25'), ('port', 'udp/443', 'tcp/443'),
         ('expected', 'expected: [github]', 'expected: [2nd_rule]'),
         ('built-in expected', 'expected: [github]', 'expected: [github, encrypted_dns]'),
         ('interval', 'interval: 30', 'interval: 0'), ('another interval', 'interval: 30', 'interval: 31'),
         ('encrypted DNS', 'encrypted_dns: deny', 'encrypted_dns: allow'),
         ('path', '/mnt/tools/', '/mnt/tool'), ('capital in a path', '/mnt/tools/', '/mnt/Tools'),
         ('lock', 'lock: false', 'lock: true'), ('socket', '@tool', '@tools'),
         ('exception', '    paths: [/mnt/artifacts/public]\n', ''), ('type', 'fuse.sshfs', 'fuse.*'),
         ('host form', 'hosts: [mirror.github.com]', 'hosts: [.mirror.github.com]')]


@pytest.mark.parametrize('old, new', [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_same_meaning_same_hash(old, new):
    assert old in FULL
    assert read(FULL.replace(old, new)) == read(FULL)
    assert read(FULL.replace(old, new)).sha256() == read(FULL).sha256()


@pytest.mark.parametrize('old, new', [row[1:] for row in OTHER], ids=[row[0] for row in OTHER])
def test_other_meaning_other_hash(old, new):
    assert old in FULL
    assert read(FULL.replace(old, new)).sha256() != read(FULL).sha256()


def test_hash_ignores_the_order_of_keys_and_never_changes():
    mapping = read(FULL).as_mapping()
    backwards = {key: mapping[key] for key in reversed(list(mapping))}
    assert check(backwards).sha256() == read(FULL).sha256()
    # Running guards are compared by it: another value here means "changed" for all of them after an upgrade.
    assert read(GITHUB).sha256() == '8194b1010a181511352c298a23aee8ec5f9aa1e1cf3f6e8a85a2639ff835fa69'


@pytest.mark.parametrize('text', [FULL, GITHUB, 'version: 1'])
def test_the_sum_is_that_of_the_whole_policy_as_json(text):
    policy = read(text)
    whole = json.dumps(policy.as_mapping(), sort_keys=True, separators=(',', ':'))
    assert policy.sha256() == hashlib.sha256(whole.encode()).hexdigest()


@pytest.mark.parametrize('text, limits', [
    ('{memory: 2G, cpus: 1.5, pids: 512}', {'memory': 2 ** 31, 'cpus': 1.5, 'pids': 512}),
    ('{pids: 512, cpus: 10}', {'cpus': 10, 'pids': 512}),
    ('{memory: "4096K"}', {'memory': 2 ** 22}), ('{memory: 3M}', {'memory': 3 * 2 ** 20}),
    ('{memory: 1073741824}', {'memory': 2 ** 30}), ('{memory: 1T}', {'memory': 2 ** 40}),
    ('{cpus: "0.50"}', {'cpus': 0.5}), ('{cpus: .5}', {'cpus': 0.5}), ('{cpus: 2.0}', {'cpus': 2}),
])
def test_limits(text, limits):
    policy = read('version: 1\nlimits: %s' % text)
    assert policy.as_mapping()['limits'] == dict(policy.limits) == limits
    assert check(json.loads(json.dumps(policy.as_mapping()))) == policy
    assert policy.sha256() != read('version: 1').sha256()


# --- the built-in rule ---

NETWORKS_ONLY = RULE + '    networks: [10.0.0.0/8]\n'


@pytest.mark.parametrize('text, encrypted_dns, kept', [
    (GITHUB, 'deny', None), ('version: 1\nallow: [{id: m, hosts: [.a]}]', 'deny', None), (NETWORKS_ONLY, 'allow', None),
    ('version: 1\ndefault: deny', 'allow', None), (GITHUB + 'encrypted_dns: deny', 'deny', None),
    (GITHUB + 'encrypted_dns: allow', 'allow', 'allow'), (NETWORKS_ONLY + 'encrypted_dns: deny', 'deny', 'deny'),
    (NETWORKS_ONLY + 'encrypted_dns: allow', 'allow', None)])
def test_encrypted_dns_is_denied_where_names_matter(text, encrypted_dns, kept):
    policy = read(text)
    assert policy.encrypted_dns == encrypted_dns
    assert policy.as_mapping().get('encrypted_dns') == kept
    assert bool(policy.all_rules[len(policy.rules):]) == (encrypted_dns == 'deny')
    assert check(policy.as_mapping()) == policy


def test_the_built_in_rule():
    policy = read(GITHUB)
    assert policy.all_rules[:1] == policy.rules
    port, names = policy.all_rules[1:]
    for part in (port, names):
        assert (part.id, part.action, part.expected) == (BUILT_IN, 'deny', False)
        assert part.reason == ('encrypted DNS would hide from the rules which names the deployment asks for '
                               '(encrypted_dns: allow lets it pass)')
    assert ([str(network) for network in port.networks], [str(one) for one in port.ports], port.hosts) == (
        ['0.0.0.0/0', '::/0'], ['853'], ())
    assert (names.networks, names.ports) == ((), ())
    assert {'dns.google', '*.dns.google', 'dns.quad9.net', 'cloudflare-dns.com'} < set(names.hosts)
    assert BUILT_IN not in json.dumps(policy.as_mapping())


def test_the_built_in_rule_can_be_expected():
    policy = read(GITHUB + 'expected: [encrypted_dns, github]')
    assert [rule.expected for rule in policy.all_rules] == [True, True, True]
    assert check(policy.as_mapping()) == policy


def test_the_well_known_names_are_in_normal_form():
    assert list(one_rule('hosts: %s' % json.dumps(DOH_HOSTS)).hosts) == sorted(DOH_HOSTS)
    assert len({host.lstrip('.') for host in DOH_HOSTS}) == len(DOH_HOSTS) >= 40


@pytest.mark.parametrize('action, host, left', [
    ('allow', 'dns.google', ['*.dns.google']), ('allow', '"*.dns.google"', ['dns.google']),
    ('allow', '.DNS.google', []),
    ('allow', 'one.one.one.one', ['*.dns.google', 'dns.google']), ('allow', '.google', ['*.dns.google', 'dns.google']),
    ('allow', 'a.dns.google', ['*.dns.google', 'dns.google']), ('deny', '.dns.google', ['*.dns.google', 'dns.google'])])
def test_an_allow_rule_for_a_well_known_name_wins(action, host, left):
    policy = read('version: 1\n%s: [{id: x, reason: r, hosts: [%s]}]' % (action, host))
    hosts = policy.all_rules[-1].hosts
    assert [name for name in hosts if name.endswith('dns.google')] == left
    assert ('one.one.one.one' in hosts) == (host != 'one.one.one.one')


# --- the file: lines, anchors, merge keys ---

def test_lines_of_every_part():
    text = '# c\nversion: 1\ndeny:\n  - id: x\n    hosts:\n      - a\n      - b\n'
    mapping, lines = _policy_file.parse(text, 'p')
    assert mapping == {'version': 1, 'deny': [{'id': 'x', 'hosts': ['a', 'b']}]}
    assert lines == {(): 2, ('version',): 2, ('deny',): 3, ('deny', 0): 4, ('deny', 0, 'id'): 4,
                     ('deny', 0, 'hosts'): 5, ('deny', 0, 'hosts', 0): 6, ('deny', 0, 'hosts', 1): 7}


ANCHORS = '''version: 1
deny:
  - &base
    id: one
    reason: &why the same
    hosts: &names [a.example]
  - <<: *base
    id: two
    networks: [10.0.0.0/8]
  - {id: three, reason: *why, hosts: *names}
'''


def test_anchors_and_merge_keys():
    assert [(one.id, one.reason, one.hosts) for one in read(ANCHORS).rules] == [
        (name, 'the same', ('a.example',)) for name in ('one', 'two', 'three')]
    assert refusal(ANCHORS.replace('10.0.0.0/8', '10.0.0.0/99')).startswith("p.yml:9: rule 'two': networks")


LAUGH = 'a0: &a0 %s\n' + ''.join('a%d: &a%d %%s\n' % (i, i) for i in range(1, 12))


@pytest.mark.parametrize('first, more', [('[x]', '[%s]'), ('{x: y}', '{<<: [%s]}')],
                         ids=['lists', 'merge keys'])
def test_aliases_of_aliases_do_not_explode(first, more):
    text = LAUGH % ((first,) + tuple(more % ', '.join(['*a%d' % (i - 1)] * 10) for i in range(1, 12)))
    assert 'far too large' in refusal(text)


def test_a_long_chain_of_aliases_is_too_deep():
    links = ''.join('a%d: &a%d [*a%d]\n' % (i, i, i - 1) for i in range(1, 1000))
    assert 'too deep' in refusal('a0: &a0 [x]\n' + links)


def test_lines_alone_leave_foreign_tags_to_the_caller():
    text = 'version: 1\nservice: !vault |\n  x\nallow: !unsafe [a]\n'
    assert _policy_file.lines(text, 'p') == {(): 1, ('version',): 1, ('service',): 2, ('allow',): 4,
                                             ('allow', 0): 4}
    with pytest.raises(PolicyError, match='stands twice'):
        _policy_file.lines('a: !vault x\na: 1', 'p')


def test_a_byte_order_mark_is_no_content():
    assert read('\ufeffversion: 1').version == 1


# --- properties ---

label = st.from_regex(r'[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,10}[a-zA-Z0-9_])?', fullmatch=True)
hosts = st.builds(lambda front, labels, dot: front + '.'.join(labels + ['x']) + dot,
                  st.sampled_from(['', '.', '*.']), st.lists(label, max_size=4), st.sampled_from(['', '.']))
networks = st.one_of(st.ip_addresses().map(str),
                     st.sampled_from(['10.0.0.0/8', '::/0', '::ffff:10.0.0.0/104']))
number = st.integers(0, 65535)
ports = st.one_of(number, st.builds(lambda one, two, kind: '%s%d-%d' % (kind, min(one, two), max(one, two)),
                                    number, number, st.sampled_from(['', 'tcp/', 'udp/'])))
paths = st.from_regex(r'(/{1,2}[A-Za-z0-9é"\\: ]*[a-z]){1,4}/?', fullmatch=True)
sockets = st.sampled_from(['/run/docker.sock', '/run/a/b', '@name', '@a b'])
filesystems = st.sampled_from(['nfs4', 'fuse.sshfs', 'fuse.*', 'overlay'])
texts = st.from_regex(r'[a-z0-9é"{}:]+( [a-z]+)*', fullmatch=True)
rules = st.fixed_dictionaries(
    {'reason': texts, 'hosts': st.lists(hosts, min_size=1, max_size=5)},
    optional={'networks': st.lists(networks, min_size=1, max_size=5),
              'ports': st.lists(ports, min_size=1, max_size=5),
              'paths': st.lists(paths, min_size=1, max_size=5),
              'filesystems': st.lists(filesystems, min_size=1, max_size=3),
              'sockets': st.lists(sockets, min_size=1, max_size=3),
              'owner': texts, 'runbook': st.just('https://wiki.example/a')})


@st.composite
def policies(draw):
    policy = {'version': 1, 'mode': draw(st.sampled_from(['monitor', 'enforce', 'drill'])),
              'default': draw(st.sampled_from(['allow', 'deny'])),
              **draw(st.fixed_dictionaries({}, optional={
                  'encrypted_dns': st.sampled_from(['allow', 'deny']),
                  'resolve': st.fixed_dictionaries({'interval': st.integers(0, 86400)})}))}
    for action in ('deny', 'allow'):
        drawn = draw(st.lists(rules, max_size=3))
        made = [dict(one, id='%s-%d' % (action, place)) for place, one in enumerate(drawn)]
        if made:
            policy[action] = made
    if 'deny' in policy:
        ids = [one['id'] for one in policy['deny']]
        policy['expected'] = draw(st.lists(st.sampled_from(ids), min_size=1))
    return policy


@settings(deadline=None)
@given(policies())
def test_canonical_mapping_means_the_same(mapping):
    policy = check(mapping)
    again = check(json.loads(json.dumps(policy.as_mapping())))
    assert again == policy and again.as_mapping() == policy.as_mapping() and again.sha256() == policy.sha256()


@given(hosts | st.text('a1-_.*X', max_size=12))
def test_a_host_in_normal_form_means_what_it_does_in_any_other(host):
    def meant(spelling):
        policy = only_policy_errors(check, {'version': 1, 'allow': [{'id': 'x', 'hosts': [spelling]}]})
        return policy and policy.rules[0].hosts

    if not host.endswith('.'):
        assert meant(host) == meant(host + '.')


@settings(deadline=None)
@given(policies())
def test_what_yaml_writes_is_read_back(mapping):
    assert read(yaml.safe_dump(mapping, allow_unicode=True)) == check(mapping)


words = st.sampled_from(['version', 'service', 'mode', 'default', 'deny', 'allow', 'expected', 'services',
                         'resolve', 'limits', 'lock', 'encrypted_dns', 'id', 'reason', 'owner', 'runbook',
                         'hosts', 'networks', 'ports', 'paths', 'filesystems', 'sockets', 'interval',
                         'memory', 'cpus', 'pids', 'github', 'a.b', '10.0.0.0/8'])
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(2 ** 20000, 2 ** 20001), st.floats(),
                   st.text(), words, st.binary(), st.dates(), st.datetimes(), st.just({1}), st.just((1, 2)))
garbage = st.recursive(leaves, lambda inner: st.one_of(
    st.lists(inner, max_size=4),
    st.dictionaries(st.one_of(words, st.integers(), st.none(), st.text()), inner, max_size=5)))


def only_policy_errors(work, *arguments):
    try:
        return work(*arguments)
    except PolicyError as error:
        assert str(error) and len(str(error)) < 900


@settings(max_examples=200, deadline=None)
@given(garbage)
def test_garbage_raises_policy_errors_only(value):
    only_policy_errors(check, value)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(words, garbage, max_size=6), st.dictionaries(words, garbage, max_size=6))
def test_garbage_inside_a_policy_raises_policy_errors_only(top, inside):
    only_policy_errors(check, dict(top, version=1))
    rule = dict({'id': 'x', 'reason': 'r', 'hosts': ['a']}, **inside)
    only_policy_errors(check, {'version': 1, 'deny': [rule]})


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(['hosts', 'networks', 'ports', 'paths', 'filesystems', 'sockets']), st.text(st.characters(), max_size=40))
def test_any_text_in_a_rule_is_refused_or_stable(key, text):
    text = '/' + text if key == 'paths' else text
    rule = dict({'hosts': ['a'], 'id': 'x'}, **{key: [text]})
    policy = only_policy_errors(check, {'version': 1, 'allow': [rule]})
    if policy:
        assert check(policy.as_mapping()) == policy


yaml_text = st.lists(st.sampled_from(
    ['version: 1\n', 'deny:\n', '  - ', 'id: ', 'a', '1', '\n', ' ', '*a', '&a ', '<<: ', '!!set ', '!!omap ',
     '!!bool ', '!!int ',
     '!!timestamp ', '!!binary ', '!x ', '[', ']', '{', '}', ': ', ', ', '? ', '"', "'", '|', '>', '---', '=',
     '%', '\t', '#',
     '2024-99-99', '.', '-', 'é', '\x00', '\ufeff']), max_size=25).map(''.join)


@settings(max_examples=600, deadline=None)
@given(st.one_of(yaml_text, st.text()))
def test_any_file_raises_policy_errors_only(text):
    only_policy_errors(read, text)
    only_policy_errors(_policy_file.lines, text, 'p')


def test_dates_reach_check_as_dates():
    with pytest.raises(PolicyError, match='2024-01-31 where text is needed'):
        check({'version': 1, 'service': datetime.date(2024, 1, 31)})
