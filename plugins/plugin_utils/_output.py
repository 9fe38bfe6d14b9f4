# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""Where the callback's lines go: standard output, standard error, or a file."""

from __future__ import annotations

import itertools
import os
import re
import sys
import textwrap

from ansible import constants as C
from ansible import context

from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _github

AUTO, STDOUT, STDERR = 'auto', 'stdout', 'stderr'
COLORS = {'bad': C.COLOR_ERROR, 'warn': C.COLOR_CHANGED, 'good': C.COLOR_OK, 'plain': None, 'more': None}
LONGEST = 400  # characters of a line, whatever a host or a task is called
# by the last part of the name of the stdout callback: what programs read, a document or a line for each host
MACHINE = re.compile('json|junit|xml|csv|sarif|oneline')


def is_for_machines():
    """Does a program read standard output? `ansible -o` takes a callback that no setting names."""
    callback = 'oneline' if context.CLIARGS.get('one_line') else C.DEFAULT_STDOUT_CALLBACK
    return bool(MACHINE.search(callback.rpartition('.')[2].lower()))


def _broken(lines):
    """No line is too long, and nothing of it is lost."""
    return [(tone, part) for tone, line in lines
            for part in (textwrap.wrap(line, LONGEST, subsequent_indent='    ') if len(line) > LONGEST else [line])]


class Output:
    def __init__(self, display, wanted=AUTO):
        self._display = display
        self._stderr = wanted == STDERR or wanted != STDOUT and is_for_machines()
        self._file = None if wanted in (AUTO, STDOUT, STDERR) else os.path.abspath(os.path.expanduser(wanted))

    def lines(self, lines):
        """Lines are pairs of tone and text."""
        lines = _broken(lines)
        if not self._file or not self._appended(lines):
            self._show(lines, self._stderr or bool(self._file))

    def last(self, lines):
        """What ends the run is told where people look, too."""
        lines = _broken(lines)
        if self._file:
            self._appended(lines)
        self._show(lines, self._stderr or bool(self._file))
        sys.stdout.flush()

    def annotations(self, lines):
        """Commands to GitHub Actions, which reads both standard output and standard error."""
        if lines:
            self._display.display('\n'.join(lines), stderr=self._stderr)

    def of_command(self, output, stderr=False):
        """What a command has written is passed on as it was, but for what would command GitHub Actions."""
        if output:
            output = _github.harmless(output if output.endswith('\n') else output + '\n')
            self._display.display(output, stderr=stderr or self._stderr, newline=False)

    def _show(self, lines, stderr):
        for tone, those in itertools.groupby(lines, key=lambda line: line[0]):
            self._display.display(_github.harmless('\n'.join(line for dummy, line in those)), color=COLORS[tone], stderr=stderr)

    def _appended(self, lines):
        """A file that can't be written is no reason to lose a line, or to end the run otherwise."""
        try:
            with open(self._file, 'a', encoding='utf-8', errors='backslashreplace') as output:
                output.writelines(line + '\n' for dummy, line in lines)
        except OSError as error:
            self._display.warning(f"The guards' report can't be written to {self._file} ({error.strerror}). "
                                  'It is on standard error.')
            return False
        return True
