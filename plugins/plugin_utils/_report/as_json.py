# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The report as JSON, as docs/report.schema.json describes it. Each row of a list is a line of its own."""

from __future__ import annotations

import gzip
import io

from ansible_collections.loopbreak.deploy.plugins.plugin_utils._report.spool import encoded

SCHEMA = 'loopbreak.report/1'


def write(document, output):
    """`outcome` is last: a file without it was cut off."""
    output.write(b'{"schema":"%s",\n"run":%s' % (SCHEMA.encode(), encoded(document.run).encode()))
    for name, lines in document.lists():
        output.write(b',\n"%s":[' % name.encode())
        between = b'\n'
        for line in lines:
            output.write(between + line.rstrip(b'\n'))
            between = b',\n'
        output.write(b']')
    output.write(b',\n"outcome":%s}\n' % encoded(document.outcome).encode())


def write_compressed(document, output):
    """The same for gzip: about the twentieth part, because records have most of their words in common."""
    with gzip.GzipFile(filename='', fileobj=output, mode='wb', compresslevel=6) as squeezed, \
            io.BufferedWriter(squeezed, 1 << 16) as buffered:
        write(document, buffered)
