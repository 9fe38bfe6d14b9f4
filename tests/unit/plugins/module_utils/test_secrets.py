# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines in, the same without secrets out. The lines are in tests/support/command_lines.py."""

from __future__ import annotations

import pytest
from command_lines import MASK, WITH_SECRETS, ordinary, with_secrets
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _secrets

SECRETS = list(with_secrets())
WRITTEN = WITH_SECRETS.strip().splitlines()
SHORTEST = 4  # characters of a secret that are none by accident
PIECES = ['"', "'", '\\', ' ', '|', '=', ':', 'echo ', 'password', '-p', 'mysql', '-c', 'token', 'https://', 'a', '@', '$(', '`',
          '\n', '{', '}', 'Authorization: ', '&', '?', ';', '-----BEGIN PRIVATE KEY-----', '--', '\xe9']


@pytest.mark.parametrize('arguments, secrets', SECRETS, ids=WRITTEN)
def test_no_secret_is_shown(arguments, secrets):
    told = _secrets.shown(tuple(arguments))
    assert not [secret for secret in secrets if secret[:SHORTEST] in told], told
    assert MASK in told and told.split()[0] == arguments[0]


@pytest.mark.parametrize('arguments', ordinary(), ids=' '.join)
def test_ordinary_command_lines_are_shown_to_the_last_byte(arguments):
    assert _secrets.masked(tuple(arguments)) == tuple(arguments)


@pytest.mark.parametrize('arguments, secrets', SECRETS, ids=WRITTEN)
def test_a_line_that_is_cut_anywhere_shows_no_part_of_a_secret(arguments, secrets):
    line = '\0'.join(arguments)
    for length in range(1, len(line) + 1):
        told = _secrets.shown(tuple(line[:length].split('\0')), cut=True)
        assert not [secret for secret in secrets if secret[:SHORTEST] in told], (length, told)


# what is shown of them, where more than the mask is of interest
SHOWN = [
    (['mysql', '-uroot', '-psecret', 'shop'], 'mysql -uroot -p******** shop'),
    (['mysql', '--password', '-h', 'db'], 'mysql --password -h db'),
    (['curl', '-su', 'bob:secret', 'x'], 'curl -su bob:******** x'),
    (['curl', '-u', 'bob', 'x'], 'curl -u bob x'), (['curl', '-ubob:', 'x'], 'curl -ubob: x'),
    (['curl', '-H', 'Authorization: Bearer secret'], 'curl -H Authorization: Bearer ********'),
    (['curl', 'https://a.example/?token=secret&page=2'], 'curl https://a.example/?token=********&page=2'),
    (['curl', 'https://bob:se:cr@et@a.example/x'], 'curl https://bob:********@a.example/x'),
    (['tool', '--secret', '-v', '--token'], 'tool --secret -v --token'),
    (['tool', '--password='], 'tool --password='), (['tool', '--token=true'], 'tool --token=true'),
    (['env', 'DB_PASSWORD=a b & c', './x', 'a b'], 'env DB_PASSWORD=******** ./x a b'),
    (['sh', '-c', 'A=1 DB_PASSWORD="a b" ./x;  y'], 'sh -c A=1 DB_PASSWORD="********" ./x;  y'),
    (['sh', '-c', "x 'it'\"'\"'s' --token 'a b'"], "sh -c x 'it'\"'\"'s' --token '********'"),
    (['sh', '-c', "sh -c \"sh -c 'mysql -psecret'\""], "sh -c sh -c \"sh -c 'mysql -p********'\""),
    (['sh', '-c', "sh -c 'sh -c \"mysql -psecret\"'"], "sh -c sh -c 'sh -c \"mysql -p********\"'"),
    (['nginx: worker process'], 'nginx: worker process'), (['-bash'], '-bash'), ([''], ''),
    (['a', '', '', 'b'], 'a   b')]


@pytest.mark.parametrize('arguments, told', SHOWN, ids=[' '.join(row[0]) for row in SHOWN])
def test_only_the_secret_is_masked(arguments, told):
    assert _secrets.shown(tuple(arguments)) == told


@pytest.mark.parametrize('name', [
    'password', '--db-password', 'PGPASSWORD', 'MYSQL_PWD', 'keyStorePassword', 'SECRET_KEY_BASE', 'GITHUB_TOKEN_2',
    'X-Api-Key', 'clientSecret', 'SSHPASS', 'ansible_become_pass', 'aws_secret_access_key', '_authToken', 'APIKey'])
def test_names_of_secrets(name):
    assert _secrets.names_secret(name)


@pytest.mark.parametrize('name', [
    'password-file', 'PWD', 'OLDPWD', 'token_url', 'max-tokens', 'ask-pass', 'no-password', 'GIT_ASKPASS', 'bypass',
    'passive', 'tokenizer', 'compass', 'discovery-token-ca-cert-hash', 'secret-id', 'PasswordAuthentication', 'key', '_'])
def test_names_of_other_things(name):
    assert not _secrets.names_secret(name)


def test_arguments_as_the_kernel_keeps_them():
    for kept, told in ((b'a\0b\0', ('a', 'b')), (b'a\0\0b\0', ('a', '', 'b')), (b'cut o', ('cut o',)), (b'', ('',)),
                       (b'\0\0', ('',)), (b'\xc3\xb6\0\xff', ('\xf6', '\ufffd'))):
        assert _secrets.arguments(kept) == told


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=40).map(''.join), min_size=1, max_size=20))
def test_any_text_can_be_masked(pieces):
    """Whatever a process calls itself, the report comes."""
    arguments = tuple('\0'.join(pieces)[:_abi.ARGS].split('\0'))
    assert len(_secrets.masked(arguments, True)) == len(arguments)
