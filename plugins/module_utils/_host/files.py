# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Files of the host, whoever wrote them, as the C library reads them.

No encoding is asked for: a byte that is no text stays what it is, as in the names of files. A line ends at a newline, or at a
NUL. Blanks part its words.
"""

from __future__ import annotations

import errno
import os
import stat


def content(path):
    """The bytes of a file. OSError where there is none; a FIFO is none, because nobody may ever write to it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, 'it is no file', path)
        with os.fdopen(descriptor, 'rb', closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def text(path):
    return os.fsdecode(content(path))


def identity(path):
    """Tells whether a file is still the same; None where it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def words(path):
    """The words of each line, without empty lines."""
    lines = (line.partition(b'\0')[0].split() for line in content(path).split(b'\n'))
    return [list(map(os.fsdecode, line)) for line in lines if line]
