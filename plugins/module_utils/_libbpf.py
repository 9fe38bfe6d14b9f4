# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The kernel's BPF, through the host's libbpf (0.5 to 1.x), or the one that BCC has inside.

Keys and values are ctypes structures of ``_abi``. Every failure is a KernelError that names what was asked of the
kernel and the errno; where libbpf or the verifier said more, the end of it follows.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import resource

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

SONAMES = ('libbpf.so.1', 'libbpf.so.0')
BCC_SONAME = 'libbcc.so.0'  # has libbpf inside, or leads to it
PACKAGES = {'debian 11': 'libbpf0', 'ubuntu 22.04': 'libbpf0', 'debian': 'libbpf1', 'ubuntu': 'libbpf1',
            'opensuse': 'libbpf1', 'suse': 'libbpf1'}
BTF = '/sys/kernel/btf/vmlinux'

# <linux/bpf.h>
BPF_LINK_TYPE_CGROUP = 3
BPF_PROG_TYPE_CGROUP_SOCK_ADDR = 18
BPF_PROG_TYPE_LSM = 29
BPF_LSM_MAC, BPF_TRACE_ITER = 27, 28
# In the order in which they are attached: the packets come last, so that none is met whose socket was not.
ATTACH_TYPES = {'ebg_message': 7, 'ebg_established': 3, 'ebg_create': 2, 'ebg_connect4': 10, 'ebg_connect6': 11,
                'ebg_sendmsg4': 14, 'ebg_sendmsg6': 15, 'ebg_connect_un': 49, 'ebg_sendmsg_un': 50,
                'ebg_ingress': 0, 'ebg_egress': 1}
MESSAGE, SOCKETS = 'ebg_message', 'ebg_sockets'  # this one is attached to that map; it has no link before 6.10
UNIX_CGROUP = ('ebg_connect_un', 'ebg_sendmsg_un')  # where the kernel has them, and they are needed
HOOKS = tuple(name for name in ATTACH_TYPES if name != MESSAGE and name not in UNIX_CGROUP)  # of the cgroup, with links
# These stand before the kernel's security hooks, for all processes at once, and ask for the cgroup themselves.
UNIX = ('ebg_unix_stream', 'ebg_unix_send')
WAYS = UNIX + ('ebg_way_open', 'ebg_way_clone')
FILE_HOOKS = {'ebg_file_open': 'file_open', **{'ebg_' + act: 'path_' + act for act in (
    'truncate', 'mknod', 'mkdir', 'rmdir', 'unlink', 'symlink', 'link', 'rename')}}
FILES = tuple(FILE_HOOKS)
SECURITY_HOOKS = dict(zip(WAYS, ('unix_stream_connect', 'unix_may_send', 'file_open', 'task_alloc')), **FILE_HOOKS)
EXEC = 'ebg_exec'  # a tracepoint's: beside those of files; alone where nothing can be denied
LINEAGE = ('ebg_fork', 'ebg_image')  # tracepoints': before the others, which ask who a process descends from
EVERYWHERE = LINEAGE + WAYS + FILES + (EXEC,)
OPTIONAL = UNIX_CGROUP + WAYS + FILES + (EXEC,)  # which of these there are depends on the host and the rules
IDENTIFY = 'ebg_identify'  # tells which inodes are open here
# kept when the rules are exchanged
LEDGER = ('ebg_counters', 'ebg_denied', 'ebg_observed', 'ebg_images', 'ebg_ancestors', 'ebg_heard', 'ebg_asked',
          'ebg_opened', 'ebg_refused', SOCKETS)
RULES = ('ebg_config', 'ebg_nets', 'ebg_ports', 'ebg_names')
CURRENT = 'ebg_current'  # says which rules record; kept as well, but no record is lost with it
LIBBPF_ERRNO_START = 4000  # errors of libbpf's own, where the kernel was not asked
KERNEL_ENOTSUPP = 524  # not in Python's errno: the kernel's own "this map type can't"

_SAMPLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class KernelError(GuardError):
    def __init__(self, asked, code, said=''):
        name = errno.errorcode.get(code, str(code))
        if code < LIBBPF_ERRNO_START:
            text = 'The kernel refused to %s: %s (%s).' % (asked, os.strerror(code), name)
        else:
            text = 'libbpf can not %s.' % asked
        GuardError.__init__(self, (text + ' ' + said).strip())
        self.errno = code


def close(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)


class BatchOptions(ctypes.Structure):
    _fields_ = [('size', ctypes.c_size_t), ('elem_flags', ctypes.c_uint64), ('flags', ctypes.c_uint64)]


class RunOptions(ctypes.Structure):
    """struct bpf_test_run_opts, as far as a packet program needs it."""

    _fields_ = [('size', ctypes.c_size_t), ('data_in', ctypes.c_char_p), ('data_out', ctypes.c_void_p),
                ('data_size_in', ctypes.c_uint32), ('data_size_out', ctypes.c_uint32), ('ctx_in', ctypes.c_void_p),
                ('ctx_out', ctypes.c_void_p), ('ctx_size_in', ctypes.c_uint32), ('ctx_size_out', ctypes.c_uint32),
                ('retval', ctypes.c_uint32), ('repeat', ctypes.c_int32), ('duration', ctypes.c_uint32),
                ('flags', ctypes.c_uint32), ('cpu', ctypes.c_uint32), ('batch_size', ctypes.c_uint32)]


class LinkInfo(ctypes.Structure):
    """struct bpf_link_info, as far as a cgroup link fills it."""

    _fields_ = [('type', ctypes.c_uint32), ('id', ctypes.c_uint32), ('prog_id', ctypes.c_uint32),
                ('_hole', ctypes.c_uint32), ('cgroup_id', ctypes.c_uint64), ('attach_type', ctypes.c_uint32),
                ('_rest', ctypes.c_uint8 * 64)]


class MapInfo(ctypes.Structure):
    """struct bpf_map_info, its first fields."""

    _fields_ = [('type', ctypes.c_uint32), ('id', ctypes.c_uint32), ('key_size', ctypes.c_uint32),
                ('value_size', ctypes.c_uint32), ('max_entries', ctypes.c_uint32), ('map_flags', ctypes.c_uint32),
                ('name', ctypes.c_char * 16), ('_rest', ctypes.c_uint8 * 128)]


class ProgInfo(ctypes.Structure):
    """struct bpf_prog_info, its first fields."""

    _fields_ = [('type', ctypes.c_uint32), ('id', ctypes.c_uint32), ('tag', ctypes.c_uint8 * 8),
                ('jited_len', ctypes.c_uint32), ('xlated_len', ctypes.c_uint32), ('jited', ctypes.c_uint64),
                ('xlated', ctypes.c_uint64), ('load_time', ctypes.c_uint64), ('uid', ctypes.c_uint32),
                ('nr_map_ids', ctypes.c_uint32), ('map_ids', ctypes.c_uint64), ('name', ctypes.c_char * 16),
                ('_rest', ctypes.c_uint8 * 256)]


def package_name(os_release='/etc/os-release'):
    """The package that holds libbpf on this distribution."""
    words = {}
    try:
        with open(os_release) as lines:
            for line in lines:
                key, _sep, value = line.strip().partition('=')
                words[key] = value.strip('"\'')
    except OSError:
        pass
    names = [words.get('ID', '')] + words.get('ID_LIKE', '').split()
    names.insert(0, '%s %s' % (names[0], words.get('VERSION_ID', '')))
    for name in names:
        if name in PACKAGES:
            return PACKAGES[name]
    return 'libbpf'


_said = []  # libbpf's last warnings, for error messages


@_PRINT
def _keep(level, form, arguments):
    # libbpf has one printer for the whole process, so this one has to live as long
    if level == 0:  # LIBBPF_WARN
        text = ctypes.create_string_buffer(4096)
        ctypes.CDLL(None).vsnprintf(text, ctypes.c_size_t(len(text)), form, ctypes.c_void_p(arguments))
        _said.extend(text.value.decode('utf-8', 'replace').splitlines())
        del _said[:-12]
    return 0


def check_btf():
    """Raises GuardError where the kernel does not describe its types."""
    if not os.path.exists(BTF):
        raise GuardError('This kernel does not describe its types (%s is missing), and the guard needs that to '
                         'read them. It needs a kernel built with CONFIG_DEBUG_INFO_BTF=y.' % BTF)


def _open(sonames):
    for soname in sonames:
        with contextlib.suppress(OSError):
            return ctypes.CDLL(soname, use_errno=True)
    package = package_name()
    raise GuardError("This host has no libbpf (%s), which loads the guard's programs into the kernel. Install the package "
                     '%s.' % (' or '.join(SONAMES), package), missing_packages=[package])


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

    def version(self, mapped='/proc/self/maps'):
        """The version as the name of the library's file has it, such as '1.1.2'; None where that has none."""
        with open(mapped) as lines:
            found = re.search(r'/libbpf\.so\.(\d+\.\d+(?:\.\d+)*)', lines.read())
        return found and found.group(1)

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
        raise KernelError(asked, code, ' '.join(_said[-4:]))


class Object:
    """The guard's BPF object: opened, sized, loaded. Closing it drops what is not pinned or attached."""

    tracepoints = {}  # the programs know by themselves where they belong

    def __init__(self, library, content):
        self.library, self.lib = library, library.lib
        self._content = content
        del _said[:]  # what it said of another object explains nothing here
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
        result = self.lib.bpf_object__load(self._object)
        if result < 0:
            code = ctypes.get_errno() or -result
            raise KernelError("load the guard's programs", code, ' '.join(_said[-6:]))

    def map_fd(self, name):
        return self.library.check(self.lib.bpf_map__fd(self._map(name)), 'find the map %s' % name)

    def _program(self, name):
        return self.library.pointer(self.lib.bpf_object__find_program_by_name(self._object, name.encode()),
                                    'find the program %s' % name)

    def set_autoload(self, name, wanted):
        self.lib.bpf_program__set_autoload(self._program(name), ctypes.c_bool(wanted))

    def set_lsm_hook(self, name):
        """For a program that is written to stand before security_HOOK: as the HOOK of the BPF security module."""
        program, hook = self._program(name), SECURITY_HOOKS[name]
        self.lib.bpf_program__set_type(program, BPF_PROG_TYPE_LSM)
        self.lib.bpf_program__set_expected_attach_type(program, BPF_LSM_MAC)
        self.library.check(self.lib.bpf_program__set_attach_target(program, 0, hook.encode()),
                           'find the security hook %s' % hook)

    def set_attach_type(self, name):
        """For programs of socket addresses whose section libbpf does not know."""
        self.lib.bpf_program__set_type(self._program(name), BPF_PROG_TYPE_CGROUP_SOCK_ADDR)
        self.lib.bpf_program__set_expected_attach_type(self._program(name), ATTACH_TYPES[name])

    def program_fd(self, name):
        return self.library.check(self.lib.bpf_program__fd(self._program(name)), 'find the program %s' % name)

    def close(self):
        self.lib.bpf_object__close(self._object)


class Kernel:
    """Maps, links and pins by file descriptor."""

    def __init__(self, library):
        self.library, self.lib = library, library.lib

    # maps

    def update(self, fd, key, value):
        self._update(fd, ctypes.byref(key), ctypes.byref(value))

    def _update(self, fd, key, value):
        self.library.check(self.lib.bpf_map_update_elem(fd, key, value, ctypes.c_uint64(0)), 'fill a map')

    def update_many(self, fd, keys, values):
        """Fill a map from two ctypes arrays of equal length: in one call where the kernel can."""
        if not len(keys):
            return
        count = ctypes.c_uint32(len(keys))
        options = BatchOptions(ctypes.sizeof(BatchOptions), 0, 0)
        if self.lib.bpf_map_update_batch(fd, keys, values, ctypes.byref(count), ctypes.byref(options)) >= 0:
            return
        code = ctypes.get_errno()
        if code not in (KERNEL_ENOTSUPP, errno.EOPNOTSUPP, errno.EINVAL):
            raise KernelError('fill a map with %d entries' % len(keys), code)
        for index in range(len(keys)):  # LPM tries before 5.16
            self._update(fd, ctypes.byref(keys, index * ctypes.sizeof(keys._type_)),
                         ctypes.byref(values, index * ctypes.sizeof(values._type_)))

    def items(self, fd, key_type, value_type):
        """The entries of a hash map, each a pair of structures of their own."""
        key = None
        while True:
            following = key_type()
            if self.lib.bpf_map_get_next_key(fd, ctypes.byref(key) if key is not None else None,
                                             ctypes.byref(following)) < 0:
                if ctypes.get_errno() != errno.ENOENT:
                    raise KernelError('read a map', ctypes.get_errno())
                return
            value = value_type()
            if self.lib.bpf_map_lookup_elem(fd, ctypes.byref(following), ctypes.byref(value)) >= 0:
                yield following, value
            key = following

    def totals(self, fd, slots):
        """The sums over all CPUs of a per-CPU array of u64."""
        cpus = self.library.check(self.lib.libbpf_num_possible_cpus(), 'count the CPUs')
        values = (ctypes.c_uint64 * cpus)()
        sums = []
        for slot in range(slots):
            key = ctypes.c_uint32(slot)
            self.library.check(self.lib.bpf_map_lookup_elem(fd, ctypes.byref(key), values), 'read the counters')
            sums.append(sum(values))
        return sums

    def freeze(self, fd):
        """From now on nobody can change the map, root neither."""
        self.library.check(self.lib.bpf_map_freeze(fd), 'freeze a map')

    # links

    def attach(self, program, cgroup, name):
        return self.library.check(self.lib.bpf_link_create(program, cgroup, ATTACH_TYPES[name], None),
                                  'attach %s to the cgroup' % name)

    def attach_hook(self, program, name, tracepoint=None):
        """To the place in the kernel that the program itself names, or to this tracepoint."""
        return self.library.check(self.lib.bpf_raw_tracepoint_open(tracepoint, program), 'attach %s' % name)

    def exchange(self, link, program, name):
        """Puts another program behind an attached link, at one stroke."""
        self.library.check(self.lib.bpf_link_update(link, program, None), 'exchange the program of %s' % name)

    def detach(self, link):
        self.library.check(self.lib.bpf_link_detach(link), 'detach a link')

    # what is attached to a map

    def attach_to_map(self, program, target, name):
        """In the place of the program that is attached to it, if there is one."""
        self.library.check(self.lib.bpf_prog_attach(program, target, ATTACH_TYPES[name], ctypes.c_uint32(0)),
                           'attach %s to its map' % name)

    def detach_from_map(self, program, target, name):
        self.library.check(self.lib.bpf_prog_detach2(program, target, ATTACH_TYPES[name]),
                           'detach %s from its map' % name)

    # programs

    def run(self, program, packet):
        """Run a packet program on an Ethernet frame that reaches nobody; returns its verdict."""
        options = RunOptions(size=ctypes.sizeof(RunOptions), data_in=packet, data_size_in=len(packet))
        self.library.check(self.lib.bpf_prog_test_run_opts(program, ctypes.byref(options)), 'run a program')
        return options.retval

    def iterate(self, program):
        """What an iterator writes, as bytes."""
        link = self.library.check(self.lib.bpf_link_create(program, 0, BPF_TRACE_ITER, None), 'begin to iterate')
        try:
            with os.fdopen(self.library.check(self.lib.bpf_iter_create(link), 'iterate'), 'rb') as written:
                return written.read()
        finally:
            os.close(link)

    def program(self, identity):
        """A new file descriptor of a loaded program."""
        return self.library.check(self.lib.bpf_prog_get_fd_by_id(ctypes.c_uint32(identity)), 'open a program')

    # pins and what they hold

    def pin(self, fd, path):
        self.library.check(self.lib.bpf_obj_pin(fd, path.encode()), 'pin %s' % path)

    def open(self, path):
        return self.library.check(self.lib.bpf_obj_get(path.encode()), 'open %s' % path)

    def _info(self, fd, info):
        size = ctypes.c_uint32(ctypes.sizeof(info))
        self.library.check(self.lib.bpf_obj_get_info_by_fd(fd, ctypes.byref(info), ctypes.byref(size)),
                           'describe an open BPF object')
        return info

    def link_info(self, fd):
        return self._info(fd, LinkInfo())

    def map_info(self, fd):
        return self._info(fd, MapInfo())

    def program_info(self, fd):
        return self._info(fd, ProgInfo())

    def maps_of_program(self, program_id):
        """{map name: a new file descriptor} of what a loaded program uses: also where the map's pin is gone."""
        program = self.program(program_id)
        try:
            ids = (ctypes.c_uint32 * 64)()
            info = ProgInfo(nr_map_ids=len(ids), map_ids=ctypes.addressof(ids))
            self._info(program, info)
            maps = {}
            for map_id in ids[:info.nr_map_ids]:
                fd = self.library.check(self.lib.bpf_map_get_fd_by_id(ctypes.c_uint32(map_id)), 'open a map')
                maps[self.map_info(fd).name.decode()] = fd
            return maps
        finally:
            os.close(program)


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
