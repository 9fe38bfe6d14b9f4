/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The ledger: totals that never lose, and a bounded number of details: which process, to where, when, how often. */
#ifndef EBG_RECORD_H
#define EBG_RECORD_H

#include "maps.h"

static __always_inline void count(__u32 counter)
{
	__u64 *total = bpf_map_lookup_elem(&ebg_counters, &counter);

	/* Atomic although per CPU: a program can be preempted between load and store. */
	if (total)
		__sync_fetch_and_add(total, 1);
}

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

/*
 * The process on whose behalf this runs, or NULL. A packet can leave while the CPU works for somebody else (a
 * retransmission, say), so an egress program names the cgroup of the packet's socket, and the process must be in it.
 */
static __always_inline struct task_struct *sender(__u64 socket_cgroup)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (socket_cgroup && cgroup_of(task) != socket_cgroup)
		return NULL;
	return task;
}

static __noinline void describe(struct ebg_record *record, struct task_struct *task)
{
	struct task_struct *ancestor = BPF_CORE_READ(task, group_leader);
	__u64 guard = cgroup_of(task);
	unsigned long start = BPF_CORE_READ(task, mm, arg_start);
	unsigned long length = BPF_CORE_READ(task, mm, arg_end) - start;
	int i;

	record->pid = BPF_CORE_READ(task, tgid);
	record->uid = BPF_CORE_READ(task, cred, uid.val);
	BPF_CORE_READ_INTO(&record->comm, task, group_leader, comm);
	if (length > EBG_ARGS)
		length = EBG_ARGS;
	if (bpf_probe_read_user(record->args, length, (void *)start) == 0)
		record->args_length = length;
	for (i = 0; i < EBG_ANCESTORS; i++) {
		ancestor = BPF_CORE_READ(ancestor, real_parent, group_leader);
		if (!ancestor || cgroup_of(ancestor) != guard)
			break; /* beyond the guard: the launcher's parent */
		record->ancestors[i].pid = BPF_CORE_READ(ancestor, tgid);
		BPF_CORE_READ_INTO(&record->ancestors[i].comm, ancestor, comm);
	}
}

static __always_inline void note(void *map, const void *key, __u32 rule, struct task_struct *task)
{
	struct ebg_record *record = bpf_map_lookup_elem(map, key);
	__u64 now = bpf_ktime_get_ns();

	if (!record) {
		__u32 zero = 0;
		const struct ebg_record *blank = bpf_map_lookup_elem(&ebg_blank, &zero);
		long taken;

		if (!blank)
			return;
		taken = bpf_map_update_elem(map, key, blank, BPF_NOEXIST);
		record = bpf_map_lookup_elem(map, key);
		if (!record) {
			count(EBG_COUNTER_LOST);
			return;
		}
		if (taken == 0) { /* else another CPU made it in the meantime, and describes it */
			record->first_seen = now;
			record->rule = rule;
			if (task)
				describe(record, task);
		}
	}
	__sync_fetch_and_add(&record->count, 1);
	if (record->last_seen < now)
		record->last_seen = now;
}

static __always_inline void note_denial(const struct ebg_config *config, const struct ebg_endpoint *to, __u32 rule,
					__u64 socket_cgroup)
{
	struct task_struct *task = sender(socket_cgroup);
	struct ebg_denial denial = { .rule = rule, .mode = config->mode, .endpoint = *to };

	if (task) {
		denial.pid = BPF_CORE_READ(task, tgid);
		denial.exec = BPF_CORE_READ(task, self_exec_id);
		denial.process_started = BPF_CORE_READ(task, group_leader, start_boottime);
	}
	note(&ebg_denied, &denial, rule, task);
}

static __always_inline void note_observation(const struct ebg_endpoint *to, __u32 rule, __u64 socket_cgroup)
{
	note(&ebg_observed, to, rule, sender(socket_cgroup));
}

#endif
