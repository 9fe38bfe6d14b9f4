# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with hostile files and little of everything, on which the real modules are called: hostile.py SEED NUMBER. Or a full
ledger: hostile.py ledger.

Runs in namespaces of its own (unshare -m -n -u -C). Prints a line of JSON for each case: what was hostile, and of each call its
exit status, seconds and result. Each call is a fork of a process that has imported the modules, so a hundred take a minute.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import module_call

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import objects
from ansible_collections.loopbreak.deploy.plugins.modules import ebpf_guard, ebpf_guard_info

NAME = 'hostile'
RUN = '/run/ebpf_guard/' + NAME
LOG = '/var/log/ebpf_guard'
PIDS = '/sys/fs/cgroup/pids'  # of cgroup v1; where it is not, no case is short of processes
PATIENCE = 60  # seconds after which a call is taken for endless
POLICY = {'version': 1, 'mode': 'enforce', 'resolve': {'interval': 0}, 'deny': [
    {'id': 'net', 'reason': 'a test', 'networks': ['198.51.100.0/24']},
    {'id': 'name', 'reason': 'a test', 'hosts': ['denied.example', '.below.example']}]}
JUNK = [b'', b'\0', b'\0' * 5000, b'\xff\xfe\x00', b'# B\xfcro\n', b'[]', b'null', b'7', b'"x"', b'{', b'{}',
        b'\xe2\x80\xa8\n\x85', b'[' * 5000, b'x' * 100000, 'directory', 'fifo', '/dev/null']
TEXTS = {
    '/etc/resolv.conf': [b'# B\xfcro\nnameserver 192.0.2.53\n', b'nameserver\nsearch\noptions\n',
                         b'search b\xfcro.example \xc2\xa0\n',
                         b'nameserver \xff\nnameserver 192.0.2.53\0x\n', b'nameserver fe80::1%\xfc\noptions ndots:\xb2\n'],
    '/etc/hosts': [b'192.0.2.1 b\xfcro\n192.0.2.2 denied.example\0 x\n', b'\xff denied.example\n192.0.2.1\n#\n',
                   b'::1%\xfc x\n'],
    '/etc/nsswitch.conf': [b'hosts: f\xfcles\n', b'hosts:\n', b'\xff\n'],
    '/etc/passwd': [b'root:x:0:0:B\xfcro:/root:/bin/sh\n', b'root:x:0:0\nr\xfcoot:x:1:1::/:/bin/sh\n'],
    '/etc/group': [b'b\xfcro:x:7:\n'],
    '/etc/os-release': [b'ID=deb\xfcan\nID_LIKE=\n', b'ID="debian\n=\n\xff'],
}
BOUNDED = ('/etc/resolv.conf', '/etc/hosts', '/etc/os-release')  # the C library waits at a FIFO, and not all wait for it
LAST = [json.dumps(one).encode() for one in (
    {'ended': []}, {'ended': {'by': 1, 'at': None}}, {'ended': {'by': 'x', 'at': 'y'}, 'denied': 7, 'guard': []},
    {'ended': {'by': 'x', 'at': 'y'}, 'guard': {}})]
LIMITS = {'NOFILE': [12, 20, 64], 'FSIZE': [0, 100, 5000], 'AS': [8, 16, 32, 64], 'MEMLOCK': [0], 'NPROC': [0],
          'pids': [1, 2, 3, 4]}  # AS: MB more than there are; pids: processes, the module's included


def limited(limit, value):
    """In a call: the limit as the call has it."""
    if limit == 'pids':
        home = os.path.join(PIDS, 'hostile-%d' % os.getpid())
        with contextlib.suppress(FileExistsError):
            os.mkdir(home)
        for name, text in (('pids.max', value), ('cgroup.procs', os.getpid())):
            with open(os.path.join(home, name), 'w', encoding='ascii') as file:
                file.write(str(text))
        return
    if limit == 'AS':
        with open('/proc/self/statm', encoding='ascii') as file:
            value = int(file.read().split()[0]) * resource.getpagesize() + (value << 20)
    which = getattr(resource, 'RLIMIT_' + limit)
    keep_it()
    resource.setrlimit(which, (value, value))


def keep_it():
    """Drop CAP_SYS_RESOURCE, as a service may have it: else root raises every limit."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    for part in range(3):
        data[part] &= ~(1 << 24)
    libc.capset(header, data)


def call(main, arguments, limit=None):
    """{status, seconds, said, result} of a call of a module."""
    began, (answer, tell) = time.monotonic(), os.pipe()
    child = os.fork()
    if not child:
        def first():
            os.setsid()
            if limit:
                limited(*limit)
        module_call.become(main, arguments, tell, first)
    os.close(tell)
    status, said = None, b''
    while status is None and time.monotonic() < began + PATIENCE:
        done, how = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(how) if done else None
        while select.select([answer], [], [], 0 if done else 0.01)[0]:
            part = os.read(answer, 1 << 20)
            said += part
            if not part:  # all have closed it that could write to it
                time.sleep(0.01)
                break
    if status is None:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        home = os.path.join(PIDS, 'hostile-%d' % child)
        with open(os.path.join(home, 'cgroup.procs'), encoding='ascii') as inside:
            for pid in inside.read().split():
                move(PIDS, pid)
        os.rmdir(home)
    os.close(answer)
    said = said.decode('utf-8', 'replace')
    try:
        result = json.loads(said)
    except ValueError:
        result = None
    return {'status': status, 'seconds': time.monotonic() - began, 'said': said[-2000:], 'size': len(said), 'result': result}


def move(home, pid):
    with contextlib.suppress(OSError), open(os.path.join(home, 'cgroup.procs'), 'w', encoding='ascii') as procs:
        procs.write(str(pid))


def present(limit=None):
    return call(ebpf_guard.main, {'name': NAME, 'policy': POLICY, 'loader': 'libbpf',
                                  '_sent': {'objects': OBJECTS, 'remote_user': 'root'}}, limit)


def absent(limit=None):
    return call(ebpf_guard.main, {'name': NAME, 'state': 'absent', 'fail_on_denied': False}, limit)


def info(limit=None):
    return call(ebpf_guard_info.main, {}, limit)


def put(path, what):
    """Something else in the place of a file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
    if what == 'directory':
        os.mkdir(path)
    elif what == 'fifo':
        os.mkfifo(path)
    elif isinstance(what, str):
        os.symlink(what, path)
    else:
        with open(path, 'wb') as file:
            file.write(what)


@contextlib.contextmanager
def in_place_of(path, what):
    """The same of a file of the machine, by a mount."""
    there = os.path.join(tempfile.mkdtemp(), 'it')
    put(there, what)
    if what == 'directory':  # a mount can't put one over a file: a link that leads nowhere does as well
        put(there, b'')
        os.chmod(there, 0)
    subprocess.run(['mount', '--bind', os.path.realpath(there), os.path.realpath(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(['umount', '-l', os.path.realpath(path)], check=True)
        shutil.rmtree(os.path.dirname(there))


@contextlib.contextmanager
def mounted(path, options):
    os.makedirs(path, exist_ok=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', path], check=True)
    try:
        yield
    finally:
        subprocess.run(['umount', '-l', path], check=True)


def cases(chance):
    """(what it is, how: a function that gives the calls) without end; first each sort once."""
    files = [(path, what) for path, texts in TEXTS.items() for what in texts + JUNK if what != 'fifo' or path in BOUNDED]
    limits = [(limit, value) for limit, values in LIMITS.items() for value in values if limit != 'pids' or os.path.isdir(PIDS)]
    names = ('controllers', 'compiled.json', 'join', 'join/7', 'join/\udcfc', 'cgroup', 'launcher', 'canary', 'canary.file')
    kept = [(name, what) for name in names for what in JUNK]
    last = JUNK + LAST
    sizes = ['size=4k,mode=755', 'size=16k,mode=755', 'size=200k,nr_inodes=4,mode=755', 'ro,mode=755']
    sorts = [lambda: hostile_file(*chance.choice(files)), lambda: hostile_limit(*chance.choice(limits)),
             lambda: damaged(*chance.choice(kept)), lambda: damaged_last(chance.choice(last)),
             lambda: full(chance.choice(['/run', LOG]), chance.choice(sizes)),
             lambda: limited_end(*chance.choice(limits)), named_in_latin]
    fixed = [('/etc/resolv.conf', TEXTS['/etc/resolv.conf'][0]), ('/etc/resolv.conf', 'fifo')]
    for path, what in fixed:
        yield hostile_file(path, what)
    while True:
        for sort in sorts:
            yield sort()


def hostile_file(path, what):
    def calls():
        with in_place_of(path, what):
            return {'present': present(), 'info': info(), 'absent': absent()}
    return '%s: %r' % (path, what[:40]), calls


def hostile_limit(limit, value):
    def calls():
        return {'present': present((limit, value)), 'info': info((limit, value)), 'absent': absent((limit, value))}
    return '%s: %d' % (limit, value), calls


def limited_end(limit, value):
    """The guard is up, and then there is little."""
    def calls():
        return {'first': present(), 'present': present((limit, value)), 'info': info((limit, value)),
                'absent': absent((limit, value))}
    return 'at the end %s: %d' % (limit, value), calls


def damaged(name, what):
    def calls():
        first = present()
        put(os.path.join(RUN, name), what)
        return {'first': first, 'info': info(), 'present': present(), 'absent': absent()}
    return '%s: %r' % (name.encode('utf-8', 'replace'), what[:40]), calls


def damaged_last(what):
    def calls():
        os.makedirs(RUN, exist_ok=True)
        put(os.path.join(RUN, 'last.json'), what)
        return {'info': info(), 'absent': absent(), 'again': absent()}
    return 'last.json: %r' % (what[:40],), calls


def full(path, options):
    def calls():
        with mounted(path, options):
            found = {'present': present(), 'info': info(), 'absent': absent()}
            subprocess.run(['mount', '-o', 'remount,rw,size=50m,nr_inodes=0', path], check=False)
            return dict(found, again=absent())
    return '%s: %s' % (path, options), calls


def named_in_latin():
    def calls():
        with contextlib.ExitStack() as undo:
            place = tempfile.mkdtemp().encode() + b'/B\xfcro \xc2\xa0\xe2\x80\xa8x'
            undo.enter_context(mounted(os.fsdecode(place), 'size=1m'))
            before = os.uname().nodename
            for name in (b'w\xfcb', before.encode()):
                ctypes.CDLL(None).sethostname(name, len(name))
                undo.callback(ctypes.CDLL(None).sethostname, before.encode(), len(before))
                break
            ctypes.CDLL(None).prctl(15, b'p\xfc) x')
            found = {'present': present()}
            launcher = os.path.join(RUN, 'launcher')
            if os.path.exists(launcher):
                subprocess.run([launcher, '-c', b'exec -a "k\xfc\x85nd" sleep 60 & exec 3<>/dev/udp/198.51.100.1/9'],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            return dict(found, info=info(), absent=absent())
    return 'names in Latin-1', calls


def full_ledger():
    """A process that is denied more than the kernel keeps details of: what each call says, and the CPU time that it takes."""
    connect = ('import socket\nfor port in range(1, %d):\n with socket.socket(type=socket.SOCK_DGRAM) as s:\n'
               '  s.connect_ex(("198.51.100.1", port))\n' % (_abi.MAX_DENIED + 101))
    answers = {'present': dict(present(), cpu=0)}
    subprocess.run([os.path.join(RUN, 'launcher'), '-c', "exec '%s' -c '%s'" % (sys.executable, connect)], check=True)
    for name, asked in (('info', info), ('absent', absent)):
        before = cpu()
        answers[name] = dict(asked(), cpu=cpu() - before)
    with open(os.path.join(LOG, NAME + '.jsonl'), encoding='utf-8') as log:
        return {'answers': answers, 'logged': sum('"event": "denied"' in line for line in log)}


def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def left():
    """What of a guard is there."""
    return [path for path in (RUN, '/sys/fs/bpf/ebpf_guard/' + NAME, *(
        os.path.join(CGROUP2, 'ebpf_guard', NAME + end) for end in ('', '.agent'))) if os.path.exists(path)]


def main():
    if sys.argv[1] == 'ledger':
        print(json.dumps(full_ledger()))
        return
    chance = random.Random(int(sys.argv[1]))
    for number, (what, calls) in enumerate(cases(chance)):
        if number == int(sys.argv[2]):
            return
        answers = dict(calls(), last=absent())
        for answer in answers.values():
            answer['result'] = answer['result'] and {
                key: answer['result'][key] for key in ('msg', 'exception', 'changed', 'warnings') if key in answer['result']}
        print(json.dumps({'case': what, 'answers': answers, 'left': left()}), flush=True)


if __name__ == '__main__':
    with open('/proc/self/mountinfo', encoding='utf-8', errors='surrogateescape') as mountinfo:
        CGROUP2 = next(line.split()[4] for line in mountinfo if ' - cgroup2 ' in line)
    OBJECTS = objects.packed('libbpf')
    main()
