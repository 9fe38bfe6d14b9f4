# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A play over many hosts, whose results are Ansible's own objects and go through the real callback: no host has to be there.

A program, because the collections of a process are found once. It reads {"strategy", "up": {host: guard}, "down": [[host, result]]}
as JSON, and ends as the run does. The results come in this order, with the task that follows at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

OURS = 'loopbreak.deploy.ebpf_guard'
GUARD = {'name': 'deploy', 'mode': 'enforce', 'clock_offset': 0.0, 'launcher': None, 'enforced': {'connect': True, 'dns': True}}


def result(*denied, mode='enforce', **more):
    """As the module returns it of a guard that is down."""
    return dict({'failed': mode == 'enforce' and bool(denied), 'guard': dict(GUARD, mode=mode), 'denied': denied, 'observed': [],
                 'left_running': [], 'counters': {'connect': {'denied': sum(one['count'] for one in denied)}, 'lost': 0}}, **more)


def run(down, up=None, strategy='linear', cwd=None, **settings):
    """(exit status, lines that were printed), with the collection that the test imports. `down`: {host: result}"""
    from ansible_collections.loopbreak.deploy import plugins

    told = {'strategy': strategy, 'up': up or dict.fromkeys(down, GUARD), 'down': list(down.items())}
    done = subprocess.run([sys.executable, __file__], input=json.dumps(told), text=True, capture_output=True, check=False, cwd=cwd, env=dict(
        os.environ, ANSIBLE_COLLECTIONS_PATH=str(Path(list(plugins.__path__)[0]).parents[3]), ANSIBLE_NOCOLOR='1', **settings))
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def result_for_callbacks(host, task, data):
    """Ansible's own, as each ansible-core makes it of what a module returned."""
    from ansible.executor import task_result
    try:  # since 2.21
        from ansible._internal._task import UnifiedTaskResult
    except ImportError:  # since 2.19, and before
        return (getattr(task_result, 'CallbackTaskResult', None) or task_result.TaskResult)(host, task, data, {})
    return task_result.CallbackTaskResult(host, task, UnifiedTaskResult.from_action_result_dict(data))


def main():
    from ansible.plugins.loader import callback_loader, init_plugin_loader

    init_plugin_loader([])
    from ansible import context
    from ansible.executor.stats import AggregateStats
    from ansible.inventory.manager import InventoryManager
    from ansible.module_utils.common.collections import ImmutableDict
    from ansible.parsing.dataloader import DataLoader
    from ansible.playbook.play import Play
    from ansible.vars.manager import VariableManager

    wanted, loader = json.load(sys.stdin), DataLoader()
    inventory = InventoryManager(loader, sources=[os.devnull], parse=False)
    for name in wanted['up']:
        inventory._inventory.add_host(name)
    inventory.reconcile_inventory()
    hosts = {host.name: host for host in inventory.get_hosts()}
    play = Play.load({'hosts': 'all', 'name': 'Deploy', 'strategy': wanted['strategy'], 'tasks': [
        {'name': 'Up', OURS: {}}, {'name': 'Down', OURS: {'state': 'absent'}}, {'name': 'After', 'command': 'true'}]},
        VariableManager(loader, inventory), loader)
    up, down, after = play.get_tasks()[0]
    context.CLIARGS = ImmutableDict(args=['deploy.yml'])
    callback = callback_loader.get(OURS)
    callback.set_options()

    def begins(task):
        callback.v2_playbook_on_task_start(task, False)
        print('TASK', task.name, flush=True)

    def ends(name, task, data):
        callback.v2_runner_on_start(hosts[name], task)
        tell = callback.v2_runner_on_failed if data.get('failed') else callback.v2_runner_on_ok
        tell(result_for_callbacks(hosts[name], task, data))

    callback.v2_playbook_on_start(SimpleNamespace(_file_name='deploy.yml'))
    callback.v2_playbook_on_play_start(play)
    begins(up)
    for name, guard in wanted['up'].items():
        ends(name, up, {'changed': True, 'guard': guard})
    begins(down)
    for name, data in wanted['down']:
        ends(name, down, data)
    begins(after)
    callback.v2_playbook_on_stats(AggregateStats())


if __name__ == '__main__':
    main()
