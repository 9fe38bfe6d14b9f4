# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The host's libbpf (0.3 to 1.x), or the one that BCC has inside: an object of programs and maps, loaded.

Every failure is a KernelError that names what was asked of the kernel and the errno; where libbpf or the verifier wrote
more, the end of that follows.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import ADVICE, GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import files, packages
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import programs

SONAMES = ('libbpf.so.1', 'libbpf.so.0')
BCC_SONAME = 'libbcc.so.0'  # has libbpf inside, or leads to it
NEWEST_CALL, SINCE = 'ring_buffer__epoll_fd', '0.3'  # of all that is called here, what libbpf has had for the shortest time
ABSENT = 'No such file'  # in what dlopen(3) says of a library that is not there
LOADING = "load the guard's programs"
NO_TYPES = 'Error loading vmlinux BTF'  # libbpf's words
BTF = '/sys/kernel/btf/vmlinux'
OLDEST_KERNEL = (5, 10)

# <linux/bpf.h>
BPF_PROG_TYPE_LSM, BPF_LSM_MAC = 29, 27
LACKING = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)  # it says nothing of what was asked for
NAMES = {524: 'ENOTSUPP'}  # inside the kernel, and of BPF outside of it: it can't do that
LIBBPF_ERRNO_START = 4000  # errors of libbpf's own, where the kernel was not asked

_SAMPLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class KernelError(GuardError):
    """What was asked of the kernel, the errno, and in `detail` what libbpf or the verifier wrote of it. `brief`: without that."""

    def __init__(self, asked, code, detail=''):
        if code < LIBBPF_ERRNO_START:
            name = NAMES.get(code) or errno.errorcode.get(code, str(code))
            text = 'The kernel refused to %s: %s (%s).' % (asked, words(code), name)
            detail = ADVICE[code] if code in LACKING else detail
        else:
            text = 'libbpf can not %s.' % asked
        GuardError.__init__(self, (text + ' ' + detail).strip())
        self.errno, self.brief = code, text


def words(code):
    """What an errno means. The kernel has one that no C library knows."""
    return os.strerror(errno.ENOTSUP if code in NAMES else code)


_warnings = []  # libbpf's last warnings, for error messages


@_PRINT
def _keep(level, form, arguments):
    # libbpf has one printer for the whole process, so this one has to live as long
    if level == 0:  # LIBBPF_WARN
        text = ctypes.create_string_buffer(4096)
        ctypes.CDLL(None).vsnprintf(text, ctypes.c_size_t(len(text)), form, ctypes.c_void_p(arguments))
        _warnings.extend(text.value.decode('utf-8', 'replace').splitlines())
        del _warnings[:-12]
    return 0


def _give_back():
    """What the C library has kept of freed memory. Reading the kernel's types takes 11 MB for a moment, which would come on top."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # the GNU library's
    if trim:
        trim(ctypes.c_size_t(0))


def check_btf():
    """Raises GuardError where the kernel does not describe its types."""
    if not os.path.exists(BTF):
        raise GuardError('This kernel does not describe its types (%s is missing), and the guard needs that to '
                         'read them. It needs a kernel built with CONFIG_DEBUG_INFO_BTF=y.' % BTF)


def _open(sonames):
    """The first of these libraries that has all that is called here."""
    too_old = None
    for soname in sonames:
        try:
            found = ctypes.CDLL(soname, use_errno=True)
        except OSError as error:
            if ABSENT not in str(error):
                raise GuardError("%s, which loads the guard's programs into the kernel, is on this host and can't be loaded "
                                 'itself: %s.' % (soname, error))
            continue
        if hasattr(found, NEWEST_CALL):
            return found
        too_old = too_old or soname
    package = packages.libbpf()
    if too_old:
        raise GuardError('This host has libbpf %s, and the guard needs libbpf %s or later. Upgrade the package %s.%s' % (
            version() or '(%s)' % too_old, SINCE, package, _kernel_too()))
    raise GuardError("This host has no libbpf (%s), which loads the guard's programs into the kernel. %s%s" % (
        ' or '.join(SONAMES), packages.how(package), _kernel_too()), missing_packages=[package])


def version(mapped='/proc/self/maps'):
    """Of the library that is loaded, as the name of its file has it, such as '1.1.2'; None where that has none."""
    found = re.search(r'/libbpf\.so\.(\d+\.\d+(?:\.\d+)*)', files.text(mapped))
    return found and found.group(1)


def _kernel_too():
    """A host whose libbpf is not enough may have a kernel that is not, either. Who has to change both is told both."""
    release = os.uname().release
    return ' And it runs Linux %s; the guard needs 5.10 or later.' % release if is_too_old(release) else ''


def is_too_old(release):
    """Of a kernel: '6.1.0-18-amd64' is not."""
    return tuple(int(number) for number in re.match(r'(\d+)\.(\d+)', release).groups()) < OLDEST_KERNEL


def check():
    """Raises GuardError where the host has no libbpf of its own."""
    _open(SONAMES)


class Library:
    """libbpf, loaded."""

    def __init__(self):
        self.lib = _open(SONAMES + (BCC_SONAME,))
        for name in ('bpf_object__open_mem', 'bpf_object__find_map_by_name', 'bpf_object__find_program_by_name',
                     'ring_buffer__new'):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.lib.libbpf_set_print(_keep)
        # Before 5.11 maps count against this limit, and the default fits nothing.
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (OSError, ValueError):
            pass

    def check(self, result, asked):
        """`result`, or a KernelError where it is negative."""
        if result >= 0:
            return result
        code = ctypes.get_errno() or -result
        raise KernelError(asked, code)

    def pointer(self, result, asked):
        """`result`, or a KernelError where it is NULL (libbpf 1.x) or holds an errno (0.x)."""
        if result and result < 2 ** 64 - 4096:
            return ctypes.c_void_p(result)
        code = 2 ** 64 - result if result else ctypes.get_errno()
        raise KernelError(asked, code, ' '.join(_warnings[-4:]))


class Object:
    """The guard's BPF object: opened, sized, loaded. Closing it drops what is not pinned or attached."""

    def __init__(self, library, content):
        self.library, self.lib = library, library.lib
        self._content = content
        del _warnings[:]  # what it said of another object explains nothing here
        check_btf()
        self._object = library.pointer(
            self.lib.bpf_object__open_mem(content, ctypes.c_size_t(len(content)), None), 'open the BPF object')

    def _map(self, name):
        return self.library.pointer(self.lib.bpf_object__find_map_by_name(self._object, name.encode()),
                                    'find the map %s' % name)

    def set_size(self, name, entries):
        self.library.check(self.lib.bpf_map__set_max_entries(self._map(name), ctypes.c_uint32(entries)),
                           'size the map %s' % name)

    def reuse(self, name, fd):
        """Load with this existing map in place of a new one."""
        self.library.check(self.lib.bpf_map__reuse_fd(self._map(name), fd), 'go on with the map %s' % name)

    def load(self, shared=None):
        """`shared`: {name: file descriptor} of maps to be used in place of new ones."""
        for name, fd in (shared or {}).items():
            self.reuse(name, fd)
        _give_back()
        result = self.lib.bpf_object__load(self._object)
        if result < 0:
            code = ctypes.get_errno() or -result
            if NO_TYPES in ' '.join(_warnings):  # whatever kept libbpf from that, it says only that it could not
                raise GuardError("libbpf could not read the kernel's types (%s). %s" % (BTF, ADVICE[errno.ENOMEM]))
            raise KernelError(LOADING, code, ' '.join(_warnings[-6:]))

    def map_fd(self, name):
        return self.library.check(self.lib.bpf_map__fd(self._map(name)), 'find the map %s' % name)

    def _program(self, name):
        return self.library.pointer(self.lib.bpf_object__find_program_by_name(self._object, name.encode()),
                                    'find the program %s' % name)

    def set_autoload(self, name, wanted):
        self.lib.bpf_program__set_autoload(self._program(name), ctypes.c_bool(wanted))

    def set_lsm_hook(self, name):
        """For a program that is written to stand before security_HOOK: as the HOOK of the BPF security module."""
        program, hook = self._program(name), programs.security_hook(name)
        self.lib.bpf_program__set_type(program, BPF_PROG_TYPE_LSM)
        self.lib.bpf_program__set_expected_attach_type(program, BPF_LSM_MAC)
        self.library.check(self.lib.bpf_program__set_attach_target(program, 0, hook.encode()),
                           'find the security hook %s' % hook)

    def set_attach_type(self, name):
        """For a program whose section this libbpf may not know."""
        self.lib.bpf_program__set_type(self._program(name), programs.program_type(name))
        self.lib.bpf_program__set_expected_attach_type(self._program(name), programs.attach_type(name))

    def program_fd(self, name):
        return self.library.check(self.lib.bpf_program__fd(self._program(name)), 'find the program %s' % name)

    def tracepoint(self, _name):
        """None: the programs know by themselves where they belong."""
        return None

    def close(self):
        self.lib.bpf_object__close(self._object)


class Ring:
    """The reading end of a ring buffer map: `take(value)` gets each value that a program wrote, as `value_type`."""

    def __init__(self, library, fd, value_type, take):
        self.lib = library.lib

        def sample(_context, data, _size):
            take(value_type.from_buffer_copy(ctypes.string_at(data, ctypes.sizeof(value_type))))
            return 0

        self._sample = _SAMPLE(sample)  # libbpf keeps no reference
        self._ring = library.pointer(self.lib.ring_buffer__new(fd, self._sample, None, None), 'read a ring buffer')

    def fileno(self):
        """Readable when there is something to read."""
        return self.lib.ring_buffer__epoll_fd(self._ring)

    def read(self):
        self.lib.ring_buffer__consume(self._ring)
