/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Who comes into the guard, and who leaves it for another cgroup. The kernel tells of a move when it is done. So where a
 * process was before has to be remembered: of each that came in, and of each that was born inside.
 *
 * A process that left may have been sent away only to start another one that comes back: sudo does so, where PAM moves it
 * into a session, and Ansible's task is below it. The coming back takes what was told of the leaving away.
 */
#ifndef EBG_ENTRY_H
#define EBG_ENTRY_H

#include "counters.h"
#include "lineage.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, EBG_MAX_MEMBERS);
	__type(key, __u32); /* the process's pid */
	__type(value, struct ebg_member);
} ebg_members SEC(".maps");

/* When they came in: CLOCK_MONOTONIC, ns. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EBG_MAX_ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
} ebg_entries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_entered);
} ebg_entered SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_LEAVINGS);
	__type(key, struct ebg_run);
	__type(value, struct ebg_leaving);
} ebg_leavings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EBG_PLACES);
	__type(key, __u32);
	__type(value, __u64);
} ebg_places SEC(".maps");

static __always_inline struct cgroup *home_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp);
}

/* Is it the cgroup that is guarded, or one below it? */
static __always_inline int is_of_guard(struct cgroup *cgroup)
{
	__u32 slot = EBG_PLACE_GUARD;
	const __u64 *guarded = bpf_map_lookup_elem(MAP(ebg_places), &slot);
	int i;

	for (i = 0; i < EBG_CGROUPS && guarded && cgroup; i++) {
		if (BPF_CORE_READ(cgroup, kn, id) == *guarded)
			return 1;
		cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
	}
	return 0;
}

/* What is remembered of the process that the task belongs to. */
static __always_inline struct ebg_member *member_of(struct task_struct *task)
{
	__u32 pid = BPF_CORE_READ(task, tgid);
	struct ebg_member *member = bpf_map_lookup_elem(MAP(ebg_members), &pid);

	return member && member->started == BPF_CORE_READ(task, group_leader, start_boottime) ? member : NULL;
}

static __always_inline int is_member(struct task_struct *task)
{
	const struct ebg_member *member = member_of(task);

	return member && member->where == EBG_WHERE_INSIDE;
}

static __always_inline void remember_member(struct task_struct *task, enum ebg_whereabouts where)
{
	struct ebg_member member = { .started = BPF_CORE_READ(task, group_leader, start_boottime), .where = where };
	__u32 pid = BPF_CORE_READ(task, tgid);

	bpf_map_update_elem(MAP(ebg_members), &pid, &member, BPF_ANY);
}

static __always_inline struct ebg_run leaving_of(struct task_struct *task)
{
	struct ebg_run run = run_of(task);

	run.exec = 0;
	return run;
}

static __always_inline void keep_moment(void)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 slot = 0;
	struct ebg_entered *entered = bpf_map_lookup_elem(MAP(ebg_entered), &slot);

	if (!entered || (entered->kept && now - entered->last < EBG_ENTRY_GAP))
		return;
	slot = entered->kept & (EBG_MAX_ENTRIES - 1);
	bpf_map_update_elem(MAP(ebg_entries), &slot, &now, BPF_ANY);
	entered->last = now;
	entered->kept++;
}

/* The process itself has left and is back, or one that it descends from had left. */
static __always_inline void welcome_back(struct task_struct *task)
{
	int i;

	for (i = 0; i < EBG_PARENTS && task; i++) {
		struct ebg_member *member = member_of(task);
		struct ebg_run run = leaving_of(task);

		if (member && member->where == EBG_WHERE_LEFT) {
			member->where = EBG_WHERE_AWAY;
			count(EBG_COUNTER_BACK);
			bpf_map_delete_elem(MAP(ebg_leavings), &run);
		}
		task = BPF_CORE_READ(task, group_leader, real_parent, group_leader);
	}
}

/* Counts the process that has come in, unless it is known to be inside. A global function, as the next one. */
FUNCTION(int, note_entry, __u64 moved)
{
	struct task_struct *task = (void *)moved;

	if (is_member(task))
		return 0;
	count(EBG_COUNTER_ENTERED);
	keep_moment();
	welcome_back(task);
	remember_member(task, EBG_WHERE_INSIDE);
	return 0;
}

/* Keeps which process has left, and where it went. The agent's own cgroup is none of those that are told. */
FUNCTION(int, note_leaving, __u64 moved, __u64 to, __u64 path)
{
	struct task_struct *task = (void *)moved;
	struct ebg_run run = run_of(task), key = leaving_of(task);
	const struct ebg_image *image;
	struct ebg_leaving *leaving;
	__u32 slot = EBG_PLACE_DESK;
	const __u64 *desk = bpf_map_lookup_elem(MAP(ebg_places), &slot);
	const void *zeros = blank();

	if (!desk || !zeros)
		return 0;
	remember_member(task, to == *desk ? EBG_WHERE_AWAY : EBG_WHERE_LEFT);
	if (to == *desk)
		return 0;
	count(EBG_COUNTER_LEFT);
	bpf_map_update_elem(MAP(ebg_leavings), &key, zeros, BPF_ANY);
	leaving = bpf_map_lookup_elem(MAP(ebg_leavings), &key);
	if (!leaving)
		return 0;
	leaving->time = bpf_ktime_get_ns();
	leaving->cgroup = to;
	BPF_CORE_READ_INTO(&leaving->comm, task, group_leader, comm);
	if (path)
		bpf_probe_read_kernel_str(leaving->path, sizeof(leaving->path), (void *)path);
	image = bpf_map_lookup_elem(MAP(ebg_images), &run);
	if (image) {
		leaving->args_length = image->args_length;
		bpf_probe_read_kernel(leaving->args, sizeof(leaving->args), image->args);
	}
	return 0;
}

#endif
