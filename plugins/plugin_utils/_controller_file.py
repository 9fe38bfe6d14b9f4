# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""A file of the user's on the controller, looked up as a task looks files up."""

from __future__ import annotations

import contextlib
import os

from ansible.errors import AnsibleError
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

PLAYBOOKS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'playbooks')
LOOKED_UP = ' A relative path is looked up in files/ of the role, then beside the playbook, then in the working directory.'


def read(action, path, what='policy file'):
    """(where it is, its text), decrypted where it is encrypted. `action`: the action plugin; `what` it is to the user."""
    path = _found(action, path, what)
    try:
        plain = action._loader.get_real_file(path)
        with open(plain, encoding='utf-8') as content:
            return path, content.read()
    except (AnsibleError, OSError, UnicodeDecodeError) as error:
        raise GuardError("The %s '%s' can't be read: %s" % (what, path, error))
    finally:
        action._loader.cleanup_all_tmp_files()


def _found(action, path, what):
    """Beside our own playbooks nobody has files, and these are none."""
    with contextlib.suppress(AnsibleError):
        found = action._find_needle('files', path)
        if os.path.isabs(path) or os.path.dirname(os.path.abspath(found)) != PLAYBOOKS:
            return found
    if not os.path.isfile(path):
        raise GuardError("There is no %s '%s' on the controller.%s" % (what, path, '' if os.path.isabs(path) else LOOKED_UP))
    return os.path.abspath(path)
