# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of M(loopbreak.deploy.ebpf_guard_learn): it runs on the controller, where the reports and the baseline are."""

from __future__ import annotations

import os

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, failure
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import (
    _baseline, _baseline_text, _controller_file, _draft, _files, _learn, _services)

PATHS = ('reports', 'baseline', 'policy_out')
OPTIONS = {'reports': {'type': 'path', 'required': True}, 'baseline': {'type': 'path', 'required': True},
           'service': {'type': 'str'}, 'services': {'type': 'list', 'elements': 'path'}, 'policy_out': {'type': 'path'},
           'prune': {'type': 'bool', 'default': False}, 'executions': {'type': 'bool', 'default': False}}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        try:
            result.update(self._learned(self._options()))
        except AnsibleError:
            raise
        except Exception as error:  # pylint: disable=broad-exception-caught
            result.update(failed=True, **failure(error, ('Learning', 'finished')))
        return result

    def _options(self):
        _checked, options = self.validate_argument_spec(argument_spec=OPTIONS)
        for key in ('reports', 'baseline'):
            if not options[key]:
                raise GuardError('%s is empty. Give the directory of the reports, and the file of the baseline.' % key)
        return dict(options, **{key: options[key] and os.path.abspath(options[key]) for key in PATHS})

    def _learned(self, options):
        given = _files.read(options['baseline'])
        service = options['service'] or (given and _baseline.parse(given, options['baseline']).service) or None
        reports = _learn.Reports(service)
        reports.read_all(options['reports'])  # before the file is locked: it may take long
        with _files.alone(options['baseline']):
            before = _files.read(options['baseline'])
            text, merge = self._merged(before, reports, options)
            changes, circles = [(options['baseline'], before, text)], []
            if options['policy_out']:
                draft, circles = self._draft(text, options)
                changes.append(draft)
            changes = [change for change in changes if change[1] != change[2]]
            for path, _before, after in changes if not self._task.check_mode else ():
                _files.replace(path, after)
        return {'changed': bool(changes), 'evidence': _learn.lines(merge, reports), 'left_out': reports.left_out,
                'runs': len(reports.runs), 'circles': circles,
                'diff': [{'before': old or '', 'after': after, 'before_header': path, 'after_header': path}
                         for path, old, after in changes]}

    @staticmethod
    def _merged(before, reports, options):
        """(the text of the new baseline, the merge)."""
        path = options['baseline']
        known = _baseline.Baseline(reports.service) if before is None else _baseline.parse(before, path)
        if None not in (known.service, reports.service) and known.service != reports.service:
            raise GuardError('%s is the baseline of %s, and not of %s. Nothing was written.' % (
                path, known.service, reports.service))
        if not reports.runs and (options['prune'] or before is None):
            raise GuardError('No report tells what was allowed, so nothing can be learned. Run with mode: monitor, or with '
                             'observe: true. Nothing was written.%s' % ''.join(' ' + sentence for sentence in reports.left_out))
        merge = _learn.Merge(known, reports, options['prune'], options['executions'])
        if before is None:
            return _baseline_text.new(reports.service, merge.entries), merge
        return _baseline_text.changed(before, path, known, merge.entries), merge

    def _draft(self, text, options):
        """((path, what is there, what is to be there), what the service map denies of it)."""
        path = options['policy_out']
        if not os.path.isdir(os.path.dirname(path)):
            raise GuardError('The draft can\'t go to %s: there is no such directory. Nothing was written.' % path)
        there = _files.read(path)
        _draft.refuse(there, path)
        services, entries = self._services(options['services'], os.path.dirname(path))
        draft, circles = _draft.policy(_baseline.parse(text, options['baseline']), path, services, entries)
        return (path, there, draft), circles

    def _services(self, given, beside):
        """(the service map as the draft names it, what its files have)."""
        if not given:
            return None, None
        named = [os.path.relpath(os.path.abspath(one), beside) for one in given]
        services = named if named[1:] else named[0]
        return services, _services.of_policy({'services': services}, Where('services', {}), lambda path: _controller_file.read(
            self, os.path.join(beside, path), _services.WHAT))
