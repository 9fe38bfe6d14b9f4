# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The files that a service map is in: maps of our own, and catalogues. Read on the controller, where they are.

What comes out is for the check of the policy: {name of a service: (where it stands, its entry)}.
"""

from __future__ import annotations

import re

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import services, shapes
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _catalogue, _policy_file

WHAT = 'service map'
CATALOGUE = re.compile(r'^["\']?(apiVersion|kind)["\']?[ \t]*:', re.M)  # begins a line there, and none of a map


def of_policy(policy, where, read):
    """What the files have that `services` of the policy names; None where it names none: check() says then what is wrong.

    `policy`: not checked yet. `where`: it stands. `read`: path -> (where the file is, its text).
    """
    value = policy.get('services') if isinstance(policy, dict) else None
    return of_files(value, where.inside('services'), read) if isinstance(value, (str, list)) and value else None


def of_files(value, where, read):
    """The same of a path, or of a list of paths."""
    named = [(where, value)] if isinstance(value, str) else [(where.inside(number), path) for number, path in enumerate(value)]
    found, catalogues = {}, []
    for here, path in named:
        path = shapes.printable(shapes.string(path, 'services.yml', here), here)
        try:
            source, text = read(path)
        except GuardError as error:
            raise here.error(str(error))
        if CATALOGUE.search(text):
            catalogues.append((source, text))
        else:
            _add(found, _of_map(source, text))
    _add(found, _catalogue.entries(catalogues))
    return found


def _of_map(source, text):
    mapping, lines = _policy_file.parse(text, source)
    where = Where(source, lines)
    if not isinstance(mapping, dict) or 'services' not in mapping:
        raise where.error('this is neither a service map, which has services: on top, nor a catalogue, whose entities have '
                          'apiVersion and kind.')
    shapes.check_keys(mapping, ('services',), where)
    return services.entries(mapping['services'], where.inside('services'))


def _add(found, more):
    for name, (where, entry) in more.items():
        if name in found:
            raise where.error('there are two services of this name. The other one is in %s.' % found[name][0].place())
        found[name] = where, entry
