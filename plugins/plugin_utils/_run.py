# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE: used by this collection only, may change without notice.

"""The command of the playbook loopbreak.deploy.run: how it ended on each host, and what the run makes of it."""

from __future__ import annotations

PLAYBOOK = '/ansible_collections/loopbreak/deploy/playbooks/run.yml'


def exit_status(result):
    """As a shell tells it: 128+N for a command that signal N ended. None where the command has not run."""
    code = result.get('rc')
    if not result.get('end') or not isinstance(code, int):
        return None
    return code if code >= 0 else 128 - code


class Commands:
    """The exit statuses of a run, by host."""

    def __init__(self):
        self.ended = {}

    def headline(self, host):
        status = self.ended[host]
        return 'bad' if status else 'good', f'COMMAND on {host}: exit status {status}'

    def verdict(self, failed, unreachable):
        """(exit status that the run takes over, hosts that ended with it): the highest; 0 where Ansible's own holds.

        That is so where a host did not answer, or failed without having run the command.
        """
        status = max(self.ended.values(), default=0)
        if unreachable or set(failed) - set(self.ended):
            status = 0
        return status, sorted(host for host, code in self.ended.items() if code == status)
