# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Shapes that the values of several keys share: text, a choice, a list, a mapping. Other shapes are a PolicyError."""

from __future__ import annotations

import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import did_you_mean, show


def check_keys(mapping, known, where):
    for key in mapping:
        if key not in known:
            here = where.inside(key)._replace(words=where.words)
            raise here.error('unknown key %s.%s Allowed here: %s.' % (
                show(key), did_you_mean(key, known), ', '.join(known)))


def filled_mapping(mapping, key, known, example, where):
    """Where mapping[key] stands, which must be a mapping with something in it."""
    here, value = where.inside(key), mapping[key]
    if not isinstance(value, dict) or not value:
        raise here.error('%s where a mapping is needed. Write %s: %s.' % (show(value), key, example))
    check_keys(value, known, here)
    return here


def items(mapping, key, example, where):
    """Where each item stands, and its value, of the list mapping[key], which must have some."""
    inside = where.inside(key)
    return [(inside.inside(number), item) for number, item in enumerate(sequence(mapping, key, example, where))]


def sequence(mapping, key, example, where):
    """The list mapping[key], which must have something in it."""
    value, where = mapping[key], where.inside(key)
    if not isinstance(value, list) or not value:
        if isinstance(value, str) and re.fullmatch(r'[^"\\\s]{1,80}', value):
            example = '["%s"]' % value
        raise where.error('%s where a list with something in it is needed. Write %s: %s, or leave %s out.' % (
            show(value), key, example, key))
    return value


def text(value, example, where):
    """The text on one line, because reports print it in tables."""
    return printable(' '.join(string(value, example, where).split()), where)


def string(value, example, where):
    if not isinstance(value, str):
        fix = 'Write %s' % example if value is None or isinstance(value, (dict, list)) else 'Put it in quotes'
        raise where.error('%s where text is needed. %s.' % (show(value), fix))
    if not value.strip():
        raise where.error('the text is empty. Write %s.' % example)
    return value


def printable(text, where):
    if re.search('[\x00-\x1f\x7f-\x9f\ud800-\udfff]', text):
        raise where.error('%s has control characters in it. Take them out.' % show(text))
    return text


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)  # to Python, true is 1


def choice(value, choices, where):
    if not isinstance(value, str) or value not in choices:
        raise where.error('%s is no %s.%s Write %s.' % (
            show(value), where.words[-1], did_you_mean(value, choices), ' or '.join(choices)))
    return str(value)
