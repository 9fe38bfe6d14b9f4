# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of M(loopbreak.deploy.ebpf_guard_map): it works on the controller alone."""

from __future__ import annotations

import functools

from ansible.plugins.action import ActionBase
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import services
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.complaint import Where
from ansible_collections.loopbreak.deploy.plugins.plugin_utils import _controller_file, _map, _services


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _checked, given = self.validate_argument_spec(argument_spec={
            'services': {'type': 'raw', 'required': True}, 'service': {'type': 'str'},
            'format': {'type': 'str', 'choices': list(_map.FORMATS), 'default': 'text'}})
        try:
            seen = _map.view(self._services(given['services'], given['service']), given['service'])
        except GuardError as error:
            result.update(failed=True, msg=str(error))
            return result
        self._display.display(_map.FORMATS[given['format']](seen))
        result.update(changed=False, **_map.as_data(seen))
        return result

    def _services(self, value, service):
        where = Where('ebpf_guard_map', {})
        read = functools.partial(_controller_file.read, self, what=_services.WHAT)
        entries = _services.of_policy({'services': value}, where, read)
        if entries is None:
            entries = services.entries(value, where.inside('services'))
        return services.check(entries, service, where.inside('service'))
