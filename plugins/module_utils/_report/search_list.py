# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Which denied questions nobody wanted: the resolver library made them up from its search list. Pure."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils import _names


def without_expansions(denied, asked, domains):
    """The denials of what somebody asked for, and how often others were denied.

    The resolver library puts the domains of the search list behind a name that it is asked for. A denial of such a
    question is none of something that anybody wanted, if the same process asked for the name itself as well; a name of
    one label, which is not asked for by itself, if no rule denies it and it was also asked for under another domain.
    """
    kept, made_up = [], 0
    for record in denied:
        if record['kind'] == 'dns' and any(_is_expansion(record, domain, asked, domains) for domain in domains):
            made_up += record['count']
        else:
            kept.append(record)
    return kept, made_up


def _is_expansion(record, domain, asked, domains):
    name = record['name'] or ''
    if not name.endswith('.' + domain):
        return False
    short = name[:-len(domain) - 1]
    if '.' in short:
        return (record['pid'], _names.name_hash(short)) in asked
    return record['rule'] is None and any((record['pid'], _names.name_hash('%s.%s' % (short, other))) in asked
                                          for other in domains if other != domain)
