# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Write module_utils/_abi.py from the BTF of abi.h: `bpftool btf dump file abi.o -j | gen_abi.py > _abi.py`."""

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


def main():
    types = {kind['id']: kind for kind in json.load(sys.stdin)['types']}
    sys.stdout.write(HEADER + ''.join(constants(types)) + ''.join(structures(types)))


if __name__ == '__main__':
    main()
