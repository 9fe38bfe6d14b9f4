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
  - loopbreak.deploy.policy
options:
  state:
    description:
      - V(present) means that the guard is up with exactly this policy. Another policy takes the place of the earlier
        one with no moment in between in which nothing is enforced, and counts go on. What is broken is mended. The same
        policy is no change, and its names are looked up again.
      - V(absent) means that the guard is down. Its report is returned, and processes that still run go on outside.
      - Of a guard that had ended before, V(absent) returns the last report, with RV(ended).
      - A guard that stands from an earlier run is taken over by V(present), with a warning. One that another run holds is
        refused, unless O(share=true).
    type: str
    choices: [present, absent]
    default: present
  name:
    description:
      - The guard's name. Several guards live side by side on a host.
      - Lower case letters, digits, C(_) and C(-), 31 characters at most.
    type: str
    default: deploy
  policy_file:
    description:
      - A policy file on the controller, also one that is encrypted with Ansible Vault.
      - A relative path is looked up as in M(ansible.builtin.copy), and then in the working directory. Files of a service map,
        which the policy names in C(services), are looked up beside it.
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
      - Record what is allowed, too. Always on in monitor mode, and with a policy that has a baseline.
    type: bool
    default: false
  stats:
    description:
      - Measure what the guard costs, for RV(stats).
      - Meanwhile the kernel takes the time of all BPF programs of the host, which makes each run a little slower.
    type: bool
    default: false
  fail_on_denied:
    description:
      - With O(state=absent), fail when a guard in enforce mode denied anything that is not expected, or was not whole.
      - Also when the policy says C(on_new=fail), and something was reached that its baseline does not have.
    type: bool
    default: true
  fail_on_earlier:
    description:
      - With O(state=absent), let what was denied before this run took the guard over count as well. By default
        RV(denied[].earlier) fails nothing.
    type: bool
    default: false
  ttl:
    description:
      - The seconds after which a forgotten guard takes itself down. V(0) means never.
      - They are counted since boot, so nobody ends a guard by setting the clock, and time counts in which the host sleeps.
      - As long as a process is inside, the guard stays, because it would go on unguarded. So a daemon that a task has left
        there keeps the guard up until O(state=absent). RV(guard.overdue) tells so.
      - With O(cgroup) and O(scope=user) the guard ends all the same.
      - Its report is then in C(/var/log/ebpf_guard) on the host, and the next O(state=absent) returns it. A task that would
        still enter fails and tells so.
    type: int
    default: 21600
  share:
    description:
      - Hold the guard together with another run that has it, or with another name of the same machine in this run. The policy
        and the mode must be the same. O(state=absent) then leaves the guard up for the others, and the last one takes it down.
      - What is denied is told to everybody who holds the guard at that time.
      - By default O(state=present) is refused where another run holds the guard and may still be at work.
    type: bool
    default: false
  fresh:
    description:
      - Do not take over a guard that stands from an earlier run. It is taken down first, and its report is in
        RV(collected).
      - A guard that another run holds is never taken from it.
    type: bool
    default: false
  require_callback:
    description:
      - With O(state=present) in a playbook, refuse to bring the guard up where the callback
        P(loopbreak.deploy.ebpf_guard#callback) does not follow the run. When V(false), that is a warning.
      - Without the callback nobody prints the report, tells which tasks ran outside, or fails the run for a guard that
        is left up.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - ansible-core 2.17 or later on the controller, with the callback P(loopbreak.deploy.ebpf_guard#callback) enabled
  - Python 3.8 or later on the target
  - root on the target
  - Linux 5.10 or later with BTF (C(CONFIG_DEBUG_INFO_BTF)) on the target
  - cgroup2 on the target, mounted and writable
  - libbpf 0.5 or later on the target, or BCC with the headers of its kernel
notes:
  - Rules with C(paths) or C(filesystems) need BPF trampolines (x86_64; arm64 from Linux 6.4 on, where nothing has been
    tested), C(CONFIG_BPF_JIT), C(CONFIG_FUNCTION_TRACER) and C(CONFIG_SECURITY_PATH). From Linux 5.12 on they also need C(bpf)
    among the security modules (Linux 6.2), or a kernel that does not preempt itself. So does C(lock=true) in the policy.
  - Rules with C(sockets), and the refusal of name service daemons, need Linux 6.7 or later, or what rules for files need.
  - Where a host can't enforce a rule of the policy, the modes V(enforce) and V(drill) refuse to start. In V(monitor),
    RV(guard.enforced) tells what is not seen.
  - Without C(CONFIG_INET_DIAG_DESTROY), a program that ignores that it was refused waits for its own timeout.
  - From nothing to enforce in a week, U(https://github.com/loopbreak/loopbreak.deploy/blob/main/docs/guide.md).
  - What a guard stops, and what it can't, U(https://github.com/loopbreak/loopbreak.deploy/blob/main/docs/threat-model.md).
seealso:
  - module: loopbreak.deploy.ebpf_guard_info
  - plugin: loopbreak.deploy.ebpf_guard
    plugin_type: callback
    description: Prints the report, and fails the run.
  - name: The policy
    description: What rules mean, and which one wins.
    link: https://github.com/loopbreak/loopbreak.deploy/blob/main/docs/policy.md
"""

EXAMPLES = r"""
# In a play, or in a role of your own, the role does all of it: the guard comes up, the tasks run inside, the guard goes down.
# The file is tasks/deploy.yml of your role, or beside the playbook.
- name: Deploy inside a guard
  ansible.builtin.include_role:
    name: loopbreak.deploy.ebpf_guard
  vars:
    ebpf_guard_policy: policies/mysql.yml
    ebpf_guard_tasks: deploy.yml
  tags: [always]

# The module by itself brings a guard up, and sends no task into it.
- name: See what a command needs, and deny nothing
  loopbreak.deploy.ebpf_guard:
    policy_file: policies/mysql.yml
    mode: monitor
  become: true
  register: guard

- name: Run one command inside
  ansible.builtin.command:
    argv: ["{{ guard.guard.launcher }}", -c, ./deploy.sh]
  become: true
  changed_when: true

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

# Ansible prints the whole result of a task that fails. These two show the message alone, as the role does.
- name: Take the guard down
  loopbreak.deploy.ebpf_guard:
    state: absent
  become: true
  register: report
  failed_when: report is failed and report.verdict | default(none) is none

- name: See that nothing was denied
  ansible.builtin.fail:
    msg: "{{ report.verdict }}"
  when: report.verdict is not none
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
    service:
      description: The C(service) of the policy, what the deployment is for. Null where the policy names none.
      type: str
      sample: mysql
    observes:
      description: Whether allowed accesses are recorded, by O(observe) or in the mode V(monitor). Null where nobody knows.
      type: bool
      sample: false
    policy_sha256:
      description: The digest of the policy in its canonical form.
      type: str
      sample: 0263c6a4f6a6e1c0a0e5b7f0d9b8a7c6e5d4c3b2a1908f7e6d5c4b3a29180716
    started_at:
      description: When the guard came up, in UTC by the target's clock.
      type: str
      sample: "2026-11-22T15:51:18.123456Z"
    expires_at:
      description:
        - When the O(ttl) is over, in UTC by the target's clock as it is set now. Null for a guard that never ends by itself.
      type: str
      sample: "2026-11-22T21:51:18.000000Z"
    overdue:
      description: Whether the O(ttl) is over. The guard stays as long as processes run inside.
      type: bool
      sample: false
    load_ms:
      description: The milliseconds it took to load the programs, fill in the rules and attach.
      type: float
      sample: 412.7
    enforced:
      description:
        - What is in force on this host. Each is V(true), or the reason why it is not.
        - C(dns) stands for DNS questions, C(payload) for the names that TLS and HTTP connections present, C(unix) for the
          unix sockets of rules with C(sockets), and of name service daemons, which are refused where names are denied.
        - C(lock) stands for C(lock=true) in the policy, so that no process leaves the guard.
        - C(file) stands for the files of rules with C(paths) or C(filesystems), C(exec) for their execution.
        - In a drill C(refused), C(timeout) and C(unresolvable) stand for what the policy says of C(outage).
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
      sample: 0.0
    clock_between:
      description: The least and the greatest number of seconds by which it can be ahead, as this call shows.
      type: list
      elements: float
      sample: [-0.02, 0.31]
denied:
  description:
    - What was denied, or in monitor mode would have been. One record for each command of a task, endpoint and name or path. The
      processes that ran the same command are counted in RV(denied[].processes).
    - There is room for about a thousand records. What fails a host comes first, and one record of each command before further
      ones of the same. Another record stands for those that are left out, with RV(denied[].stands_for), so the sums are exact.
      RV(rows_left_out) has their number.
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
      sample: github
    reason:
      description: Why, in the rule's words.
      type: str
      sample: github.com runs on the database that this play deploys
    owner:
      description: Whose rule it is.
      type: str
      sample: db-team
    runbook:
      description: Where to read on.
      type: str
      sample: https://wiki.example/no-github-in-deploys
    expected:
      description: Whether the policy lists the rule as expected.
      type: bool
      sample: false
    kind:
      description:
        - V(connect) for a connection, V(send) for a datagram or another packet, V(dns) for a question, V(tls) and V(http)
          for what a connection presents with its first bytes.
        - A connection that is neither TLS nor HTTP, where only a name could have let it pass, is V(send).
        - V(exec) for the execution of a file, V(file) for any other use of one. It was opened, created, cut, removed,
          renamed or linked.
      type: str
      sample: dns
    class:
      description:
        - V(direct) when a person of the deployment wrote down what was reached, in a command line or in the arguments of the
          task. V(hidden) when nobody did, so that a tool decided by itself.
        - V(transient), whoever wrote it down, when the endpoint is in the service map, and its service depends on the deployed
          one only through others.
        - Which command lines a person wrote is told in
          U(https://github.com/loopbreak/loopbreak.deploy/blob/main/docs/policy.md).
        - The arguments of tasks are known where the callback of this collection is enabled.
        - A host is named by its whole name, or by its address where no name was asked for or presented. A path by itself,
          or by a directory on the way to it from where the rule begins.
      type: str
      sample: direct
    name:
      description:
        - The name that was asked for or presented. Where none was, the names that are known to lead to the address,
          separated by commas. Null when none is known, and for V(file) and V(exec).
      type: str
      sample: github.com
    address:
      description: The address. For V(dns) that of the DNS server. Null for V(file) and V(exec).
      type: str
      sample: 203.0.113.53
    port:
      description: The port. V(0) for protocols without ports.
      type: int
      sample: 53
    protocol:
      description: V(tcp), V(udp), V(icmp), or a number. Null for V(file) and V(exec).
      type: str
      sample: udp
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
      sample: 2
    first_seen:
      description: When first, in UTC by the target's clock.
      type: str
      sample: "2026-11-22T15:51:20.123456Z"
    last_seen:
      description: When last.
      type: str
      sample: "2026-11-22T15:51:21.123456Z"
    pid:
      description:
        - The process, the first of RV(denied[].processes). V(0) when the kernel sent it on nobody's behalf.
        - Null with RV(denied[].stands_for).
      type: int
      sample: 4713
    uid:
      description: The user of the process.
      type: int
      sample: 0
    command:
      description:
        - The command line, its first 256 bytes. Secrets in it are masked with asterisks.
        - V(hidden (no_log\)) when the task had C(no_log), and the callback of this collection is enabled.
      type: str
      sample: curl -fsS https://github.com/install.sh
    ancestry:
      description:
        - The programs that led to it, nearest first, each with C(pid) and C(command), up to the one that entered the guard.
        - They were read when each began, so that those are told, too, that have ended, and what a process was before it
          became another program by C(exec). The same pid then comes twice.
        - A copy of its parent that became no other program has the command of the parent.
        - One that was not seen to begin has its short name in place of a command.
      type: list
      elements: dict
      sample: [{pid: 4712, command: sh deploy.sh}, {pid: 4711, command: python3}]
    evidence:
      description:
        - The process whose command line names what was reached, the nearest one that a person wrote, with C(pid) and
          C(command).
        - C(task) where only the arguments of the task name it. C(pid) and C(command) are null then.
        - C(path) when RV(denied[].class=transient), the services from the endpoint's own to the deployed one. C(pid) and
          C(command) are null then.
        - Null when RV(denied[].class=hidden).
      type: dict
      sample: {pid: 4713, command: curl -fsS https://github.com/install.sh}
    entered:
      description:
        - When the outermost of these processes was started, in UTC by the target's clock. That is when its task began.
        - Null where no process is known.
      type: str
      sample: "2026-11-22T15:51:19.123456Z"
    mode:
      description: The mode at that time.
      type: str
      sample: enforce
    outage:
      description:
        - How it was down, V(denied), V(refused), V(timeout) or V(unresolvable), as its rule says, else the policy.
        - Null where RV(denied[].mode) is not V(drill). Not in RV(observed).
      type: str
      sample: refused
    processes:
      description: How many processes of the same task, that ran the same command, are counted here. Not in RV(observed).
      type: int
      sample: 812
    pids:
      description: The ids of these processes, of 50 at most. Not in RV(observed).
      type: list
      elements: int
      sample: [4713, 4719]
    stands_for:
      description:
        - So many records are left out, and this one has their sum as C(count). Of what else a record tells it has what they
          all have in common. The rest is null.
        - Not in other records.
      type: int
      sample: 211
    task:
      description:
        - The task that started the process, its role, and where it is written.
        - Null where none is known. Tasks are known where the callback of this collection is enabled.
      type: str
      sample: "mysql : Install the tool (roles/mysql/tasks/main.yml:12)"
    earlier:
      description: Is V(true) where it was last seen before this run took the guard over, or joined.
      type: bool
      sample: false
    new:
      description: Is V(true) where the policy has a baseline, and that does not have it. With O(state=absent).
      type: bool
      sample: false
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
new:
  description: How many records of C(observed) are of what the policy's baseline does not have.
  returned: when O(state=absent) and the policy has a baseline
  type: int
  sample: 0
baseline:
  description: The C(file) of the policy's baseline on the controller, and what is C(on_new), V(report) or V(fail). Else null.
  returned: always
  type: dict
  sample: {file: /srv/deploy/policies/mysql.deps.yml, on_new: report}
rows_left_out:
  description:
    - How many records of C(denied) and of C(observed) are left out, because there are very many. The event log has all of them
      from the end of the guard on.
  returned: always
  type: dict
  sample: {denied: 0, observed: 0}
waited:
  description:
    - What the denials cost, the sum of C(waited) of all RV(denied_tasks), in seconds. Not of mode V(monitor).
    - Null where tasks are not known. They are where the callback of this collection is enabled.
  returned: when there is a guard
  type: float
  sample: 12.318
survived:
  description:
    - Whether no task has failed since the guard is up, but for those whose error is ignored, or rescued.
    - Null where nothing was denied, or tasks are not known.
  returned: when there is a guard
  type: bool
  sample: true
denied_tasks:
  description: Each task to which something was denied, in their order.
  returned: when there is a guard
  type: list
  elements: dict
  sample:
    - task: "mysql : Install the tool (roles/mysql/tasks/main.yml:12)"
      runs: 1
      first_denied: "2026-11-22T21:51:18.123456Z"
      until: "2026-11-22T21:51:30.441456Z"
      waited: 12.318
      outcome: passed
  contains:
    task:
      description: The task, as in RV(denied).
      type: str
      sample: "mysql : Install the tool (roles/mysql/tasks/main.yml:12)"
    runs:
      description: How often it ran with a denial.
      type: int
      sample: 1
    first_denied:
      description: When something was first denied to it, in UTC by the controller's clock.
      type: str
      sample: "2026-11-22T21:51:18.123456Z"
    until:
      description:
        - When it was over, by the same clock. A task is over after its last retry, and after the last item of its loop.
        - What it left to run in the background (C(async) with C(poll=0)) is over when a task sees that. If none does, this is
          the last denial, or the end of the guard if the process still runs then.
      type: str
      sample: "2026-11-22T21:51:30.441456Z"
    waited:
      description: The seconds in between. Of a task that ran several times, their sum.
      type: float
      sample: 12.318
    outcome:
      description:
        - V(passed) or V(failed); V(ignored) or V(rescued) where it failed and the play went on; V(running) where it runs in the
          background, and nobody has seen its end.
      type: str
      sample: passed
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
    - C(left) counts the processes that left for another cgroup, and from which nothing came in again.
    - Of a guard that this run took over, or joined, they count from then on.
  returned: always
  type: dict
  sample:
    connect: {allowed: 12, denied: 2, would_deny: 0}
    send: {allowed: 0, denied: 0, would_deny: 0}
    dns: {allowed: 9, denied: 2, would_deny: 0}
    tls: {allowed: 3, denied: 0, would_deny: 0}
    http: {allowed: 4, denied: 0, would_deny: 0}
    unix: {allowed: 0, denied: 0, would_deny: 0}
    file: {allowed: 0, denied: 0, would_deny: 0}
    exec: {allowed: 31, denied: 0, would_deny: 0}
    lost: 0
    forgotten: 0
    name_services: 0
    search_list: 0
    left: 0
entries:
  description:
    - Who entered the guard by a move into its cgroup, as the launcher does it. What such a process starts is inside
      without entering. What the guard itself sends in to prove itself is not counted.
  returned: always
  type: dict
  contains:
    count:
      description: How many entered, exactly.
      type: int
      sample: 2
    first:
      description: When the first one entered whose moment was kept, as C(times) has it. Null when nobody did.
      type: float
      sample: 1764460901.102
    last:
      description: The same of the last one.
      type: float
      sample: 1764460903.45
    times:
      description:
        - When they entered, in seconds since the epoch by the target's clock, rounded to milliseconds, in their order.
        - Of entries that are less than 2 milliseconds apart, the first one's moment is there. Of more than 65,536 moments,
          the latest ones are.
      type: list
      elements: float
      sample: [1764460901.102, 1764460903.45]
  sample: {count: 2, first: 1764460901.102, last: 1764460903.45, times: [1764460901.102, 1764460903.45]}
left:
  description:
    - The processes that left the guard for another cgroup, and from which nothing came in again. What they did from then
      on was not watched. Each with C(time) (UTC by the target's clock), C(pid), C(command) with secrets masked, and the
      path of the C(cgroup) that it went to, null where it was born there.
    - The agent, and what went into another guard, are not among them. C(counters.left) has the exact number; the details
      of 256 are kept.
    - A process that was in an existing cgroup before the guard is not known.
  returned: always
  type: list
  elements: dict
  sample:
    - {time: "2026-11-22T15:51:22.123Z", pid: 4720, command: systemd-run true, cgroup: /system.slice/cron.service}
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
agent:
  description:
    - How often the guard's agent ended and was started again, C(restarts), and for how many seconds it was gone until now,
      C(gone_seconds). The rules held meanwhile; who is not root could not enter, and names were not looked up.
    - Null when there is no guard.
  returned: always
  type: dict
  sample: {restarts: 0, gone_seconds: 0.0}
stats:
  description:
    - What the guard cost until now, or until its end. Null without O(stats).
    - C(programs) has for each BPF program how often it ran, C(runs), and for how long, C(nanoseconds), since the rules were
      last exchanged. Programs before security hooks run for every process of the host.
    - C(tables) has for each table in the kernel its C(entries), and how many it has room for, C(size). A table of the
      programs for files or unix sockets has C(files/) or C(unix/) in front of its name.
    - C(agent) has the processor time of the guard's agent, C(cpu_seconds), and its resident C(memory) in bytes. Null where
      none serves.
    - C(measured) is V(false) where M(loopbreak.deploy.ebpf_guard_info) looks at a guard without O(stats). Then C(programs)
      counts only what somebody else had the kernel measure.
  returned: always
  type: dict
  sample:
    measured: true
    programs: {ebg_egress: {runs: 18251, nanoseconds: 21403377}}
    tables: {ebg_denied: {entries: 3, size: 16384}}
    agent: {cpu_seconds: 0.21, memory: 23719936}
left_running:
  description:
    - The processes that were still inside and now go on outside, each with C(pid) and C(command). Secrets in command
      lines are masked.
  returned: when O(state=absent)
  type: list
  elements: dict
  sample: [{pid: 4731, command: /usr/sbin/mysqld}]
refused:
  description:
    - Who tried to bring a process of somebody else into the guard, and could not. Each with C(time), C(uid), and C(pid),
      C(owner) and C(command) of the process.
  returned: when O(state=absent)
  type: list
  elements: dict
  sample:
    - {time: "2026-11-22T15:51:23.123456Z", uid: 1001, pid: 4740, owner: 0, command: /usr/sbin/cron -f}
verdict:
  description:
    - Why the host has to fail, in four lines at most. It names what was reached, the task, the command, and the rule. This is
      the message with O(fail_on_denied=true).
    - Null where the host has not to fail, in check mode, and where the task has C(no_log).
  returned: when O(state=absent)
  type: str
  sample: |-
    Guard 'deploy' denied what the policy does not expect:
    github.com (DNS question), 2 times, in the task 'Install the tool': curl -fsS https://github.com/install.sh
    Rule 'github' (db-team): github.com runs on the database that this play deploys.
ansible_stats:
  description:
    - The report in brief, which Ansible puts into the statistics of the host, as M(ansible.builtin.set_stats) does.
    - The C(ebpf_guard) in its C(data) has the C(outcome), the worst word for the guard; how many accesses were C(denied), and
      how many are C(new) to the baseline; and the C(endpoints), the first 20. These are what was denied, or would have been,
      and what is new, without what the policy expects. C(endpoints_left_out) has the number of further ones.
    - It has no command lines. Not in check mode, and not where the task has C(no_log).
  returned: when O(state=absent) and there was a guard
  type: dict
  sample:
    data: {ebpf_guard: {outcome: denied, denied: 2, new: 0, endpoints: [github.com (DNS question)]}}
    per_host: true
    aggregate: false
repaired:
  description: What was broken and has been mended, a sentence each.
  returned: when O(state=present)
  type: list
  elements: str
  sample: ["the program ebg_connect4 was not attached any more"]
faults:
  description:
    - What was broken while the guard was up, so that accesses may have passed unseen. A sentence each.
    - Also the processes that left the guard, unless it was at an existing cgroup, from which others may move processes. Also
      that the guard did not prove itself at its end.
  returned: when O(state=absent)
  type: list
  elements: str
  sample: ["the program ebg_connect4 was not attached any more"]
damages:
  description: What was broken while the guard was up, and let nothing pass unseen. A sentence each.
  returned: when O(state=absent)
  type: list
  elements: str
  sample: ["the agent had ended"]
ended:
  description: By whom or what the guard was ended before this call, C(by), and when, C(at). Then nothing was guarded any more.
  returned: when O(state=absent) and the guard had ended before
  type: dict
  sample: {by: its ttl, at: "2026-11-22T21:51:18.123456Z"}
earlier:
  description:
    - Of a guard that this run took over, or joined. Since when it is up, C(since), by whom, C(by), and when this run came,
      C(until).
  returned: when the guard stood before this run
  type: dict
  sample: {since: "2026-11-22T09:12:01.123456Z", by: root@controller, until: "2026-11-22T15:51:18.123456Z"}
shared_with:
  description: The others that hold the guard, each with C(host), C(user), C(controller), C(playbook) and C(since).
  returned: when O(share=true) and others hold the guard
  type: list
  elements: dict
  sample:
    - {host: web1, user: root, controller: ci1, playbook: site.yml, since: "2026-11-22T15:50:02.123456Z"}
collected:
  description: The last report of the guard that stood before.
  returned: when O(fresh=true) and there was one
  type: dict
  sample: {guard: {name: deploy, mode: enforce}, denied: [], observed: []}
"""

import json
import os
import re
import time

from ansible_collections.loopbreak.deploy.plugins.module_utils._errors import GuardError, answered, failure
from ansible_collections.loopbreak.deploy.plugins.module_utils._guard import agent_process, guard, report, start
from ansible_collections.loopbreak.deploy.plugins.module_utils._host import cgroup, clock, processes, resolver, systemd, users
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import objects
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy import packed
from ansible_collections.loopbreak.deploy.plugins.module_utils._policy.check import check
from ansible_collections.loopbreak.deploy.plugins.module_utils._report import verdict
from ansible_collections.loopbreak.deploy.plugins.module_utils._sent import Module

NAME = r'[a-z0-9][a-z0-9_-]{0,30}\Z'


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
        known = users.named(user)
        if known:
            uids.add(known.pw_uid)
        elif wanted is not None:
            raise GuardError("join_users: this host has no user '%s'." % user)
    return uids - {0}


def guarded_cgroup(params):
    """The path of the existing cgroup that is to be guarded; None where the guard has one of its own."""
    if params['scope'] == 'user':
        return cgroup.existing(systemd.slice_of_user())
    return None if params['cgroup'] is None else cgroup.existing(params['cgroup'])


def request_of(params, sent):
    if not sent.get('policy') and params['policy'] is None:
        raise GuardError('A guard needs a policy: give policy_file or policy.')
    policy = packed.unpack(sent['policy']) if sent.get('policy') else check(params['policy'])
    if params['mode']:
        policy = policy.with_mode(params['mode'])
    existing = guarded_cgroup(params)
    if existing and policy.limits:
        raise GuardError('limits bound a cgroup of the guard alone, and %s belongs to somebody else. Take limits out of the '
                         'policy; of a service of systemd, they are set with systemctl set-property.' % existing)
    if existing and policy.on_denied == 'stop':
        raise GuardError('on_denied: stop keeps tasks from entering the guard, and into %s no task enters through a launcher. Take '
                         'on_denied out of the policy.' % existing)
    connecting = [user for user in (sent.get('remote_user'), os.environ.get('SUDO_USER')) if user]
    return guard.Request(name=params['name'], policy=policy, observe=params['observe'] or policy.baseline is not None, ttl=params['ttl'],
                         uids=set() if existing else joining_uids(params['join_users'], connecting),
                         shell=sent.get('shell'), loader=params['loader'],
                         objects=objects.unpacked(sent['objects']), agent=agent_process.main, cgroup=existing,
                         secret=sent.get('is_secret', False), run=sent.get('run'), share=params['share'],
                         fresh=params['fresh'], baseline=sent.get('baseline'), stats=params['stats'])


def bring_up(module):
    request = request_of(module.params, module.sent)
    result = guard.present(request, module.check_mode)
    before = result.pop('before', result['policy'])
    del result['policy']
    result['brought_up'] = result['changed'] and before is None and not module.check_mode  # for the action plugin alone
    if module._diff:
        result['diff'] = {'before': readable(before), 'after': readable(report.shown(start.memory(request))),
                          'before_header': "guard '%s', policy" % request.name,
                          'after_header': "guard '%s', policy" % request.name}
    for warning in result.pop('warnings') + nothing_to_deny(request.policy):
        module.warn(without_names(warning, request.policy) if request.secret else warning)
    for sentence in result['repaired']:
        module.warn('Mended: ' + sentence)
    return result


def nothing_to_deny(policy):
    """A warning about services that the service map has no endpoints of, if there are any."""
    names = policy.unknown
    if not names:
        return []
    shown = ', '.join(names[:20]) + (' and %d more' % (len(names) - 20) if names[20:] else '')
    return ['The service map has no endpoints of %s, so nothing can be denied for %s.' % (shown, 'them' if names[1:] else 'it')]


def readable(policy):
    """The lines of a policy as the report has it: packed, or what stands in the place of a secret one."""
    if not policy:
        return ''
    mapping = packed.unpack(policy).as_mapping() if isinstance(policy, str) else policy
    return json.dumps(mapping, indent=2, sort_keys=True) + '\n'


def without_names(warning, policy):
    """Of a policy that came from a vault, the rules' ids tell enough."""
    for name in sorted(resolver.exact_names(policy), key=len, reverse=True):
        warning = warning.replace(name, '********')
    return warning


def take_down(module):
    result = guard.absent(module.params['name'], module.check_mode, module.sent.get('run'))
    before = result.pop('policy')
    if result.get('earlier'):
        result['earlier']['fails'] = module.params['fail_on_earlier']
    if module._diff:
        result['diff'] = {'before': readable(before), 'after': ''}
    if result['damages']:
        module.warn(' '.join(result['damages']))
    result['verdict'] = None if module.check_mode else verdict.of(result)
    if module.params['fail_on_denied'] and result['verdict']:
        raise GuardError(result['verdict'], **result)
    return result


def main():
    processes.lift_limits()
    with answered('The module', 'started'):
        module = Module(
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
                'stats': {'type': 'bool', 'default': False},
                'fail_on_denied': {'type': 'bool', 'default': True},
                'fail_on_earlier': {'type': 'bool', 'default': False},
                'ttl': {'type': 'int', 'default': 21600},
                'share': {'type': 'bool', 'default': False},
                'fresh': {'type': 'bool', 'default': False},
                'require_callback': {'type': 'bool', 'default': False},
            },
            supports_check_mode=True,
        )
    began = clock.moment()
    try:
        if os.geteuid() != 0:
            raise GuardError('Only root can load BPF programs: run this with become: true.')
        check_options(module.params)
        result = bring_up(module) if module.params['state'] == 'present' else take_down(module)
    except Exception as error:  # pylint: disable=broad-exception-caught
        doing = "Guard '%s'" % module.params['name'], 'brought up' if module.params['state'] == 'present' else 'taken down'
        module.fail_json(clock=[clock.wall(began), time.time()], **failure(error, doing))
    module.exit_json(clock=[clock.wall(began), time.time()], **result)


if __name__ == '__main__':
    main()
