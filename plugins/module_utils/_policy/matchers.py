# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The matchers of a rule that speak of the network: hosts, networks, ports. Each in its normal form."""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import shapes
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import show
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.model import Ports

NAME = r'[*.]*([A-Za-z0-9_-]+\.)*[A-Za-z][A-Za-z0-9-]*\.?'  # near enough to a host name to say so in a hint
# A host in its normal form
_LABEL = r'[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?'
NORMAL_HOST = re.compile(r'(?:\*\.|\.)?(?:%s\.)*(?=[a-z])%s' % (_LABEL, _LABEL))
LENGTHS = frozenset(map(str, range(129)))  # of networks
NETWORK_HELP = 'Write an IPv4 or IPv6 network such as 192.0.2.0/24 or 2001:db8::/32.'
PORT_HELP = 'Write a number from 0 to 65535 (443), a range ("8000-8080"), or one with a protocol ("udp/443").'
TOO_LONG = '%s is too long. A name has at most 253 bytes, and 63 between two dots.'
MAPPED = ipaddress.IPv6Network('::ffff:0:0/96')
# The older and the newer IDNA encode these letters differently.
AMBIGUOUS = re.compile('[\u00df\u03c2\u1e9e\u200c\u200d]')


def normal_host(value):
    if isinstance(value, str) and len(value) <= 253 and NORMAL_HOST.fullmatch(value):
        return str(value)
    return None


def host(value, where):
    """The host in its normal form: lower case, ASCII (IDNA), without the trailing dot; '*.' or '.' in front stays."""
    text = shapes.text(value, 'github.com', where)
    if _parse_network(text.strip('[]')):
        raise where.error('%s is an address, not a name. Write it under networks.' % show(text))
    if re.search(r'[/:@#\\]', text):
        bare = re.sub(r'^[A-Za-z0-9+.-]*://', '', text).split('/')[0].split('@')[-1].split(':')[0]
        raise where.error('%s is more than a host name. Write the host alone%s; ports go under ports.' % (
            show(text), ': ' + bare if re.fullmatch(NAME, bare) else ''))
    name = _ascii_name(text, where)
    below = re.match(r'(\*\.|\.)(?=.)', name)
    front = below.group() if below else ''
    name = name[len(front):]
    if '*' in name or '?' in name:
        raise where.error('%s has a wildcard in a wrong place. A wildcard stands for whole labels in front: '
                          '"*.github.com". To deny every name, write default: deny.' % show(text))
    labels = name.split('.')
    if not all(re.fullmatch(r'[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?', label) for label in labels):
        raise where.error('%s is not a host name. Write one such as github.com: letters, digits and inner '
                          'hyphens between single dots.' % show(text))
    if len(name) > 253 or max(len(label) for label in labels) > 63:
        raise where.error(TOO_LONG % show(text))
    if re.fullmatch(r'[0-9]+|0x[0-9a-f]*', labels[-1]):
        raise where.error('%s ends in a number, which makes it an address to many programs. '
                          'Write addresses under networks.' % show(text))
    return front + name


def _ascii_name(text, where):
    if len(text) > 1000:  # Python's IDNA takes quadratic time
        raise where.error(TOO_LONG % show(text))
    labels = re.split('[.\u3002\uff0e\uff61]', text)  # IDNA's dots
    if not labels[-1]:
        labels.pop()
    try:
        return '.'.join(label if label.isascii() else _idna(label) for label in labels).lower()
    except UnicodeError:
        raise where.error('%s is too long, or has no ASCII form that all programs agree on. '
                          'Write its xn-- form, as it stands in DNS.' % show(text)) from None


def _idna(label):
    """The label in ASCII, or UnicodeError where the rule might then name a host that no program asks for."""
    encoded = label.encode('idna').lower()
    # Python knows the older IDNA alone, which leaves what younger Unicode would fold as it is.
    plain = encoded.decode('idna')
    if AMBIGUOUS.search(label) or plain != unicodedata.normalize('NFKC', plain.casefold()):
        raise UnicodeError
    return encoded.decode('ascii')


def normal_network(value):
    """Whatever inet_ntop(3) would write so. Not what has IPv4 in IPv6, where Python writes other digits."""
    if not isinstance(value, str):
        return None
    address, slash, length = value.partition('/')
    family, bits = (socket.AF_INET6, 128) if ':' in address else (socket.AF_INET, 32)
    if not slash:
        length = str(bits)
    if length not in LENGTHS or (bits == 128 and '.' in address):
        return None
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError):
        return None
    beyond = int.from_bytes(packed, 'big') & ((1 << max(0, bits - int(length))) - 1)
    if int(length) > bits or beyond or socket.inet_ntop(family, packed) != address:
        return None
    return str(value) if slash else '%s/%d' % (address, bits)


def network(value, where):
    """The network as its text."""
    text = shapes.text(value, '192.0.2.0/24', where)
    found = _parse_network(text)
    if found is None:
        raise where.error('%s is not a network. %s%s' % (
            show(text), NETWORK_HELP, ' Names go under hosts.' if re.fullmatch(NAME, text) else ''))
    address = ipaddress.ip_network(text.split('/', maxsplit=1)[0])
    if address.network_address != found.network_address:
        raise where.error('%s is an address in a network. Write %s for the network, or %s for the address.'
                          % (show(text), _unmapped(found), _unmapped(address)))
    return str(_unmapped(found))


def _parse_network(text):
    if not re.fullmatch(r'[0-9a-fA-F.:]+(/[0-9]+)?', text):  # ipaddress takes netmasks and scopes too
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _unmapped(network):
    """IPv4 through an IPv6 socket appears as ::ffff:a.b.c.d, and is judged as the IPv4 it is."""
    if network.version == 6 and network.subnet_of(MAPPED):
        return ipaddress.IPv4Network((int(network.network_address) & 0xffffffff, network.prefixlen - 96))
    return network


def ports(value, where):
    text = show(value) if shapes.is_integer(value) else shapes.text(value, '443', where)
    match = re.fullmatch(r'(?:(tcp|udp)/)?([0-9]{1,6})(?:-([0-9]{1,6}))?', text)
    if not match or max(int(match.group(2)), int(match.group(3) or 0)) > 65535:
        raise where.error('%s is not a port. %s' % (show(value), PORT_HELP))
    protocol, low, high = match.group(1), int(match.group(2)), int(match.group(3) or match.group(2))
    if low > high:
        raise where.error('%s runs backwards. Write "%s".' % (show(value), Ports(protocol, low=high, high=low)))
    return Ports(protocol, low, high)
