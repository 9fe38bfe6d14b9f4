# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Write module_utils/_abi.py: `gen_abi.py ABI.json GUARD.json > _abi.py`.

The two are what `bpftool btf dump file OBJECT -j` says of the types in abi.h, and of the guard's object: its maps.
"""

import json
import sys

HEADER = '''# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Written by bpf/gen_abi.py from bpf/abi.h, where each field is explained: do not edit, run `make bpf`."""

from __future__ import annotations

import ctypes
'''
INTEGERS = {(1, False): 'c_uint8', (2, False): 'c_uint16', (4, False): 'c_uint32', (8, False): 'c_uint64'}


def python_name(name):
    return ''.join(part.capitalize() for part in name[len('ebg_'):].split('_'))


def ctype(types, type_id):
    kind = types[type_id]
    if kind['kind'] == 'TYPEDEF':
        return ctype(types, kind['type_id'])
    if kind['kind'] == 'ARRAY':
        return '%s * %d' % (ctype(types, kind['type_id']), kind['nr_elems'])
    if kind['kind'] == 'STRUCT':
        return python_name(kind['name'])
    if kind['kind'] == 'INT' and kind['name'] == 'char':
        return 'ctypes.c_char'
    return 'ctypes.' + INTEGERS[kind['size'], kind['encoding'] == 'SIGNED']


def constants(types):
    for kind in types.values():
        if kind['kind'] == 'ENUM' and kind['name'].startswith('ebg_'):
            yield '\n# enum %s\n' % kind['name']
            for value in kind['values']:
                yield '%s = %d\n' % (value['name'][len('EBG_'):], value['val'] & 0xffffffff)


def structures(types):
    ready = set()
    waiting = [kind for kind in types.values() if kind['kind'] == 'STRUCT' and kind['name'].startswith('ebg_')]
    while waiting:  # a structure comes after those that it holds
        kind = waiting.pop(0)
        fields = [(member['name'], ctype(types, member['type_id'])) for member in kind['members']]
        if not {field.split()[0] for _name, field in fields if not field.startswith('ctypes')} <= ready:
            waiting.append(kind)
            continue
        ready.add(python_name(kind['name']))
        yield '\n\nclass %s(ctypes.Structure):\n    _fields_ = [\n' % python_name(kind['name'])
        for name, field in fields:
            yield "        ('%s', %s),\n" % (name, field)
        yield '    ]\n'


def bare(types, type_id):
    """The type without the names and the qualifiers around it."""
    while types[type_id]['kind'] in ('TYPEDEF', 'CONST', 'VOLATILE'):
        type_id = types[type_id]['type_id']
    return types[type_id]


def size(types, type_id):
    kind = bare(types, type_id)
    return kind['nr_elems'] * size(types, kind['type_id']) if kind['kind'] == 'ARRAY' else kind['size']


def maps(types):
    """As libbpf reads them: each attribute of a map is a pointer, to an array as long as its number, or to its type."""
    [section] = (kind for kind in types.values() if kind['kind'] == 'DATASEC' and kind['name'] == '.maps')
    yield '\n\n# {map: (type, bytes of a key, bytes of a value, entries, flags, where in the value a spin lock is)}\nMAPS = {\n'
    for variable in (types[entry['type_id']] for entry in section['vars']):
        parts = {member['name']: types[member['type_id']]['type_id']
                 for member in types[variable['type_id']]['members']}
        sizes = {name: size(types, parts[name]) if name in parts else 0 for name in ('key', 'value')}
        numbers = {name: types[parts[name]]['nr_elems'] if name in parts else 0
                   for name in ('type', 'max_entries', 'map_flags')}
        value = bare(types, parts.get('value', 0) or parts['type'])
        locks = [member['bits_offset'] // 8 for member in value.get('members', ())
                 if bare(types, member['type_id'])['name'] == 'bpf_spin_lock']
        yield "    '%s': (%d, %d, %d, %d, %d, %s),\n" % (
            variable['name'], numbers['type'], sizes['key'], sizes['value'], numbers['max_entries'],
            numbers['map_flags'], locks[0] if locks else None)
    yield '}\n'


def read(path):
    with open(path) as file:
        return {kind['id']: kind for kind in json.load(file)['types']}


def main():
    types, guard = map(read, sys.argv[1:])
    sys.stdout.write(HEADER + ''.join(constants(types)) + ''.join(structures(types)) + ''.join(maps(guard)))


if __name__ == '__main__':
    main()
