# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Answers to denied DNS questions. The programs swallow a question only where the agent is at work, and a trial
showed that an answer arrives; else who asks gets an error on the send.

The agent's part is a thread that reads the ring of questions and answers each. Before each wait it notes the time where the
programs look, so that the note tells of this very thread. Who ends an agent answers what it has left. The start's part turns
the answering on, and the report asks.
"""

from __future__ import annotations

import contextlib
import ctypes
import select
import threading
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import CANARY_PEER
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import raw_sockets, sockdiag
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, dns, libbpf, packets, programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records

BOARD = 'ebg_answering'
BEAT = 0.5  # seconds between two notes
STALE = 2  # seconds after which the programs count the agent as dead
NOBODY = {'ipv4': CANARY_PEER, 'ipv6': '::1'}  # whom the trial asks where the host has no DNS server
FAMILIES = {'ipv4': _abi.ANSWERING_IPV4, 'ipv6': _abi.ANSWERING_IPV6}


# The agent's part


def begin(ring, board, rules):
    """Answer from now on. `ring`, `board`: the ids of ebg_questions and ebg_answering. `rules`: of the guard's memory.

    Raises OSError where this host has no such sockets: then nothing is swallowed.
    """
    answerer = Answerer(ring, board, rules)
    answerer.sign()
    answerer.beat()
    threading.Thread(target=answerer.serve, daemon=True).start()  # so that nothing else keeps a question waiting


class Answerer:
    def __init__(self, ring, board, rules):
        library = libbpf.Library()
        self.kernel = bpf.Kernel(library)
        self.board, self.rules = self.kernel.map(board), rules
        self.sender, self.ender = raw_sockets.Sender(), sockdiag.Ender()
        self.ring = libbpf.Ring(library, self.kernel.map(ring), _abi.Question, self._take)
        self.said, self.life = 0.0, None

    def sign(self):
        """The programs see the end of this process at once, by this socket."""
        self.life = raw_sockets.sign_of_life()
        _note(self.kernel, self.board, _abi.ANSWERING_PORT, self.life.getsockname()[1])

    def serve(self):
        waiting = select.poll()
        waiting.register(self.ring, select.POLLIN)
        while True:
            self.beat()
            if waiting.poll(BEAT * 1000):
                self.ring.read()

    def beat(self):
        self.said = time.monotonic()
        _note(self.kernel, self.board, _abi.ANSWERING_BEAT, int(self.said * 1e9))

    def _take(self, asked):
        if time.monotonic() - self.said > BEAT:  # under a flood, one reading may take long
            self.beat()
        server, client = (sockdiag.plain(bytes(address)) for address in (asked.asker.destination, asked.asker.source))
        try:
            self.sender.send(self._reply(asked, (server, asked.asker.destination_port), (client, asked.asker.source_port)), client)
        except OSError:  # a firewall, say. Nobody may wait for an answer that does not come
            self.turn_off()
            self.ender.end(asked.asker)

    def _reply(self, asked, server, client):
        """What the other side would say, as a packet."""
        if asked.reply == _abi.REPLY_RESET:
            return packets.reset(server, client, asked.acknowledged, asked.sequence)
        if asked.reply == _abi.REPLY_UNREACHABLE:
            return packets.unreachable(server, client)
        why = records.why(self.rules, asked.rule)
        if asked.reply == _abi.REPLY_DNS:
            return packets.datagram(server, client, dns.no_such_name(asked, why))
        questions = dns.asked_over_tcp(bytes(asked.name)[:asked.size], asked.outage)
        if not questions:
            return packets.reset(server, client, asked.acknowledged, asked.sequence)
        return packets.data(server, client, asked.acknowledged, asked.sequence,
                            b''.join(dns.over_tcp(dns.no_such_name(one, why)) for one in questions))

    def turn_off(self):
        turn_on(self.kernel, self.board, dict.fromkeys(FAMILIES, False))


def _note(kernel, board, slot, value):
    kernel.update(board, ctypes.c_uint32(slot), ctypes.c_uint64(value))


# The part of who ends an agent


@contextlib.contextmanager
def none_left(state):
    """Around the end of a guard's agent: no question is swallowed any more, and those that it had before are answered.

    `state`: the guard's memory.
    """
    try:
        answerer = Answerer(*(state['maps'][name] for name in programs.ANSWERS), state['rules'])
        answerer.turn_off()
    except (GuardError, OSError):  # the maps are gone, or this host has no such sockets
        yield
    else:
        yield
        answerer.ring.read()


# The part of the start, the check and the report. `board`: the file descriptor of ebg_answering


def turn_on(kernel, board, families):
    """`families`: {'ipv4': did an answer arrive, 'ipv6': the same}."""
    for family, arrived in families.items():
        _note(kernel, board, FAMILIES[family], int(arrived))


def families(kernel, board):
    """The families in which denied questions are answered at this moment, as a list of names."""
    slots = {key.value: value.value for key, value in kernel.items(board, ctypes.c_uint32, ctypes.c_uint64)}
    if time.clock_gettime(time.CLOCK_MONOTONIC) - slots[_abi.ANSWERING_BEAT] / 1e9 > STALE:
        return []
    return [family for family, slot in FAMILIES.items() if slots[slot]]


def servers(resolvers):
    """{family: DNS servers to be asked in a trial}: the host's own; a place on the loopback device where it has none."""
    found = {'ipv4': [], 'ipv6': []}
    for address in resolvers:
        found['ipv6' if ':' in address else 'ipv4'].append(address)
    return {family: addresses or [NOBODY[family]] for family, addresses in found.items()}
