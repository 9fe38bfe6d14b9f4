# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Python raises, in words for people."""

from __future__ import annotations

import errno
import json

import pytest

from ansible_collections.loopbreak.deploy.plugins.module_utils import _errors

DOING = "Guard 'x'", 'brought up'


@pytest.mark.parametrize('error, told', [
    (OSError(errno.ENOSPC, 'No space left on device', '/run/x'),
     'No space left on device (/run/x). Make room on that file system.'),
    (OSError(errno.ENOSPC, 'No space left on device', b'/run/\xfc'),
     'No space left on device (/run/\\udcfc). Make room on that file system.'),
    (BlockingIOError(errno.EAGAIN, 'Resource temporarily unavailable'),
     'Resource temporarily unavailable. ' + _errors.ADVICE[errno.EAGAIN]),
    (RuntimeError("can't start new thread"), 'Resource temporarily unavailable. ' + _errors.ADVICE[errno.EAGAIN]),
    (MemoryError(), 'Cannot allocate memory. ' + _errors.ADVICE[errno.ENOMEM]),
    (IsADirectoryError(errno.EISDIR, 'Is a directory', '/run/x'),
     'Is a directory (/run/x). If somebody else than the guard has put that there, remove it.'),
    (OSError('timed out'), 'timed out.')])
def test_what_a_host_lacks(error, told):
    assert _errors.failure(error, DOING) == {'msg': "Guard 'x' could not be brought up: " + told}


def test_what_is_told_already():
    error = _errors.GuardError('It is so.', clock=7)
    assert _errors.failure(error, DOING) == {'msg': 'It is so.', 'clock': 7}
    assert _errors.reason(error) == 'It is so.'


def test_what_nobody_expected():
    with pytest.raises(AttributeError) as raised:
        None.nothing  # pylint: disable=pointless-statement
    told = _errors.failure(raised.value, DOING)
    assert told['msg'].startswith("Guard 'x' could not be brought up, because of an error of the collection itself "
                                  '(AttributeError in test_what_nobody_expected of test_errors.py, line ')
    assert "object has no attribute" in told['exception'] and 'Traceback' in told['exception']


def test_before_a_module_can_answer(capsys):
    with pytest.raises(SystemExit) as ended, _errors.answered('The module', 'started'):
        try:
            raise OSError(errno.EMFILE, 'Too many open files')
        except OSError:
            None.params  # pylint: disable=pointless-statement
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 1
    assert told == {'failed': True, 'msg': 'The module could not be started: Too many open files. Raise the limit of open files '
                                           '(ulimit -n).'}
    with pytest.raises(AttributeError), _errors.answered('The module', 'started'):
        None.params  # pylint: disable=pointless-statement
