# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a policy file -> mapping and lines: YAML that is refused, anchors, merge keys, and any text at all."""

from __future__ import annotations

import pytest
import yaml
from any_policy import only_policy_errors, policies
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_texts import FULL, GITHUB, RULE, read, refusal

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _plain_yaml, _policy_file

BAD_YAML = [  # name, text, how the error begins, what else it says
    ('empty', '', 'p.yml: the file is empty.', ['version: 1']),
    ('only comments', '# nothing\n', 'p.yml: the file is empty.', []),
    ('only a marker', '---\n', 'p.yml: the file is empty.', []),
    ('two documents', 'version: 1\n---\nversion: 1', 'p.yml:2: ',
     ['another document', 'take the second --- out']),
    ('colon in text', 'version: 1\nservice: a: b', 'p.yml:2: not readable as YAML', ['quotes']),
    ('tab', 'version: 1\ndeny:\n\t- id: x', 'p.yml:3: not readable as YAML', ['Indent with spaces']),
    ('bare wildcard', RULE + '    hosts: [*.github.com]', 'p.yml:5: not readable as YAML',
     ['"*.github.com"']),
    ('unclosed list', 'version: 1\nexpected: [a\nmode: drill', 'p.yml:3: not readable as YAML', ['line 2']),
    ('duplicate key', 'version: 1\nmode: drill\nmode: enforce', "p.yml:3: the key 'mode' stands twice",
     ['line 2', 'line 3']),
    ('duplicate key in a rule', GITHUB + '    reason: x', "p.yml:6: the key 'reason' stands twice",
     ['line 4']),
    ('octal number', RULE + '    hosts: [a]\n    ports: [0443]', "p.yml:6: '0443' is another number",
     ['quotes']),
    ('number in base 60', RULE + '    hosts: [a]\n    ports: [20:22]', "p.yml:6: '20:22' is another number",
     []),
    ('impossible date', 'version: 1\nservice: 2024-13-99', "p.yml:2: '2024-13-99' has a wrong value",
     ['quotes']),
    ('impossible date as key', 'version: 1\n2024-13-99: 1', "p.yml:2: '2024-13-99' has a wrong value", []),
    ('impossible truth value', 'version: 1\nlock: !!bool maybe', "p.yml:2: 'maybe' has a wrong value", []),
    ('unknown tag', 'version: 1\nservice: !mine x', 'p.yml:2: ', ["'!mine'", 'Take the tag']),
    ('vault tag', 'version: 1\nservice: !vault x', 'p.yml:2: ', ["'!vault'"]),
    ('tag that runs code', 'version: 1\nservice: !!python/object/apply:os.abort []', 'p.yml:2: ',
     ['python/object']),
    ('template without quotes', 'version: 1\nservice: {{ name }}', 'p.yml:2: a key must be a word.',
     ['quotes']),
    ('set as a key', 'version: 1\n? !!set\n: 1', 'p.yml:2: a key must be a word.', []),
    ('unknown alias', 'version: 1\nservice: *x', 'p.yml:2: not readable as YAML', []),
    ('own alias', 'version: 1\ndeny: &a [*a]', 'p.yml:2: this refers to itself', []),
    ('merge of a word', 'version: 1\ndeny: {<<: a}', 'p.yml:2: not readable as YAML', []),
    ('unprintable', 'version: 1\nservice: a\x07', "p.yml:2: the character '\\x07'", []),
    ('half a surrogate', 'version: 1\nservice: \ud800', "p.yml:2: the character '\\ud800'", []),
    ('deep', 'version: 1\ndeny: %s%s' % ('[' * 300000, ']' * 300000), 'p.yml:2: nested more than', []),
]


@pytest.mark.parametrize('text, begins, says', [row[1:] for row in BAD_YAML], ids=[row[0] for row in BAD_YAML])
def test_bad_yaml(text, begins, says):
    error = refusal(text)
    assert error.startswith(begins)
    assert [part for part in says if part not in error] == []
    assert len(error) < 400 and '\n' not in error


def test_lines_of_every_part():
    text = '# c\nversion: 1\ndeny:\n  - id: x\n    hosts:\n      - a\n      - b\n'
    mapping, lines = _policy_file.parse(text, 'p')
    assert mapping == {'version': 1, 'deny': [{'id': 'x', 'hosts': ['a', 'b']}]}
    wanted = {(): 2, ('version',): 2, ('deny',): 3, ('deny', 0): 4, ('deny', 0, 'id'): 4, ('deny', 0, 'hosts'): 5,
              ('deny', 0, 'hosts', 0): 6, ('deny', 0, 'hosts', 1): 7, ('allow',): None, ('deny', 1): None, ('deny', 'x'): None}
    assert {path: lines.get(path) for path in wanted} == wanted
    assert _policy_file.lines(text, 'p') == {path: line for path, line in wanted.items() if line}


ANCHORS = '''version: 1
deny:
  - &base
    id: one
    reason: &why the same
    hosts: &names [a.example]
  - <<: *base
    id: two
    networks: [10.0.0.0/8]
  - {id: three, reason: *why, hosts: *names}
'''


def test_anchors_and_merge_keys():
    assert [(one.id, one.reason, one.hosts) for one in read(ANCHORS).rules] == [
        (name, 'the same', ('a.example',)) for name in ('one', 'two', 'three')]
    assert refusal(ANCHORS.replace('10.0.0.0/8', '10.0.0.0/99')).startswith("p.yml:9: rule 'two': networks")


def typed(value):
    """By its kind as well: to Python, 1 and true and 1.0 are equal, and what is no number equals nothing."""
    if isinstance(value, dict):
        return {(type(key), repr(key)): typed(one) for key, one in value.items()}
    return list(map(typed, value)) if isinstance(value, list) else (type(value), repr(value))


def as_the_tree(text):
    """Was the text plain? Then it was read as PyYAML's tree of it says, with the same lines."""
    if yaml.SafeLoader.NON_PRINTABLE.search(text):
        return False
    try:
        plain = _plain_yaml.Reader(text, 1000, notes_lines=True)
    except (_plain_yaml.NotPlain, _plain_yaml.TooLarge):
        return False
    if plain.value not in (None, ''):  # an empty file, of which the tree tells
        value, lines = _policy_file._Reader(text, 'p').document()
        assert typed(plain.value) == typed(value)
        assert {path: plain.line(path) for path in lines} == lines
    return True


@pytest.mark.parametrize('text, is_plain', [
    (ANCHORS, True), (FULL, True), ('- &a 1\n- *a\n', True), ('{}', True), ('a: {<<: {b: 1, c: 2}, b: 3}', True),
    ('x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  c: 3\n', True), ('a: 2024-01-31\nb: 1.5\nc: ~\n', True),
    ('a: [1, true, null]\n1: b\ntrue: c\n', False), ('a: !!str 1', False), ('a: 0443', False), ('a: 1\na: 2', False),
    ('&a [*a]', False), ('a: {<<: {b: 1}, <<: {c: 1}}', False), ('a: {<<: []}', False), ('- <<\n', False), ('? [a]\n: b\n', False),
    ('{}: 1', False), ('[]: 1', False), ('&a : &a ', False), ('- &a 1\n- &a [x]\n', False),
    ('%s1%s' % ('[' * 48, ']' * 48), True), ('%s1%s' % ('[' * 50, ']' * 50), False), ('a: =', False)])
def test_what_is_plain(text, is_plain):
    assert as_the_tree(text) == is_plain


LAUGH = 'a0: &a0 %s\n' + ''.join('a%d: &a%d %%s\n' % (i, i) for i in range(1, 12))


@pytest.mark.parametrize('first, more', [('[x]', '[%s]'), ('{x: y}', '{<<: [%s]}')],
                         ids=['lists', 'merge keys'])
def test_aliases_of_aliases_do_not_explode(first, more):
    text = LAUGH % ((first,) + tuple(more % ', '.join(['*a%d' % (i - 1)] * 10) for i in range(1, 12)))
    assert 'far too large' in refusal(text)


def test_a_long_chain_of_aliases_is_too_deep():
    links = ''.join('a%d: &a%d [*a%d]\n' % (i, i, i - 1) for i in range(1, 1000))
    assert 'too deep' in refusal('a0: &a0 [x]\n' + links)


def test_lines_alone_leave_foreign_tags_to_the_caller():
    text = 'version: 1\nservice: !vault |\n  x\nallow: !unsafe [a]\n'
    assert _policy_file.lines(text, 'p') == {(): 1, ('version',): 1, ('service',): 2, ('allow',): 4,
                                             ('allow', 0): 4}
    with pytest.raises(PolicyError, match='stands twice'):
        _policy_file.lines('a: !vault x\na: 1', 'p')


def test_a_byte_order_mark_is_no_content():
    assert read('\ufeffversion: 1').version == 1


@settings(deadline=None)
@given(policies())
def test_what_yaml_writes_is_read_back(mapping):
    text = yaml.safe_dump(mapping, allow_unicode=True)
    assert read(text) == check(mapping)
    assert as_the_tree(text)


yaml_text = st.lists(st.sampled_from(
    ['version: 1\n', 'deny:\n', '  - ', 'id: ', 'a', '1', '\n', ' ', '*a', '&a ', '<<: ', '!!set ', '!!omap ',
     '!!bool ', '!!int ',
     '!!timestamp ', '!!binary ', '!x ', '[', ']', '{', '}', ': ', ', ', '? ', '"', "'", '|', '>', '---', '=',
     '%', '\t', '#',
     '2024-99-99', '.', '-', 'é', '\x00', '\ufeff']), max_size=25).map(''.join)


@settings(max_examples=600, deadline=None)
@given(yaml_text)
def test_a_plain_file_is_read_as_the_tree_has_it(text):
    as_the_tree(text)


@settings(max_examples=600, deadline=None)
@given(st.one_of(yaml_text, st.text()))
def test_any_file_raises_policy_errors_only(text):
    only_policy_errors(read, text)
    only_policy_errors(_policy_file.lines, text, 'p')
