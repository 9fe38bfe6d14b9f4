# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. What the names of a policy mean on this host, as its own resolver library says."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import queue
import re
import socket
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils import _names
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import reason
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files, processes

RESOLV_CONF, HOSTS = '/etc/resolv.conf', '/etc/hosts'
NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, 'EAI_NODATA', socket.EAI_NONAME))
PARALLEL, MOST = 32, 256  # threads of one call, and of all that have not come back
# For all names together. The resolver library waits 5 seconds for a server before it asks the next one.
PATIENCE = 8
AT_ONCE = 500  # names that are looked up in one go
SHOWN = 5  # names in one warning
UNRULED = 1000  # names of the hosts file that no rule speaks of, at most
_asking = []  # the threads that wait for the resolver library, some of them maybe for ever
NAME = re.compile(r'[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*')


def _addresses(name):
    """(sorted addresses as text, None), or ([], what the resolver said)."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return [], 'it does not exist' if error.errno in NO_SUCH_NAME else 'the resolver gave no answer'
    except (OSError, UnicodeError) as error:
        return [], reason(error).rstrip('.')
    # the part behind % names an interface, not an address
    return sorted({entry[4][0].partition('%')[0] for entry in found}), None


def _ask(names, patience):
    """{name: what _addresses says of it}, without those for which the time was too short.

    Nothing ends a call into the resolver library. So it is asked by threads that no process has to wait for.
    """
    waiting, answered = queue.SimpleQueue(), queue.SimpleQueue()
    deadline = time.monotonic() + patience
    for name in names:
        waiting.put(name)

    def work():
        try:
            while time.monotonic() < deadline:
                name = waiting.get_nowait()
                answered.put((name, _addresses(name)))
        except queue.Empty:
            pass

    _asking[:] = [thread for thread in _asking if thread.is_alive()]
    _asking.extend(processes.start_threads(work, min(PARALLEL, MOST - len(_asking), len(names))))
    answers = {}
    try:
        while len(answers) < len(names):
            name, answer = answered.get(timeout=max(0, deadline - time.monotonic()))
            answers[name] = answer
    except queue.Empty:
        pass
    return answers


def exact_names(policy):
    """The names that the policy's own rules spell out. What stands below a name can't be asked for."""
    return sorted({name for rule in policy.rules for name in _exact(rule)})


def _exact(rule):
    return [host.lstrip('.') for host in rule.hosts if host[0] != '*']


def known_here(policy, hosts=HOSTS):
    """{name: [addresses]} of the hosts file. The names that rules speak of come first; of the others, not all.

    Nobody asks for these. So they are also found where a rule has a wildcard, of which no names can be looked up.
    """
    found = {}
    for address, names in _entries(hosts):
        for name in names:
            found.setdefault(name, []).append(address)
    ends = {end: None for name in found for end in _names.ends(name)}
    spoken = {host for rule in policy.rules for host in rule.hosts if host.lstrip('*.') in ends}
    exact, wide = ({host.lstrip('*.') for host in spoken if (host[0] in '*.') == is_wide} for is_wide in (False, True))
    ruled = {name: found[name] for name in found if name in exact or any(end in wide for end in _names.ends(name))}
    others = [name for name in found if name not in ruled][:UNRULED]
    return {**ruled, **{name: found[name] for name in others}}


def _entries(hosts):
    """[(address, [names])] of hosts(5), in the form that names have in rules. Not what only says that a name is blocked."""
    try:
        lines = files.words(hosts)
    except OSError:
        return
    for words in lines:
        address, *names = ' '.join(words).partition('#')[0].split() or ['']
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(address.partition('%')[0])
            if not address.is_unspecified:
                lower = [name.rstrip('.').lower() for name in names]
                yield str(address), [name for name in lower if len(name) < 254 and NAME.fullmatch(name)]


def own_names(hosts=HOSTS, resolv_conf=RESOLV_CONF):
    """What this host calls itself, short and with each domain that the resolver library may put behind it."""
    own = os.uname().nodename.rstrip('.').lower()
    short = own.partition('.')[0]
    found = {own, short}
    for name in (own, short):
        found.update('%s.%s' % (name, domain) for domain in search_domains(resolv_conf))
    for _address, names in _entries(hosts):
        if own in names:
            found.update(name for name in names if name.partition('.')[0] == short)
    return sorted(name for name in found if len(name) < 254 and NAME.fullmatch(name))


def look_up(names, patience=PATIENCE):
    """{name: [addresses]} of those that have some, IPv4 and IPv6."""
    return {name: addresses for name, (addresses, _problem) in _ask(names, patience).items() if addresses}


def resolve(policy, patience=PATIENCE):
    """({name: [addresses]}, [warnings]) of the policy's exact names, of many only the first: the agent does the rest.

    A rule on a name holds without its addresses, wherever the name itself is seen. So a resolver that is down, or slow,
    costs a warning and `patience` seconds, not the start.
    """
    names = exact_names(policy)[:AT_ONCE]
    answers = _ask(names, patience)
    late = [], 'the resolver gave no answer in time'
    found, problems = {}, {}
    for name in names:
        found[name], problems[name] = answers.get(name, late)
    warnings = []
    for rule in policy.rules:
        unknown = [name for name in dict.fromkeys(_exact(rule)) if name in found and not found[name]]
        if unknown:
            warnings.append(_warning(policy, rule, unknown, problems))
    return found, warnings


def _warning(policy, rule, names, problems):
    shown = ', '.join('%s (%s)' % (name, problems[name]) for name in names[:SHOWN])
    if len(names) > SHOWN:
        shown += ' and %d more' % (len(names) - SHOWN)
    again = ('The agent asks again every %d seconds.' % policy.interval if policy.interval else
             'They are not looked up again, because the policy says interval: 0.')
    return "Rule '%s': no address is known for %s. %s %s" % (rule.id, shown, _still(policy, rule), again)


def _still(policy, rule):
    """What holds of a rule as long as no address is known."""
    if rule.action == 'allow':
        return 'An address becomes known as soon as a DNS server tells it to the deployment.'
    verdict = 'recorded' if policy.mode == 'monitor' else 'denied'
    holds = ('Questions for such a name, and connections that present it, are %s all the same.' % verdict
             if not rule.ports else
             "Connections to the rule's ports that present such a name are %s all the same." % verdict)
    if policy.default == 'deny':
        return holds
    return holds + ' A connection to its address that presents no name is not, until the address is known.'


def _settings(resolv_conf):
    """[[keyword, value, ...]] of resolv.conf(5); comments have no keyword that anybody asks for."""
    try:
        return files.words(resolv_conf)
    except OSError:
        return []


def resolvers(resolv_conf=RESOLV_CONF):
    """The DNS servers of this host; the resolver library takes the first three."""
    found = []
    for keyword, *address in _settings(resolv_conf):
        if keyword == 'nameserver':
            with contextlib.suppress(ValueError):
                found.append(str(ipaddress.ip_address(''.join(address[:1]).partition('%')[0])))
    return found[:3] or ['127.0.0.1']


def search_domains(resolv_conf=RESOLV_CONF):
    """The domains that the resolver library puts behind a short name, in its order; the last line of these counts."""
    found = []
    for keyword, *domains in _settings(resolv_conf):
        if keyword in ('search', 'domain'):
            found = domains if keyword == 'search' else domains[:1]
    return [domain for domain in (name.rstrip('.').lower() for name in found) if NAME.fullmatch(domain)]


def searches_first(resolv_conf=RESOLV_CONF):
    """Does the resolver library try the search list before a name that has a dot? (ndots, see resolv.conf(5).)"""
    dots = [option[len('ndots:'):] for keyword, *options in _settings(resolv_conf) if keyword == 'options'
            for option in options if option.startswith('ndots:')]
    return bool(dots) and dots[-1].isdigit() and int(dots[-1]) > 1
