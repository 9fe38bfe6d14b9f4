# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""A baseline: the dependencies of a deployment that are known. What a record is as a dependency, and whether it is known.

The text of a file goes in, and comes out as a Baseline, or one clear PolicyError. How the text is changed: _baseline_text.
"""

from __future__ import annotations

import datetime
import functools
import ipaddress
import re
from typing import NamedTuple

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import file_matchers, matchers, shapes
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where, show
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import Ports
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import TASK_DIRECTORY, asked_name
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _policy_file


def _path(value, where):
    """As a record shows one: no rule is made of it, so it may have in it what a policy's can't."""
    text = shapes.printable(shapes.string(value, '/usr/bin/curl', where), where)
    if text[0] not in '/@' or len(text) < 2:
        raise where.error('%s is no whole path. Write it from the root on, such as /usr/bin/curl.' % show(text))
    return text.rstrip('/') or text


# What a dependency is, by the key that says so in a baseline, and what reads it; in the order of the file
KINDS = {'host': matchers.host, 'network': matchers.network, 'path': _path, 'filesystem': file_matchers.filesystem,
         'socket': _path, 'exec': _path}
WITH_PORTS = ('host', 'network')
# Every deployment has programs executed, and few ask others to act: these are compared where a baseline has some at all
WHERE_LISTED = ('socket', 'exec')
OF_PATHS = {'unix': 'socket', 'file': 'path', 'exec': 'exec'}  # by the kind of a record
KEYS = (*KINDS, 'ports', 'reason', 'reviewed', 'tasks', 'commands', 'first_seen', 'runs', 'hosts')  # in their order
SERVICE_LABELS = re.compile(r'(_[a-z0-9_-]+\.)+')  # _http._tcp. before the name whose service is asked for
RUNS = re.compile(r'([0-9]{1,9})/([0-9]{1,9})')


class Dependency(NamedTuple):
    """What a record speaks of, in the words of a baseline."""

    kind: str  # of KINDS
    names: tuple  # what it is. Of a host: all names that are known to lead to the address, where none was said
    port: str | None  # as policies write it; None: the record tells of none


def of(record):
    """The Dependency that a record shows. None: the host itself (loopback), a row that tells of no single thing, or no access.

    A UDP connect to port 0 sends nothing: by it a resolver library asks from which address it would send.
    """
    kind = record.get('kind')
    if record.get('stands_for') or kind == 'connect' and record.get('protocol') == 'udp' and not record.get('port'):
        return None
    if kind in OF_PATHS:
        path = record.get('path')  # what Ansible puts there for a task has another name each time
        return Dependency(OF_PATHS[kind], (path,), None) if path and not TASK_DIRECTORY.match(path) else None
    asked = asked_name(record)
    names = (asked,) if asked else tuple(filter(None, (record.get('name') or '').split(', ')))
    names = tuple(dict.fromkeys(SERVICE_LABELS.sub('', name.lower()) for name in names))
    address = _address(record.get('address'))
    if not asked and (address is None or address.is_loopback or address.is_unspecified) or names == ('localhost',):
        return None
    if not names:
        return Dependency('network', ('%s/%d' % (address, address.max_prefixlen),), _port(record))
    # A question tells no port, and a request that of a proxy
    return Dependency('host', names, None if kind == 'dns' or kind == 'http' and asked else _port(record))


def is_proxied(record):
    """Does it say a name, and not to which port?"""
    return record.get('kind') == 'http' and bool(asked_name(record))


@functools.lru_cache(maxsize=4096)
def _address(text):
    try:
        return ipaddress.ip_address(text) if text else None
    except ValueError:
        return None


def _port(record):
    """TCP's is every protocol's: resolver libraries try an address by UDP, at the port that TCP is to have."""
    return ('udp/%d' if record.get('protocol') == 'udp' else '%d') % (record.get('port') or 0)


def is_among(port, ports):
    """Do some of the ports, as policies write them, mean this one?"""
    wanted = Ports.of(port)
    return any(one.protocol in (None, wanted.protocol) and one.low <= wanted.low and wanted.high <= one.high
               for one in map(Ports.of, ports))


class Entry:
    """One dependency of a baseline. `data`: all that the file says of it, each value in its plain form."""

    def __init__(self, kind, what, data):
        self.kind, self.what, self.data = kind, what, data

    def has_port(self, port):
        """`port`: as a Dependency has it. An entry without ports means every one."""
        given = self.data.get('ports')
        if port is None or given is None:
            return True
        return is_among(port, given)

    @property
    def sort_key(self):
        return list(KINDS).index(self.kind), self.what.lstrip('*.'), self.what

    @property
    def is_of_people(self):
        return 'reason' in self.data or 'reviewed' in self.data


class Baseline:
    """`fold`: (kind, what) of each that what is below it is told as."""

    def __init__(self, service=None, fold=(), entries=()):
        self.service, self.fold, self.entries = service, tuple(fold), list(entries)
        self._index = Index(self.entries)

    @property
    def kinds(self):
        """What is compared with it."""
        return {kind for kind in KINDS if kind not in WHERE_LISTED} | {entry.kind for entry in self.entries}

    def knows(self, record):
        """Is what a record speaks of no news? True as well of what is not compared, and of what is no dependency."""
        dependency = of(record)
        return dependency is None or dependency.kind not in self.kinds or bool(self.covering(dependency))

    def covering(self, dependency):
        """The entries that speak of a dependency. Of several names, each alone can be the one that was meant."""
        return [entry for name in dependency.names for entry in self._index.find(dependency.kind, name)
                if entry.has_port(dependency.port)]


class Index:
    """Finds what speaks of a name, an address or a path: itself, and all above it."""

    def __init__(self, entries):
        self._known = {}
        for entry in entries:
            self._known.setdefault((entry.kind, entry.what), []).append(entry)
        self._lengths = {(network.version, network.prefixlen)
                         for network in (ipaddress.ip_network(entry.what) for entry in entries if entry.kind == 'network')}

    def find(self, kind, name):
        return [entry for what in self._ways(kind, name) for entry in self._known.get((kind, what), ())]

    def _ways(self, kind, name):
        yield name
        if kind == 'host':
            yield '.' + name.lstrip('*.')
            above = name.lstrip('*.').partition('.')[2]
            while above:
                yield from ('.' + above, '*.' + above)
                above = above.partition('.')[2]
        elif kind == 'network':
            network = ipaddress.ip_network(name)
            for version, length in sorted(self._lengths, reverse=True):
                if version == network.version and length < network.prefixlen:
                    yield str(network.supernet(new_prefix=length))
        elif kind in ('path', 'exec'):
            while name.rpartition('/')[0]:
                name = name.rpartition('/')[0]
                yield name


def parse(text, source):
    """The Baseline that a text means; PolicyError, with file and line, where it is none."""
    if not text.strip():
        raise PolicyError('%s: the file is empty. Remove it, and learn writes it anew.' % source)
    mapping, lines = _policy_file.parse(text, source)
    where = Where(source, lines)
    if not isinstance(mapping, dict) or not ('dependencies' in mapping and 'version' in mapping):
        raise where.error('this is no baseline. One has version: 1, and dependencies. learn writes it where no file is.')
    version = mapping['version']
    if not shapes.is_integer(version) or version != 1:
        raise where.inside('version').error('%s is not supported. Write version: 1, without quotes.' % show(version))
    shapes.check_keys(mapping, ('version', 'service', 'fold', 'dependencies'), where)
    service = shapes.text(mapping['service'], 'mysql', where.inside('service')) if 'service' in mapping else None
    fold = [found for here, item in _items(mapping, 'fold', where) for found in _folded(item, here)]
    entries, taken = [], {}
    for here, item in _items(mapping, 'dependencies', where):
        entry = _entry(item, here)
        if (entry.kind, entry.what) in taken:
            raise here.error('%s %s stands twice: line %s has it, too. Keep one.' % (
                entry.kind, show(entry.what), taken[entry.kind, entry.what]))
        taken[entry.kind, entry.what] = here.line()
        entries.append(entry)
    return Baseline(service, fold, entries)


def _items(mapping, key, where):
    """Where each item stands, and its value. A list may be empty here."""
    value, inside = mapping.get(key), where.inside(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise inside.error('%s where a list is needed.' % show(value))
    return [(inside.inside(number), item) for number, item in enumerate(value)]


def _folded(value, where):
    """The (kind, what) of each that one item of `fold` means."""
    text = shapes.text(value, '.example.com', where)
    if text.startswith('/'):
        path = file_matchers.path(text, where)
        return ('path', path), ('exec', path)
    if '/' in text:
        return [('network', matchers.network(text, where))]
    if not text.startswith('.'):
        raise where.error('%s is nothing to fold to. Write a domain with a dot in front (.example.com), a network '
                          '(10.0.0.0/8), or a directory (/mnt/artifacts).' % show(text))
    return [('host', matchers.host(text, where))]


def _entry(value, where):
    if not isinstance(value, dict):
        raise where.error('%s is no dependency. Write a mapping with one of %s.' % (show(value), ', '.join(KINDS)))
    shapes.check_keys(value, KEYS, where)
    kinds = [kind for kind in KINDS if kind in value]
    if len(kinds) != 1:
        raise where.error('a dependency is one thing. Write one of %s.' % ', '.join(KINDS))
    kind = kinds[0]
    what = KINDS[kind](value[kind], where.inside(kind))
    where = where._replace(words=('%s %s' % (kind, show(what)),))
    data = {kind: what}
    if value.get('ports') is not None:
        if kind not in WITH_PORTS:
            raise where.inside('ports').error('a %s has no ports. Take them out.' % kind)
        data['ports'] = [str(matchers.ports(item, here)) for here, item in _items(value, 'ports', where)]
    for key in ('tasks', 'commands'):
        if key in value:
            data[key] = [shapes.string(item, 'a text', here) for here, item in _items(value, key, where)]
    if value.get('reason') is not None:
        data['reason'] = shapes.text(value['reason'], 'why the deployment needs it', where.inside('reason'))
    if value.get('reviewed') is not None:
        if not isinstance(value['reviewed'], bool):
            raise where.inside('reviewed').error('%s is neither true nor false.' % show(value['reviewed']))
        data['reviewed'] = value['reviewed']
    data.update(_evidence(value, where))
    return Entry(kind, what, data)


def _evidence(value, where):
    data = {}
    if value.get('first_seen') is not None:
        first = value['first_seen']
        data['first_seen'] = first.isoformat() if isinstance(first, datetime.date) else shapes.string(
            first, '2026-11-30', where.inside('first_seen'))
    if value.get('runs') is not None:
        if not isinstance(value['runs'], str) or not RUNS.fullmatch(value['runs']):
            raise where.inside('runs').error('%s does not say in how many of how many runs. Write it as 3/4.'
                                             % show(value['runs']))
        data['runs'] = value['runs']
    if value.get('hosts') is not None:
        if not shapes.is_integer(value['hosts']) or value['hosts'] < 0:
            raise where.inside('hosts').error('%s is no number of hosts.' % show(value['hosts']))
        data['hosts'] = value['hosts']
    return data
