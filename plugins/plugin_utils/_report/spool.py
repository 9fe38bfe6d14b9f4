# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The rows of a list that may be very long, as JSON in a file without a name. Knows nothing of Ansible."""

from __future__ import annotations

import json
import tempfile

_plain = json.JSONEncoder(allow_nan=False, separators=(',', ':')).encode


def encoded(value):
    """A value as JSON that every program reads, in ASCII, without a line break."""
    try:
        text = _plain(value)
        if '\\ud' not in text:  # where half a character (a surrogate) would be written
            return text
    except ValueError:  # not a number
        pass
    whole = json.dumps(value, ensure_ascii=False).encode('utf-8', 'replace')
    return _plain(json.loads(whole, parse_constant=lambda constant: None))


def text(value):
    """A text as it is when it is read again."""
    return str(value).encode('utf-8', 'replace').decode()


class Spool:
    """Nobody else can open the file, and nothing is left of it however the run ends."""

    def __init__(self, directory):
        self._file = tempfile.TemporaryFile(dir=directory)

    def add(self, rows):
        """Written out at once: a worker of Ansible is a fork of this process, and what is held back would be its, too."""
        self._file.write(b''.join(encoded(row).encode() + b'\n' for row in rows))
        self._file.flush()

    def lines(self):
        self._file.seek(0)
        return self._file

    def close(self):
        self._file.close()
