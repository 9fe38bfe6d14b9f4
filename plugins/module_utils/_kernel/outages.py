# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Drills: the attempts that prove of each outage that it is one, each at a canary of its own; and what it needs."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import struct
from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import CANARY_PEER, OUTAGES
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import canaries, dns, libbpf, loader

REFUSES = ('refused', 'unresolvable')  # to these the kernel has to say ECONNREFUSED
RCODES = {'nxdomain': dns.NXDOMAIN, 'servfail': dns.SERVFAIL}
OLDEST = (5, 18)  # Linux with bpf_set_retval(), where a distribution has not brought it to an older one
HELPER = b'\0BPF_FUNC_set_retval\0'
ARRIVES_WITHIN = 0.05  # seconds, on the loopback device
AT_ONCE = struct.pack('ii', 1, 0)  # SO_LINGER: a connection that ends leaves nothing to be sent
DENIALS = (errno.EACCES, errno.EPERM, errno.ECONNREFUSED)

# counter: of ebg_counters, of the hook that sees it. ends: with which errno; 0: with none. unattended: with which it ends
# where no agent is at work
Attempt = namedtuple('Attempt', 'act counter ends unattended', defaults=((),))


def lacking(by):
    """Why this kernel can't refuse a connection as a server does; None where it can. `by`: the loader."""
    if by == loader.BCC:
        can = tuple(map(int, re.match(r'(\d+)\.(\d+)', os.uname().release).groups())) >= OLDEST
    else:
        can = HELPER in files.content(libbpf.BTF)
    return None if can else ('this kernel can only say EPERM where a program refuses a connection; ECONNREFUSED needs Linux '
                             '%d.%d or later' % OLDEST)


def _by_datagram(family, address, act):
    return canaries.by_socket(family, socket.SOCK_DGRAM, 0, lambda client: act(client, (address, canaries.DISCARD)))


def _connect(client, to):
    client.connect(to)


def _send(client, to):
    client.sendto(b'', to)


def _passes(act):
    """It is not refused. Behind the hook of the socket there may be no route to the canary."""
    def attempt(client, to):
        try:
            act(client, to)
        except OSError as error:
            if error.errno in DENIALS:
                raise
    return attempt


# A server that refuses


def _present_and_hear(name):
    """The name to somebody who listens. What comes then is the end of the connection. A socket that is bound to a device would
    not hear the agent; so this one is not, as the peer is on this host anyway.
    """
    def attempt(_run):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server, socket.socket(
                socket.AF_INET, socket.SOCK_STREAM) as client:
            server.bind((CANARY_PEER, 0))
            server.listen(1)
            client.settimeout(canaries.PATIENCE)
            client.connect(server.getsockname())
            client.sendall(canaries.request(name))
            client.recv(1)
    return attempt


def _refusing(outage):
    ipv4, ipv6, name = OUTAGES[outage]
    refused = (errno.ECONNREFUSED,)
    return (
        Attempt(_by_datagram(socket.AF_INET, ipv4, _connect), _abi.HOOK_CONNECT4, refused),
        Attempt(_by_datagram(socket.AF_INET6, ipv6, _connect), _abi.HOOK_CONNECT6, refused),
        Attempt(_by_datagram(socket.AF_INET, ipv4, _send), _abi.HOOK_SENDMSG4, refused),
        Attempt(_by_datagram(socket.AF_INET6, ipv6, _send), _abi.HOOK_SENDMSG6, refused),
        Attempt(_present_and_hear(name), _abi.HOOK_PRESENTED, (errno.ECONNRESET,), (errno.ETIMEDOUT, errno.ECONNABORTED)))


# An address that swallows


def _hears_nothing(heard):
    if select.select([heard], [], [], ARRIVES_WITHIN)[0]:
        raise OSError(errno.EBADMSG, 'it arrived')


def _to_listener(kind, act):
    """To the canary, where somebody listens this once."""
    def attempt(client):
        with socket.socket(socket.AF_INET, kind) as server:
            server.bind((OUTAGES['timeout'][0], 0))
            if kind == socket.SOCK_STREAM:
                server.listen(1)
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                act(client, server.getsockname())
            _hears_nothing(server)
    return canaries.by_socket(socket.AF_INET, kind, 0, attempt)


def _present_in_silence(client):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind((CANARY_PEER, 0))
        server.listen(1)
        client.settimeout(canaries.PATIENCE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        client.connect(server.getsockname())
        with server.accept()[0] as peer:
            client.sendall(canaries.request(OUTAGES['timeout'][2]))
            _hears_nothing(peer)


def _silent():
    ipv6, name = OUTAGES['timeout'][1:]
    return (
        Attempt(_to_listener(socket.SOCK_STREAM, _connect), _abi.HOOK_CONNECT4, (0,)),
        Attempt(_by_datagram(socket.AF_INET6, ipv6, _passes(_connect)), _abi.HOOK_CONNECT6, (0,)),
        Attempt(_to_listener(socket.SOCK_DGRAM, _send), _abi.HOOK_SENDMSG4, (0,)),
        Attempt(_by_datagram(socket.AF_INET6, ipv6, _passes(_send)), _abi.HOOK_SENDMSG6, (0,)),
        Attempt(canaries.by_socket(socket.AF_INET, socket.SOCK_STREAM, 0, _present_in_silence), _abi.HOOK_PRESENTED, (0,)),
        Attempt(canaries.by_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP, lambda client: canaries.send_udp(
            client, canaries.DISCARD, dns.PORT, name)), _abi.HOOK_QUESTION, (0,)))


# A name that nobody knows


def _ask_over_tcp(rcode):
    """Somebody who listens for questions at the canaries' peer. Where a DNS server of the host has the port, it is not tried."""
    def attempt(_run):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server, socket.socket(
                socket.AF_INET, socket.SOCK_STREAM) as client:
            try:
                server.bind((CANARY_PEER, dns.PORT))
                server.listen(1)
            except OSError:
                return
            client.settimeout(canaries.PATIENCE)
            client.connect(server.getsockname())
            client.sendall(dns.over_tcp(dns.question(OUTAGES['unresolvable'][2], 1)))
            answer = client.recv(4096)
            if answer[2:4] != b'\0\1' or answer[5] & 15 != rcode:
                raise OSError(errno.EBADMSG, 'it is not the answer')
    return attempt


def _asking(servers, rcode):
    trials = [canaries.Trial(addresses, OUTAGES['unresolvable'][2], rcode) for addresses in servers.values()]
    no_way = (0, errno.EDESTADDRREQ)  # no route leads to a server, or the rules deny each
    return [*(attempt for trial in trials for attempt in (
        Attempt(trial.ask, None, no_way, (errno.EPERM,)), Attempt(trial.hear, None, (0,), (errno.ETIMEDOUT,)))),
            Attempt(_ask_over_tcp(rcode), None, (0,), (errno.ETIMEDOUT, errno.ECONNABORTED))]


def attempts(outage, unresolvable, servers):
    """The attempts for an outage. `unresolvable`: what the policy says of it; `servers`: {family: DNS servers}."""
    if outage == 'timeout':
        return _silent()
    return (*_refusing(outage), *(_asking(servers, RCODES[unresolvable]) if outage == 'unresolvable' else ()))
