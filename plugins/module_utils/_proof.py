# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A guard proves itself: a process inside it tries to reach a canary by every hook, and each must answer."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _cgroup
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._rules import CANARY4, CANARY6

DISCARD = 9  # the port
ECHO_REQUEST = b'\x08\x00\xf7\xfe\x00\x00\x00\x01'
HOOKS = {'ebg_connect4': _abi.HOOK_CONNECT4, 'ebg_connect6': _abi.HOOK_CONNECT6, 'ebg_sendmsg4': _abi.HOOK_SENDMSG4,
         'ebg_sendmsg6': _abi.HOOK_SENDMSG6, 'ebg_egress': _abi.HOOK_EGRESS}
REFUSED = (errno.EACCES, errno.EPERM)


def prove(place, read_canaries, refuses):
    """Raises GuardError where a hook does not answer, or the launcher does not lead inside.

    `read_canaries()` gives how often each hook met the canary so far. `refuses`: the mode denies.
    """
    before = read_canaries()
    results = _inside(place.cgroup, _attempts)
    after = read_canaries()
    for name, hook in HOOKS.items():
        if results[name] is None:  # this host has no such sockets
            continue
        if after[hook] <= before[hook]:
            raise GuardError('The guard did not prove itself: its program %s was not run for a process inside '
                             '(the attempt ended with %s).' % (name, _word(results[name])))
        if refuses and results[name] not in REFUSED:
            raise GuardError('The guard did not prove itself: %s saw the canary, and the access was not denied (%s).'
                             % (name, _word(results[name])))
    entered = subprocess.run([place.launcher, '-c', 'exit 0'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, check=False)
    if entered.returncode:
        raise GuardError('The guard did not prove itself: its launcher %s failed: %s'
                         % (place.launcher, entered.stdout.decode('utf-8', 'replace').strip().split('\n')[0]))


def _word(code):
    return errno.errorcode.get(code, 'success')


def _inside(cgroup, attempts):
    """What `attempts()` returns in a child process inside the cgroup."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        try:
            _cgroup.enter(cgroup)
            os.write(send, json.dumps(attempts()).encode())
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


def _attempts():
    """{program: errno of an access that only this program sees first, 0 for success, None without such sockets}."""
    return {
        'ebg_connect4': _attempt(socket.AF_INET, socket.SOCK_DGRAM, 0, lambda s: s.connect((CANARY4, DISCARD))),
        'ebg_connect6': _attempt(socket.AF_INET6, socket.SOCK_DGRAM, 0, lambda s: s.connect((CANARY6, DISCARD))),
        'ebg_sendmsg4': _attempt(socket.AF_INET, socket.SOCK_DGRAM, 0, lambda s: s.sendto(b'', (CANARY4, DISCARD))),
        'ebg_sendmsg6': _attempt(socket.AF_INET6, socket.SOCK_DGRAM, 0, lambda s: s.sendto(b'', (CANARY6, DISCARD))),
        'ebg_egress': _attempt(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP,
                               lambda s: s.sendto(ECHO_REQUEST, (CANARY4, 0))),
    }


def _attempt(family, kind, protocol, act):
    try:
        with socket.socket(family, kind, protocol) as canary:
            # In monitor mode the access goes through; bound to the loopback device it can't leave the host.
            canary.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo\0')
            act(canary)
    except OSError as error:
        return None if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT) else error.errno
    return 0
