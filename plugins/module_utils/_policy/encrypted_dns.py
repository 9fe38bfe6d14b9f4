# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The built-in rule: encrypted DNS would hide from the rules which names the deployment asks for."""

from __future__ import annotations

import dataclasses

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import Ports, Rule

# The id is taken, so that reports and `expected` can mean it and nothing else.
BUILT_IN = 'encrypted_dns'
BUILT_IN_REASON = ('encrypted DNS would hide from the rules which names the deployment asks for '
                   '(encrypted_dns: allow lets it pass)')
DOT_PORT = 853  # DNS over TLS, and over QUIC
# Host names of public resolvers that answer DNS over HTTPS, which looks like any other HTTPS. The list can't be whole,
# and need not be: it stops what a browser, a tool or a resolver library has built in.
DOH_HOSTS = (
    '.cloudflare-dns.com', '.cloudflare-gateway.com', 'one.one.one.one',
    '.dns.google', 'dns.google.com', '8888.google',
    'dns.quad9.net', 'dns9.quad9.net', 'dns10.quad9.net', 'dns11.quad9.net', 'dns12.quad9.net',
    'doh.opendns.com', 'doh.familyshield.opendns.com', 'doh.sandbox.opendns.com', 'doh.umbrella.com',
    'dns.umbrella.com',
    'dns.adguard-dns.com', 'family.adguard-dns.com', 'unfiltered.adguard-dns.com', '.d.adguard-dns.com',
    'dns.adguard.com', 'dns-family.adguard.com', 'dns-unfiltered.adguard.com',
    '.dns.nextdns.io', 'doh.cleanbrowsing.org', 'freedns.controld.com', '.dns.controld.com',
    '.dns.mullvad.net', 'doh.mullvad.net', 'doh.dns.sb', 'doh.dns.apple.com', 'doh.xfinity.com',
    'protective.joindns4.eu', 'unfiltered.joindns4.eu', 'child.joindns4.eu', 'noads.joindns4.eu',
    'child-noads.joindns4.eu',
    'dns.alidns.com', '.doh.pub', 'dot.pub', 'doh.360.cn', '.dot.dns.yandex.net', 'public.dns.iij.jp',
    'dns.twnic.tw', '.canadianshield.cira.ca', 'dns.switch.ch', 'dns.digitale-gesellschaft.ch',
    'doh.applied-privacy.net', 'doh.ffmuc.net', 'dnsforge.de', 'doh.libredns.gr', 'dns.njal.la',
    'anycast.uncensoreddns.org', 'unicast.uncensoreddns.org', 'wikimedia-dns.org', 'ordns.he.net',
    'sky.rethinkdns.com', 'max.rethinkdns.com',
)


def usual(rules):
    """Only rules on names depend on seeing the questions."""
    return 'deny' if any(rule.hosts for rule in rules) else 'allow'


def built_in(rules, expected):
    """The rule in two parts, because ports narrow both hosts and networks."""
    part = Rule(id=BUILT_IN, action='deny', reason=BUILT_IN_REASON, owner=None, runbook=None,
                expected=BUILT_IN in expected, hosts=(), networks=(), ports=(), paths=(), filesystems=(),
                sockets=())
    return (dataclasses.replace(part, networks=('0.0.0.0/0', '::/0'), ports=(Ports(None, DOT_PORT, DOT_PORT),)),
            dataclasses.replace(part, hosts=_hosts(rules)))


def _hosts(rules):
    """The names of DOH_HOSTS, without what an allow rule names as well: on a tie deny wins, and here its author must.

    An allow rule for a shorter name does not count: a name in this list is the more specific one.
    """
    allowed = set().union(*(rule.hosts for rule in rules if rule.action == 'allow'))
    hosts = []
    for host in DOH_HOSTS:
        name = host.lstrip('.')
        if '.' + name not in allowed:
            forms = (name, '*.' + name) if host.startswith('.') else (name,)
            hosts += [form for form in forms if form not in allowed]
    return tuple(sorted(hosts))
