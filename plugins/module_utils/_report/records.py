# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What the kernel recorded, as the plain records that users read. Pure but for reading the clocks."""

from __future__ import annotations

import ipaddress
import itertools
import re
import socket
import time
import typing

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names, _secrets
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import clock
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import classes

MODES = {_abi.MODE_MONITOR: 'monitor', _abi.MODE_ENFORCE: 'enforce', _abi.MODE_DRILL: 'drill'}
KINDS = {_abi.KIND_CONNECT: 'connect', _abi.KIND_SEND: 'send', _abi.KIND_DNS: 'dns', _abi.KIND_TLS: 'tls',
         _abi.KIND_HTTP: 'http', _abi.KIND_UNIX: 'unix', _abi.KIND_FILE: 'file', _abi.KIND_EXEC: 'exec'}
VERDICTS = {_abi.VERDICT_ALLOWED: 'allowed', _abi.VERDICT_DENIED: 'denied', _abi.VERDICT_WOULD_DENY: 'would_deny'}
PROTOCOLS = {socket.IPPROTO_TCP: 'tcp', socket.IPPROTO_UDP: 'udp', socket.IPPROTO_ICMP: 'icmp',
             socket.IPPROTO_ICMPV6: 'icmpv6', 132: 'sctp'}
NO_RULE = {'id': None, 'reason': None, 'owner': None, 'runbook': None, 'expected': False, 'paths': []}
UNREADABLE = dict(NO_RULE, reason='it could not be read, so no rule could be asked')
LOCKED = dict(NO_RULE, reason='the policy says lock: true, and this leads out of the guard')
BY_DEFAULT = dict(NO_RULE, reason='no rule allows it, and the policy says default: deny')
# behind the reason of a denial that a name could have averted
SHARED, NAMELESS = '(shared address, no name presented)', '(no name presented)'
NO_PATH = 'a file that has no path here'  # it was removed, or is of another mount namespace
SHOWN_PIDS = 50  # of the processes of a row
LAUNCHER = re.compile(rb'[^\0]+\0/run/ebpf_guard/[^/\0]+/launcher\0')  # the command line of one


def describe(rule, outage=None):
    """What a record tells of its rule, for the guard's memory. `outage`: how what it denies is down; None: this is no drill."""
    return {'id': rule.id, 'reason': rule.reason, 'owner': rule.owner, 'runbook': rule.runbook,
            'expected': rule.expected, 'paths': list(rule.paths), **({'via': list(rule.via)} if rule.via else {}),
            **({'outage': outage} if outage else {})}


def counters(totals):
    """The sums of ebg_counters, as {kind: {verdict: n}}, and numbers: lost, forgotten, name_services, left."""
    sums = {name: {verdict: totals[kind * _abi.VERDICTS + slot] for slot, verdict in VERDICTS.items()}
            for kind, name in KINDS.items()}
    return dict(sums, lost=totals[_abi.COUNTER_LOST], forgotten=totals[_abi.COUNTER_FORGOTTEN],
                name_services=totals[_abi.COUNTER_SERVICE], left=totals[_abi.COUNTER_LEFT] - totals[_abi.COUNTER_BACK])


def denials(totals):
    """How many accesses were denied, of every kind."""
    return sum(totals[kind * _abi.VERDICTS + _abi.VERDICT_DENIED] for kind in KINDS)


def _rule_of(rules, number, none):
    if number < _abi.RULE_FIRST:
        return {_abi.RULE_UNREADABLE: UNREADABLE, _abi.RULE_LOCK: LOCKED}.get(number, none)
    index = number - _abi.RULE_FIRST
    if index < len(rules):
        return rules[index]
    return dict(NO_RULE, id='rule-%d' % number, reason="the guard's memory of this rule was lost")


def why(rules, number):
    """Why something was denied, in a few words for those to whom it happened."""
    rule = _rule_of(rules, number, BY_DEFAULT)
    return 'rule %s: %s' % (rule['id'], rule['reason']) if rule['id'] else rule['reason']


class Reader:
    """Turns entries of the tables into records.

    Knows the rules by number, the names by address, and the images that processes descend from by their run, as bytes.
    `outage`: how in a drill is down what no rule speaks of.
    """

    def __init__(self, rules, names, images, mode, outage='denied'):
        self.rules, self.names, self.images, self.mode, self._lineages = rules, names, images, mode, {}
        self.outage = outage
        # the second goes on while the host sleeps
        self.began, self.boot = clock.zero(time.CLOCK_MONOTONIC), clock.zero(time.CLOCK_BOOTTIME)

    def denials(self, entries):
        """A record for each thing that a command was denied: what it was denied again, or in other processes of the same task,
        is counted in `count` and in `processes`.
        """
        rows = {}
        for key, value in entries:
            lineage = self._lineage(value.above)
            what = (key.rule, key.mode, bytes(key.endpoint), bytes(value.name), value.uid, _words(value), lineage.words,
                    lineage.entered or bytes(value.run))
            row = rows.get(what)
            if row is None:
                row = rows[what] = _Row(key, value)
            row.add(value)
        return self._sorted(self._denial(row, self._rule(row.key.rule, BY_DEFAULT)) for row in rows.values())

    def _denial(self, row, rule):
        record = self._record(row.key.endpoint, row.first, rule, MODES[row.key.mode], row.last_seen)
        return dict(record, count=row.count, processes=len(row.runs), pids=sorted(row.pids), outage=self._outage(record, rule))

    def observations(self, entries):
        return self._sorted(self._record(key.endpoint, value, self._rule(value.rule, NO_RULE), self.mode, value.last_seen)
                            for key, value in entries)

    def _sorted(self, records):
        return sorted(records, key=lambda record: (record['first_seen'], endpoint(record), record['pid']))

    def _rule(self, number, none):
        return _rule_of(self.rules, number, none)

    def _time(self, nanoseconds, zero=None):
        return clock.stamp((zero or self.began) + nanoseconds / 1e9)

    def _began(self, run):
        return self._time(run.started, self.boot) if run.pid else None

    def _name(self, endpoint, value, address):
        """The name that was asked for or presented; where none was, those that are known to lead to the address."""
        if value.name[0]:
            return _names.from_wire(bytes(value.name))
        return None if endpoint.kind == _abi.KIND_DNS else self.names.get(address)

    def _what(self, endpoint, value):
        """What the access was about: an address and maybe a name, or a path."""
        if endpoint.kind in (_abi.KIND_UNIX, _abi.KIND_FILE, _abi.KIND_EXEC):
            return {'name': None, 'address': None, 'port': 0, 'protocol': None, 'path': _path(bytes(value.name))}
        address = _address(bytes(endpoint.address))
        return {'name': self._name(endpoint, value, address), 'address': address, 'port': endpoint.port,
                'protocol': PROTOCOLS.get(endpoint.protocol, str(endpoint.protocol)), 'path': None}

    def _lineage(self, run):
        """What a process with this run above it descends from. Most processes share it with others."""
        key = bytes(run)
        if key not in self._lineages:
            above = list(itertools.islice(self._above(run), _abi.ANCESTORS))
            outermost = above[-1][0] if above else None
            beyond = above[-1][1].above if above else run  # not all 0: there was no room for what is above
            commands = [Command(one.pid, _arguments(image), image.args_length == _abi.ARGS) for one, image in above
                        if not LAUNCHER.match(bytes(image.args))]  # through which tasks become another user
            self._lineages[key] = Lineage(tuple(_words(image) for _run, image in above),
                                          outermost and self._began(outermost), commands,
                                          [command.shown() for command in commands],
                                          bytes(beyond) if beyond.pid else bytes(outermost or b''))
        return self._lineages[key]

    def _above(self, run):
        """(run, image) of each that a process descends from, nearest first. `run`: the one above it."""
        image = self.images.get(bytes(run))
        while image:
            yield run, image
            run, image = image.above, self.images.get(bytes(image.above))

    def _outage(self, record, rule):
        """How in a drill it was down; a path is denied, whatever the policy says."""
        if record['mode'] != 'drill':
            return None
        return rule.get('outage', self.outage) if record['address'] else 'denied'

    def _record(self, endpoint, value, rule, mode, last_seen):
        what = {'kind': KINDS[endpoint.kind], **self._what(endpoint, value)}
        nameless = _nameless(endpoint, value, rule, what['name'])
        lineage = self._lineage(value.above)
        first = self._time(value.first_seen)
        own = Command(value.run.pid, _arguments(value), value.args_length == _abi.ARGS)
        shown = [own.shown(), *lineage.shown]
        its_class, evidence = classes.of(what, rule, [command.arguments for command in (own, *lineage.commands)], shown,
                                         bool(value.name[0]))
        return {
            'rule': rule['id'], 'reason': ' '.join(filter(None, (rule['reason'], nameless))) or None,
            'owner': rule['owner'], 'runbook': rule['runbook'],
            'expected': rule['expected'], 'kind': what['kind'],
            'class': its_class, **what,
            'count': value.count, 'first_seen': first,
            'last_seen': first if last_seen == value.first_seen else self._time(last_seen),
            'pid': value.run.pid, 'uid': value.uid, 'command': shown[0]['command'], 'ancestry': shown[1:],
            'evidence': evidence,
            'entered': lineage.began or self._began(value.run), 'mode': mode,
        }


class _Row:
    """The denials that are one record: the details of the first one, and what counts of all."""

    __slots__ = 'key', 'first', 'first_seen', 'last_seen', 'count', 'runs', 'pids'

    def __init__(self, key, value):
        self.key, self.first, self.first_seen, self.last_seen = key, value, value.first_seen, 0
        self.count, self.runs, self.pids = 0, set(), set()

    def add(self, value):
        if value.first_seen < self.first_seen:
            self.first, self.first_seen = value, value.first_seen
        self.last_seen = max(self.last_seen, value.last_seen)
        self.count += value.count
        self.runs.add(bytes(value.run))
        if len(self.pids) < SHOWN_PIDS:
            self.pids.add(value.run.pid)


def _nameless(endpoint, value, rule, names):
    """What is to be said behind the reason where a connection presented no name. An address alone was judged before."""
    if endpoint.protocol != socket.IPPROTO_TCP or value.name[0] or rule['reason'] == UNREADABLE['reason']:
        return ''
    if ', ' in (names or '') and endpoint.kind in (_abi.KIND_SEND, _abi.KIND_TLS, _abi.KIND_HTTP):
        return SHARED
    return NAMELESS if endpoint.kind in (_abi.KIND_TLS, _abi.KIND_HTTP) else ''


def now():
    return clock.stamp(time.time())


def _address(packed):
    address = ipaddress.IPv6Address(packed)
    return str(address.ipv4_mapped or address)


def names_by_address(heard):
    """{address: the names that are known to lead there}, from the entries of ebg_heard."""
    names = {}
    for key, value in heard:
        known = names.setdefault(_address(bytes(key.address)), set())
        known.update(_names.from_wire(bytes(name)) for name in (value.name, value.target) if name[0])
    return {address: ', '.join(sorted(known)) for address, known in names.items()}


class Command(typing.NamedTuple):
    """A process of a record, with its command line as it was."""

    pid: int
    arguments: tuple
    cut: bool

    def shown(self):
        return {'pid': self.pid, 'command': _secrets.shown(self.arguments, self.cut)}


class Lineage(typing.NamedTuple):
    """What a process descends from, nearest first. `entered`: what tells it from others that came in by themselves."""

    words: tuple
    began: typing.Any  # when the outermost process did; None: nothing is known above this one
    commands: list
    shown: list
    entered: bytes


def _words(value):
    """The command line of a record or an image, as the kernel kept it."""
    return bytes(value.args)[:value.args_length] or value.comm


def _arguments(value):
    arguments = _secrets.arguments(bytes(value.args)[:value.args_length])
    return arguments if any(arguments) else (_text(value.comm),)


def _text(comm):
    return comm.decode('utf-8', 'replace')


def _path(kept):
    """The path that the kernel kept, on one line and fit for a terminal: what is not text stands as \\xff or \\u202e."""
    text = kept.partition(b'\0')[0].decode('utf-8', 'backslashreplace')
    return ''.join(char if char.isprintable() else char.encode('unicode_escape').decode('ascii') for char in text) or None


def endpoint(record):
    """A path, or an address as people write it: 192.0.2.10:443/tcp, [2001:db8::1]:53/udp, 192.0.2.10/icmp."""
    address = record['address']
    if not address:
        return record['path'] or NO_PATH
    if record['port']:
        address = '%s:%d' % ('[%s]' % address if ':' in address else address, record['port'])
    return '%s/%s' % (address, record['protocol'])
