# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""A draft of a policy: a sealed room that lets pass what a baseline has, but for what the service map denies. Pure."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import services as service_map
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _policy_file
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._baseline import Entry, Index, is_among
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._baseline_text import scalar
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.allow import unique_id

OURS = '# Draft of a policy, written by loopbreak.deploy.learn'  # the first line begins so: this file is ours to write again
HEAD = OURS + """ from a baseline.
# learn writes it anew, with whatever is changed here, as long as the line above stands. Take that line out to keep it.
version: 1
"""
UNREVIEWED = 'learned, not reviewed'
MATCHERS = {'host': 'hosts', 'network': 'networks'}
DENIABLE = {**MATCHERS, 'path': 'paths', 'socket': 'sockets'}


def refuse(text, path):
    """GuardError where a file is not ours to be written."""
    if text is not None and not text.startswith(OURS):
        raise GuardError('%s is a policy that learn has not written, so it is left alone. Give the draft another name, or '
                         'remove the file first. Nothing was written.' % path)


def policy(baseline, path, services=None, entries=None):
    """(the text of the policy, what the service map denies of the baseline, as sentences).

    `path`: where it goes, for errors. `services`: the service map, as the policy is to name it; `entries`: what the files have.
    """
    settings = [('service', baseline.service)] * bool(baseline.service)
    lines = ['%s: %s' % (key, scalar(value)) for key, value in settings] + ['mode: enforce', 'default: deny']
    if services:
        named = scalar(services) if isinstance(services, str) else '[%s]' % ', '.join(map(scalar, services))
        lines.append('services: ' + named)
    taken, circles = set(), _circles(baseline, entries, path) if services else {}
    passing = [entry for entry in baseline.entries if entry not in circles]
    rules = [line for entry in passing if entry.kind in MATCHERS for line in _rule(entry, taken)]
    others = sum(entry.kind not in MATCHERS for entry in passing)
    lines += ['allow:'] * bool(rules) + rules
    if others:
        lines.append('# %d more of the baseline: files, sockets, or programs. default: deny says nothing of these, so they pass.'
                     % others)
    told = [_told(entry, rule) for entry, rule in circles.items()]
    if told:
        lines.append('# The service map denies these, so there is no rule that lets them pass:')
        lines += ['# - ' + sentence for sentence in told]
    text = HEAD + ''.join(line + '\n' for line in lines)
    check(_policy_file.parse(text, path)[0], path, _policy_file.lines(text, path), entries)
    return text, told


def _circles(baseline, entries, path):
    """{entry: the rule that follows from the service map and denies it}"""
    if not baseline.service:
        raise GuardError('A service map says nothing without what is deployed. Give it: -e ebpf_guard_service=mysql.')
    derived = service_map.derive(service_map.check(entries, baseline.service, Where(path, {})), baseline.service)
    index = Index([Entry(kind, what, {'rule': rule}) for rule, _services in derived for kind, key in DENIABLE.items()
                   for what in getattr(rule, key)])
    found = {}
    for entry in baseline.entries:
        rules = [one.data['rule'] for one in index.find(entry.kind, entry.what)]
        rule = next((rule for rule in rules if _meets(entry, rule)), None)
        if rule:
            found[entry] = rule
    return found


def _meets(entry, rule):
    """Do they speak of a port that is the same?"""
    ports = entry.data.get('ports')
    return not rule.ports or not ports or any(is_among(port, map(str, rule.ports)) for port in ports)


def _told(entry, rule):
    tasks = ', '.join(entry.data.get('tasks', ()))
    return '%s %s: %s (rule %s)%s' % (entry.kind, entry.what, rule.reason, rule.id, tasks and '. It is used by: ' + tasks)


def _rule(entry, taken):
    ports = entry.data.get('ports')
    lines = ['  - id: %s' % scalar(unique_id(entry.what, taken)),
             '    reason: %s' % scalar(entry.data.get('reason', UNREVIEWED)),
             '    %s: [%s]' % (MATCHERS[entry.kind], scalar(entry.what))]
    # Of a name that was only asked for, no port is known: the question passes where a rule without ports speaks of it
    return lines + (['    ports: [%s]' % ', '.join(ports)] if ports else [])
