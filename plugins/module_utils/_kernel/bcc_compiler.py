# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. BCC, the compiler on the target: is it there, and what does it make of the guard's source?"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import importlib
import importlib.util
import json
import os
import pickle
import re
import sys
import tempfile

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files, packages
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.btf import SYSCALL

NO_HEADERS = 'Unable to find kernel headers'  # BCC's own words
KHEADERS = '/sys/kernel/kheaders.tar.xz'
RELEASE = re.compile(r'UTS_RELEASE "([^"]+)"')
VERSION_CODE = re.compile(r'LINUX_VERSION_CODE (?:(\d+)$|KERNEL_VERSION\((\d+), *(\d+), *(\d+)\))', re.M)


def is_there():
    """Can this Python import BCC?"""
    found = importlib.util.find_spec('bcc')
    return found is not None and found.origin is not None  # and no mere directory of that name


def check():
    """Raises GuardError where it can't."""
    if os.uname().machine not in SYSCALL:
        raise GuardError('loader: bcc does not know the system calls of this machine (%s); use loader: libbpf.'
                         % os.uname().machine)
    if not is_there():
        raise GuardError('%s can not import bcc, which compiles the guard on this host. Install %s, or use loader: libbpf.'
                         % (sys.executable, needed()), missing_packages=packages.bcc(os.uname().release))
    check_headers(headers(), os.uname().release, os.uname().version)


def check_headers(directories, release, built):
    """Raises GuardError where BCC would compile with the headers of another kernel: it would read the wrong places.

    `release`, `built`: of the kernel that runs, as uname(2) tells them. Headers that do not tell whose they are pass, and so
    do those that the kernel itself has.
    """
    for directory in directories:
        others = _others(directory, release, built)
        if others:
            raise GuardError(
                'The kernel headers in %s are those of Linux %s, and Linux %s runs: what BCC compiles with them reads the '
                'wrong places of this kernel. Install the package with its own, linux-headers-%s (Debian, Ubuntu) or '
                'kernel-devel-%s (Fedora, RHEL), boot the kernel that they are for, or use loader: libbpf.'
                % (directory, others, release, release, release), missing_packages=packages.bcc(os.uname().release)[1:])


def _others(directory, release, built):
    """Whose headers they are, where they are another kernel's."""
    told = RELEASE.search(_read(directory, 'include/generated/utsrelease.h'))
    if told:  # a + is what an unclean source tree adds
        return told.group(1) if told.group(1).rstrip('+') != release.rstrip('+') else None
    told = VERSION_CODE.search(_read(directory, 'include/generated/uapi/linux/version.h')
                               or _read(directory, 'include/linux/version.h'))
    if not told:
        return None
    code = int(told.group(1) or 0)
    theirs = (code >> 16, code >> 8 & 255, code & 255) if code else tuple(map(int, told.groups()[1:]))
    # Debian and Ubuntu have a 0 in place of the last number, and Debian the whole version in what was built. Headers have
    # room for 255 in that place.
    ours = re.search(r'Debian (\d+)\.(\d+)\.(\d+)', built) or re.match(r'(\d+)\.(\d+)(?:\.(\d+))?', release)
    ours = tuple(int(number or 0) for number in ours.groups())
    same = theirs[:2] == ours[:2] and (not ours[2] or min(theirs[2], 255) == min(ours[2], 255))
    return None if same else '%d.%d.%d' % theirs


def _read(directory, path):
    try:
        return files.text(os.path.join(directory, path))
    except OSError:
        return ''


def needed():
    """The packages that BCC comes with and compiles with, for people."""
    return '%s (Debian, Ubuntu), or %s (Fedora, RHEL)' % tuple(
        ' and '.join(packages.bcc(os.uname().release, family)) for family in ('debian', 'fedora'))


def compiled(source, path=None):
    """{function: its instructions}. `source`: C, as bytes. `path`: a file with what kept() says.

    In a process of its own: the compiler needs a lot of memory, and writes where a module's answer goes.
    """
    with contextlib.suppress(TypeError, OSError, ValueError, RecursionError):  # there is none, or it is damaged
        of, functions = json.loads(files.content(path))
        if of == _fingerprint(source, functions):
            return {name: base64.b64decode(code) for name, code in functions.items()}
    check()
    with tempfile.NamedTemporaryFile(prefix='ebpf_guard_') as file, tempfile.TemporaryFile() as made, \
            tempfile.TemporaryFile() as output:
        file.write(source)
        file.flush()
        child = os.fork()
        if child == 0:
            _compile_apart(file.name, made, output)
        _child, status = os.waitpid(child, 0)
        output.seek(0)
        made.seek(0)
        if status == 0:
            return pickle.load(made)
        text = output.read().decode('utf-8', 'replace')
        if NO_HEADERS in text:
            raise GuardError(
                'BCC finds no headers of the kernel that runs, Linux %s. It looked for %s. Install the package with them, '
                'linux-headers-%s (Debian, Ubuntu) or kernel-devel-%s (Fedora, RHEL), or use loader: libbpf.' % (
                    os.uname().release, ', '.join(headers()), os.uname().release, os.uname().release),
                missing_packages=packages.bcc(os.uname().release)[1:])
        raise GuardError('BCC could not compile the guard on this host: %s' % _first_error(text, status))


def kept(source, functions):
    """What compiled() made, as the text of a file for it."""
    functions = {name: base64.b64encode(code).decode() for name, code in functions.items()}
    return json.dumps([_fingerprint(source, functions), functions])


def _fingerprint(source, functions):
    return hashlib.sha256(json.dumps([source.decode(), functions], sort_keys=True).encode()).hexdigest()


def _compile_apart(path, made, output):
    """Ends this process. BCC gets one line, and leaves the text alone that this line includes."""
    status = 1
    try:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        bcc = importlib.import_module('bcc')
        flags = ['-w'] + ['-DEBG_FD_%s=%d' % (name, number) for number, name in enumerate(_abi.MAPS)]
        module = bcc.BPF(text='#include "%s"\n' % path, cflags=flags).module
        functions = {}
        for number in range(bcc.lib.bpf_num_functions(module)):
            name = bcc.lib.bpf_function_name(module, number)
            functions[name.decode()] = ctypes.string_at(bcc.lib.bpf_function_start(module, name),
                                                        bcc.lib.bpf_function_size(module, name))
        pickle.dump(functions, made)
        made.flush()
        status = 0
    except BaseException as error:  # pylint: disable=broad-except
        os.write(2, ('\n%s: %s\n' % (type(error).__name__, error)).encode())
    finally:
        ctypes.CDLL(None).fflush(None)  # BCC's own words
        os._exit(status)


def headers():
    """Where BCC looks for the headers of this kernel."""
    return [os.environ['BCC_KERNEL_SOURCE']] if 'BCC_KERNEL_SOURCE' in os.environ else [
        '/lib/modules/%s/%s' % (os.uname().release, name) for name in ('source', 'build')] + [KHEADERS]


def _first_error(text, status):
    if os.WIFSIGNALED(status):
        return 'signal %d ended it. It needs about 250 MB of memory.' % os.WTERMSIG(status)
    lines = [line for line in text.splitlines() if line.strip()]
    return ([line for line in lines if ' error: ' in line] or lines[-1:] or ['it does not say why.'])[0]
