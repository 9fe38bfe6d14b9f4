/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The ledger: exact totals, and details in bounded number. A detail says which process went where, when, how often. */
#ifndef EBG_RECORD_H
#define EBG_RECORD_H

#include "config.h"
#include "counters.h"
#include "lineage.h"
#include "verdict.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_DENIED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_denial);
	__type(value, struct ebg_record);
} ebg_denied SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_OBSERVED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_observation);
	__type(value, struct ebg_record);
} ebg_observed SEC(".maps");

/*
 * Returns the process on whose behalf this runs, or NULL. A packet can leave while the CPU works for another process (a
 * retransmission, say). So an egress program gives the cgroup of the packet's socket, and the process must be in it.
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
	struct ebg_run run = run_of(task);
	const struct ebg_image *image;

	record->run = run;
	record->uid = BPF_CORE_READ(task, cred, uid.val);
	BPF_CORE_READ_INTO(&record->comm, task, group_leader, comm);
	record->args_length = read_args(record->args, task);
	remember_image((__u64)task);
	keep_ancestors((__u64)task);
	image = bpf_map_lookup_elem(MAP(ebg_images), &run);
	if (image)
		record->above = image->above;
}

/* `name`: EBG_NAME bytes, or NULL. */
static __always_inline void note(void *map, const void *key, __u32 rule, const __u8 *name, struct task_struct *task)
{
	struct ebg_record *record = bpf_map_lookup_elem(map, key);
	__u64 now = bpf_ktime_get_ns();

	if (!record) {
		const void *zeros = blank();
		long taken;

		if (!zeros)
			return;
		taken = bpf_map_update_elem(map, key, zeros, BPF_NOEXIST);
		record = bpf_map_lookup_elem(map, key);
		if (!record) {
			count(EBG_COUNTER_LOST);
			return;
		}
		if (taken == 0) { /* else another CPU has made the record in the meantime, and describes it */
			record->first_seen = now;
			record->rule = rule;
			if (name) /* by a helper: to the verifier, 512 loads and stores of a byte are most of a program */
				bpf_probe_read_kernel(record->name, sizeof(record->name), name);
			if (task)
				describe(record, task);
		}
	}
	__sync_fetch_and_add(&record->count, 1);
	if (record->last_seen < now)
		record->last_seen = now;
}

/* One access: where it goes, by which name, and the judgement over it. */
struct access {
	enum ebg_hook hook;
	struct ebg_endpoint to;
	struct judgement it;
	__u32 outward; /* 1: recorded in every mode */
	__u64 socket_cgroup;
	__u64 name_hash;
	const __u8 *name; /* EBG_NAME bytes; NULL: none was asked for or presented */
};

static __always_inline void note_denial(const struct ebg_config *config, const struct access *access)
{
	struct task_struct *task = sender(access->socket_cgroup);
	struct ebg_denial denial = { .rule = access->it.rule,
				     .mode = config->mode,
				     .endpoint = access->to,
				     .name = access->name_hash };

	if (task)
		denial.run = run_of(task);
	note(MAP(ebg_denied), &denial, access->it.rule, access->name, task);
}

static __always_inline void note_observation(const struct access *access)
{
	struct ebg_observation observation = { .endpoint = access->to, .name = access->name_hash };

	note(MAP(ebg_observed), &observation, access->it.rule, access->name, sender(access->socket_cgroup));
}

/* Counts and records one access; says whether it may go on. */
static __always_inline int settle(const struct ebg_config *config, const struct access *access)
{
	int refused = refuses(config, &access->it);
	enum ebg_verdict verdict = verdict_of(&access->it, refused);

	if (access->it.rule == EBG_RULE_CANARY) {
		count(EBG_COUNTER_CANARY + access->hook);
		return refused ? EBG_REFUSE : EBG_PASS;
	}
	count(access->to.kind * EBG_VERDICTS + verdict);
	if (access->it.deny)
		note_denial(config, access);
	else if (config->observe || access->outward)
		note_observation(access);
	return refused ? EBG_REFUSE : EBG_PASS;
}

#endif
