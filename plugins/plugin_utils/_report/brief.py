# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The report in a few words for each host and for the run, as Ansible's statistics take it. Knows nothing of Ansible.

It has no command lines, and however much was denied it stays small. AWX hands it on to the next job as variables, so nothing in
it is a template.
"""

from __future__ import annotations

from collections import Counter

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.words import LEFT_OUT, clean
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model

KEY = 'ebpf_guard'  # in the statistics
ENDPOINTS, ROOM = 20, 100  # that are told, and characters of each
# the worst first; a word that is not here is of a guard whose report never came
ORDER = (outcome.DENIED, None, *model.SORTS[1:], 'no_log', 'up', 'clean')


def of_report(report):
    """The report of one guard, as the module returns it. None where there was no guard."""
    guard = report.get('guard')
    if not guard:
        return None
    fleet, briefs = model.Fleet(), Briefs()
    fleet.add(dict(report, host='', name=guard['name'], mode=guard['mode'], outside=(), nobody=False), False)
    briefs.add(fleet)
    return briefs.of_hosts()['']


class Briefs:
    """Of all guards of a run."""

    def __init__(self):
        self._hosts = {}  # host; None: the run -> (words for its guards, Counter, endpoints with their accesses)

    def add(self, fleet):
        for key, sums in fleet.guards.items():
            for host in (key[0], None):
                words, counts, _endpoints = self._hosts.setdefault(host, (set(), Counter(), Counter()))
                words.add(fleet.outcome(key))
                counts['denied'] += sums[outcome.DENIED] + sums[outcome.DRILL]
                counts['new'] += sums[model.NEW]
        for (where, _rule, judged), (name, hosts, accesses, _shown) in fleet.endpoints.items():
            if judged != 'seen' and outcome.EXPECTED not in judged and where != LEFT_OUT:
                said = where if not name or name in where else f'{where} ({name})'
                for host in (*hosts, None):
                    self._hosts[host][2][said] += accesses

    def of_hosts(self):
        """{host; None: the run as a whole: what is told of it}"""
        return {host: _told(*one) for host, one in self._hosts.items()}


def _told(words, counts, endpoints):
    found = sorted(endpoints, key=lambda where: (-endpoints[where], where))
    told = {'outcome': min(words, key=lambda word: ORDER.index(word if word in ORDER else None)),
            'denied': counts['denied'], 'new': counts['new'],
            'endpoints': [clean(where).replace('{', '?')[:ROOM] for where in found[:ENDPOINTS]]}
    return dict(told, endpoints_left_out=len(found) - ENDPOINTS) if found[ENDPOINTS:] else told
