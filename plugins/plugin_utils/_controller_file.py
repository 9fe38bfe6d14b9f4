# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""A file of the user's on the controller, looked up as a task looks files up."""

from __future__ import annotations

import os

from ansible.errors import AnsibleError
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError

LOOKED_UP = ' A relative path is looked up in files/ of the role, then beside the playbook, then in the working directory.'


def read(action, path, what='policy file'):
    """(where it is, its text), decrypted where it is encrypted. `action`: the action plugin; `what` it is to the user."""
    try:
        path = action._find_needle('files', path)
    except AnsibleError:
        if not os.path.isfile(path):
            raise GuardError("There is no %s '%s' on the controller.%s" % (what, path, '' if os.path.isabs(path) else LOOKED_UP))
        path = os.path.abspath(path)  # beside a playbook of a collection nobody has policies
    try:
        plain = action._loader.get_real_file(path)
        with open(plain, encoding='utf-8') as content:
            return path, content.read()
    except (AnsibleError, OSError, UnicodeDecodeError) as error:
        raise GuardError("The %s '%s' can't be read: %s" % (what, path, error))
    finally:
        action._loader.cleanup_all_tmp_files()
