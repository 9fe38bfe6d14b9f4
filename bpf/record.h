/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The ledger: exact totals, and details in bounded number. A detail says which process went where, when, how often. */
#ifndef EBG_RECORD_H
#define EBG_RECORD_H

#include "config.h"
#include "counters.h"
#include "lineage.h"
#include "scratch.h"
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

/* One access: where it goes, by which name, and the judgement over it. */
struct access {
	enum ebg_hook hook;
	struct ebg_endpoint to;
	struct judgement it;
	__u32 outward; /* 1: recorded in every mode */
	__u64 socket_cgroup;
	__u64 name_hash;
	const __u8 *name; /* EBG_NAME bytes; NULL: none was asked for or presented */
	const struct opened *opener; /* of a TCP connection; NULL: the current process acts */
};

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

/* Says which program the record's process ran, from what is remembered of it. */
static __always_inline void describe_above(struct ebg_record *record, int with_args)
{
	struct ebg_run run = record->run;
	const struct ebg_image *image = bpf_map_lookup_elem(MAP(ebg_images), &run);

	keep_ancestors(run.started, (__u64)run.exec << 32 | run.pid);
	if (!image)
		return;
	record->above = image->above;
	if (!with_args)
		return;
	__builtin_memcpy(record->comm, image->comm, sizeof(record->comm));
	record->args_length = image->args_length;
	__builtin_memcpy(record->args, image->args, sizeof(record->args));
}

static __noinline void describe(struct ebg_record *record, struct task_struct *task)
{
	record->run = run_of(task);
	record->uid = BPF_CORE_READ(task, cred, uid.val);
	BPF_CORE_READ_INTO(&record->comm, task, group_leader, comm);
	record->args_length = read_args(record->args, task);
	remember_image((__u64)task);
	describe_above(record, 0);
}

/* A segment can leave while the CPU works for anybody. So the record is of the process that opened the connection. */
static __noinline void describe_opener(struct ebg_record *record, const struct opened *opener)
{
	record->run = opener->run;
	record->uid = opener->uid;
	describe_above(record, 1);
}

static __always_inline void note(void *map, const void *key, const struct access *access, struct task_struct *task)
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
			record->rule = access->it.rule;
			if (access->name) /* by a helper: to the verifier, 512 loads and stores of a byte are most of a program */
				bpf_probe_read_kernel(record->name, sizeof(record->name), access->name);
			if (access->opener)
				describe_opener(record, access->opener);
			else if (task)
				describe(record, task);
		}
	}
	__sync_fetch_and_add(&record->count, 1);
	if (record->last_seen < now)
		record->last_seen = now;
}

/* Records an access in the table of denials, or of observations. */
static __always_inline void note_access(const struct ebg_config *config, const struct access *access)
{
	struct task_struct *task = access->opener ? NULL : sender(access->socket_cgroup);
	union {
		struct ebg_denial denial;
		struct ebg_observation observation;
	} key = {};

	if (access->it.deny) {
		key.denial.rule = access->it.rule;
		key.denial.mode = config->mode;
		key.denial.endpoint = access->to;
		key.denial.name = access->name_hash;
		if (access->opener)
			key.denial.run = access->opener->run;
		else if (task)
			key.denial.run = run_of(task);
		note(MAP(ebg_denied), &key, access, task);
	} else {
		key.observation.endpoint = access->to;
		key.observation.name = access->name_hash;
		note(MAP(ebg_observed), &key, access, task);
	}
}

/* Counts and records one access; says whether it may go on. */
static __always_inline int settle(const struct ebg_config *config, const struct access *access)
{
	int refused = refuses(config, &access->it);
	enum ebg_verdict verdict = verdict_of(&access->it, refused);

	if (is_canary(access->it.rule)) {
		count(EBG_COUNTER_CANARY + access->hook);
		return refused ? EBG_REFUSE : EBG_PASS;
	}
	count(access->to.kind * EBG_VERDICTS + verdict);
	if (access->it.deny || config->observe || access->outward)
		note_access(config, access);
	return refused ? EBG_REFUSE : EBG_PASS;
}

#endif
