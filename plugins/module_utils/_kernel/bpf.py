# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The kernel's BPF, by file descriptor: maps, programs, links, and the pins that hold them.

Keys and values are ctypes structures of ``_abi``. Every failure is a KernelError that names what was asked of the kernel
and the errno.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os

from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import libbpf, programs
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel.libbpf import KernelError

BPF_TRACE_ITER, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE = 28, 2, 1 << 10  # <linux/bpf.h>
BPF_STATS_RUN_TIME = 0
TABLES = (1, 5, 9, 10, 11)  # types of maps that have a number of entries: hashes, also per CPU or LRU, and LPM tries
CONTEXT_WORDS, CONTEXT_CB = 17, 12  # of struct __sk_buff: the words up to the end of cb, and where cb begins
INSTRUCTION = 8  # bytes
KERNEL_ENOTSUPP = 524  # not in Python's errno: the kernel's own "this map type can't"
UNABLE = (KERNEL_ENOTSUPP, errno.EOPNOTSUPP, errno.EINVAL)  # to take, or to give, many entries of a map in one call
AT_ONCE = 2048  # entries


def close(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)


def kernel():
    """The kernel, through the host's libbpf."""
    return Kernel(libbpf.Library())


class BatchOptions(ctypes.Structure):
    _fields_ = [('size', ctypes.c_size_t), ('elem_flags', ctypes.c_uint64), ('flags', ctypes.c_uint64)]


class MapOptions(ctypes.Structure):
    """struct bpf_map_create_opts."""

    _fields_ = [('size', ctypes.c_size_t), ('_types', ctypes.c_uint32 * 4), ('inner_map_fd', ctypes.c_uint32),
                ('map_flags', ctypes.c_uint32), ('map_extra', ctypes.c_uint64), ('_node', ctypes.c_uint32 * 2)]


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
                ('_types', ctypes.c_uint8 * 112), ('run_time_ns', ctypes.c_uint64), ('run_cnt', ctypes.c_uint64),
                ('_rest', ctypes.c_uint8 * 128)]


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
        if code not in UNABLE:
            raise KernelError('fill a map with %d entries' % len(keys), code)
        for index in range(len(keys)):  # LPM tries before 5.16
            self._update(fd, ctypes.byref(keys, index * ctypes.sizeof(keys._type_)),
                         ctypes.byref(values, index * ctypes.sizeof(values._type_)))

    @staticmethod
    def write_array(fd, values):
        """Fill an array that can be had as memory (BPF_F_MMAPABLE), from a ctypes array. Its entries have whole words."""
        try:
            with mmap.mmap(fd, ctypes.sizeof(values)) as memory:
                memory[:] = memoryview(values).cast('B')
        except OSError as error:
            raise KernelError('fill an array with %d entries' % len(values), error.errno)

    def items(self, fd, key_type, value_type):
        """The entries of a map, each a pair of structures: many in one call where the kernel can."""
        room, before = AT_ONCE, None
        position = ctypes.create_string_buffer(max(4, ctypes.sizeof(key_type)))  # how far one has come: a number, or a key
        options = BatchOptions(ctypes.sizeof(BatchOptions), 0, 0)
        while True:
            keys, values, count = (key_type * room)(), (value_type * room)(), ctypes.c_uint32(room)
            failed = self.lib.bpf_map_lookup_batch(fd, before, position, keys, values, ctypes.byref(count),
                                                   ctypes.byref(options)) < 0
            code = ctypes.get_errno() if failed else 0
            if code == errno.ENOSPC:  # so many are in one place of the map
                room *= 4
                continue
            if code in UNABLE and before is None:
                yield from self._items_one_by_one(fd, key_type, value_type)
                return
            if code not in (0, errno.ENOENT):
                raise KernelError('read a map', code)
            for index in range(count.value):
                yield (key_type.from_buffer(keys, index * ctypes.sizeof(key_type)),
                       value_type.from_buffer(values, index * ctypes.sizeof(value_type)))
            if code:
                return
            before = ctypes.create_string_buffer(position.raw)

    def _items_one_by_one(self, fd, key_type, value_type):
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

    def first_keys(self, fd, key_type, count):
        """So many keys of a map, one behind the other as bytes; fewer where it has no more."""
        keys, found = (key_type * count)(), 0
        while found < count and self.lib.bpf_map_get_next_key(fd, ctypes.byref(keys[found - 1]) if found else None,
                                                              ctypes.byref(keys[found])) >= 0:
            found += 1
        return bytes(keys)[:found * ctypes.sizeof(key_type)]

    def count(self, fd, key_size, most):
        """How many entries a map has; others may change it meanwhile, so it is looked at `most` times at most."""
        key, following = (ctypes.create_string_buffer(key_size) for _buffer in range(2))
        entries = 0
        while entries < most and self.lib.bpf_map_get_next_key(fd, key if entries else None, following) >= 0:
            key, following = following, key
            entries += 1
        return entries

    def values(self, fd, count, value_type):
        """The first so many values of an array."""
        for slot in range(count):
            value = value_type()
            self.library.check(self.lib.bpf_map_lookup_elem(fd, ctypes.byref(ctypes.c_uint32(slot)), ctypes.byref(value)),
                               'read an array')
            yield value

    def delete(self, fd, key):
        """Take an entry out, if it is there."""
        self.lib.bpf_map_delete_elem(fd, ctypes.byref(key))

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

    def make_array(self, name, entries, entry_size):
        """A new array that can be had as memory; its file descriptor."""
        return self.make_map(name, BPF_MAP_TYPE_ARRAY, 4, entry_size, entries, BPF_F_MMAPABLE)

    def make_map(self, name, kind, key_size, value_size, entries, flags):
        """A new map; its file descriptor. Sizes in bytes."""
        kind, key, value, many = map(ctypes.c_uint32, (kind, key_size, value_size, entries))
        if hasattr(self.lib, 'bpf_map_create'):
            options = MapOptions(size=ctypes.sizeof(MapOptions), map_flags=flags)
            made = self.lib.bpf_map_create(kind, name.encode(), key, value, many, ctypes.byref(options))
        else:  # libbpf before 0.7
            made = self.lib.bpf_create_map_name(kind, name.encode(), key, value, many, ctypes.c_uint32(flags))
        return self.library.check(made, 'make the map %s, of %d entries' % (name, entries))

    def map(self, identity):
        """A new file descriptor of a map."""
        return self.library.check(self.lib.bpf_map_get_fd_by_id(ctypes.c_uint32(identity)), 'open a map')

    # links

    def attach(self, program, cgroup, name):
        return self.library.check(self.lib.bpf_link_create(program, cgroup, programs.attach_type(name), None),
                                  'attach %s to the cgroup' % name)

    def attach_hook(self, program, name, tracepoint=None):
        """To the place in the kernel that the program itself names, or to this tracepoint."""
        return self.library.check(self.lib.bpf_raw_tracepoint_open(tracepoint, program), 'attach %s' % name)

    def exchange(self, link, program, name):
        """Puts another program behind an attached link, at one stroke."""
        self.library.check(self.lib.bpf_link_update(link, program, None), 'exchange the program of %s' % name)

    def detach(self, link):
        self.library.check(self.lib.bpf_link_detach(link), 'detach a link')

    def attached(self, cgroup, name):
        """(flags, [program ids]) of what is attached to a cgroup where the program `name` would be."""
        ids, count, flags = (ctypes.c_uint32 * 64)(), ctypes.c_uint32(64), ctypes.c_uint32()
        self.library.check(self.lib.bpf_prog_query(cgroup, programs.attach_type(name), ctypes.c_uint32(0), ctypes.byref(flags),
                                                   ids, ctypes.byref(count)), 'tell what is attached to a cgroup')
        return flags.value, list(ids[:count.value])

    # programs

    def run(self, program, packet, sign=0):
        """Run a packet program on an Ethernet frame that reaches nobody; returns its verdict.

        `sign`: what the program finds in skb->cb[0]. The kernel clears that in every packet that is a real one.
        """
        context = (ctypes.c_uint32 * CONTEXT_WORDS)()
        context[CONTEXT_CB] = sign
        options = RunOptions(size=ctypes.sizeof(RunOptions), data_in=packet, data_size_in=len(packet),
                             ctx_in=ctypes.addressof(context), ctx_size_in=ctypes.sizeof(context))
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

    def load(self, kind, instructions):
        """A program of a few instructions."""
        count, wanted = ctypes.c_size_t(len(instructions) // INSTRUCTION), 'load a program'
        if hasattr(self.lib, 'bpf_load_program'):  # libbpf before 1.0, whose bpf_prog_load() may be another function
            return self.library.check(self.lib.bpf_load_program(
                kind, instructions, count, b'GPL', ctypes.c_uint32(0), None, ctypes.c_size_t(0)), wanted)
        if hasattr(self.lib, 'bpf_prog_load'):
            return self.library.check(self.lib.bpf_prog_load(kind, None, b'GPL', instructions, count, None), wanted)
        raise KernelError(wanted, errno.ENOSYS)

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

    def run_stats(self, program_id):
        """{runs, nanoseconds} of a program, while somebody had the kernel measure."""
        program = self.program(program_id)
        try:
            info = self.program_info(program)
            return {'runs': info.run_cnt, 'nanoseconds': info.run_time_ns}
        finally:
            os.close(program)

    def measure(self):
        """Have the kernel measure how long programs run, all of them. Returns what to close to end that."""
        return self.library.check(self.lib.bpf_enable_stats(ctypes.c_uint32(BPF_STATS_RUN_TIME)),
                                  'measure the run time of programs')

    def name_of(self, program_id):
        program = self.program(program_id)
        try:
            return self.program_info(program).name.decode('utf-8', 'replace')
        finally:
            os.close(program)

    def maps_of_program(self, program_id):
        """{map name: a new file descriptor} of what a loaded program uses: also where the map's pin is gone."""
        program = self.program(program_id)
        try:
            ids = (ctypes.c_uint32 * 64)()
            info = ProgInfo(nr_map_ids=len(ids), map_ids=ctypes.addressof(ids))
            self._info(program, info)
            maps = {}
            for map_id in ids[:info.nr_map_ids]:
                fd = self.map(map_id)
                maps[self.map_info(fd).name.decode()] = fd
            return maps
        finally:
            os.close(program)
