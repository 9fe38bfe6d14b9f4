# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""GitHub Actions: whether the run is a step there, where the step's summary is, and what of a text would be a command to it."""

from __future__ import annotations

import os
import re

from ansible.module_utils.parsing.convert_bool import BOOLEANS, boolean

# A command is `::name::` at the start of a line, whatever space or invisible thing stands before it, or `##[name]` anywhere
# in it. A line may yet be broken at a space.
COMMAND = re.compile(r'(?<![\x21-\x7e]):(?=:)')


def is_step():
    return os.environ.get('GITHUB_ACTIONS') == 'true'


def harmless(text, wraps=False):
    """The same text for people, which commands nothing in a step. `wraps`: it may yet be broken within a word, too."""
    if not is_step():
        return text
    return (text.replace('::', ': :') if wraps else COMMAND.sub(lambda found: found[0] + ' ', text)).replace('##[', '## [')


def summary(wanted):
    """The file to which Markdown is to be appended; None: to none. `wanted`: auto, a boolean, or a path."""
    if wanted == 'auto' or wanted.lower() in BOOLEANS and boolean(wanted):
        return os.environ.get('GITHUB_STEP_SUMMARY') or None
    return None if wanted.lower() in BOOLEANS else os.path.abspath(os.path.expanduser(wanted))
