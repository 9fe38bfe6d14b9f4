# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What was tried in sealed rooms (default: deny), as the allow rules that would let it pass.

Records of all hosts go in, and lines come out that can be pasted into the policy: YAML that check() takes.
"""

from __future__ import annotations

import json
import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.records import BY_DEFAULT
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import asked_name
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.text import WIDTH, clip

# To YAML it is what it looks like, without quotes: a name with a dot, an address, a port, an id with a hyphen
PLAIN = re.compile(r'[a-z][a-z0-9-]*(\.[a-z0-9-]+)+|[0-9]+(\.[0-9]+){3}|(tcp/|udp/)?[0-9]+|[a-z][a-z0-9_]*-[a-z0-9_-]+')
# A name without ports where the name itself was refused, or a protocol that has none: else only the ports that were
ANY = None
NAME = 300  # characters of a name that no rule can have


class Tried:
    """Per guard, what no rule allowed: ports by name, and by address where no name is known."""

    def __init__(self):
        self.guards = {}  # guard's name -> ({name: ports}, {address: ports}); ports: set of (protocol, port), or ANY in it

    def add(self, guard, records):
        for record in records:
            if (record.get('rule') is None and record.get('reason') == BY_DEFAULT['reason']
                    and not record.get('stands_for')):
                names, addresses = self.guards.setdefault(guard, ({}, {}))
                self._note(record, names, addresses)

    @staticmethod
    def _note(record, names, addresses):
        port = (record['protocol'], record['port']) if record['port'] and record['kind'] != 'dns' else ANY
        asked = asked_name(record)
        known = [asked] if asked else (record.get('name') or '').split(', ')
        for table, what in [(names, name) for name in known if name] or [(addresses, record['address'])]:
            table.setdefault(what, set()).add(port)

    def lines(self, max_rows):
        """Nothing, or for each guard a headline and its rules."""
        lines = []
        for guard, (names, addresses) in sorted(self.guards.items()):
            rules = _rules(names, addresses)
            fit = [rule for rule in rules if _valid(rule)]
            lines += [('plain', ''), ('plain', f'RULES that would let pass what was tried (guard {guard}), for its policy:'),
                      ('plain', 'allow:')]
            lines += [line for rule in fit[:max_rows] for line in _written(rule, max_rows)] + _left_out('  ', len(fit) - max_rows)
            unfit = [what for rule in rules if rule not in fit for what in rule.get('hosts') or rule['networks']]
            lines += [('plain', f'  # no rule can name {clip(what, NAME)}') for what in unfit[:max_rows]]
            lines += _left_out('  ', len(unfit) - max_rows)
        return lines


def _left_out(indent, number):
    return [('more', f'{indent}# {number} more not shown (max_rows)')] if number > 0 else []


def _rules(names, addresses):
    """One rule a name, and one for all addresses with the same ports."""
    groups = {}
    for address, ports in addresses.items():
        groups.setdefault(tuple(_ports(ports)), []).append(address)
    rules = [({'hosts': [name]}, name, _ports(ports)) for name, ports in sorted(names.items())]
    rules += [({'networks': sorted(found)}, f'address-{found[0]}' if len(found) == 1 else 'addresses', list(ports))
              for ports, found in sorted(groups.items(), key=lambda item: list(map(str, item[0])))]
    taken = set()
    return [{'id': unique_id('-'.join([what, *map(str, ports)]), taken), **matcher, **({'ports': ports} if ports else {})}
            for matcher, what, ports in rules]


def _ports(ports):
    """As policies write them. A name is often tried over UDP first, at the same port, to sort its addresses."""
    if ANY in ports:
        return []
    protocols = {}
    for protocol, port in ports:
        protocols.setdefault(port, set()).add(protocol)
    return [f'{next(iter(spoken))}/{port}' if spoken in ({'tcp'}, {'udp'}) else port
            for port, spoken in sorted(protocols.items())]


def unique_id(text, taken):
    """An id for a rule, made of a text, that none of the `taken` is."""
    wanted = re.sub('[^a-z0-9_]+', '-', text.lower()).strip('-_') or 'name'
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f'{wanted}-{number}'
    taken.add(name)
    return name


def _valid(rule):
    try:
        check({'version': 1, 'allow': [rule]})
    except PolicyError:
        return False
    return True


def _written(rule, max_rows):
    """As in the documentation: a line for each key, or for each of its items where a line is too long."""
    lines = [('plain', f'  - id: {_text(rule["id"])}')]
    for key in ('hosts', 'networks', 'ports'):
        items = [_text(str(item)) for item in rule.get(key, ())]
        line = f'    {key}: [{", ".join(items)}]'
        if len(line) > WIDTH and items[1:]:
            lines += [('plain', f'    {key}:'), *(('plain', f'      - {item}') for item in items[:max_rows])]
            lines += _left_out('      ', len(items) - max_rows)
        elif items:
            lines.append(('plain', line))
    return lines


def _text(text):
    return text if PLAIN.fullmatch(text) else json.dumps(text)
