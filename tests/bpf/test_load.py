# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped object: what the verifier says to it, what its BTF says of the maps, and how the maps are filled."""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from policies import TCP, compiled, policy_of
from wire import question_frame
from workbench import OBJECT, ON_CGROUP, SOURCE, SYN, child, compiled_by_bcc, frame, indices, passes

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import bpf, emptying, libbpf, programs

MAPS = {'ebg_config': (ctypes.c_uint32, _abi.Config), 'ebg_nets': (_abi.NetKey, _abi.Slice),
        'ebg_names': (ctypes.c_uint64, _abi.Name), 'ebg_text': (ctypes.c_uint32, ctypes.c_uint64),
        'ebg_ports': (ctypes.c_uint32, _abi.Port), 'ebg_outages': (ctypes.c_uint32, ctypes.c_uint32),
        'ebg_counters': (ctypes.c_uint32, ctypes.c_uint64), 'ebg_denied': (_abi.Denial, _abi.Record),
        'ebg_observed': (_abi.Observation, _abi.Record), 'ebg_heard': (_abi.HeardKey, _abi.Heard),
        'ebg_images': (_abi.Run, _abi.Image), 'ebg_ancestors': (_abi.Run, _abi.Image),
        'ebg_asked': (_abi.Asked, ctypes.c_uint8), 'ebg_pending': (ctypes.c_uint32, _abi.Pending),
        'ebg_blank': (ctypes.c_uint32, _abi.Record), 'ebg_current': (ctypes.c_uint32, ctypes.c_uint32),
        'ebg_scope': (ctypes.c_uint32, ctypes.c_uint32), 'ebg_answering': (ctypes.c_uint32, ctypes.c_uint64),
        'ebg_places': (ctypes.c_uint32, ctypes.c_uint64), 'ebg_members': (ctypes.c_uint32, _abi.Member),
        'ebg_entries': (ctypes.c_uint32, ctypes.c_uint64), 'ebg_entered': (ctypes.c_uint32, _abi.Entered),
        'ebg_leavings': (_abi.Run, _abi.Leaving)}
FILE_MAPS = {'ebg_filter': (ctypes.c_uint32, _abi.Filter), 'ebg_paths': (ctypes.c_uint64, _abi.FileRule),
             'ebg_inodes': (_abi.Inode, _abi.FileRule), 'ebg_types': (_abi.Filesystem, _abi.FileRule),
             'ebg_scope': (ctypes.c_uint32, ctypes.c_uint32)}
# What the programs keep for themselves, and a queue, which has neither keys nor values.
PRIVATE = {'ebg_addresses', 'ebg_aliases', 'ebg_opened', 'ebg_head', 'ebg_scratch', 'ebg_claims', 'ebg_refused',
           'ebg_questions', 'ebg_recent', 'ebg_changes', 'ebg_recent_name', 'ebg_last_answer'}
ENTRIES = {'ebg_counters': _abi.COUNTERS, 'ebg_denied': _abi.MAX_DENIED, 'ebg_observed': _abi.MAX_OBSERVED,
           'ebg_images': _abi.MAX_IMAGES, 'ebg_ancestors': _abi.MAX_ANCESTORS, 'ebg_heard': _abi.MAX_HEARD,
           'ebg_asked': _abi.MAX_ASKED, 'ebg_members': _abi.MAX_MEMBERS, 'ebg_entries': _abi.MAX_ENTRIES,
           'ebg_leavings': _abi.MAX_LEAVINGS}
BPFTOOL_NAMES = {'ebg_connect4': 'cgroup_inet4_connect', 'ebg_connect6': 'cgroup_inet6_connect',
                 'ebg_sendmsg4': 'cgroup_udp4_sendmsg', 'ebg_sendmsg6': 'cgroup_udp6_sendmsg',
                 'ebg_setsockopt': 'cgroup_setsockopt', 'ebg_egress': 'cgroup_inet_egress', 'ebg_ingress': 'cgroup_inet_ingress',
                 'ebg_sockops': 'cgroup_sock_ops'}
BPF_LINK_TYPE_CGROUP = 3  # <linux/bpf.h>
VERIFIED = 80_000  # instructions; any supported kernel looks at 1,000,000, but most of a guard's start is that


def open_object():
    return libbpf.Object(libbpf.Library(), OBJECT.read_bytes())


def bpftool(*arguments):
    return json.loads(subprocess.run(['bpftool', '-j', *arguments], check=True, stdout=subprocess.PIPE).stdout)


# --- programs ---

@pytest.mark.parametrize('hook', programs.of_object(programs.GUARD))
def test_the_verifier_is_done_soon(guards, hook):
    with open('/proc/self/fdinfo/%d' % guards(attach=False).object.program_fd(hook)) as lines:
        told = dict(line.strip().split(':\t') for line in lines)
    assert 0 < int(told['verified_insns']) < VERIFIED


def test_each_program_is_attached_to_its_own_hook(guards):
    guard = guards()
    attached = bpftool('cgroup', 'show', guard.cgroup)
    assert {program['name']: program['attach_type'] for program in attached} == BPFTOOL_NAMES
    identity = os.stat(guard.cgroup).st_ino
    for hook, link in zip(ON_CGROUP, guard.links):
        info = guard.kernel.link_info(link)
        assert (info.type, info.cgroup_id, info.attach_type) == (
            BPF_LINK_TYPE_CGROUP, identity, programs.attach_type(hook))
        assert bpftool('prog', 'show', 'id', str(info.prog_id))['name'] == hook


# --- how the maps end ---

@pytest.mark.parametrize('count', [1, emptying.AT_ONCE, 1000])
def test_a_frozen_table_of_networks_can_be_emptied(guards, count):
    guard = guards(deny=[('a', ['203.0.113.%d/32' % (number % 256) if number < 256 else '10.0.%d.%d' % divmod(number, 256)
                                for number in range(count)])], attach=False)
    table = guard.maps['ebg_nets']
    with pytest.raises(libbpf.KernelError):
        guard.kernel.update(table, _abi.NetKey(), _abi.Slice())
    assert len(guard.kernel.first_keys(table, _abi.NetKey, 2000)) >= count * ctypes.sizeof(_abi.NetKey)
    emptying.empty(guard.kernel, table)
    assert guard.kernel.first_keys(table, _abi.NetKey, 1) == b''


# --- what the object and Python say of the maps ---

def btf_layout(types, type_id):
    """A BTF type as `python_layout` shows a ctypes type."""
    kind = types[type_id]
    if kind['kind'] in ('TYPEDEF', 'CONST', 'VOLATILE'):
        return btf_layout(types, kind['type_id'])
    if kind['kind'] == 'ARRAY':
        return [kind['nr_elems'], btf_layout(types, kind['type_id'])]
    if kind['kind'] in ('STRUCT', 'UNION'):
        return {'size': kind['size'], 'fields': [
            (member['name'], member['bits_offset'] / 8, btf_layout(types, member['type_id']))
            for member in kind['members']]}
    return kind['size']


def python_layout(ctype):
    if hasattr(ctype, '_fields_'):
        return {'size': ctypes.sizeof(ctype), 'fields': [
            (name, getattr(ctype, name).offset, python_layout(field)) for name, field in ctype._fields_]}
    if hasattr(ctype, '_length_'):
        return [ctype._length_, python_layout(ctype._type_)]
    return ctypes.sizeof(ctype)


def btf_maps(path):
    """{map: {member of its definition: BTF type}} of a shipped object."""
    types = {kind['id']: kind for kind in bpftool('btf', 'dump', 'file', str(path))['types']}
    section, = [kind for kind in types.values() if kind['kind'] == 'DATASEC' and kind['name'] == '.maps']
    for variable in (types[entry['type_id']] for entry in section['vars']):
        yield types, variable['name'], {member['name']: types[types[member['type_id']]['type_id']]['id']
                                        for member in types[variable['type_id']]['members']
                                        if member['name'] in ('key', 'value')}


@pytest.mark.parametrize('name, known, shared', (
    ('ebpf_guard.bpf.o', MAPS, PRIVATE),
    ('ebpf_guard_files.bpf.o', FILE_MAPS, {*programs.SHARED, 'ebg_blank', 'ebg_above'}),
))
def test_an_object_describes_its_maps_as_python_does(name, known, shared):
    described = {}
    for types, map_name, members in btf_maps(OBJECT.with_name(name)):
        described[map_name] = [btf_layout(types, members[part]) for part in ('key', 'value') if part in members]
    assert shared == set(described) - set(known)
    assert {map_name: tuple(described[map_name]) for map_name in known} == {
        map_name: (python_layout(key), python_layout(value)) for map_name, (key, value) in known.items()}


@pytest.mark.parametrize('name', MAPS)
def test_the_kernel_made_the_maps_so(guards, name):
    guard = guards(attach=False)
    info = guard.kernel.map_info(guard.object.map_fd(name))
    key, value = MAPS[name]
    assert (info.name.decode(), info.key_size, info.value_size) == (name, ctypes.sizeof(key), ctypes.sizeof(value))
    assert info.max_entries == ENTRIES.get(name, info.max_entries)


def test_every_map_of_the_ledger_can_be_found_without_a_pin(guards):
    """Through the programs behind the links, one or the other of which uses it."""
    guard = guards()
    left = set(programs.LEDGER)
    for link in guard.links:
        found = guard.kernel.maps_of_program(guard.kernel.link_info(link).prog_id)
        try:
            assert set(found) <= set(MAPS) | PRIVATE
            for name in left & set(found):
                assert guard.kernel.map_info(found[name]).id == guard.kernel.map_info(guard.maps[name]).id
            left -= set(found)
        finally:
            for descriptor in found.values():
                os.close(descriptor)
    assert not left


# --- filling ---

def test_one_call_and_one_by_one_fill_a_map_alike():
    kernel = bpf.Kernel(libbpf.Library())
    rules = compiled(policy_of([('a', ['198.51.100.0/24', '2001:db8::/32'], [443, 80]), ('b', ['0.0.0.0/0'])]))
    contents = []
    for fill in ('at once', 'one by one'):
        kind, key_size, value_size, _entries, flags, _lock = _abi.MAPS['ebg_nets']
        made = kernel.make_map('ebg_nets', kind, key_size, value_size, len(rules.keys), flags)
        try:
            if fill == 'at once':
                kernel.update_many(made, rules.keys, rules.nets)
            else:
                for key, value in zip(rules.keys, rules.nets):
                    kernel.update(made, key, value)
            contents.append({(bytes(key), bytes(value)) for key, value in kernel.items(made, _abi.NetKey, _abi.Slice)})
        finally:
            os.close(made)
    assert contents[0] == contents[1] == {(bytes(key), bytes(value)) for key, value in zip(rules.keys, rules.nets)}


def test_a_map_that_takes_no_batch_is_filled_one_by_one():
    """On 5.10 that is the LPM trie; on every kernel it is an array of cgroups."""
    kernel = bpf.Kernel(libbpf.Library())
    root = os.open(cgroup.mount_point(), os.O_RDONLY)
    array = kernel.library.check(kernel.lib.bpf_map_create(8, b'ebg_test', 4, 4, 2, None), 'make an array of cgroups')
    try:
        kernel.update_many(array, indices(range(2)), (ctypes.c_uint32 * 2)(root, root))
    finally:
        os.close(array)
        os.close(root)


def test_100_000_networks_are_in_force(guards):
    networks = [str(ipaddress.ip_network((0x14000000 + 256 * index, 24))) for index in range(100_000)]
    guard = guards(attach=False, deny=[('many', networks, [443])])
    for number, denied in ((0, True), (50_000, True), (99_999, True), (100_000, False)):
        address = ipaddress.ip_address(0x14000000 + 256 * number + 7)
        assert passes(guard, frame(address, 443, TCP, flags=SYN)) != denied, address
        assert passes(guard, frame(address, 80, TCP, flags=SYN))


def test_100_000_names_are_in_force(guards):
    names = ['h%d.zone%d.example' % (index, index % 7) for index in range(100_000)]
    guard = guards(attach=False, deny=[('many', names)], allow=[('one', ['h1.zone1.example'])])
    for name, denied in ((names[0], True), (names[50_000], True), (names[-1], True), (names[1], True),
                         ('x.' + names[0], False), ('h100000.zone5.example', False), ('zone1.example', False)):
        assert passes(guard, question_frame(name)) != denied, name


# --- errors and ends ---

def no_such_program(loaded, kernel):
    loaded.program_fd('ebg_connect5')


def too_many_entries(loaded, kernel):
    kernel.update_many(loaded.map_fd('ebg_ports'), indices(range(2)), (_abi.Port * 2)())


def wrong_hook(loaded, kernel):
    directory = os.open('/', os.O_RDONLY)
    try:
        kernel.attach(loaded.program_fd('ebg_connect4'), directory, 'ebg_connect4')
    finally:
        os.close(directory)


@pytest.mark.parametrize('act, message', [
    (no_such_program, r'find the program ebg_connect5: No such file or directory \(ENOENT\)\.$'),
    (lambda loaded, kernel: loaded.map_fd('ebg_rules'), r'find the map ebg_rules: No such file .* \(ENOENT\)\.$'),
    (lambda loaded, kernel: loaded.set_size('ebg_nets', 5), r'size the map ebg_nets: .* \(EBUSY\)'),
    (lambda loaded, kernel: kernel.open('/sys/fs/bpf/ebg-test-none'), r'open /sys/fs/bpf/ebg-test-none: .*\(ENOENT\)'),
    (lambda loaded, kernel: kernel.pin(loaded.map_fd('ebg_nets'), '/tmp/ebg-test-pin'), r'pin /tmp/ebg-test-pin: '),
    (lambda loaded, kernel: kernel.program(2 ** 32 - 2), r'open a program: .* \(ENOENT\)'),
    (too_many_entries, r'fill a map.*: .* \(E2BIG\)'),
    (wrong_hook, r'attach ebg_connect4 to the cgroup: .* \(EBADF\)')])
def test_errors_name_what_was_asked_and_the_errno(act, message):
    loaded = open_object()
    try:
        loaded.load()
        with pytest.raises(libbpf.KernelError, match='The kernel refused to ' + message):
            act(loaded, bpf.Kernel(loaded.library))
    finally:
        loaded.close()


@pytest.mark.parametrize('content, said', [(b'no object', 'not a proper ELF object'), (b'', 'open the BPF object')])
def test_a_damaged_object_is_refused_in_words(content, said):
    library = libbpf.Library()
    with pytest.raises(libbpf.KernelError, match='open the BPF object.*%s' % said if content else said):
        libbpf.Object(library, content)


def test_an_error_of_bcc_names_the_file_and_the_line_in_the_repository():
    """Though it compiles one text."""
    defined = b'static __always_inline int remember('
    source = (Path(__file__).parents[2] / 'bpf' / 'guard.bpf.c').read_bytes()
    line = 1 + source[:source.index(defined)].count(b'\n')
    with pytest.raises(GuardError, match=r"bpf/guard\.bpf\.c:%d:\d+: error: unknown type name 'inte'" % line):
        compiled_by_bcc(SOURCE.replace(defined, defined.replace(b'int ', b'inte ')))


def test_a_second_library_does_not_harm_the_first():
    """libbpf knows one print function for the process; it must outlive every Library."""
    script = ('import gc\nfrom %s import Library, Object, KernelError\nfirst = Library()\nLibrary()\ngc.collect()\n'
              'try:\n    Object(first, b"no object")\nexcept KernelError as error:\n    print(error)\n'
              % libbpf.__name__)
    done = subprocess.run([sys.executable, '-c', script], stdout=subprocess.PIPE, text=True, check=False,
                          env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    assert done.returncode == 0 and 'not a proper ELF object' in done.stdout


def test_a_closed_object_leaves_no_descriptor():
    def descriptors():
        return sorted(os.readlink('/proc/self/fd/' + entry) for entry in os.listdir('/proc/self/fd')
                      if os.path.lexists('/proc/self/fd/' + entry))

    def load_often():
        before = descriptors()
        for _time in range(3):
            loaded = open_object()
            loaded.load()
            loaded.close()
        return [before, descriptors()]

    before, after = child(load_often)
    assert before == after
