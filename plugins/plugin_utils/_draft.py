# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""A draft of a policy: a sealed room that lets pass what a baseline has, and nothing else. Pure."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _policy_file
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._baseline_text import scalar
from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.allow import unique_id

OURS = '# Draft of a policy, written by loopbreak.deploy.learn'  # the first line begins so: this file is ours to write again
HEAD = OURS + """ from a baseline.
# learn writes it anew, with whatever is changed here, as long as the line above stands. Take that line out to keep it.
version: 1
"""
UNREVIEWED = 'learned, not reviewed'
MATCHERS = {'host': 'hosts', 'network': 'networks'}


def refuse(text, path):
    """GuardError where a file is not ours to be written."""
    if text is not None and not text.startswith(OURS):
        raise GuardError('%s is a policy that learn has not written, so it is left alone. Give the draft another name, or '
                         'remove the file first. Nothing was written.' % path)


def policy(baseline, path, services=None):
    """The text of the policy. `path`: where it goes, for errors. `services`: the service map, as the policy is to name it."""
    settings = [('service', baseline.service)] * bool(baseline.service) + [('services', services)] * bool(services)
    lines = ['%s: %s' % (key, scalar(value)) for key, value in settings] + ['mode: enforce', 'default: deny']
    taken = set()
    rules = [line for entry in baseline.entries if entry.kind in MATCHERS for line in _rule(entry, taken)]
    others = len([entry for entry in baseline.entries if entry.kind not in MATCHERS])
    lines += ['allow:'] * bool(rules) + rules
    if others:
        lines.append('# %d more of the baseline: files, sockets, or programs. default: deny says nothing of these, so they pass.'
                     % others)
    text = HEAD + ''.join(line + '\n' for line in lines)
    check(_policy_file.parse(text, path)[0], path, _policy_file.lines(text, path))
    return text


def _rule(entry, taken):
    ports = entry.data.get('ports')
    lines = ['  - id: %s' % scalar(unique_id(entry.what, taken)),
             '    reason: %s' % scalar(entry.data.get('reason', UNREVIEWED)),
             '    %s: [%s]' % (MATCHERS[entry.kind], scalar(entry.what))]
    # Of a name that was only asked for, no port is known: the question passes where a rule without ports speaks of it
    return lines + (['    ports: [%s]' % ', '.join(ports)] if ports else [])
