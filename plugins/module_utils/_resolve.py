# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What the names of a policy mean on this host, as its own resolver library says."""

from __future__ import annotations

import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

RESOLV_CONF = '/etc/resolv.conf'
NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, 'EAI_NODATA', socket.EAI_NONAME))
PARALLEL = 16


def _addresses(name):
    """(sorted addresses as text, None), or ([], (is the answer final, what the resolver said))."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return [], (error.errno in NO_SUCH_NAME, error.strerror)
    # the part behind % names an interface, not an address
    return sorted({entry[4][0].partition('%')[0] for entry in found}), None


def resolve(policy, known):
    """({host name: [addresses]}, [warnings]) of the policy's host rules, IPv4 and IPv6.

    `known`: addresses that these names had earlier. They are kept: a resolver may go round among many.

    A name that does not exist can't be reached by that name: a warning. A resolver that does not answer is another
    matter: the name may work a moment later, undenied. That is an error, unless the rule lists networks to rely on.
    """
    names = sorted({host for rule in policy.rules for host in rule.hosts})
    if not names:
        return {}, []
    with ThreadPoolExecutor(max_workers=min(PARALLEL, len(names))) as pool:
        answers = dict(zip(names, pool.map(_addresses, names)))
    warnings = []
    for rule in policy.rules:
        silent = [host for host in rule.hosts
                  if answers[host][1] and not answers[host][1][0] and not known.get(host)]
        if silent and not rule.networks and rule.action == 'deny' and policy.mode != 'monitor':
            raise GuardError("Rule '%s' can't be enforced on this host: its resolver gave no answer for %s (%s), so no "
                             'address would be denied. Add the addresses to the rule as networks, which need no '
                             'resolver.' % (rule.id, ', '.join(silent), answers[silent[0]][1][1]), rule=rule.id)
        for host in rule.hosts:
            if answers[host][1] and not known.get(host):
                warnings.append("Rule '%s': %s has no address on this host (%s), so the name adds nothing to the rule."
                                % (rule.id, host, answers[host][1][1]))
    return {name: sorted({*answer[0], *known.get(name, ())}) for name, answer in answers.items()}, warnings


def resolvers(resolv_conf=RESOLV_CONF):
    """The DNS servers of this host; the resolver library takes the first three."""
    found = []
    try:
        with open(resolv_conf) as lines:
            for line in lines:
                words = line.split()
                if len(words) > 1 and words[0] == 'nameserver':
                    try:
                        found.append(str(ipaddress.ip_address(words[1].partition('%')[0])))
                    except ValueError:
                        continue
    except OSError:
        pass
    return found[:3] or ['127.0.0.1']
