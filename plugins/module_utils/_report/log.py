# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. A guard's event log: one JSON object a line, each with the version of its form. No guard reads it: whatever became of
the file, none depends on it. Who follows a guard finds its end there.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat

VERSION = 1  # of a line; a field that is there keeps its name and meaning
LIMIT = 32 * 1024 * 1024  # bytes of the log, and of the earlier one that is put aside
LISTED = 1000  # processes in one line
END = 1024 * 1024  # bytes that tail() reads
ATTEMPT = {'time': str, 'uid': int, 'pid': int, 'owner': int, 'command': str}  # to bring somebody else's process in


def append(path, name, report):
    """Write a guard's records to its event log. Returns what could not be written, and why, as sentences."""
    lines = [dict(record, event='denied' if record['mode'] != 'monitor' else 'would_deny', guard=name)
             for record in report['denied']]
    lines += [dict(record, event='observed', guard=name) for record in report['observed']]
    down = {'event': 'down', 'guard': name, 'ended': report.get('ended'), 'loader': report['guard']['loader'], 'counters': report['counters'],
            'limits': report['limits'], 'entries': report['entries']['count'], 'left': report['left'],
            'left_running': report['left_running'][:LISTED], 'left_running_count': len(report['left_running']),
            'agent': report['agent']}
    omitted, lost, why = _append(path, lines, down)
    told = []
    if omitted:
        told.append('The event log %s has room for %d MB, so the last %d of %d records were left out.'
                    % (path, LIMIT >> 20, omitted, len(lines)))
    if why:
        told.append('The event log %s could not be written: %s. Of %d lines, %d are lost.'
                    % (path, why, len(lines) - omitted + 1, lost))
    return told


def tail(path):
    """The last lines of an event log of this version; none where there is no such file, or it is damaged."""
    found = []
    with contextlib.suppress(OSError):
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), 'rb') as content:
            content.seek(max(0, os.fstat(content.fileno()).st_size - END))
            for line in content.read(END).split(b'\n')[bool(content.tell() > END):]:
                with contextlib.suppress(ValueError):  # damaged, or empty
                    found.append(json.loads(line))
    return [line for line in found if isinstance(line, dict) and line.get('version') == VERSION and 'event' in line]


def append_refusal(path, name, attempt):
    """Write to the event log that a user tried to bring somebody else's process in. Returns why not; None where it is there."""
    return _append(path, [], dict(attempt, event='refused', guard=name))[2]


def _append(path, lines, last):
    """Returns how many lines are left out, because they are too much for one log, how many are lost, and why.

    The last line tells what is left out, and is there whenever the log can be written.
    """
    texts, room, fitting = [_line(line) for line in lines], LIMIT - len(_line(dict(last, omitted=len(lines)))), 0
    while fitting < len(texts) and len(texts[fitting]) < room:
        room -= len(texts[fitting])
        fitting += 1
    omitted = len(texts) - fitting
    text = b''.join(texts[:fitting]) + _line(dict(last, omitted=omitted) if omitted else last)
    written = 0
    try:
        descriptor = _open(path, len(text))
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b'\n':
                os.write(descriptor, b'\n')  # it ends in half a line, as after a power cut: the next one is to be whole
            while written < len(text):
                written += os.write(descriptor, text[written:])
        finally:
            os.close(descriptor)
    except OSError as error:
        return omitted, fitting + 1 - text.count(b'\n', 0, written), error.strerror
    return omitted, 0, None


def _open(path, room):
    """The log, to be added to, with room for so many bytes. Nobody else can have root write somewhere else."""
    directory = os.path.dirname(path)
    if os.path.islink(directory) and os.lstat(directory).st_uid:
        raise OSError(errno.ELOOP, "%s is a symbolic link that is not root's" % directory)
    if os.path.lexists(directory) and not os.path.isdir(directory):
        raise OSError(errno.ENOTDIR, '%s is no directory' % directory)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise OSError(errno.EINVAL, 'it is %s, and no file of its own' % _kind(found))
        if found.st_size + room + 1 > LIMIT:
            _put_aside(path, found.st_size)
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


def _kind(found):
    for is_one, name in ((stat.S_ISLNK, 'a symbolic link'), (stat.S_ISDIR, 'a directory'), (stat.S_ISREG, 'a hard link')):
        if is_one(found.st_mode):
            return name
    return 'a device or a pipe'


def _put_aside(path, size):
    """In the place of the earlier one. Of a log that somebody else let grow, its end stays."""
    aside = path + '.1'
    if size <= LIMIT:
        os.replace(path, aside)
        return
    draft = aside + '.new'
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    try:
        with open(path, 'rb') as old, os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb') as new:
            old.seek(size - LIMIT)
            old.readline(LIMIT)  # half a line
            shutil.copyfileobj(old, new)
        os.replace(draft, aside)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    os.unlink(path)


def _line(fields):
    return json.dumps(dict(fields, version=VERSION), sort_keys=True).encode() + b'\n'
