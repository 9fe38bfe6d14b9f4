# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports as the callback has them, made by hand: of one host, with one record unless a test says otherwise."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import model

RECORD = dict(
    rule='github', reason='github.com runs on mysql', owner='db-team', runbook='https://wiki.example/x',
    expected=False,
    kind='connect', name='github.com', address='192.0.2.10', port=443, protocol='tcp', count=1,
    first_seen='1970-01-01T00:01:40.000000+00:00', last_seen='1970-01-01T00:01:40.000000+00:00',
    pid=7, uid=0, command='curl https://github.com', ancestry=[], mode='enforce')
WINDOWS = [
    model.Window(90, 99, 'before', False),
    model.Window(99, 99.95, 'include', True),
    model.Window(99.95, 110, 'during', False),
    model.Window(120, 130, 'later', False),
    model.Window(130, 160, 'pause', True),
]
MADE = 'python3 /root/.ansible/tmp/ansible-tmp-%s-4711-0815/AnsiballZ_command.py'


def table(rows):
    """Take the first column for the names of the cases."""
    return dict(argvalues=[row[1:] for row in rows], ids=[row[0] for row in rows])


def record(**changes):
    return dict(RECORD, **changes)


def report(*denied, **changes):
    return dict(dict(
        host='web1', name='deploy', mode='enforce', denied=list(denied), observed=[], counters={},
        left_running=[], tasks=WINDOWS, offset=0.0, outside=[], unknown=0, nobody=False, launched=True), **changes)


def used(path='/mnt/artifacts/tool', kind='file', **changes):
    return record(name=None, address=None, port=0, protocol=None, path=path, kind=kind, **changes)


def question(**changes):
    return record(**dict(dict(kind='dns', address='203.0.113.53', port=53, protocol='udp'), **changes))
