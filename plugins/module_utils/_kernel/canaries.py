# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The attempts by which a guard proves itself: each is an access to a canary that one program alone sees first.

An attempt takes the guard's run directory and raises OSError where it is refused. Nobody is at the canaries, so an
attempt that the guard lets pass, as in monitor mode, harms nobody.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import socket
import struct

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._canary import (
    CANARY4, CANARY6, CANARY_NAME, CANARY_PEER)
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import dns

DISCARD = 9  # the port
PATIENCE = 10  # seconds, for what arrives at once
ANSWERED_WITHIN = 1  # seconds; where an answer does not arrive at all, each start waits for so long
ECHO_REQUEST = b'\x08\x00\xf7\xfe\x00\x00\x00\x01'
SIOCOUTQNSD = 0x894b  # <linux/sockios.h>: bytes that TCP could not send so far
SOCKET = 'canary.sock'  # in the run directory, as the next one
WRITTEN = 'canary.file'
FILES, ALLOWED = 'canary', 'true'  # a directory that is denied, and a program in it that is not
THERE = ('directory', 'opened', 'removed', 'linked', 'renamed', ALLOWED)  # in FILES before the attempts
MADE = ('made', 'new', 'symlink', 'link', 'other')  # what the attempts leave there where nothing is denied
# clone3(2), which has the same number everywhere
CLONE3, CLONE_INTO_CGROUP = 435, 0x200000000


def enter(_run):
    """Who attempts this has come in already."""


# Addresses and names


def by_socket(family, kind, protocol, act):
    def attempt(_run):
        with socket.socket(family, kind, protocol) as canary:
            # In monitor mode the access goes through; bound to the loopback device it can't leave the host.
            canary.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo\0')
            act(canary)
    return attempt


def send_udp(raw, source, target, name=CANARY_NAME):
    """A DNS message about a canary's name; by a raw socket, so that no program but those of packets sees it."""
    message = dns.answer(name, [dns.address_record(CANARY4)])
    raw.sendto(struct.pack('!HHHH', source, target, 8 + len(message), 0) + message, (CANARY_PEER, 0))


def _receive_answer(receiver):
    receiver.bind((CANARY_PEER, 0))
    receiver.settimeout(PATIENCE)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        send_udp(raw, dns.PORT, receiver.getsockname()[1])
    receiver.recv(4096)


def request(name):
    return b'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' % name.encode()


def _present_name(client):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind((CANARY_PEER, 0))
        server.listen(1)
        client.settimeout(PATIENCE)
        client.connect(server.getsockname())
        client.sendall(request(CANARY_NAME))
        left = array.array('i', [0])
        fcntl.ioctl(client, SIOCOUTQNSD, left)
        if left[0]:  # the packet was dropped, which nobody tells the sender at once
            raise PermissionError(errno.EACCES, 'the data did not leave')


connect4 = by_socket(socket.AF_INET, socket.SOCK_DGRAM, 0, lambda canary: canary.connect((CANARY4, DISCARD)))
connect6 = by_socket(socket.AF_INET6, socket.SOCK_DGRAM, 0, lambda canary: canary.connect((CANARY6, DISCARD)))
send4 = by_socket(socket.AF_INET, socket.SOCK_DGRAM, 0, lambda canary: canary.sendto(b'', (CANARY4, DISCARD)))
send6 = by_socket(socket.AF_INET6, socket.SOCK_DGRAM, 0, lambda canary: canary.sendto(b'', (CANARY6, DISCARD)))
send_raw = by_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP,
                      lambda canary: canary.sendto(ECHO_REQUEST, (CANARY4, 0)))
ask = by_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP,
                 lambda canary: send_udp(canary, DISCARD, dns.PORT))
receive_answer = by_socket(socket.AF_INET, socket.SOCK_DGRAM, 0, _receive_answer)
present_name = by_socket(socket.AF_INET, socket.SOCK_STREAM, 0, _present_name)


class Trial:
    """Questions to the host's DNS servers, on the way that every question takes. Each has to get its answer.

    A server that the rules deny, or that no route leads to, is left out: no question gets there. `rcode`: what the answer says.
    """

    def __init__(self, servers, name=CANARY_NAME, rcode=dns.NXDOMAIN):
        self.servers, self._name, self._rcode, self._clients = servers, name, rcode, {}

    def ask(self, _run):
        """Returns how many questions left this process."""
        refused = OSError(errno.EDESTADDRREQ, 'no server')
        for identity, server in enumerate(self.servers):
            try:
                self._clients[identity] = _client_of(server)
            except OSError as error:
                refused = error
        if not self._clients:
            raise refused
        for identity, client in self._clients.items():
            client.send(dns.question(self._name, identity))
        return len(self._clients)

    def hear(self, _run):
        for identity, client in self._clients.items():
            with client:
                answer = client.recv(4096)
                if answer[:2] != identity.to_bytes(2, 'big') or answer[3] & 15 != self._rcode:
                    raise OSError(errno.EBADMSG, 'it is not the answer')


def _client_of(server):
    client = socket.socket(socket.AF_INET6 if ':' in server else socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(ANSWERED_WITHIN)
    try:
        client.connect((server, dns.PORT))
    except OSError:
        client.close()
        raise
    return client


# Ways out


def way_out_rules(run):
    """{path: FileRule} of the canaries for ways out."""
    return {path: _abi.FileRule(_abi.RULE_CANARY, 1) for path in (os.path.join(run, SOCKET), os.path.join(run, WRITTEN))}


def make_way_out(run):
    """The file that the attempt at a way out writes to."""
    with contextlib.suppress(FileExistsError):  # earlier rules know it, too, and may have to be put back
        os.close(os.open(os.path.join(run, WRITTEN), os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _by_unix_socket(kind):
    """To a canary that listens: the kernel asks nobody about a socket that is not there."""
    def attempt(run):
        path = os.path.join(run, SOCKET)
        with socket.socket(socket.AF_UNIX, kind) as server, socket.socket(socket.AF_UNIX, kind) as client:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            server.bind(path)
            try:
                if kind == socket.SOCK_DGRAM:
                    client.sendto(b'', path)
                else:
                    server.listen(1)
                    client.connect(path)
            finally:
                os.unlink(path)
    return attempt


connect_unix = _by_unix_socket(socket.SOCK_STREAM)
send_unix = _by_unix_socket(socket.SOCK_DGRAM)


def write_way_out(run):
    os.close(os.open(os.path.join(run, WRITTEN), os.O_WRONLY))


def clone(_run):
    """A child in a cgroup that is not there, by flags that nobody else asks for: there never is one."""
    arguments = (ctypes.c_uint64 * 11)()  # struct clone_args: flags first, the cgroup's file descriptor last
    arguments[0], arguments[10] = CLONE_INTO_CGROUP | _abi.CLONE_CANARY, 2 ** 31 - 1
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(CLONE3, arguments, ctypes.c_size_t(ctypes.sizeof(arguments))) < 0:
        raise OSError(ctypes.get_errno(), 'clone3')


# Files


def _at(run, name):
    return os.path.join(run, FILES, name)


def file_rules(run):
    """{path: FileRule} of the canaries for files."""
    return {os.path.join(run, FILES): _abi.FileRule(_abi.RULE_CANARY, 1, 0),
            _at(run, ALLOWED): _abi.FileRule(_abi.RULE_CANARY, 0, 0)}


def make_files(run):
    """A directory that a rule of the guard's own denies, but for one program in it; with all that the attempts need.

    One that is whole is left alone: rules that are in force already may keep this process from making it anew.
    """
    if all(os.path.exists(_at(run, name)) for name in THERE) and not any(
            os.path.lexists(_at(run, name)) for name in MADE):
        return
    shutil.rmtree(os.path.join(run, FILES), ignore_errors=True)
    os.makedirs(_at(run, 'directory'))
    for name in ('opened', 'removed', 'linked', 'renamed'):
        with open(_at(run, name), 'w'):
            pass
    shutil.copy('/bin/true', _at(run, ALLOWED))


def open_file(run):
    os.close(os.open(_at(run, 'opened'), os.O_RDONLY))


def truncate(run):
    os.truncate(_at(run, 'opened'), 0)


def mknod(run):
    os.close(os.open(_at(run, 'made'), os.O_WRONLY | os.O_CREAT))


def mkdir(run):
    os.mkdir(_at(run, 'new'))


def rmdir(run):
    os.rmdir(_at(run, 'directory'))


def unlink(run):
    os.unlink(_at(run, 'removed'))


def symlink(run):
    os.symlink('opened', _at(run, 'symlink'))


def link(run):
    os.link(_at(run, 'linked'), _at(run, 'link'))


def rename(run):
    os.rename(_at(run, 'renamed'), _at(run, 'other'))


def execute(run):
    """Nobody denies this one."""
    program = _at(run, ALLOWED)
    child = os.fork()
    if not child:
        with contextlib.suppress(OSError):
            os.execv(program, [program])
        os._exit(1)
    os.waitpid(child, 0)
