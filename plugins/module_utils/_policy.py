# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PRIVATE. A mapping, as YAML or JSON gave it, in; a checked Policy out, or one clear PolicyError.

Pure. Runs on the controller, before any target is touched, and again on the target.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import hashlib
import ipaddress
import json
import posixpath
import re
import socket
import typing
import unicodedata

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError

MODES = ('monitor', 'enforce', 'drill')
DEFAULTS = ('allow', 'deny')
ENCRYPTED_DNS = ('deny', 'allow')
INTERVAL, LONGEST_INTERVAL = 30, 86400  # seconds between two looks at the addresses of the rules' names
POLICY_KEYS = ('version', 'service', 'mode', 'default', 'deny', 'allow', 'expected', 'services', 'resolve',
               'limits', 'lock', 'encrypted_dns')
MATCHERS = ('hosts', 'networks', 'paths', 'filesystems', 'sockets')
RULE_KEYS = ('id', 'reason', 'owner', 'runbook', 'ports') + MATCHERS

# What the policy language has and this version lacks: what "this version" can't do, and what to do meanwhile.
# When a version can, its entry goes, and what the key says gets a field in Policy or Rule.
NOT_YET = {
    'services': ("can't make rules from a service map",
                 'write a deny rule for each service that depends on the deployed one'),
}
LIMITS = {'memory': r'[1-9][0-9]*[KMGT]?', 'cpus': r'[0-9]*[1-9][0-9]*(\.[0-9]+)?|0?\.[0-9]*[1-9][0-9]*',
          'pids': r'[1-9][0-9]*'}
UNITS = {'K': 2 ** 10, 'M': 2 ** 20, 'G': 2 ** 30, 'T': 2 ** 40}
# What the kernel takes, and for memory what a task needs to start at all
BOUNDS = {'memory': (2 ** 20, 2 ** 62, '1M', '4194304T'), 'cpus': (0.01, 10000, '0.01', '10000'),
          'pids': (1, 2 ** 22, '1', '4194304')}
TEXTS = {'reason': 'why nothing may reach it', 'owner': 'db-team', 'runbook': 'https://wiki.example/page'}

# The built-in rule. Its id is taken, so that reports and `expected` can mean it and nothing else.
BUILT_IN = 'encrypted_dns'
BUILT_IN_REASON = ('encrypted DNS would hide from the rules which names the deployment asks for '
                   '(encrypted_dns: allow lets it pass)')
DOT_PORT = 853  # DNS over TLS, and over QUIC
# Host names of public resolvers that answer DNS over HTTPS, which looks like any other HTTPS. The list can't be whole,
# and need not be: it stops what a browser, a tool or a resolver library has built in.
DOH_HOSTS = (
    '.cloudflare-dns.com', '.cloudflare-gateway.com', 'one.one.one.one',
    '.dns.google', 'dns.google.com', '8888.google',
    'dns.quad9.net', 'dns9.quad9.net', 'dns10.quad9.net', 'dns11.quad9.net', 'dns12.quad9.net',
    'doh.opendns.com', 'doh.familyshield.opendns.com', 'doh.sandbox.opendns.com', 'doh.umbrella.com',
    'dns.umbrella.com',
    'dns.adguard-dns.com', 'family.adguard-dns.com', 'unfiltered.adguard-dns.com', '.d.adguard-dns.com',
    'dns.adguard.com', 'dns-family.adguard.com', 'dns-unfiltered.adguard.com',
    '.dns.nextdns.io', 'doh.cleanbrowsing.org', 'freedns.controld.com', '.dns.controld.com',
    '.dns.mullvad.net', 'doh.mullvad.net', 'doh.dns.sb', 'doh.dns.apple.com', 'doh.xfinity.com',
    'protective.joindns4.eu', 'unfiltered.joindns4.eu', 'child.joindns4.eu', 'noads.joindns4.eu',
    'child-noads.joindns4.eu',
    'dns.alidns.com', '.doh.pub', 'dot.pub', 'doh.360.cn', '.dot.dns.yandex.net', 'public.dns.iij.jp',
    'dns.twnic.tw', '.canadianshield.cira.ca', 'dns.switch.ch', 'dns.digitale-gesellschaft.ch',
    'doh.applied-privacy.net', 'doh.ffmuc.net', 'dnsforge.de', 'doh.libredns.gr', 'dns.njal.la',
    'anycast.uncensoreddns.org', 'unicast.uncensoreddns.org', 'wikimedia-dns.org', 'ordns.he.net',
    'sky.rethinkdns.com', 'max.rethinkdns.com',
)

NAME = r'[*.]*([A-Za-z0-9_-]+\.)*[A-Za-z][A-Za-z0-9-]*\.?'  # near enough to a host name to say so in a hint
# A host in its normal form
_LABEL = r'[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?'
NORMAL_HOST = re.compile(r'(?:\*\.|\.)?(?:%s\.)*(?=[a-z])%s' % (_LABEL, _LABEL))
LENGTHS = frozenset(map(str, range(129)))  # of networks
NETWORK_HELP = 'Write an IPv4 or IPv6 network such as 192.0.2.0/24 or 2001:db8::/32.'
PORT_HELP = 'Write a number from 0 to 65535 (443), a range ("8000-8080"), or one with a protocol ("udp/443").'
TOO_LONG = '%s is too long. A name has at most 253 bytes, and 63 between two dots.'
# What would make it another path than the one that is meant: wildcards, and what a shell or a template fills in.
WILDCARD = re.compile(r'[*?]|\[[^/]+\]|\{[^/]*,[^/]*\}')
FILLED_IN = re.compile(r'^~|\$[A-Za-z0-9_{(]|\{\{')
PATH_SIZE, PART_SIZE = 4095, 255  # bytes that the kernel takes, of a path and between two slashes
SOCKET_SIZE = 108  # of the address of a unix socket, with the 0 that @ stands for
# A type as /proc/mounts shows it. FUSE alone has subtypes: the program behind the file system, in its own words.
FILESYSTEM = re.compile(r'[a-z0-9][a-z0-9_+-]*|fuse(?:blk)?\.(?:[a-z0-9_.+-]+|\*)')
TYPE_SIZE = 31  # bytes that the programs compare, of a type and of a subtype
MAPPED = ipaddress.IPv6Network('::ffff:0:0/96')
# The older and the newer IDNA encode these letters differently.
AMBIGUOUS = re.compile('[\u00df\u03c2\u1e9e\u200c\u200d]')


@dataclasses.dataclass(frozen=True)
class Ports:
    protocol: str | None  # tcp, udp, or None for every protocol
    low: int
    high: int

    def __str__(self):
        ports = str(self.low) if self.low == self.high else '%d-%d' % (self.low, self.high)
        return '%s/%s' % (self.protocol, ports) if self.protocol else ports


@dataclasses.dataclass(frozen=True)
class Rule:
    id: str
    action: str  # deny or allow
    reason: str | None
    owner: str | None
    runbook: str | None
    expected: bool
    hosts: tuple  # 'a.b' itself, '*.a.b' all below it, '.a.b' both; lower case, ASCII, no trailing dot
    networks: tuple  # as ipaddress writes them: '192.0.2.0/24', '2001:db8::/32'; an IPv4-mapped one in its IPv4 form
    ports: tuple  # of Ports; empty: every port and protocol; narrows hosts and networks alone
    paths: tuple  # absolute, each for itself and all below it; no slash at the end, no '//', '.' or '..'
    filesystems: tuple  # types: 'nfs4', 'fuse.sshfs'; 'fuse.*' is every subtype
    sockets: tuple  # unix sockets: absolute paths as those above, each for itself; '@name' is one without a file

    def as_mapping(self):
        mapping = {key: getattr(self, key) for key in ('id', 'reason', 'owner', 'runbook')}
        for key in ('hosts', 'networks', 'ports', 'paths', 'filesystems', 'sockets'):
            mapping[key] = [str(item) for item in getattr(self, key)]
        return {key: value for key, value in mapping.items() if value}


@dataclasses.dataclass(frozen=True)
class Policy:
    version: int
    service: str | None
    mode: str
    default: str
    rules: tuple  # those of the file: deny rules first; each kind in the order of the file
    expected: frozenset  # ids of deny rules, the built-in one's too
    encrypted_dns: str  # deny or allow
    interval: int  # seconds; 0: names are looked up once, when the guard starts
    lock: bool  # no process leaves the guard
    limits: tuple  # of (memory, bytes), (cpus, number), (pids, number), those that there are

    @property
    def all_rules(self):
        """What a guard enforces: the rules of the file, and then the two that share the built-in id."""
        return self.rules + (_built_in(self.rules, self.expected) if self.encrypted_dns == 'deny' else ())

    @property
    def has_files(self):
        """Whether any rule speaks of files, so that the guard has to judge them."""
        return any(rule.paths or rule.filesystems for rule in self.rules)

    @property
    def has_sockets(self):
        return any(rule.sockets for rule in self.rules)

    def as_mapping(self):
        """The canonical plain mapping: fit for JSON, and check() of it gives an equal Policy."""
        mapping = {key: getattr(self, key) for key in ('version', 'service', 'mode', 'default')}
        for action in ('deny', 'allow'):
            mapping[action] = [rule.as_mapping() for rule in self.rules if rule.action == action]
        mapping['expected'] = sorted(self.expected)
        if self.encrypted_dns != _usual_encrypted_dns(self.rules):
            mapping['encrypted_dns'] = self.encrypted_dns
        if self.interval != INTERVAL:
            mapping['resolve'] = {'interval': self.interval}
        mapping['lock'] = self.lock
        mapping['limits'] = dict(self.limits)
        return {key: value for key, value in mapping.items() if value}

    def sha256(self):
        """The same for every spelling of a policy. The order of rules counts, that inside a rule doesn't."""
        digest = hashlib.sha256()
        for piece in _pieces(self.as_mapping()):
            digest.update(piece.encode('ascii'))
        return digest.hexdigest()

    def with_mode(self, mode):
        return dataclasses.replace(self, mode=_choice(mode, MODES, _Place('policy', {}).inside('mode')))


def _pieces(mapping):
    """The mapping as JSON in its shortest form, rule by rule: as one text it would be the most of a start's memory."""
    for number, (key, value) in enumerate(sorted(mapping.items())):
        yield '%s"%s":' % (',' if number else '{', key)
        if key in ('deny', 'allow'):
            for place, rule in enumerate(value):
                yield (',' if place else '[') + _as_json(rule)
            yield ']'
        else:
            yield _as_json(value)
    yield '}'


def _as_json(value):
    return json.dumps(value, sort_keys=True, separators=(',', ':'))


def check(mapping, source='policy', lines=None):
    """Return the Policy that `mapping` means, or raise PolicyError.

    `source` is the file's name; `lines` has line numbers by path, such as {('deny', 0, 'networks', 1): 9}.
    """
    place = _Place(source, lines or {})
    if not isinstance(mapping, dict):
        raise place.error('%s is not a policy. Write a mapping that starts with version: 1.' % _show(mapping))
    _check_version(mapping, place)  # first: another version may well have other keys
    _check_keys(mapping, POLICY_KEYS, place)
    _check_later_settings(mapping, place)

    rules, taken = [], {}
    for action in ('deny', 'allow'):
        items = _items(mapping, action, '[{id: ...}]', place) if action in mapping else ()
        for number, (here, item) in enumerate(items, 1):
            # Until its id is known, a rule goes by its number.
            rules.append(_rule(item, action, taken, here._replace(words=('%s rule %d' % (action, number),))))
    encrypted_dns = _choice(mapping.get('encrypted_dns', _usual_encrypted_dns(rules)), ENCRYPTED_DNS,
                            place.inside('encrypted_dns'))
    expected = _expected(mapping, rules, encrypted_dns, place) if 'expected' in mapping else frozenset()
    return Policy(
        version=1,
        service=_service(mapping['service'], place.inside('service')) if 'service' in mapping else None,
        mode=_choice(mapping.get('mode', 'enforce'), MODES, place.inside('mode')),
        default=_choice(mapping.get('default', 'allow'), DEFAULTS, place.inside('default')),
        rules=tuple(dataclasses.replace(rule, expected=rule.id in expected) for rule in rules),
        expected=expected,
        encrypted_dns=encrypted_dns,
        interval=_interval(mapping, place) if 'resolve' in mapping else INTERVAL,
        lock=_lock(mapping['lock'], place.inside('lock')) if 'lock' in mapping else False,
        limits=_limits(mapping, place) if 'limits' in mapping else (),
    )


# --- the policy's own keys ---

def _check_version(mapping, place):
    if 'version' not in mapping:
        raise place.error('version is missing. Write version: 1 at the top.')
    version = mapping['version']
    if not _is_integer(version) or version != 1:
        raise place.inside('version').error(
            '%s is not supported. Write version: 1, without quotes.' % _show(version))


def _check_later_settings(mapping, place):
    """Keys whose only use today is to ask for what this version lacks."""
    if 'services' in mapping:
        _text(mapping['services'], 'services.yml', place.inside('services'))
        _available('services', place.inside('services'))


def _lock(value, place):
    if not isinstance(value, bool):
        raise place.error('%s is neither true nor false.' % _show(value))
    return value


def _interval(mapping, place):
    here = _filled_mapping(mapping, 'resolve', ('interval',), '{interval: %d}' % INTERVAL, place).inside('interval')
    interval = mapping['resolve']['interval']
    if not _is_integer(interval) or not 0 <= interval <= LONGEST_INTERVAL:
        raise here.error('%s is not a number of seconds from 0 to %d. Write interval: %d; 0 looks names up once, '
                         'when the guard starts.' % (_show(interval), LONGEST_INTERVAL, INTERVAL))
    return interval


def _limits(mapping, place):
    here = _filled_mapping(mapping, 'limits', tuple(LIMITS), '{memory: 2G, cpus: 1.5, pids: 512}', place)
    return tuple((key, _limit(key, mapping['limits'][key], here.inside(key)))
                 for key in LIMITS if key in mapping['limits'])


def _limit(key, value, place):
    text = _show(value).strip("'")
    if isinstance(value, (dict, list)) or not re.fullmatch(LIMITS[key], text):
        raise place.error('%s is not a limit. Write it as in memory: 2G, cpus: 1.5, pids: 512.' % _show(value))
    number = float(text) if key == 'cpus' else int(text.rstrip('KMGT')) * UNITS.get(text[-1], 1)
    least, most, shown_least, shown_most = BOUNDS[key]
    if not least <= number <= most:
        raise place.error('%s is no limit that a task could run under, or the kernel take. Write one from %s to %s.'
                          % (_show(value), shown_least, shown_most))
    return int(number) if number == int(number) else number


def _service(value, place):
    name = _text(value, 'mysql', place)
    if not re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9._-]*', name):
        raise place.error('%s is not a plain word. Use letters, digits, ".", "_" and "-".' % _show(name))
    return name


def _expected(mapping, rules, encrypted_dns, place):
    actions = {rule.id: rule.action for rule in rules}
    if encrypted_dns == 'deny':
        actions[BUILT_IN] = 'deny'
    denying = [name for name, action in actions.items() if action == 'deny']
    names = set()
    for here, item in _items(mapping, 'expected', '[github]', place):
        name = _text(item, 'github', here)
        if actions.get(name) == 'allow':
            raise here.error('%s is an allow rule, and those never deny. Name deny rules only.' % _show(name))
        if name == BUILT_IN and name not in actions:
            raise here.error('encrypted DNS passes under this policy. Take %s out, or write encrypted_dns: deny.'
                             % name)
        if name not in actions:
            raise here.error('there is no deny rule %s.%s Deny rules here: %s.' % (
                _show(name), _did_you_mean(name, denying), ', '.join(denying[:20]) or 'none'))
        names.add(name)
    return frozenset(names)


# --- the built-in rule ---

def _usual_encrypted_dns(rules):
    """Only rules on names depend on seeing the questions."""
    return 'deny' if any(rule.hosts for rule in rules) else 'allow'


def _built_in(rules, expected):
    """The rule in two parts, because ports narrow both hosts and networks."""
    part = Rule(id=BUILT_IN, action='deny', reason=BUILT_IN_REASON, owner=None, runbook=None,
                expected=BUILT_IN in expected, hosts=(), networks=(), ports=(), paths=(), filesystems=(),
                sockets=())
    return (dataclasses.replace(part, networks=('0.0.0.0/0', '::/0'), ports=(Ports(None, DOT_PORT, DOT_PORT),)),
            dataclasses.replace(part, hosts=_doh_hosts(rules)))


def _doh_hosts(rules):
    """The names of DOH_HOSTS, without what an allow rule names as well: on a tie deny wins, and here its author must.

    An allow rule for a shorter name does not count: a name in this list is the more specific one.
    """
    allowed = set().union(*(rule.hosts for rule in rules if rule.action == 'allow'))
    hosts = []
    for host in DOH_HOSTS:
        name = host.lstrip('.')
        if '.' + name not in allowed:
            forms = (name, '*.' + name) if host.startswith('.') else (name,)
            hosts += [form for form in forms if form not in allowed]
    return tuple(sorted(hosts))


# --- rules ---

def _rule(value, action, taken, place):
    if not isinstance(value, dict):
        raise place.error('%s is not a rule. Write a mapping with id, reason and %s.' % (
            _show(value), _matchers()))
    if 'id' not in value:
        raise place.error('id is missing. Give the rule a short name such as id: github.')
    name = _text(value['id'], 'github', place.inside('id'))
    place = place._replace(words=('rule %s' % _show(name),))
    if not re.fullmatch(r'[a-z0-9][a-z0-9_-]*', name):
        raise place.inside('id').error(
            '%s is not an id. Use a-z, 0-9, "_" and "-"; start with a letter or a digit.' % _show(name))
    if name == BUILT_IN:
        raise place.inside('id').error('this id stands for the built-in rule against encrypted DNS. Choose another.')
    if name in taken:
        raise place.inside('id').error('used twice: %s has it. Every rule needs its own.' % taken[name])
    taken[name] = 'the %s rule' % action + (' in line %d' % place.line() if place.line() else '')
    _check_keys(value, RULE_KEYS, place)

    texts = {key: _text(value[key], example, place.inside(key)) if key in value else None
             for key, example in TEXTS.items()}
    if action == 'deny' and not texts['reason']:
        raise place.error('reason is missing. Write why nothing may reach it, for those whom the rule stops.')
    if texts['runbook'] and not re.fullmatch(r'https?://[^\s/]+\S*', texts['runbook']):
        raise place.inside('runbook').error(
            '%s is not a web address. Start it with https:// or http://.' % _show(texts['runbook']))
    _check_matchers(value, place)
    return Rule(
        id=name, action=action, expected=False,
        hosts=_parsed(value, 'hosts', _host, '[github.com]', place, _normal_host),
        networks=_parsed(value, 'networks', _network, '[192.0.2.0/24]', place, _normal_network),
        ports=_parsed(value, 'ports', _ports, '[443]', place),
        paths=_parsed(value, 'paths', _path, '[/mnt/artifacts]', place),
        filesystems=_parsed(value, 'filesystems', _filesystem, '[nfs4]', place),
        sockets=_parsed(value, 'sockets', _socket, '[/run/docker.sock]', place),
        **texts)


def _parsed(rule, key, parse, example, place, normal=lambda item: None):
    """What a list means, in an order of its own, so that the author's order makes no other policy.

    `normal`: returns what is in its normal form already, as most is, and None for the rest: a policy may list 100,000,
    and parse() takes its time.
    """
    items = _list(rule, key, example, place) if key in rule else ()
    place = place.inside(key)
    found = {normal(item) or parse(item, place.inside(number)) for number, item in enumerate(items)}
    return tuple(sorted(found, key=str))


def _check_matchers(rule, place):
    if 'ports' in rule and 'hosts' not in rule and 'networks' not in rule:
        raise place.error('ports only narrows hosts and networks, and this rule has neither. Add one of '
                          'them; networks: ["0.0.0.0/0", "::/0"] means every address.')
    if not any(key in rule for key in MATCHERS):
        raise place.error('it matches nothing. Add %s.' % _matchers())


def _normal_host(value):
    if isinstance(value, str) and len(value) <= 253 and NORMAL_HOST.fullmatch(value):
        return str(value)
    return None


def _host(value, place):
    """The host in its normal form: lower case, ASCII (IDNA), without the trailing dot; '*.' or '.' in front stays."""
    text = _text(value, 'github.com', place)
    if _parse_network(text.strip('[]')):
        raise place.error('%s is an address, not a name. Write it under networks.' % _show(text))
    if re.search(r'[/:@#\\]', text):
        bare = re.sub(r'^[A-Za-z0-9+.-]*://', '', text).split('/')[0].split('@')[-1].split(':')[0]
        raise place.error('%s is more than a host name. Write the host alone%s; ports go under ports.' % (
            _show(text), ': ' + bare if re.fullmatch(NAME, bare) else ''))
    name = _ascii_name(text, place)
    below = re.match(r'(\*\.|\.)(?=.)', name)
    front = below.group() if below else ''
    name = name[len(front):]
    if '*' in name or '?' in name:
        raise place.error('%s has a wildcard in a wrong place. A wildcard stands for whole labels in front: '
                          '"*.github.com". To deny every name, write default: deny.' % _show(text))
    labels = name.split('.')
    if not all(re.fullmatch(r'[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?', label) for label in labels):
        raise place.error('%s is not a host name. Write one such as github.com: letters, digits and inner '
                          'hyphens between single dots.' % _show(text))
    if len(name) > 253 or max(len(label) for label in labels) > 63:
        raise place.error(TOO_LONG % _show(text))
    if re.fullmatch(r'[0-9]+|0x[0-9a-f]*', labels[-1]):
        raise place.error('%s ends in a number, which makes it an address to many programs. '
                          'Write addresses under networks.' % _show(text))
    return front + name


def _ascii_name(text, place):
    if len(text) > 1000:  # Python's IDNA takes quadratic time
        raise place.error(TOO_LONG % _show(text))
    labels = re.split('[.\u3002\uff0e\uff61]', text)  # IDNA's dots
    if not labels[-1]:
        labels.pop()
    try:
        return '.'.join(label if label.isascii() else _idna(label) for label in labels).lower()
    except UnicodeError:
        raise place.error('%s is too long, or has no ASCII form that all programs agree on. '
                          'Write its xn-- form, as it stands in DNS.' % _show(text)) from None


def _idna(label):
    """The label in ASCII, or UnicodeError where the rule might then name a host that no program asks for."""
    encoded = label.encode('idna').lower()
    # Python knows the older IDNA alone, which leaves what younger Unicode would fold as it is.
    plain = encoded.decode('idna')
    if AMBIGUOUS.search(label) or plain != unicodedata.normalize('NFKC', plain.casefold()):
        raise UnicodeError
    return encoded.decode('ascii')


def _normal_network(value):
    """Whatever inet_ntop(3) would write so. Not what has IPv4 in IPv6, where Python writes other digits."""
    if not isinstance(value, str):
        return None
    address, slash, length = value.partition('/')
    family, bits = (socket.AF_INET6, 128) if ':' in address else (socket.AF_INET, 32)
    if not slash:
        length = str(bits)
    if length not in LENGTHS or (bits == 128 and '.' in address):
        return None
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError):
        return None
    beyond = int.from_bytes(packed, 'big') & ((1 << max(0, bits - int(length))) - 1)
    if int(length) > bits or beyond or socket.inet_ntop(family, packed) != address:
        return None
    return str(value) if slash else '%s/%d' % (address, bits)


def _network(value, place):
    """The network as its text."""
    text = _text(value, '192.0.2.0/24', place)
    network = _parse_network(text)
    if network is None:
        raise place.error('%s is not a network. %s%s' % (
            _show(text), NETWORK_HELP, ' Names go under hosts.' if re.fullmatch(NAME, text) else ''))
    address = ipaddress.ip_network(text.split('/', maxsplit=1)[0])
    if address.network_address != network.network_address:
        raise place.error('%s is an address in a network. Write %s for the network, or %s for the address.'
                          % (_show(text), _unmapped(network), _unmapped(address)))
    return str(_unmapped(network))


def _parse_network(text):
    if not re.fullmatch(r'[0-9a-fA-F.:]+(/[0-9]+)?', text):  # ipaddress takes netmasks and scopes too
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _unmapped(network):
    """IPv4 through an IPv6 socket appears as ::ffff:a.b.c.d, and is judged as the IPv4 it is."""
    if network.version == 6 and network.subnet_of(MAPPED):
        return ipaddress.IPv4Network((int(network.network_address) & 0xffffffff, network.prefixlen - 96))
    return network


def _ports(value, place):
    text = _show(value) if _is_integer(value) else _text(value, '443', place)
    match = re.fullmatch(r'(?:(tcp|udp)/)?([0-9]{1,6})(?:-([0-9]{1,6}))?', text)
    if not match or max(int(match.group(2)), int(match.group(3) or 0)) > 65535:
        raise place.error('%s is not a port. %s' % (_show(value), PORT_HELP))
    protocol, low, high = match.group(1), int(match.group(2)), int(match.group(3) or match.group(2))
    if low > high:
        raise place.error('%s runs backwards. Write "%s".' % (_show(value), Ports(protocol, low=high, high=low)))
    return Ports(protocol, low, high)


def _path(value, place):
    """The path with single slashes, and none at its end. Spaces inside stay: names of files may have them."""
    text = _printable(_string(value, '/mnt/artifacts', place), place)
    if len(text.encode()) > PATH_SIZE:
        raise place.error('%s is too long. A path has at most %d bytes.' % (_show(text), PATH_SIZE))
    if text != text.strip():
        raise place.error('%s begins or ends with a space. Take it out.' % _show(text))
    if FILLED_IN.search(text):
        raise place.error('%s is not filled in: ~, variables and templates mean nothing here. Write the whole path, '
                          'such as /home/deploy/bin.' % _show(text))
    if not text.startswith('/'):
        more = ('Types of file systems go under filesystems.' if '/' not in text else
                'The server of a mount goes under hosts or networks.' if ':/' in text else '')
        raise place.error(('%s is not an absolute path. Write it from the root on, such as /mnt/artifacts. %s'
                           % (_show(text), more)).rstrip())
    parts = [part for part in text.split('/') if part]
    if not parts:
        raise place.error("%s means every file, also the shell that each task runs in. Name a directory, or types of "
                          'file systems under filesystems.' % _show(text))
    path = '/' + '/'.join(parts)
    if '.' in parts or '..' in parts:
        normal = posixpath.normpath(path)
        raise place.error('%s has a "." or ".." between slashes. Write the path without it%s.' % (
            _show(text), ': %s' % _show(normal) if normal != '/' else ''))
    wildcard = WILDCARD.search(path)
    if wildcard:
        above = path[:wildcard.start()].rpartition('/')[0]
        raise place.error('%s has a wildcard in it, and paths have none. A directory means all that is below it: '
                          'write %seach path by itself.' % (_show(text), '%s, or ' % _show(above) if above else ''))
    if max(len(part.encode()) for part in parts) > PART_SIZE:
        raise place.error('%s is too long. There are at most %d bytes between two slashes.' % (_show(text), PART_SIZE))
    return path


def _filesystem(value, place):
    text = _text(value, 'nfs4', place)
    if '*' in text and not re.fullmatch(r'fuse(blk)?\.\*', text):
        raise place.error('%s has a wildcard in a wrong place. A wildcard stands for every subtype of FUSE alone: '
                          '"fuse.*". Write each other type by itself.' % _show(text))
    if not FILESYSTEM.fullmatch(text):
        bare = text.lower().partition('.')[0]
        more = ('Paths go under paths.' if '/' in text else
                'Did you mean %s?' % text.lower() if FILESYSTEM.fullmatch(text.lower()) else
                'Only fuse has something behind a dot. Did you mean %s?' % bare if FILESYSTEM.fullmatch(bare) else '')
        raise place.error(('%s is not a type of file systems. Write it as /proc/mounts shows it, such as nfs4 or '
                           'fuse.sshfs. %s' % (_show(text), more)).rstrip())
    if max(map(len, text.split('.', 1))) > TYPE_SIZE:
        raise place.error('%s is too long. A type has at most %d bytes, and as many behind the dot.'
                          % (_show(text), TYPE_SIZE))
    return text


def _socket(value, place):
    """The path of a socket, or '@name' of one without a file, as ss(8) shows it."""
    text = _string(value, '/run/docker.sock', place)
    if text.startswith('@') and len(text) > 1:
        _printable(text, place)
    elif text.startswith('/') and text.endswith('/'):
        raise place.error('%s is a directory. Write each socket by itself, such as /run/docker.sock.' % _show(text))
    elif not re.match('[/~$]', text):
        raise place.error('%s is no unix socket. Write its path from the root on, such as /run/docker.sock, or @name for one '
                          'without a file.' % _show(text))
    else:
        text = _path(value, place)
    if len(text.encode()) > SOCKET_SIZE:
        raise place.error('%s is too long. The address of a unix socket has at most %d bytes.' % (_show(text), SOCKET_SIZE))
    return text


# --- shapes that several keys share ---

def _available(feature, place):
    if feature in NOT_YET:
        raise place.error('this version %s, so the policy would be weaker than it reads. Meanwhile %s.'
                          % NOT_YET[feature])


def _offered(keys):
    return [key for key in keys if key not in NOT_YET]


def _matchers():
    *others, last = _offered(MATCHERS)
    return '%s or %s' % (', '.join(others), last)


def _check_keys(mapping, known, place):
    for key in mapping:
        if key not in known:
            here = place.inside(key)._replace(words=place.words)
            raise here.error('unknown key %s.%s Allowed here: %s.' % (
                _show(key), _did_you_mean(key, known), ', '.join(_offered(known))))


def _filled_mapping(mapping, key, known, example, place):
    """The place of mapping[key], which must be a mapping with something in it."""
    here, value = place.inside(key), mapping[key]
    if not isinstance(value, dict) or not value:
        raise here.error('%s where a mapping is needed. Write %s: %s.' % (_show(value), key, example))
    _check_keys(value, known, here)
    return here


def _items(mapping, key, example, place):
    """The place and the value of each item of the list mapping[key], which must have some."""
    inside = place.inside(key)
    return [(inside.inside(number), item) for number, item in enumerate(_list(mapping, key, example, place))]


def _list(mapping, key, example, place):
    """The list mapping[key], which must have something in it."""
    value, place = mapping[key], place.inside(key)
    if not isinstance(value, list) or not value:
        if isinstance(value, str) and re.fullmatch(r'[^"\\\s]{1,80}', value):
            example = '["%s"]' % value
        raise place.error('%s where a list with something in it is needed. Write %s: %s, or leave %s out.' % (
            _show(value), key, example, key))
    return value


def _text(value, example, place):
    """The text on one line, because reports print it in tables."""
    return _printable(' '.join(_string(value, example, place).split()), place)


def _string(value, example, place):
    if not isinstance(value, str):
        fix = 'Write %s' % example if value is None or isinstance(value, (dict, list)) else 'Put it in quotes'
        raise place.error('%s where text is needed. %s.' % (_show(value), fix))
    if not value.strip():
        raise place.error('the text is empty. Write %s.' % example)
    return value


def _printable(text, place):
    if re.search('[\x00-\x1f\x7f-\x9f\ud800-\udfff]', text):
        raise place.error('%s has control characters in it. Take them out.' % _show(text))
    return text


def _is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)  # to Python, true is 1


def _choice(value, choices, place):
    if not isinstance(value, str) or value not in choices:
        raise place.error('%s is no %s.%s Write %s.' % (
            _show(value), place.words[-1], _did_you_mean(value, choices), ' or '.join(choices)))
    return str(value)


# --- how errors speak ---

class _Place(typing.NamedTuple):
    """Where in the policy a value stands; every error opens with it."""

    source: str
    lines: dict
    path: tuple = ()
    words: tuple = ()

    def inside(self, key):
        words = self.words + (key,) if isinstance(key, str) else self.words
        return self._replace(path=self.path + (key,), words=words)

    def line(self):
        """The line of the longest known part of the path: what is missing has the line of its rule."""
        for end in range(len(self.path), -1, -1):
            if self.path[:end] in self.lines:
                return self.lines[self.path[:end]]
        return None

    def error(self, problem):
        where = '%s:%d' % (self.source, self.line()) if self.line() else self.source
        return PolicyError(': '.join((where,) + self.words + (problem,)))


def _did_you_mean(word, known):
    near = difflib.get_close_matches(word[:100], known, 1) if isinstance(word, str) else ()
    return ' Did you mean %s?' % near[0] if near else ''


def _show(value):
    """A value as its author would know it again, and never long: a nested one may be huge."""
    if isinstance(value, str):
        return repr(str(value) if len(value) <= 80 else value[:77] + '...')
    if isinstance(value, (dict, list)):
        return ('a ' if value else 'an empty ') + ('mapping' if isinstance(value, dict) else 'list')
    if value is None:
        return 'nothing'
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, int) and value.bit_length() > 128:
        return 'a huge number'
    return str(value) if isinstance(value, (int, float, datetime.date)) else 'a ' + type(value).__name__
