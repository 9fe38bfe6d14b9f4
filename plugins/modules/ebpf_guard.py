#!/usr/bin/python
# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ebpf_guard
short_description: Keep a deployment's processes from reaching what they must not need
version_added: 1.0.0
description:
  - Brings up a guard on the target. A guard is a cgroup with eBPF programs, which observe or deny what the processes
    inside it reach over the network and among files. No other process is touched.
  - A host that a rule names is denied in DNS questions, in TLS (SNI) and HTTP/1.x connections, at proxies, and by every
    address that is known for it. Addresses become known from DNS answers inside the guard. The exact names of the
    rules are also looked up on the target, at the start and then every C(resolve.interval) seconds of the policy. A
    name that the target's resolver has no answer for is a warning.
  - A path that a rule names is denied with all that is below it, for opening, executing, creating, removing and
    renaming, whatever other path leads to the same file. A type of file systems is denied wherever one is mounted.
  - Tasks enter through the launcher that the module returns. The role P(loopbreak.deploy.ebpf_guard#role) does all of
    this for a part of a play, so most playbooks use the role and not this module.
  - Before it returns, the module proves that the guard works. A process inside tries to reach an address and a
    name made for that, and every program has to answer. When anything fails, nothing is left on the host.
author:
  - The Loopbreak authors (@loopbreak)
extends_documentation_fragment:
  - loopbreak.deploy.attributes
options:
  state:
    description:
      - V(present) means that the guard is up with exactly this policy. Another policy takes the place of the earlier
        one with no moment in between in which nothing is enforced, and counts go on. What is broken is mended. The same
        policy is no change, and its names are looked up again.
      - V(absent) means that the guard is down. Its report is returned, and processes that still run go on outside.
    type: str
    choices: [present, absent]
    default: present
  name:
    description:
      - The guard's name. Several guards live side by side on a host.
      - Lower case letters, digits, C(_) and C(-), 31 characters at most.
    type: str
    default: deploy
  policy:
    description:
      - The policy as a mapping. Needed for O(state=present), unless O(policy_file) is given.
    type: dict
  policy_file:
    description:
      - A policy file on the controller, also one that is encrypted with Ansible Vault.
      - A relative path is looked up as in M(ansible.builtin.copy), and then in the working directory.
    type: path
  mode:
    description:
      - Takes the place of the mode that the policy gives.
      - V(monitor) denies nothing and records what would be denied, and every other endpoint.
      - V(enforce) denies, and O(state=absent) fails when anything was denied that is not expected.
      - V(drill) denies and does not fail by itself. It shows whether the deployment survives the outage.
    type: str
    choices: [monitor, enforce, drill]
  cgroup:
    description:
      - An existing cgroup to guard in place of one of its own, such as a service's or a container's, by its name below
        the cgroup2 mount. What is in it, and what is started there, is guarded where it is. Nothing is moved, and
        O(state=absent) leaves the cgroup as it was.
      - There is no launcher then, so tasks stay outside unless they run there.
      - Connections that were open before are left alone. A cgroup that is removed takes the guard's programs with it, as
        a service's is when the service restarts. O(state=present) attaches them again, and the report tells of it.
    type: str
  scope:
    description:
      - What the guard applies to. V(tasks) is what enters through the launcher.
      - V(user) is every session of the connecting user, of everybody who is logged in as this user, also in later
        logins. C(raw) and C(become) are guarded, too. There is no launcher then. Needs systemd-logind on the target, which
        has the sessions of a user in a slice of their own.
    type: str
    choices: [tasks, user]
    default: tasks
  join_users:
    description:
      - The users whose tasks may enter the guard without being root.
      - By default the connecting user. With O(cgroup) or O(scope=user) nobody has to join.
    type: list
    elements: str
  loader:
    description:
      - What brings the programs into the kernel. V(libbpf) loads the object that comes with the collection. V(bcc) compiles
        them on the target with BCC and the headers of its kernel, which needs no BTF; what it can't carry is told in
        RV(guard.enforced), and rules that need it are refused.
      - V(auto) takes V(libbpf), and V(bcc) where that can't load and Python on the target can import C(bcc). It warns
        then, and RV(guard.loader_reason) says why.
    type: str
    choices: [auto, libbpf, bcc]
    default: auto
  observe:
    description:
      - Record what is allowed, too. Always on in monitor mode.
    type: bool
    default: false
  fail_on_denied:
    description:
      - With O(state=absent), fail when a guard in enforce mode denied anything that is not expected, or was not whole.
    type: bool
    default: true
  ttl:
    description:
      - The seconds after which a forgotten guard takes itself down. V(0) means never.
      - Its report is then in C(/var/log/ebpf_guard) on the host, and tasks that would still enter are refused.
    type: int
    default: 21600
  _objects:
    description:
      - The programs. Sent by this module's action plugin, which ignores what a playbook writes here.
    type: dict
  _shell:
    description:
      - The shell that the launcher leads to. Sent by the action plugin, as O(_objects).
    type: str
  _remote_user:
    description:
      - The connecting user. Sent by the action plugin, as O(_objects).
    type: str
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - Linux 5.10 or later with BTF (C(CONFIG_DEBUG_INFO_BTF)) and cgroup2 on the
    target.
  - Linux 6.7 or later, or what rules for files need, to refuse name service daemons, and for rules with C(sockets). Without
    it C(guard.enforced.unix) tells what remains, and a policy with such rules is refused in the modes V(enforce) and
    V(drill).
  - For C(lock=true) in the policy, what rules for files need.
  - For rules with C(paths) or C(filesystems), BPF trampolines (x86_64; arm64 from Linux 6.4 on, where nothing has been
    tested), C(CONFIG_BPF_JIT), C(CONFIG_FUNCTION_TRACER) and C(CONFIG_SECURITY_PATH) on the target. From Linux 5.12 on also
    C(bpf) among the security modules (Linux 6.2), or a kernel that does not preempt itself. Where they are missing, a
    policy with such rules is refused in the modes V(enforce) and V(drill). In V(monitor), C(guard.enforced.file) and
    C(guard.enforced.exec) tell what is not seen.
  - C(CONFIG_INET_DIAG_DESTROY) on the target, to end at once what ignores that it was refused. Without it such a program
    waits for its own timeout.
  - libbpf 0.5 or later on the target.
  - root on the target.
seealso:
  - module: loopbreak.deploy.ebpf_guard_info
"""

EXAMPLES = r"""
- name: See what the deployment needs, and deny nothing
  loopbreak.deploy.ebpf_guard:
    policy_file: policies/mysql.yml
    mode: monitor
  become: true
  register: guard

- name: Send the tasks of this host through the guard
  ansible.builtin.set_fact:
    ansible_shell_executable: "{{ guard.guard.launcher }}"

- name: Deny a host and all names below it, but for one, and accept that encrypted DNS is denied
  loopbreak.deploy.ebpf_guard:
    policy:
      version: 1
      mode: enforce
      deny:
        - id: github
          reason: github.com runs on the database that this play deploys
          hosts: [.github.com]
      allow:
        - id: mirror
          hosts: [mirror.github.com]
      expected: [encrypted_dns]
      resolve: {interval: 10}
  become: true

- name: Deny a mount by its path and by its type, but for one directory
  loopbreak.deploy.ebpf_guard:
    policy:
      version: 1
      deny:
        - id: artifacts
          reason: the artifact store runs on the database that this play deploys
          paths: [/mnt/artifacts]
          filesystems: [nfs4, fuse.*]
      allow:
        - id: tools
          paths: [/mnt/artifacts/tools]
  become: true

- name: Take the guard down and fail when it denied something
  loopbreak.deploy.ebpf_guard:
    state: absent
  become: true
"""

RETURN = r"""
guard:
  description: The guard as it is, or for O(state=absent) as it was. Null when there is none.
  returned: always
  type: dict
  contains:
    name:
      description: The guard's name.
      type: str
      sample: deploy
    mode:
      description: The mode in force.
      type: str
      sample: enforce
    loader:
      description: What loaded the programs, V(libbpf) or V(bcc).
      type: str
      sample: libbpf
    loader_reason:
      description: Why this one. Null where O(loader) asks for it.
      type: str
      sample: auto takes libbpf where it can load the object
    cgroup:
      description: The deploy cgroup. On a systemd host it is below a service of the guard's own.
      type: str
      sample: /sys/fs/cgroup/system.slice/ebpf_guard-deploy.service/ebpf_guard/deploy
    launcher:
      description:
        - The program through which tasks enter, to be used as C(ansible_shell_executable). Null with O(cgroup) and
          O(scope=user).
      type: str
      sample: /run/ebpf_guard/deploy/launcher
    policy_sha256:
      description: The digest of the policy in its canonical form.
      type: str
    started_at:
      description: When the guard came up, in UTC by the target's clock.
      type: str
      sample: "2026-11-22T15:51:18.123456Z"
    load_ms:
      description: The milliseconds it took to load the programs, fill in the rules and attach.
      type: float
    enforced:
      description:
        - What is in force on this host. Each is V(true), or the reason why it is not.
        - C(dns) stands for DNS questions, C(payload) for the names that TLS and HTTP connections present, C(unix) for the
          unix sockets of rules with C(sockets), and of name service daemons, which are refused where names are denied.
        - C(lock) stands for C(lock=true) in the policy, so that no process leaves the guard.
        - C(file) stands for the files of rules with C(paths) or C(filesystems), C(exec) for their execution.
      type: dict
      sample:
        connect: true
        send: true
        dns: true
        payload: true
        unix: true
        lock: "nothing needs it: the policy does not say lock: true"
        file: true
        exec: true
    answered:
      description:
        - In which families a denied DNS question over UDP is answered, C(ipv4) and C(ipv6). The answer says that there is
          no such name, and why to clients that send EDNS. Elsewhere the question is denied by an error on the send.
        - Empty in the mode V(monitor), where no rule denies names, where the host lets no such answer arrive, and where
          the guard's agent has ended.
      type: list
      elements: str
      sample: [ipv4, ipv6]
    clock_offset:
      description: How many seconds the target's clock is ahead of the controller's, roughly.
      type: float
denied:
  description:
    - What was denied, or in monitor mode would have been. One record for each process, endpoint and name or path.
    - Questions that the resolver library made up from the search list are not among them.
  returned: always
  type: list
  elements: dict
  contains: &record
    rule:
      description:
        - The rule's id. Null when the policy's default spoke, and for what could not be read.
        - V(encrypted_dns) is the built-in rule.
      type: str
    reason:
      description: Why, in the rule's words.
      type: str
    owner:
      description: Whose rule it is.
      type: str
    runbook:
      description: Where to read on.
      type: str
    expected:
      description: Whether the policy lists the rule as expected.
      type: bool
    kind:
      description:
        - V(connect) for a connection, V(send) for a datagram or another packet, V(dns) for a question, V(tls) and V(http)
          for what a connection presents with its first bytes.
        - A connection that is neither TLS nor HTTP, where only a name could have let it pass, is V(send).
        - V(exec) for the execution of a file, V(file) for any other use of one. It was opened, created, cut, removed,
          renamed or linked.
      type: str
    class:
      description:
        - V(direct) when a command line names what was reached, that of the process or of one of those above it inside the
          guard. V(hidden) when none does, so that a tool decided by itself.
        - A host is named by its whole name, or by its address where no name was asked for or presented. A path by itself,
          or by a directory on the way to it from where the rule begins.
      type: str
    name:
      description:
        - The name that was asked for or presented. Where none was, the names that are known to lead to the address,
          separated by commas. Null when none is known, and for V(file) and V(exec).
      type: str
    address:
      description: The address. For V(dns) that of the DNS server. Null for V(file) and V(exec).
      type: str
    port:
      description: The port. V(0) for protocols without ports.
      type: int
    protocol:
      description: V(tcp), V(udp), V(icmp), or a number. Null for V(file) and V(exec).
      type: str
    path:
      description:
        - The path of the file, for V(file) and V(exec). Null for all others, and for a file that has no path any more.
        - One of more than 255 bytes begins with C(...) and has its last ones. What is no printable character is written
          as C(\xff) or C(\u202e).
      type: str
      sample: /mnt/artifacts/schema-tool
    count:
      description: How often.
      type: int
    first_seen:
      description: When first, in UTC by the target's clock.
      type: str
    last_seen:
      description: When last.
      type: str
    pid:
      description: The process. V(0) when the kernel sent it on nobody's behalf.
      type: int
    uid:
      description: The user of the process.
      type: int
    command:
      description:
        - The command line, its first 256 bytes. Secrets in it are masked with asterisks.
        - V(hidden (no_log\)) when the task had C(no_log), and the callback of this collection is enabled.
      type: str
    ancestry:
      description:
        - The programs that led to it, nearest first, each with C(pid) and C(command), up to the one that entered the guard.
        - They were read when each began, so that those are told, too, that have ended, and what a process was before it
          became another program by C(exec). The same pid then comes twice.
        - A copy of its parent that became no other program has the command of the parent.
        - One that was not seen to begin has its short name in place of a command.
      type: list
      elements: dict
    evidence:
      description:
        - The process whose command line names what was reached, the nearest one, with C(pid) and C(command).
        - Null when RV(denied[].class=hidden).
      type: dict
      sample: [{pid: 4713, command: make all}, {pid: 4711, command: /bin/sh ./deploy.sh}]
    entered:
      description:
        - When the outermost of these processes was started, in UTC by the target's clock. That is when its task began.
        - Null where no process is known.
      type: str
    mode:
      description: The mode at that time.
      type: str
observed:
  description:
    - What was allowed and recorded. One record for each endpoint and name, or path, with the first process that was
      seen. Of files, those on network file systems and those that were executed.
    - Those of the kind C(unix) are recorded in every mode, for each program of its own. They are ways to have something done
      outside the guard.
  returned: always
  type: list
  elements: dict
  contains: *record
counters:
  description:
    - Exact totals. For each kind C(allowed), C(denied) and C(would_deny).
    - C(lost) counts details that did not fit. Their accesses are in the totals.
    - C(forgotten) counts addresses of names in the rules for which the kernel had no room. In mode V(enforce) they fail the
      host at the end of the guard.
    - C(name_services) counts the connections to name service daemons that were refused, so that the C library asks a DNS
      server by itself. These are no denials.
    - C(search_list) counts the denials of questions that the resolver library made up from the search list. They are in
      the totals, and not in C(denied).
  returned: always
  type: dict
limits:
  description:
    - The limits of the policy, V(memory) in bytes, V(cpus) and V(pids), each with C(limit) and how far the tasks came.
    - C(peak) of memory (since Linux 5.19) and of pids is the most that was in use at a time. Null where the kernel does
      not tell.
    - C(oom_kills) counts the processes that the kernel killed because the guard was out of memory, C(refused) how often
      no process could be started, C(throttled) the periods of 0.1 seconds in which tasks had to wait for a processor.
  returned: always
  type: dict
  sample:
    memory: {limit: 2147483648, peak: 734003200, oom_kills: 0}
    cpus: {limit: 1.5, throttled: 12}
    pids: {limit: 512, peak: 41, refused: 0}
left_running:
  description:
    - The processes that were still inside and now go on outside, each with C(pid) and C(command). Secrets in command
      lines are masked.
  returned: when O(state=absent)
  type: list
  elements: dict
refused:
  description:
    - Who tried to bring a process of somebody else into the guard, and could not. Each with C(time), C(uid), and C(pid),
      C(owner) and C(command) of the process.
  returned: when O(state=absent)
  type: list
  elements: dict
repaired:
  description: What was broken and has been mended, a sentence each.
  returned: when O(state=present)
  type: list
  elements: str
faults:
  description: What was broken while the guard was up, so that accesses may have passed unseen. A sentence each.
  returned: when O(state=absent)
  type: list
  elements: str
"""

import json
import os
import pwd
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent_process, guard
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, systemd
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import objects
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import outcome
from ansible_collections.loopbreak.deploy.plugins.module_utils._report.records import endpoint

NAME = r'[a-z0-9][a-z0-9_-]{0,30}\Z'


SHOWN = 10  # things that a rule denied, in one message
KINDS = {'tls': 'TLS to', 'http': 'HTTP to', 'file': 'access to', 'exec': 'execution of'}


def check_options(params):
    if not re.match(NAME, params['name']):
        raise GuardError("'%s' can't be a guard's name. Write lower case letters, digits, _ and -, 31 characters at "
                         'most.' % params['name'])
    if params['cgroup'] is not None and params['scope'] == 'user':
        raise GuardError('cgroup and scope: user exclude each other: both say what is guarded.')
    if params['ttl'] < 0:
        raise GuardError('ttl: %d is no number of seconds. Write 0 for a guard that never ends by itself.'
                         % params['ttl'])


def joining_uids(wanted, connecting):
    """The uids that may join. Of the connecting user, who is not asked for by name, only what this host knows."""
    uids = set()
    for user in connecting if wanted is None else wanted:
        try:
            uids.add(pwd.getpwnam(user).pw_uid)
        except KeyError:
            if wanted is not None:
                raise GuardError("join_users: this host has no user '%s'." % user)
    return uids - {0}


def guarded_cgroup(params):
    """The path of the existing cgroup that is to be guarded; None where the guard has one of its own."""
    if params['scope'] == 'user':
        return cgroup.existing(systemd.slice_of_user())
    return None if params['cgroup'] is None else cgroup.existing(params['cgroup'])


def request_of(params):
    if params['policy'] is None:
        raise GuardError('A guard needs a policy: give policy_file or policy.')
    policy = check(params['policy'])
    if params['mode']:
        policy = policy.with_mode(params['mode'])
    existing = guarded_cgroup(params)
    if existing and policy.limits:
        raise GuardError('limits bound a cgroup of the guard alone, and %s belongs to somebody else. Take limits out of the '
                         'policy; of a service of systemd, they are set with systemctl set-property.' % existing)
    connecting = [user for user in (params['_remote_user'], os.environ.get('SUDO_USER')) if user]
    return guard.Request(name=params['name'], policy=policy, observe=params['observe'], ttl=params['ttl'],
                         uids=set() if existing else joining_uids(params['join_users'], connecting),
                         shell=params['_shell'], loader=params['loader'],
                         objects=objects.unpacked(params['_objects']), agent=agent_process.main, cgroup=existing)


def bring_up(module):
    request = request_of(module.params)
    result = guard.present(request, module.check_mode)
    before, after = result.pop('before', result['policy']), request.policy.as_mapping()
    del result['policy']
    result['brought_up'] = result['changed'] and before is None and not module.check_mode  # for the action plugin alone
    if module._diff:
        result['diff'] = {'before': readable(before), 'after': readable(after),
                          'before_header': "guard '%s', policy" % request.name,
                          'after_header': "guard '%s', policy" % request.name}
    for warning in result.pop('warnings'):
        module.warn(warning)
    for sentence in result['repaired']:
        module.warn('Mended: ' + sentence)
    return result


def readable(policy):
    return json.dumps(policy, indent=2, sort_keys=True) + '\n' if policy else ''


def take_down(module):
    result = guard.absent(module.params['name'], module.check_mode)
    damages = result.pop('damages')
    before = readable(result.pop('policy'))
    if module._diff:
        result['diff'] = {'before': before, 'after': ''}
    if damages:
        module.warn(' '.join(damages))
    if module.params['fail_on_denied'] and not module.check_mode:
        message = verdict(result)
        if message:
            raise GuardError(message, **result)
    return result


def sentences_by_rule(denied):
    """One sentence a rule: what it denied and how often, and why."""
    rules = {}
    for record in denied:
        rule = ", by rule '%s'" % record['rule'] if record['rule'] else ''
        counts = rules.setdefault((rule, (record['reason'] or 'no reason is known').rstrip('.')), {})
        what = subject(record)
        counts[what] = counts.get(what, 0) + record['count']
    for (rule, reason), counts in rules.items():
        shown = ['%s, %s' % (what, 'once' if count == 1 else '%d times' % count)
                 for what, count in list(counts.items())[:SHOWN]]
        if len(counts) > SHOWN:
            shown.append('and %d more' % (len(counts) - SHOWN))
        sentence = '%s%s: %s.' % ('; '.join(shown), rule, reason)
        yield sentence[0].upper() + sentence[1:]


def subject(record):
    """What an access was about, in words."""
    if record['kind'] == 'dns' and record['name']:
        return 'a DNS question for %s' % record['name']
    return '%s %s' % (KINDS.get(record['kind'], 'a connection to'), record['name'] or endpoint(record))


def verdict(result):
    """Why the host has to fail, in one message; None where it has not."""
    if result['guard'] is None:
        return None
    sentences, mode = [], result['guard']['mode']
    denied = outcome.must_fail(result['denied'], mode)
    if denied:
        sentences.append('The guard denied what the policy does not expect.')
        sentences += sentences_by_rule(denied)
    elif outcome.totals(result['denied'], result['counters'], mode)[outcome.DENIED]:
        sentences.append('%d denials did not fit into the records, so nobody can tell whether they were expected.'
                         % outcome.unrecorded(result['denied'], result['counters'], mode)[0])
    if outcome.is_broken(result['faults'], mode):
        sentences.append('The guard was not whole all the time, so accesses may have passed unseen: %s'
                         % ' '.join(result['faults']))
    return ' '.join(sentences) or None


def main():
    module = AnsibleModule(
        argument_spec={
            'state': {'type': 'str', 'choices': ['present', 'absent'], 'default': 'present'},
            'name': {'type': 'str', 'default': 'deploy'},
            'policy': {'type': 'dict'},
            'policy_file': {'type': 'path'},
            'mode': {'type': 'str', 'choices': ['monitor', 'enforce', 'drill']},
            'cgroup': {'type': 'str'},
            'scope': {'type': 'str', 'choices': ['tasks', 'user'], 'default': 'tasks'},
            'join_users': {'type': 'list', 'elements': 'str'},
            'loader': {'type': 'str', 'choices': ['auto', 'libbpf', 'bcc'], 'default': 'auto'},
            'observe': {'type': 'bool', 'default': False},
            'fail_on_denied': {'type': 'bool', 'default': True},
            'ttl': {'type': 'int', 'default': 21600},
            # what the action plugin sends along
            '_objects': {'type': 'dict', 'no_log': True},
            '_shell': {'type': 'str'},
            '_remote_user': {'type': 'str'},
        },
        supports_check_mode=True,
    )
    began = time.time()
    try:
        if os.geteuid() != 0:
            raise GuardError('Only root can load BPF programs: run this with become: true.')
        check_options(module.params)
        result = bring_up(module) if module.params['state'] == 'present' else take_down(module)
    except (GuardError, OSError) as error:
        module.fail_json(msg=str(error), clock=[began, time.time()], **getattr(error, 'facts', {}))
    for internal in ('_objects', '_shell', '_remote_user'):
        module.params.pop(internal)
    module.exit_json(clock=[began, time.time()], **result)


if __name__ == '__main__':
    main()
