# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""What the run fails for as workflow commands of GitHub Actions, each a line that annotates a place in the code."""

from __future__ import annotations

import itertools

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report import findings

DATA = {'%': '%25', '\r': '%0D', '\n': '%0A'}
PROPERTY = {**DATA, ':': '%3A', ',': '%2C'}


def lines(document):
    """The worst first, as many as rows are wanted; the rest is one line."""
    failing = [(one.title, one.message, *findings.where(document.run, one.record['task']))
               for one in document.folded.findings if one.fails]
    failing += [(one.sort, one.message, None, None) for one in findings.problems(document) if one.fails]
    told = [_command(*one) for one in itertools.islice(failing, document.max_rows)]
    more = len(failing) - len(told)
    return told + [_command('Loopbreak', f'{more} more not shown (max_rows)', None, None)] * bool(more)


def _command(title, message, path, line):
    properties = {'file': path, 'line': line, 'title': title}
    told = ','.join(f'{name}={_escaped(value, PROPERTY)}' for name, value in properties.items() if value is not None)
    return f'::error {told}::{_escaped(message, DATA)}'


def _escaped(value, table):
    """`##[` begins a command of the older kind, wherever it stands."""
    return ''.join(table.get(char, char) for char in findings.clip(value, 4 * findings.TEXT_ROOM).replace('##[', '## ['))
