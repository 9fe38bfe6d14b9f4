# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task refers to, as both generations of ansible-core have it; whether a vault is among it. The real ones: integration."""

from __future__ import annotations

import pytest

from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _vault


class EncryptedString:
    def __str__(self):
        return 'secret.example'


class Origin:
    def __init__(self, path):
        self.path = path


class Tagged(str):
    _ansible_tags_mapping: dict


class Placed(str):
    ansible_pos: tuple


VARIABLES = {'secret': EncryptedString(), 'by': 'x {{ secret }}', 'plain': {'deny': ['a', 1, None, True]}, 'circle': '{{ circle }}',
             'deep': {'deny': [{'hosts': ['{{ by }}']}]}, 'policy': '{{ plain }}'}
FOUND = ['{{ secret }}', '{{ deep.deny }}', {'a': [{'b': '{% if by %}{% endif %}'}]}, EncryptedString(), ('x', EncryptedString())]
NOT_FOUND = ['secret', '{{ policy }}', '{{ circle }}{{ other }}', {'secret': 'a'}, 7, None]


@pytest.mark.parametrize('value', FOUND, ids=lambda value: str(value) if isinstance(value, str) else type(value).__name__)
def test_found(value):
    assert _vault.Search(VARIABLES).finds(value)


@pytest.mark.parametrize('value', NOT_FOUND, ids=str)
def test_not_found(value):
    assert not _vault.Search(VARIABLES).finds(value)


def test_what_an_encrypted_file_held_is_told_by_where_it_stood(tmp_path):
    (tmp_path / 'vault.yml').write_text('$ANSIBLE_VAULT;1.1;AES256\n6162\n')
    (tmp_path / 'plain.yml').write_text('a: 1\n')
    for name, expected in (('vault.yml', True), ('plain.yml', False), ('gone.yml', False)):
        tagged, placed = Tagged('a'), Placed('a')
        tagged._ansible_tags_mapping = {Origin: Origin(str(tmp_path / name)), str: object()}
        placed.ansible_pos = (str(tmp_path / name), 1, 1)
        assert [_vault.Search({}).finds([value]) for value in (tagged, placed)] == [expected] * 2


def test_values_become_text():
    assert _vault.decrypted({'a': [EncryptedString(), 1], 'b': 'c'}) == {'a': ['secret.example', 1], 'b': 'c'}
