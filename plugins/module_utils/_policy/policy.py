# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A checked policy: what a guard enforces, and its canonical form."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import encrypted_dns, shapes
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import MATCHERS, OUTAGES, Rule

MODES = ('monitor', 'enforce', 'drill')
ON_NEW = ('report', 'fail')  # the first where the policy does not say
ON_DENIED = ('finish', 'stop')  # the same
UNRESOLVABLE = ('nxdomain', 'servfail')  # the same
INTERVAL = 30  # seconds between two looks at the addresses of the rules' names
ACTIONS = ('deny', 'allow')
LIMITS = ('memory', 'cpus', 'pids')


@dataclasses.dataclass(frozen=True)
class Policy:
    version: int
    service: str | None
    mode: str
    default: str
    rules: tuple  # deny rules first, and of these what follows from the service map last; else in the order of the file
    expected: frozenset  # ids of deny rules, the built-in one's too
    encrypted_dns: str  # deny or allow
    interval: int  # seconds; 0: names are looked up once, when the guard starts
    lock: bool  # no process leaves the guard
    ways_out: tuple  # unix sockets that lead out, besides those that are known: recorded, never denied
    limits: tuple  # of (memory, bytes), (cpus, number), (pids, number), those that there are
    baseline: str | None = None  # the file with the dependencies that are known, as the policy names it
    on_new: str = ON_NEW[0]  # what an access means that the baseline does not have
    on_denied: str = ON_DENIED[0]  # stop: after a denial in mode enforce no further task starts on the host
    outage: str = OUTAGES[0]  # how what is denied is down in mode drill, where its rule does not say
    unresolvable: str = UNRESOLVABLE[0]  # how a question for such a name is answered

    @property
    def all_rules(self):
        """What a guard enforces. Rules with one id are parts of one: the last two share the built-in id."""
        return self.rules + (encrypted_dns.built_in(self.rules, self.expected) if self.encrypted_dns == 'deny' else ())

    @property
    def is_idle(self):
        """Whether a guard would have nothing to do but to look on."""
        asks = self.lock, self.limits, self.ways_out, self.baseline, self.encrypted_dns != encrypted_dns.usual(self.rules)
        return self.default == 'allow' and not any(asks) and not any(rule.action == 'deny' for rule in self.rules)

    @property
    def has_files(self):
        """Whether any rule speaks of files, so that the guard has to judge them."""
        return any(rule.paths or rule.filesystems for rule in self.rules)

    @property
    def unknown(self):
        """Services that would be denied, had the service map endpoints of them."""
        return [rule.via[0] for rule in self.rules if not any(getattr(rule, kind) for kind in MATCHERS)]

    def outage_of(self, rule=None):
        """How what this rule denies is down, or what no rule speaks of. None: this is no drill."""
        if self.mode != 'drill':
            return None
        return rule and rule.outage or self.outage

    @property
    def outages(self):
        """How what is denied is down in this drill, in all ways that there are but the default. Else none."""
        used = {self.outage_of(rule) for rule in (None, *self.rules)}
        return tuple(outage for outage in OUTAGES[1:] if outage in used)

    @property
    def has_sockets(self):
        return any(rule.sockets for rule in self.rules)

    def settings(self):
        """The canonical plain mapping without its rules, of which there may be very many."""
        mapping = {key: getattr(self, key) for key in ('version', 'service', 'mode', 'default')}
        mapping['expected'] = sorted(self.expected)
        if self.encrypted_dns != encrypted_dns.usual(self.rules):
            mapping['encrypted_dns'] = self.encrypted_dns
        if self.interval != INTERVAL:
            mapping['resolve'] = {'interval': self.interval}
        mapping['lock'] = self.lock
        mapping['ways_out'] = list(self.ways_out)
        mapping['limits'] = dict(self.limits)
        mapping['baseline'] = self.baseline
        if self.on_new != ON_NEW[0]:
            mapping['on_new'] = self.on_new
        if self.on_denied != ON_DENIED[0]:
            mapping['on_denied'] = self.on_denied
        if self.outage != OUTAGES[0]:
            mapping['outage'] = self.outage
        if self.unresolvable != UNRESOLVABLE[0]:
            mapping['unresolvable'] = self.unresolvable
        return {key: value for key, value in mapping.items() if value}

    def as_mapping(self):
        """The canonical plain mapping: fit for JSON. check() of it gives an equal Policy, unless rules follow from a map."""
        rules = {action: [rule.as_mapping() for rule in self.rules if rule.action == action] for action in ACTIONS}
        return {**self.settings(), **{action: items for action, items in rules.items() if items}}

    @classmethod
    def of(cls, mapping):
        """The policy whose pieces(many.packed) this is. Nothing is checked."""
        expected = frozenset(mapping.get('expected', ()))
        rules = tuple(Rule.of(item, action, item['id'] in expected) for action in ACTIONS for item in mapping.get(action, ()))
        limits = mapping.get('limits', {})
        return cls(version=mapping['version'], service=mapping.get('service'), mode=mapping['mode'], default=mapping['default'],
                   rules=rules, expected=expected, encrypted_dns=mapping.get('encrypted_dns', encrypted_dns.usual(rules)),
                   interval=mapping.get('resolve', {}).get('interval', INTERVAL), lock=mapping.get('lock', False),
                   ways_out=tuple(mapping.get('ways_out', ())),
                   limits=tuple((key, limits[key]) for key in LIMITS if key in limits),
                   baseline=mapping.get('baseline'), on_new=mapping.get('on_new', ON_NEW[0]),
                   on_denied=mapping.get('on_denied', ON_DENIED[0]), outage=mapping.get('outage', OUTAGES[0]),
                   unresolvable=mapping.get('unresolvable', UNRESOLVABLE[0]))

    def pieces(self, spelled=list):
        """The mapping as JSON in its shortest form, rule by rule: as one text it may be large. `spelled`: as a rule has it."""
        settings = self.settings()
        present = {rule.action for rule in self.rules}
        for number, key in enumerate(sorted({*settings, *present})):
            yield '%s"%s":' % (',' if number else '{', key)
            if key in present:
                rules = (rule for rule in self.rules if rule.action == key)
                for position, rule in enumerate(rules):
                    yield (',' if position else '[') + _as_json(rule.as_mapping(spelled))
                yield ']'
            else:
                yield _as_json(settings[key])
        yield '}'

    def sha256(self):
        """The same for every spelling of a policy. The order of rules counts, that inside a rule doesn't."""
        return self._sha256

    @functools.cached_property
    def _sha256(self):
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece.encode('ascii'))
        return digest.hexdigest()

    def with_mode(self, mode):
        return dataclasses.replace(self, mode=shapes.choice(mode, MODES, Where('policy', {}).inside('mode')))


def _as_json(value):
    return json.dumps(value, sort_keys=True, separators=(',', ':'))
