# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name's three forms. The hash gets a second opinion: tests/support/reference.py hashes as bpf/ does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import reference_hash, reference_label_hash

from ansible_collections.loopbreak.deploy.plugins.module_utils._names import ends, from_wire, hash_and_wire, \
    label_hash, labels, name_hash, to_wire

# --- hashes ---

# The kernel's tables are filled with these, so they can't change without EBG_ABI_VERSION.
KNOWN = [
    ('.', 0xcbf29ce484222325),
    ('com', 0x0672e904003c71c3),
    ('github.com', 0x1608677ed660e9fe),
    ('api.github.com', 0x9f2b1ca046f759f7),
    ('canary.ebpf-guard.invalid', 0xee43c6ebc598533e),
    ('a-label-of-more-than-two-groups.example', 0x186ff38d64432d5a),
]


@pytest.mark.parametrize('name, known', KNOWN)
def test_known_hashes(name, known):
    assert name_hash(name) == known
    assert name == '.' or reference_hash(name) == known


@pytest.mark.parametrize('length', range(0, 64))
def test_a_label_of_every_length(length):
    label = bytes((17 * place + length) % 26 + ord('a') for place in range(length))
    assert label_hash(label) == reference_label_hash(label)


@pytest.mark.parametrize('one, other', [('GitHub.COM', 'github.com'), ('github.com.', 'github.com'), ('', '.'),
                                        (r'\097.example', 'a.example'), (r'\065.example', 'a.example')])
def test_the_same_name(one, other):
    assert (name_hash(one), labels(one)) == (name_hash(other), labels(other))


@pytest.mark.parametrize('one, other', [
    ('a.b', 'b.a'), ('ab', 'a.b'), ('a.bc', 'ab.c'), ('a', 'a.a'), (r'a\046b', 'a.b'), (r'\000', '.'),
    (r'a\000', 'a'), ('abcdefgh', 'abcdefg.h'), ('notgithub.com', 'github.com')])
def test_other_names(one, other):
    assert name_hash(one) != name_hash(other)


@given(st.lists(st.from_regex(r'[a-zA-Z0-9_-]{1,63}', fullmatch=True), min_size=1, max_size=6).map('.'.join))
def test_any_hash(name):
    assert name_hash(name) == reference_hash(name) == name_hash(name.swapcase())


def test_100_000_names_have_as_many_hashes():
    names = ['h%d.zone%d.example' % (number, number % 7) for number in range(100_000)]
    assert len({name_hash(name) for name in names}) == len(names)


# --- names and their ends ---

@pytest.mark.parametrize('name, found', [
    ('a.b.c', ['a.b.c', 'b.c', 'c']), ('localhost', ['localhost']), (r'x\046y.z', [r'x\046y.z', 'z'])])
def test_ends(name, found):
    assert ends(name) == found


@pytest.mark.parametrize('text', ['münchen.de', r'\256.example', r'a.\999'])
def test_what_is_no_name(text):
    with pytest.raises(ValueError):
        labels(text)


# --- the form of DNS messages ---

WIRES = [('github.com', b'\6github\3com\0'), ('.', b'\0'), ('a', b'\1a\0'), ('_sip._tcp.a-b', b'\4_sip\4_tcp\3a-b\0'),
         (r'a\046b.c', b'\3a.b\1c\0'), (r'\000\255\092\032', b'\4\0\xff\\ \0'), (r'\195\188.de', b'\2\xc3\xbc\2de\0'),
         ('a' * 63, b'\x3f' + b'a' * 63 + b'\0')]


@pytest.mark.parametrize('text, wire', WIRES)
def test_wire(text, wire):
    assert (to_wire(text), from_wire(wire)) == (wire, text)
    turned = b''.join(label + b'\0' for label in reversed(labels(text)))
    if b'\0' not in b''.join(labels(text)):  # no name of a policy has such bytes
        assert hash_and_wire(turned) == (name_hash(text), wire)


@pytest.mark.parametrize('text, wire', [('GitHub.Com.', b'\6github\3com\0'), ('', b'\0')])
def test_spellings_have_one_wire(text, wire):
    assert to_wire(text) == wire


@pytest.mark.parametrize('wire, text', [
    (b'\6GitHub\3COM\0', 'github.com'), (b'\1a\0\1b\0', 'a'), (b'\1a' + b'\0' * 200, 'a'), (b'\6git', 'git'),
    (b'\3com', 'com'), (b'\1a\3', 'a'), (b'', '.'), (b'\0' * 256, '.'), (b'\x46' + b'x' * 70 + b'\0', 'x' * 70)])
def test_what_the_kernel_kept_is_told(wire, text):
    assert from_wire(wire) == text


@pytest.mark.parametrize('text', ['a..b', '..', '.a', 'a' * 64, '.'.join(['a' * 49] * 5 + ['abcde'])])
def test_what_dns_has_no_form_for(text):
    with pytest.raises(ValueError):
        to_wire(text)


def test_the_longest_name_has_255_bytes():
    assert len(to_wire('.'.join(['a' * 49] * 5 + ['abc']))) == 255


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
def test_any_name_comes_back(parts):
    wire = b''.join(bytes([len(part)]) + part for part in parts) + b'\0'
    text = from_wire(wire)
    assert from_wire(to_wire(text)) == text == text.lower() and text.isascii() and text.isprintable()
    assert labels(text) == [part.lower() for part in parts]
    assert to_wire(text) == wire.lower()


@given(st.binary(max_size=300))
def test_any_bytes_are_readable(wire):
    assert from_wire(wire).isprintable()
    assert from_wire(bytearray(wire)) == from_wire(wire)
