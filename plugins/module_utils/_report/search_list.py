# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. Which denied questions nobody wanted: the resolver library made them up from its search list. Pure."""

from __future__ import annotations

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi, _names


def without_expansions(denied, asked, domains):
    """The denials of what somebody asked for, as entries of ebg_denied, and how often others were denied.

    The resolver library puts the domains of the search list behind a name that it is asked for. A denial of such a
    question is none of something that anybody wanted, if the same process asked for the name itself as well; a name of
    one label, which is not asked for by itself, if no rule denies it and it was also asked for under another domain.
    """
    kept, made_up = [], 0
    for key, value in denied:
        if domains and key.endpoint.kind == _abi.KIND_DNS and _is_expansion(key, value, asked, domains):
            made_up += value.count
        else:
            kept.append((key, value))
    return kept, made_up


def _is_expansion(key, value, asked, domains):
    name = _names.from_wire(bytes(value.name)) if value.name[0] else ''
    return any(_is_expansion_by(domain, name, key.rule, value.run.pid, asked, domains) for domain in domains)


def _is_expansion_by(domain, name, rule, pid, asked, domains):
    if not name.endswith('.' + domain):
        return False
    short = name[:-len(domain) - 1]
    if '.' in short:
        return (pid, _names.name_hash(short)) in asked
    return rule < _abi.RULE_FIRST and any((pid, _names.name_hash('%s.%s' % (short, other))) in asked
                                          for other in domains if other != domain)
