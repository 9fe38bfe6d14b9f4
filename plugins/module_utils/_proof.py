# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A guard proves itself: a process inside it tries to reach a canary by every hook, and each must answer."""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import subprocess

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _cgroup, _files, _learn, _ways
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._rules import (
    CANARY4, CANARY6, CANARY_NAME, CANARY_PEER)

DISCARD = 9  # the port
PATIENCE = 10  # seconds, for what arrives at once
ECHO_REQUEST = b'\x08\x00\xf7\xfe\x00\x00\x00\x01'
MPTCP = 262
# {what is tried: (the program's counter of canaries, whether it refuses the canary)}
HOOKS = {
    'ebg_connect4': (_abi.HOOK_CONNECT4, True),
    'ebg_connect6': (_abi.HOOK_CONNECT6, True),
    'ebg_sendmsg4': (_abi.HOOK_SENDMSG4, True),
    'ebg_sendmsg6': (_abi.HOOK_SENDMSG6, True),
    'ebg_egress': (_abi.HOOK_EGRESS, True),
    'ebg_egress (DNS)': (_abi.HOOK_QUESTION, True),
    'ebg_ingress': (_abi.HOOK_INGRESS, False),
    'ebg_message': (_abi.HOOK_MESSAGE, True),
    'ebg_create': (_abi.HOOK_CREATE, False),
    'ebg_unix_stream': (_abi.HOOK_UNIX, True),
    'ebg_connect_un': (_abi.HOOK_UNIX, True),
    'ebg_unix_send': (_abi.HOOK_UNIX_SEND, True),
    'ebg_sendmsg_un': (_abi.HOOK_UNIX_SEND, True),
    'ebg_way_open': (_abi.HOOK_WAY_OPEN, True),
    'ebg_way_clone': (_abi.HOOK_WAY_CLONE, True),
    'ebg_file_open': (_abi.HOOK_OPEN, True),
    'ebg_truncate': (_abi.HOOK_TRUNCATE, True),
    'ebg_mknod': (_abi.HOOK_MKNOD, True),
    'ebg_mkdir': (_abi.HOOK_MKDIR, True),
    'ebg_rmdir': (_abi.HOOK_RMDIR, True),
    'ebg_unlink': (_abi.HOOK_UNLINK, True),
    'ebg_symlink': (_abi.HOOK_SYMLINK, True),
    'ebg_link': (_abi.HOOK_LINK, True),
    'ebg_rename': (_abi.HOOK_RENAME, True),
    'ebg_exec': (_abi.HOOK_EXEC, False),
    'ebg_fork': (_abi.HOOK_FORK, False),
    'ebg_image': (_abi.HOOK_IMAGE, False),
}
REFUSED = (errno.EACCES, errno.EPERM)
ABSENT = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOSYS)


def prove(place, read_canaries, programs, refuses):
    """Raises GuardError where a hook does not answer, or the launcher does not lead inside.

    `read_canaries()` gives how often each hook met the canary so far. `programs`: the names of those that are attached.
    `refuses`: the mode denies.
    """
    wanted = {name: attempt
              for name, attempt in dict(ATTEMPTS, **_ways.attempts(place), **_files.attempts(place)).items()
              if name.partition(' ')[0] in programs}
    _files.make_canary(place)
    before = read_canaries()
    with place.trial() as cgroup:
        results = _inside(cgroup, wanted)
    after = read_canaries()
    for name in wanted:
        hook, denies = HOOKS[name]
        if results[name] is None:  # this host has no such sockets, or calls
            continue
        if after[hook] <= before[hook]:
            raise GuardError('The guard did not prove itself: its program %s was not run for a process inside '
                             '(the attempt ended with %s).' % (name, _word(results[name])))
        if refuses and denies and results[name] not in REFUSED:
            raise GuardError('The guard did not prove itself: %s saw the canary, and the access was not denied (%s).'
                             % (name, _word(results[name])))
    if place.cgroup == place.own:
        _try_the_launcher(place)


def _try_the_launcher(place):
    entered = subprocess.run([place.launcher, '-c', 'exit 0'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, check=False)
    if entered.returncode:
        raise GuardError('The guard did not prove itself: its launcher %s failed: %s'
                         % (place.launcher, entered.stdout.decode('utf-8', 'replace').strip().split('\n')[0]))


def _word(code):
    return errno.errorcode.get(code, 'success')


def _inside(cgroup, attempts):
    """{name: errno of what a child process inside the cgroup attempted, 0 for success, None without such sockets}."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        try:
            _cgroup.enter(cgroup)
            os.write(send, json.dumps({name: _tried(attempt) for name, attempt in attempts.items()}).encode())
        except Exception as error:  # anything: the parent must hear of it, and the child must end here
            os.write(send, json.dumps(str(error)).encode())
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    results = json.loads(told or '"it ended without a word"')
    if isinstance(results, str):
        raise GuardError('The guard did not prove itself: the process that should try it out failed: %s.' % results)
    return results


def _send_udp(raw, source, target):
    """A DNS message about the canary's name; by a raw socket, so that no program but those of packets sees it."""
    message = _learn.answer(CANARY_NAME, [_learn.record(CANARY4)])
    raw.sendto(struct.pack('!HHHH', source, target, 8 + len(message), 0) + message, (CANARY_PEER, 0))


def _receive_answer(receiver):
    receiver.bind((CANARY_PEER, 0))
    receiver.settimeout(PATIENCE)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        _send_udp(raw, _learn.DNS_PORT, receiver.getsockname()[1])
    receiver.recv(4096)


def _present_name(client):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind((CANARY_PEER, 0))
        server.listen(1)
        client.settimeout(PATIENCE)
        client.connect(server.getsockname())
        client.sendall(b'GET / HTTP/1.1\r\nHost: %s\r\n\r\n' % CANARY_NAME.encode())


def _tried(attempt):
    try:
        attempt()
    except OSError as error:
        return None if error.errno in ABSENT else error.errno or errno.ETIMEDOUT
    return 0


def _by_socket(family, kind, protocol, act):
    def attempt():
        with socket.socket(family, kind, protocol) as canary:
            # In monitor mode the access goes through; bound to the loopback device it can't leave the host.
            canary.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo\0')
            act(canary)
    return attempt


# {program: an access that only this program sees first}; _ways.py and _files.py have more
ATTEMPTS = {
    'ebg_connect4': _by_socket(socket.AF_INET, socket.SOCK_DGRAM, 0, lambda s: s.connect((CANARY4, DISCARD))),
    'ebg_connect6': _by_socket(socket.AF_INET6, socket.SOCK_DGRAM, 0, lambda s: s.connect((CANARY6, DISCARD))),
    'ebg_sendmsg4': _by_socket(socket.AF_INET, socket.SOCK_DGRAM, 0, lambda s: s.sendto(b'', (CANARY4, DISCARD))),
    'ebg_sendmsg6': _by_socket(socket.AF_INET6, socket.SOCK_DGRAM, 0, lambda s: s.sendto(b'', (CANARY6, DISCARD))),
    'ebg_egress': _by_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP,
                             lambda s: s.sendto(ECHO_REQUEST, (CANARY4, 0))),
    'ebg_egress (DNS)': _by_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP,
                                   lambda s: _send_udp(s, DISCARD, _learn.DNS_PORT)),
    'ebg_ingress': _by_socket(socket.AF_INET, socket.SOCK_DGRAM, 0, _receive_answer),
    'ebg_message': _by_socket(socket.AF_INET, socket.SOCK_STREAM, 0, _present_name),
    'ebg_create': _by_socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP, lambda s: None),
}
