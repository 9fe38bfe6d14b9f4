# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Ansible of its own, with the callback as it is and a module that guards nothing: it returns what its task asks for.

So every result can be had without a kernel.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
OURS = 'loopbreak.deploy.ebpf_guard'

STAND_IN = r'''#!/usr/bin/python
from __future__ import annotations
from ansible.module_utils.basic import AnsibleModule

def main():
    module = AnsibleModule(supports_check_mode=True, argument_spec=dict(
        state=dict(default='present'), name=dict(default='deploy'), mode=dict(default='enforce'),
        fail_on_denied=dict(type='bool', default=True), scope=dict(), cgroup=dict(),
        clock_offset=dict(type='float'), counters=dict(type='dict', default={}),
        denied=dict(type='list', elements='dict', default=[]),
        observed=dict(type='list', elements='dict', default=[]),
        left_running=dict(type='list', elements='dict', default=[]),
        gone=dict(type='bool', default=False), broken=dict(type='bool', default=False),
        raw_guard=dict(type='raw')))
    asked = module.params
    if asked['broken']:
        module.fail_json(msg='could not')
    guard = None if asked['gone'] else {key: asked[key] for key in ('name', 'mode', 'clock_offset')}
    result = {key: asked[key] for key in ('denied', 'observed', 'counters')}
    result.update(changed=True, guard=asked['raw_guard'] or guard)
    if asked['state'] == 'absent':
        result['left_running'] = asked['left_running']
        unexpected = [one for one in asked['denied'] if not one.get('expected')]
        if unexpected and asked['mode'] == 'enforce' and asked['fail_on_denied']:
            module.fail_json(msg='denied', **result)
    module.exit_json(**result)

main()
'''

# What the plays below share. The moments are those of the task named "Move", by the target's clock.
HEAD = '''
- hosts: {hosts}
  gather_facts: false
  strategy: {strategy}
  vars:
    denial:
      rule: github
      reason: github.com runs on the database that this play deploys
      owner: db-team
      runbook: https://wiki.example/runbook
      kind: connect
      name: github.com
      address: 192.0.2.10
      port: 443
      protocol: tcp
      count: 3
      first_seen: "{{{{ move.stdout | default('2026-01-01T00:00:00Z') }}}}"
      last_seen: "{{{{ move.stdout | default('2026-01-01T00:00:00Z') }}}}"
      command: curl -fsS https://github.com/install.sh
      ancestry: [{{pid: 2, command: /bin/sh deploy.sh}}, {{pid: 1, command: python3}}]
  tasks:
'''
UP = '    - {name: Start, loopbreak.deploy.ebpf_guard: {}}\n'
MOVE = '    - {name: Move, ansible.builtin.command: "date -u +%FT%T.%6NZ", register: move}\n'
DENIED = "denied: ['{{ denial }}']"


def down(*arguments, keywords=''):
    return ('    - {name: Stop, loopbreak.deploy.ebpf_guard: {state: absent, %s}%s}\n'
            % (', '.join(arguments), keywords and ', ' + keywords))


SWALLOW = 'fail_on_denied: false'
SWALLOWED = down(DENIED, SWALLOW)


def play(*tasks, hosts='web1', strategy='linear'):
    return HEAD.format(hosts=hosts, strategy=strategy) + ''.join(tasks)


class Sandbox:
    def __init__(self, path):
        self.path = path
        home = path / 'collections' / 'ansible_collections' / 'loopbreak' / 'deploy'
        shutil.copytree(ROOT / 'plugins', home / 'plugins',
                        ignore=shutil.ignore_patterns('action', 'modules', '*.bpf.*', '__pycache__'))
        (home / 'plugins' / 'modules').mkdir()
        (home / 'plugins' / 'modules' / 'ebpf_guard.py').write_text(STAND_IN)
        (path / 'inventory.ini').write_text(
            'w\nweb1\nweb2\nweb3\ngone ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1\n'
            '[all:vars]\nansible_connection=local\n'
            'ansible_python_interpreter="{{ ansible_playbook_python }}"\n')

    def run(self, program, *arguments, apart=False, **settings):
        """(exit status, output); `apart`: what is on standard error is `stderr`."""
        done = subprocess.run(
            self._line(program, *arguments), cwd=self.path, env=self.environment(settings), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE if apart else subprocess.STDOUT, timeout=120, check=False)
        self.stderr = done.stderr
        assert not re.search('Failed to load callback|Failure using method|Callback dispatch', done.stdout)
        assert 'DEPRECATION' not in done.stdout, done.stdout
        return done.returncode, done.stdout

    def on_a_terminal(self, text, **settings):
        """(exit status, what a terminal is shown) of a play."""
        (self.path / 'play.yml').write_text(text)
        ours, theirs = pty.openpty()
        shown = b''
        with subprocess.Popen(self._line('ansible-playbook', 'play.yml'), cwd=self.path, stdin=theirs, stdout=theirs,
                              stderr=theirs, env=self.environment({'TERM': 'xterm', **settings})) as running:
            os.close(theirs)
            with contextlib.suppress(OSError):  # nobody has the other end open any more
                while shown_now := os.read(ours, 1 << 16):
                    shown += shown_now
        os.close(ours)
        return running.returncode, shown.decode().replace('\r\n', '\n')

    @staticmethod
    def _line(program, *arguments):
        return [str(BIN / program), '-i', 'inventory.ini', *arguments]

    def environment(self, settings):
        env = {name: value for name, value in os.environ.items() if name in ('PATH', 'TMPDIR', 'USER')}
        env.update(
            HOME=str(self.path), LC_ALL='C.UTF-8', ANSIBLE_NOCOLOR='1', ANSIBLE_LOCALHOST_WARNING='false',
            ANSIBLE_HOME=str(self.path / 'ansible'), ANSIBLE_COLLECTIONS_SCAN_SYS_PATH='false',
            ANSIBLE_COLLECTIONS_PATH=str(self.path / 'collections'),
            ANSIBLE_CALLBACKS_ENABLED=OURS, ANSIBLE_LOAD_CALLBACK_PLUGINS='true')
        env.update(settings)
        return env

    def play(self, text, *arguments, **settings):
        (self.path / 'play.yml').write_text(text)
        return self.run('ansible-playbook', 'play.yml', *arguments, **settings)
