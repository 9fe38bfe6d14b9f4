# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the pages, as a reader would paste them, and what the modules say that they return."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'roles/ebpf_guard/README.md', *sorted(ROOT.glob('docs/**/*.md'))]
PLAYBOOKS = sorted(ROOT.glob('playbooks/*.yml'))
MODULES = sorted(ROOT.glob('plugins/modules/*.py'))
TYPES = {'str': str, 'int': int, 'float': (float, int), 'bool': bool, 'list': list, 'dict': dict}
SPECS = ROOT / 'roles/ebpf_guard/meta/argument_specs.yml'


class Example(NamedTuple):
    where: str
    language: str
    text: str


def blocks():
    """What stands between fences."""
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(r'^( *)```(\w+)\n(.*?)^\1```$', text, re.MULTILINE | re.DOTALL):
            line = text.count('\n', 0, found.start(3)) + 1
            yield Example(f'{page.relative_to(ROOT)}:{line}', found[2], textwrap.dedent(found[3]))


def documented():
    """The EXAMPLES of the modules and of the role."""
    for module in MODULES:
        yield Example(str(module.relative_to(ROOT)), 'yaml', part_of(module, 'EXAMPLES'))
    for name, entry in yaml.safe_load(SPECS.read_text())['argument_specs'].items():
        if 'examples' in entry:
            yield Example(f'{SPECS.relative_to(ROOT)}:{name}', 'yaml', entry['examples'])


def part_of(module, name):
    """The text of DOCUMENTATION, EXAMPLES or RETURN."""
    return re.search(rf'^{name} = r"""\n(.*?)^"""', module.read_text(), re.MULTILINE | re.DOTALL)[1]


def returned():
    """{module: its RETURN}"""
    return {module.stem: yaml.safe_load(part_of(module, 'RETURN')) for module in MODULES}


def shell_lines():
    """Each command that a reader would type, with its continuation lines: of pages, and of the heads of playbooks."""
    for example in blocks():
        if example.language == 'sh':
            for line in re.sub(r'\\\n *', '', example.text).splitlines():
                yield example.where, line
    for page in PAGES:
        for span in re.findall(r'`(ansible[a-z-]* [^`\n]*)`', page.read_text()):
            yield str(page.relative_to(ROOT)), span
    for playbook in PLAYBOOKS:
        head = re.sub(r'\\\n# *', '', playbook.read_text().partition('\n- name')[0])
        for line in re.findall(r'^#   (ansible.*)', head, re.MULTILINE):
            yield str(playbook.relative_to(ROOT)), line


def untrue(value, described, of=(), is_whole=True):
    """What a module returned, against its RETURN: where a key is not documented, a value is of another type, or the sample has other
    keys. None is for everything that is not there. `is_whole`: samples show every key.
    """
    wrong = [(*of, key, 'not documented') for key in value if key not in described]
    for key in value.keys() & described.keys():
        field, path, found = described[key], (*of, key), value[key]
        if found is None:
            continue
        if not isinstance(found, TYPES[field['type']]):
            wrong.append((*path, type(found).__name__))
        items = found if field['type'] == 'list' else [found]
        if 'contains' in field:
            wrong += [one for item in items for one in untrue(item, field['contains'], path, is_whole)]
            continue
        samples = field['sample'] if field['type'] == 'list' else [field['sample']]
        known = set().union(*(sample for sample in samples if isinstance(sample, dict)))
        for item in items:
            if isinstance(item, dict) and item and (known - item.keys() or is_whole and item.keys() - known):
                wrong.append((*path, sorted(known ^ item.keys())))
    return wrong
