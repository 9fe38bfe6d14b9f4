# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule matches: which texts are refused and in which words, then which are accepted and what they mean."""

from __future__ import annotations

import ipaddress

import pytest
from any_policy import hosts, only_policy_errors
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_texts import GITHUB, RULE, one_rule, read, refusal

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import matchers
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import Ports
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError

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
     ['Allowed here: id, reason, owner, runbook, outage, ports, hosts, networks, paths, filesystems, sockets.']),
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
    assert matchers.normal_network(written) in (meant, None)
    if meant and '0%d' not in form and address.version == 4:
        assert matchers.normal_network(written) == meant


@pytest.mark.parametrize('written, meant', PORTS)
def test_port(written, meant):
    assert one_rule('hosts: [a]\n    ports: [%s]' % written).ports == (meant,)


@given(hosts | st.text('a1-_.*X', max_size=12))
def test_a_host_in_normal_form_means_what_it_does_in_any_other(host):
    def meant(spelling):
        policy = only_policy_errors(check, {'version': 1, 'allow': [{'id': 'x', 'hosts': [spelling]}]})
        return policy and policy.rules[0].hosts

    if not host.endswith('.'):
        assert meant(host) == meant(host + '.')


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(['hosts', 'networks', 'ports', 'paths', 'filesystems', 'sockets']), st.text(st.characters(), max_size=40))
def test_any_text_in_a_rule_is_refused_or_stable(key, text):
    text = '/' + text if key == 'paths' else text
    rule = dict({'hosts': ['a'], 'id': 'x'}, **{key: [text]})
    policy = only_policy_errors(check, {'version': 1, 'allow': [rule]})
    if policy:
        assert check(policy.as_mapping()) == policy
