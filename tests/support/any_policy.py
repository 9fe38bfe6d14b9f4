# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies by chance: whole ones, parts of them, and garbage."""

from __future__ import annotations

from hypothesis import strategies as st

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import OUTAGES

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
                  'outage': st.sampled_from(OUTAGES),
                  'ways_out': st.lists(sockets, min_size=1, max_size=3),
                  'resolve': st.fixed_dictionaries({'interval': st.integers(0, 86400)})}))}
    for action in ('deny', 'allow'):
        drawn = draw(st.lists(rules, max_size=3))
        made = [dict(one, id='%s-%d' % (action, number)) for number, one in enumerate(drawn)]
        if made:
            policy[action] = made
    if 'deny' in policy:
        policy['deny'] = [dict(one, outage=draw(st.sampled_from(OUTAGES))) for one in policy['deny']]
        ids = [one['id'] for one in policy['deny']]
        policy['expected'] = draw(st.lists(st.sampled_from(ids), min_size=1))
    return policy


words = st.sampled_from(['version', 'service', 'mode', 'default', 'deny', 'allow', 'expected', 'services',
                         'resolve', 'limits', 'lock', 'ways_out', 'encrypted_dns', 'id', 'reason', 'owner', 'runbook',
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
