# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON reports of runs, each held against its schema."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema


def _strict(found):
    """What may be added later for readers has to be described as soon as it is written."""
    return {**found, 'additionalProperties': False} if {'required', 'additionalProperties'} <= found.keys() and found[
        'additionalProperties'] is True else found


TEXT = (Path(__file__).resolve().parents[2] / 'docs' / 'report.schema.json').read_text()
SCHEMA = json.loads(TEXT, object_hook=_strict)
NAME = re.compile(r'\d{8}T\d{6}Z-([0-9a-f]{8})\.json')
jsonschema.Draft202012Validator.check_schema(json.loads(TEXT))


def _refuse(constant):
    raise AssertionError(f'{constant} is no JSON')


def read(path):
    found = json.loads(path.read_bytes().decode('ascii'), parse_constant=_refuse)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert list(found)[-1] == 'outcome'
    assert NAME.fullmatch(path.name)[1] == found['run']['id']
    return found


def all_in(directory):
    """In the order of their runs. Nothing else is there."""
    return [read(path) for path in sorted(Path(directory).iterdir())]


def only(directory):
    found = all_in(directory)
    assert len(found) == 1
    return found[0]
