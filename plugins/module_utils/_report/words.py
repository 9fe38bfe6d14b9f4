# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The words for what a record is about: of the report, and of the message with which a host fails. Pure."""

from __future__ import annotations

import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._report import records as recorded

UNKNOWN = 'unknown'
LEFT_OUT = 'rows left out'  # what a row is about that stands for others
TASK_DIRECTORY = re.compile(r'/\S*/ansible-tmp-(\d+\.\d+)?[^/\s]*/')  # with the controller's time
PRESENTED = {'dns': 'DNS question', 'tls': 'TLS', 'http': 'HTTP'}  # what has a name in it, by kind
FILES = {'unix': '', 'file': '', 'exec': ' (executed)'}  # what has a path in it, by kind


def clean(text):
    """One printable line: what a process on the target called itself must not steer this terminal."""
    text = ' '.join(str(text).split())
    return text if text.isprintable() else ''.join(char if char.isprintable() else '?' for char in text)


def address(record):
    if record.get('address'):
        return recorded.endpoint(record)
    return clean(record.get('path') or record.get('name') or UNKNOWN)


def asked_name(record):
    """The name that a DNS question, a ClientHello or a request had in it; '' where there was none, or no such message.

    A message without one, or that could not be read, is recorded with the names of its address, as any connection is.
    """
    name, reason = record.get('name') or '', record.get('reason') or ''
    unread = ', ' in name or reason == recorded.UNREADABLE['reason'] or reason.endswith((recorded.SHARED, recorded.NAMELESS))
    return clean(name) if record.get('kind') in PRESENTED and not unread else ''


def known_name(record):
    """Return the names that led to the record's address, where endpoint() does not show them already."""
    return '' if asked_name(record) else clean(record.get('address') and record.get('name') or '')


def endpoint(record, path=str):
    """What an access was about: the path; the name, where it said one; else the address. `path` may shorten paths."""
    if record.get('stands_for'):
        return LEFT_OUT
    if record.get('kind') in FILES:
        return path(clean(record.get('path') or recorded.NO_PATH)) + FILES[record['kind']]
    sort, name, port = PRESENTED.get(record.get('kind')), asked_name(record), record.get('port')
    if not sort:
        return address(record)
    if not name:
        return '%s (%s)' % (address(record), sort)
    if record['kind'] == 'dns' or not port:  # which resolver was asked, and how, is not the news
        return '%s (%s)' % (name, sort)
    return '%s:%s/%s (%s)' % (name, port, record.get('protocol'), sort)


def telling(records):
    """One record for what a command reached at a port: of a name that was asked for and connected to, what it presented there."""
    ranks = {'dns': 2, **dict.fromkeys(('connect', 'send'), 1)}
    told, kept = set(), set()
    for number, record in sorted(enumerate(records), key=lambda item: ranks.get(item[1].get('kind'), 0)):
        what = asked_name(record) or known_name(record) or endpoint(record), record.get('command')
        at = what if record.get('kind') == 'dns' else (*what, record.get('port'))
        if at not in told:
            kept.add(number)
        told.update((what, at))
    return [record for number, record in enumerate(records) if number in kept]


def spoken(command):
    """Drop the directory that Ansible made for the task: it says nothing, and takes the room."""
    return TASK_DIRECTORY.sub('', command) if 'ansible-tmp-' in command else command
