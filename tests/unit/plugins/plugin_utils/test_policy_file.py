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
from policy_texts import GITHUB, RULE, read, refusal

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import PolicyError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _policy_file

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
    assert lines == {(): 2, ('version',): 2, ('deny',): 3, ('deny', 0): 4, ('deny', 0, 'id'): 4,
                     ('deny', 0, 'hosts'): 5, ('deny', 0, 'hosts', 0): 6, ('deny', 0, 'hosts', 1): 7}


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
    assert read(yaml.safe_dump(mapping, allow_unicode=True)) == check(mapping)


yaml_text = st.lists(st.sampled_from(
    ['version: 1\n', 'deny:\n', '  - ', 'id: ', 'a', '1', '\n', ' ', '*a', '&a ', '<<: ', '!!set ', '!!omap ',
     '!!bool ', '!!int ',
     '!!timestamp ', '!!binary ', '!x ', '[', ']', '{', '}', ': ', ', ', '? ', '"', "'", '|', '>', '---', '=',
     '%', '\t', '#',
     '2024-99-99', '.', '-', 'é', '\x00', '\ufeff']), max_size=25).map(''.join)


@settings(max_examples=600, deadline=None)
@given(st.one_of(yaml_text, st.text()))
def test_any_file_raises_policy_errors_only(text):
    only_policy_errors(read, text)
    only_policy_errors(_policy_file.lines, text, 'p')
