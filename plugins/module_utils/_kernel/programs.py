# Copyright (c) 2026 The Loopbreak authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE. The programs and the maps, once: what is loaded, where it is attached, and what proves that it works.

A new hook is a row here, a function in bpf/, and a row in the tests. A test compares the rows with the shipped objects.
"""

from __future__ import annotations

from collections import namedtuple

from ansible_collections.loopbreak.deploy.plugins.module_utils import _abi
from ansible_collections.loopbreak.deploy.plugins.module_utils._kernel import canaries

# name: 15 bytes at most, which is all that the kernel keeps. object: the one that it is in; all but the guard's are there
# as far as the kernel has what they need. capability: what it is for, as guard.enforced tells it. attempt: the canary that
# this program sees first, in a process inside. counter: of ebg_counters, how often it met the canary. denies: whether it
# refuses the canary. A program that is for two things has two rows.
Row = namedtuple('Row', 'name object section capability counter denies attempt')

CAPABILITIES = ('connect', 'send', 'dns', 'payload', 'unix', 'lock', 'file', 'exec')
GUARD, FILES, UNIX, UNIX_CGROUP = 'guard', 'files', 'unix', 'unix_cgroup'  # the objects

# {section: (program type, attach type)} of what is attached to the cgroup; as in <linux/bpf.h>
SECTIONS = {
    'sockops': (13, 3),
    'cgroup/connect4': (18, 10), 'cgroup/connect6': (18, 11), 'cgroup/sendmsg4': (18, 14), 'cgroup/sendmsg6': (18, 15),
    'cgroup/setsockopt': (25, 22), 'unix/connect': (18, 49), 'unix/sendmsg': (18, 50),
    'cgroup_skb/ingress': (8, 0), 'cgroup_skb/egress': (8, 1),
}
# These stand before the kernel's security hooks, or at a tracepoint, for all processes of the host at once.
SECURITY, TRACEPOINT = 'fmod_ret/security_', 'tp_btf/'

# In the order in which they are attached: the packets come behind the sockets, so that none is met whose socket was not;
# who descends from whom comes before the programs that ask for it.
TABLE = (
    Row('ebg_sockops', GUARD, 'sockops', 'payload', None, False, None),
    Row('ebg_connect4', GUARD, 'cgroup/connect4', 'connect', _abi.HOOK_CONNECT4, True, canaries.connect4),
    Row('ebg_connect6', GUARD, 'cgroup/connect6', 'connect', _abi.HOOK_CONNECT6, True, canaries.connect6),
    Row('ebg_sendmsg4', GUARD, 'cgroup/sendmsg4', 'send', _abi.HOOK_SENDMSG4, True, canaries.send4),
    Row('ebg_sendmsg6', GUARD, 'cgroup/sendmsg6', 'send', _abi.HOOK_SENDMSG6, True, canaries.send6),
    Row('ebg_setsockopt', GUARD, 'cgroup/setsockopt', 'dns', None, False, None),
    Row('ebg_connect_un', UNIX_CGROUP, 'unix/connect', 'unix', _abi.HOOK_UNIX, True, canaries.connect_unix),
    Row('ebg_sendmsg_un', UNIX_CGROUP, 'unix/sendmsg', 'unix', _abi.HOOK_UNIX_SEND, True, canaries.send_unix),
    Row('ebg_ingress', GUARD, 'cgroup_skb/ingress', 'dns', _abi.HOOK_INGRESS, False, canaries.receive_answer),
    Row('ebg_egress', GUARD, 'cgroup_skb/egress', 'send', _abi.HOOK_EGRESS, True, canaries.send_raw),
    Row('ebg_egress', GUARD, 'cgroup_skb/egress', 'dns', _abi.HOOK_QUESTION, True, canaries.ask),
    Row('ebg_egress', GUARD, 'cgroup_skb/egress', 'payload', _abi.HOOK_PRESENTED, True, canaries.present_name),
    Row('ebg_fork', GUARD, 'tp_btf/sched_process_fork', None, _abi.HOOK_FORK, False, canaries.execute),
    Row('ebg_image', GUARD, 'tp_btf/sched_process_exec', None, _abi.HOOK_IMAGE, False, canaries.execute),
    Row('ebg_entry', GUARD, 'tp_btf/cgroup_attach_task', None, _abi.HOOK_ENTRY, False, canaries.enter),
    Row('ebg_unix_stream', UNIX, 'fmod_ret/security_unix_stream_connect', 'unix', _abi.HOOK_UNIX, True, canaries.connect_unix),
    Row('ebg_unix_send', UNIX, 'fmod_ret/security_unix_may_send', 'unix', _abi.HOOK_UNIX_SEND, True, canaries.send_unix),
    Row('ebg_way_open', UNIX, 'fmod_ret/security_file_open', 'lock', _abi.HOOK_WAY_OPEN, True, canaries.write_way_out),
    Row('ebg_way_clone', UNIX, 'fmod_ret/security_task_alloc', 'lock', _abi.HOOK_WAY_CLONE, True, canaries.clone),
    Row('ebg_file_open', FILES, 'fmod_ret/security_file_open', 'file', _abi.HOOK_OPEN, True, canaries.open_file),
    Row('ebg_truncate', FILES, 'fmod_ret/security_path_truncate', 'file', _abi.HOOK_TRUNCATE, True, canaries.truncate),
    Row('ebg_mknod', FILES, 'fmod_ret/security_path_mknod', 'file', _abi.HOOK_MKNOD, True, canaries.mknod),
    Row('ebg_mkdir', FILES, 'fmod_ret/security_path_mkdir', 'file', _abi.HOOK_MKDIR, True, canaries.mkdir),
    Row('ebg_rmdir', FILES, 'fmod_ret/security_path_rmdir', 'file', _abi.HOOK_RMDIR, True, canaries.rmdir),
    Row('ebg_unlink', FILES, 'fmod_ret/security_path_unlink', 'file', _abi.HOOK_UNLINK, True, canaries.unlink),
    Row('ebg_symlink', FILES, 'fmod_ret/security_path_symlink', 'file', _abi.HOOK_SYMLINK, True, canaries.symlink),
    Row('ebg_link', FILES, 'fmod_ret/security_path_link', 'file', _abi.HOOK_LINK, True, canaries.link),
    Row('ebg_rename', FILES, 'fmod_ret/security_path_rename', 'file', _abi.HOOK_RENAME, True, canaries.rename),
    Row('ebg_exec', FILES, 'tp_btf/sched_process_exec', 'exec', _abi.HOOK_EXEC, False, canaries.execute),
)
PROGRAMS = {row.name: row for row in TABLE}
IDENTIFY = 'ebg_identify'  # an iterator, which is attached to nothing: tells which inodes are open here

# Maps that go on when the rules are exchanged
LEDGER = ('ebg_counters', 'ebg_denied', 'ebg_observed', 'ebg_images', 'ebg_ancestors', 'ebg_heard', 'ebg_asked',
          'ebg_pending', 'ebg_opened', 'ebg_head', 'ebg_refused', 'ebg_members', 'ebg_entries', 'ebg_entered',
          'ebg_leavings')
CURRENT = 'ebg_current'  # says which rules record; kept as well, but no record is lost with it
RULES = ('ebg_config', 'ebg_nets', 'ebg_ports', 'ebg_names', 'ebg_text', 'ebg_outages')  # new ones with each exchange
# What the agent answers denied questions by. New ones with each exchange, as the agent is: the earlier one reads its own.
ANSWERS = ('ebg_questions', 'ebg_answering')
# What the objects for files and ways out have in common with the guard's own
SHARED = ('ebg_config', 'ebg_current', 'ebg_counters', 'ebg_denied', 'ebg_observed', 'ebg_images', 'ebg_ancestors',
          'ebg_scratch', 'ebg_claims')


def of_object(name):
    """The programs of an object, in the order of the table."""
    return tuple(program for program, row in PROGRAMS.items() if row.object == name)


def is_on_cgroup(name):
    """Is it attached to the guarded cgroup, by a link?"""
    return PROGRAMS[name].section in SECTIONS


def is_everywhere(name):
    """Is it run for every process of the host, so that it has to ask for the cgroup itself?"""
    return PROGRAMS[name].section not in SECTIONS


def is_optional(name):
    """Does it depend on the host and on the rules whether it is there?"""
    return PROGRAMS[name].object != GUARD


def program_type(name):
    return SECTIONS[PROGRAMS[name].section][0]


def attach_type(name):
    return SECTIONS[PROGRAMS[name].section][1]


def security_hook(name):
    """The kernel's security hook that it stands before; None where it stands before none."""
    section = PROGRAMS[name].section
    return section[len(SECURITY):] if section.startswith(SECURITY) else None


def tracepoint(name):
    """The kernel's tracepoint that it is at; None where it is at none."""
    section = PROGRAMS[name].section
    return section[len(TRACEPOINT):] if section.startswith(TRACEPOINT) else None


def capabilities(object_name):
    """What the programs of an object are for."""
    return tuple(capability for capability in CAPABILITIES
                 if any(row.object == object_name and row.capability == capability for row in TABLE))
