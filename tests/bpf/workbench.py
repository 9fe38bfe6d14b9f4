# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's programs in this machine's kernel: loaded, filled, attached to a throwaway cgroup. Needs root.

Those of the shipped object, or what BCC makes of the sources that are shipped as well.

Processes that try something run in a network namespace of their own, whose only device is lo. So no packet leaves,
and an access that the guard lets pass ends with ENETUNREACH, which a denied one never does.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import functools
import ipaddress
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
import traceback
import uuid
from pathlib import Path

import fleet_headers
from policies import RESOLVERS, TCP, UDP, numbers_of

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import (
    bcc, bcc_compiler, bpf, libbpf, objects, programs, tables, teach)
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.compile import compile_rules
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records

OBJECT = Path(_abi.__file__).parents[1] / 'ebpf_guard.bpf.o'
ON_CGROUP = tuple(filter(programs.is_on_cgroup, programs.of_object(programs.GUARD)))
EVERYWHERE = tuple(filter(programs.is_everywhere, programs.of_object(programs.GUARD)))
PATIENCE = 30  # seconds for a child process, on a machine that is busy
CLONE_NEWNET = 0x40000000
SYN, ACK = 0x02, 0x10
HOP_BY_HOP, FRAGMENT, ROUTING, DESTINATION = 0, 44, 43, 60


SOURCE = objects.unpacked(objects.packed('bcc'))['source']


@functools.lru_cache(maxsize=None)
def compiled_by_bcc(source=SOURCE):
    """What BCC makes of the source, once for all guards of a run."""
    with tempfile.TemporaryDirectory() as directory:
        if fleet_headers.is_needed():
            os.environ['BCC_KERNEL_SOURCE'] = str(fleet_headers.write(Path(directory)))
        try:
            return bcc_compiler.compiled(source)
        finally:
            os.environ.pop('BCC_KERNEL_SOURCE', None)


class Guard:
    """A loaded object; with a cgroup once something has to run inside.

    `heard`: {name: addresses}, as the guard's start resolves them. `after`: a guard whose ledger goes on.
    `host`: the host's own names.
    """

    loader = 'libbpf'  # or bcc: of all guards from now on

    def __init__(self, policy, observe=False, heard=(), sizes=(), after=None, resolvers=RESOLVERS, host=()):
        self.policy, self.cgroup, self.links = policy, None, []
        self.generation = after.generation + 1 if after else 1
        library = libbpf.Library()
        self.kernel = bpf.Kernel(library)
        rules = compile_rules(policy, observe, resolvers, numbers_of(policy), self.generation, host)
        self.object = (bcc.Object(compiled_by_bcc()) if self.loader == 'bcc'
                       else libbpf.Object(library, OBJECT.read_bytes()))
        made = tables.make(self.kernel, itertools.chain(rules.tables, ((name, size, ()) for name, size in dict(sizes).items())))
        kept = {name: after.object.map_fd(name) for name in programs.LEDGER} if after else {}
        try:
            self.object.load({**kept, **made})
        finally:
            bpf.close(made.values())
        self.maps = {name: self.object.map_fd(name) for name in programs.LEDGER + programs.RULES + programs.ANSWERS + (
            'ebg_addresses', 'ebg_aliases')}
        self.egress, self.ingress = (self.object.program_fd(name) for name in ('ebg_egress', 'ebg_ingress'))
        for name, addresses in dict(heard).items():
            teach.tell(self.kernel, self.ingress, name, addresses)

    def attach(self):
        self.cgroup = os.path.join(cgroup.mount_point(), 'ebg-test-' + uuid.uuid4().hex[:12])
        cgroup.make(self.cgroup)
        directory = os.open(self.cgroup, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.kernel.update(self.object.map_fd('ebg_scope'), ctypes.c_uint32(0), ctypes.c_uint32(directory))
            self.kernel.update(self.object.map_fd('ebg_places'), ctypes.c_uint32(_abi.PLACE_GUARD),
                               ctypes.c_uint64(os.fstat(directory).st_ino))
            self.links = [self.kernel.attach(self.object.program_fd(name), directory, name) for name in ON_CGROUP]
            self.links += [self.kernel.attach_hook(self.object.program_fd(name), name, self.object.tracepoint(name))
                           for name in EVERYWHERE]
        finally:
            os.close(directory)
        return self

    def exchange(self, other):
        """Other rules, behind the same hooks."""
        for name, link in zip(ON_CGROUP, self.links):
            self.kernel.exchange(link, other.object.program_fd(name), name)

    def enter(self):
        cgroup.enter(self.cgroup)

    def inside(self, act):
        """What act() returns, in a child process inside the cgroup; what it raises fails the test."""
        return child(lambda: (self.enter(), act())[1])

    def hears(self, packet, source=_abi.SOURCE_TAUGHT):
        """Does the packet arrive, as a rule from what Python teaches?"""
        return bool(self.kernel.run(self.ingress, packet, source))

    def totals(self):
        return self.kernel.totals(self.maps['ebg_counters'], _abi.COUNTERS)

    def counters(self):
        return records.counters(self.totals())

    def denials(self):
        return list(self.kernel.items(self.maps['ebg_denied'], _abi.Denial, _abi.Record))

    def observations(self):
        return list(self.kernel.items(self.maps['ebg_observed'], _abi.Observation, _abi.Record))

    def heard(self):
        return list(self.kernel.items(self.maps['ebg_heard'], _abi.HeardKey, _abi.Heard))

    def reader(self):
        return records.Reader([records.describe(rule, self.policy.outage_of(rule)) for rule in self.policy.all_rules],
                              records.names_by_address(self.heard()), self.ancestors(), self.policy.mode, self.policy.outage)

    def ancestors(self):
        return {bytes(run): image for run, image in self.kernel.items(self.maps['ebg_ancestors'], _abi.Run, _abi.Image)}

    def close(self):
        for link in self.links:
            os.close(link)
        self.object.close()
        if self.cgroup:
            for pid in cgroup.pids(self.cgroup):
                os.kill(pid, signal.SIGKILL)
            cgroup.remove(self.cgroup)


def counted(**kinds):
    """The counters that a guard has when these are all."""
    return {**{kind: {**dict.fromkeys(records.VERDICTS.values(), 0), **kinds.pop(kind, {})}
               for kind in records.KINDS.values()}, 'lost': 0, 'forgotten': 0, 'name_services': 0, 'left': 0, **kinds}


def indices(array):
    return (ctypes.c_uint32 * len(array))(*range(len(array)))


def child(act, patience=PATIENCE):
    """What act() returns, as JSON carries it, in a child with an own network; what it raises, here."""
    receive, send = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            signal.alarm(patience)
            own_network()
            told = {'result': act()}
        except BaseException:
            told = {'raised': traceback.format_exc()}
        try:
            os.write(send, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive) as answer:
        told = json.loads(answer.read() or '{"raised": "it ended without a word"}')
    os.waitpid(pid, 0)
    assert 'raised' not in told, told['raised']
    return told['result']


def own_network():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'unshare')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:  # SIOCSIFFLAGS, IFF_UP
        fcntl.ioctl(any_socket, 0x8914, struct.pack('16sh14x', b'lo', 1))


def on_lo(*addresses):
    for address in addresses:
        subprocess.run(['ip', 'address', 'add', address, 'dev', 'lo'] + ['nodad'] * (':' in address), check=True)
    for address in addresses:  # the kernel makes an IPv6 address's route a moment later; what is sent before is lost
        while b'local' not in subprocess.run(['ip', 'route', 'get', address], check=True, stdout=subprocess.PIPE).stdout:
            pass


def nat(*rules, chain='output', priority=-100):
    """The host's NAT: what these rules of nftables make of its own packets."""
    head = 'add table inet {0}\nadd chain inet {0} nat {{ type nat hook {0} priority {1}; }}\n'.format(chain, priority)
    table = head + ''.join('add rule inet %s nat %s\n' % (chain, rule) for rule in rules)
    subprocess.run(['nft', '-f', '-'], input=table.encode(), check=True)


def outcome(act):
    """The name of the errno with which act() ends, or 'ok'."""
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return 'ok'


def dropped(client, act):
    """How act() ended; DROPPED where it went well and its last data did not leave: TCP takes that for not yet sent."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    said = outcome(act)
    if said != 'ok' or not unsent(client):
        return said
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))  # or it would be tried for minutes
    return 'DROPPED'


def unsent(client):
    """Bytes that TCP can't send, though nothing of what it has sent is still on its way."""
    left, before, end = array.array('i', [0]), None, time.monotonic() + PATIENCE
    while time.monotonic() < end:
        on_its_way = struct.unpack_from('I', client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64), 24)[0]
        fcntl.ioctl(client, 0x894b, left)  # SIOCOUTQNSD
        if not left[0] or (not on_its_way and left[0] == before):
            break
        before = None if on_its_way else left[0]
        time.sleep(0.001)
    return left[0]


FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def family(address):
    return FAMILY[ipaddress.ip_address(address).version]


def listener(address, port=0, kind=socket.SOCK_STREAM):
    """A socket that listens; made before the process enters the guard, it stands outside."""
    server = socket.socket(family(address), kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.settimeout(5)
    if kind == socket.SOCK_STREAM:
        server.listen(64)
    return server


def arrived(server):
    """All that the next connection brings until it ends."""
    peer, _from = server.accept()
    with peer:
        return until_the_end(peer)


def until_the_end(peer, cut=False):
    """All that comes. `cut`: the guard dropped some; where the kernel alone gave the connection up, no end is told."""
    peer.settimeout(0.5 if cut else 5)
    parts = []
    try:
        while not parts or parts[-1]:
            parts.append(peer.recv(65536))
    except ConnectionResetError:
        pass
    except TimeoutError:
        if not cut:
            raise
    return b''.join(parts)


def hears(server, first):
    """Does the server hear these first bytes of a connection? None: there is no connection."""
    with socket.socket(server.family) as client:
        client.settimeout(5)
        if outcome(lambda: client.connect(server.getsockname())) != 'ok':
            return None
        peer, _from = server.accept()
        said = dropped(client, lambda: client.sendall(first))
    with peer:
        return bool(until_the_end(peer, said == 'DROPPED'))


# --- what the programs keep of addresses ---

class Lead(ctypes.Structure):
    _fields_ = [('address', ctypes.c_uint8 * 16), ('lead', ctypes.c_uint64)]


class Leads(ctypes.Structure):
    """What the programs keep of some addresses in ebg_addresses."""

    _fields_ = [('lock', ctypes.c_uint32), ('padding', ctypes.c_uint32), ('chosen', ctypes.c_uint64),
                ('ways', Lead * 16)]


def leads(guard, address):
    """[(until when it holds, in ticks; the rest of it)] of the leads to an address."""
    return [(way.lead >> 32, way.lead & 0xffffffff)
            for _key, found in guard.kernel.items(guard.maps['ebg_addresses'], ctypes.c_uint32, Leads)
            for way in found.ways if way.lead and bytes(way.address) == wide(address)]


def hold_until(guard, address, ticks):
    """Has every lead to the address hold until then alone, as if its answer had been an older one."""
    for key, found in list(guard.kernel.items(guard.maps['ebg_addresses'], ctypes.c_uint32, Leads)):
        for way in found.ways:
            if bytes(way.address) == wide(address):
                way.lead = way.lead and ticks << 32 | way.lead & 0xffffffff
        guard.kernel.update(guard.maps['ebg_addresses'], key, found)


def wide(address):
    address = ipaddress.ip_address(address)
    return address.packed if address.version == 6 else bytes(10) + b'\xff\xff' + address.packed


# --- packets for the egress program ---

def passes(guard, frame):
    return bool(guard.kernel.run(guard.egress, frame) & 1)


def frame(address, port, protocol, options=0, extensions=(), flags=SYN, source=None, source_port=1, cut=None,
          payload=b''):
    """An Ethernet frame with an IP packet to an endpoint; an IPv4-mapped address makes an IPv4 packet."""
    address = ipaddress.ip_address(address)
    address = getattr(address, 'ipv4_mapped', None) or address
    source = ipaddress.ip_address(source or ('198.51.100.99' if address.version == 4 else '2001:db8:99::99'))
    transport = {TCP: struct.pack('!HHIIBBHHH', source_port, port, 0, 0, 0x50, flags, 0, 0, 0),
                 UDP: struct.pack('!HHHH', source_port, port, 8 + len(payload), 0)}.get(protocol, b'\x08' + bytes(15))
    transport += payload
    if address.version == 4:
        packet = struct.pack('!BBHHHBBH', 0x45 + options, 0, 20 + 4 * options + len(transport), 0, 0, 64, protocol, 0)
        packet += source.packed + address.packed + b'\x01' * 4 * options + transport
        return (bytes(12) + b'\x08\x00' + packet)[:cut]
    body = b''
    for index, (kind, units) in enumerate(extensions):
        following = extensions[index + 1][0] if index + 1 < len(extensions) else protocol
        body += bytes([following, 0 if kind == FRAGMENT else units]) + bytes(6 if kind == FRAGMENT else 6 + 8 * units)
    body += transport
    packet = struct.pack('!IHBB', 6 << 28, len(body), extensions[0][0] if extensions else protocol, 64)
    return (bytes(12) + b'\x86\xdd' + packet + source.packed + address.packed + body)[:cut]
