/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Lineage: which process descends from which. A parent can end, and a process can become another program, long before
 * a child is denied something. So each image inside the guard is remembered when it begins: its command line, and the
 * image above it. When a process is recorded, the images above it are kept for the report.
 */
#ifndef EBG_LINEAGE_H
#define EBG_LINEAGE_H

#include "abi.h"
#include "kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, EBG_MAX_IMAGES);
	__type(key, struct ebg_run);
	__type(value, struct ebg_image);
} ebg_images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_ANCESTORS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_run);
	__type(value, struct ebg_image);
} ebg_ancestors SEC(".maps");

/* Zeros: what is too large for the stack starts as a copy of these. A record is the largest. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_record);
} ebg_blank SEC(".maps");

static __always_inline const void *blank(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(MAP(ebg_blank), &zero);
}

static __always_inline __u64 cgroup_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

static __always_inline struct ebg_run run_of(struct task_struct *task)
{
	return (struct ebg_run){ .started = BPF_CORE_READ(task, group_leader, start_boottime),
				 .pid = BPF_CORE_READ(task, tgid),
				 .exec = BPF_CORE_READ(task, self_exec_id) };
}

/* Reads the command line of the current process, whose memory is at hand. Returns the length, as far as it is kept. */
static __always_inline __u32 read_args(__u8 *args, struct task_struct *task)
{
	unsigned long start = BPF_CORE_READ(task, mm, arg_start);
	unsigned long length = BPF_CORE_READ(task, mm, arg_end) - start;

	if (length > EBG_ARGS)
		length = EBG_ARGS;
	return bpf_probe_read_user(args, length, (void *)start) == 0 ? length : 0;
}

/* The process that started this one, if it is in the guard as well. */
static __always_inline struct task_struct *parent_of(struct task_struct *task)
{
	struct task_struct *parent = BPF_CORE_READ(task, group_leader, real_parent, group_leader);

	return parent && cgroup_of(parent) == cgroup_of(task) ? parent : NULL;
}

/*
 * Remembers the image of the current process, unless it is known. The image above is the one before its exec, or the
 * parent's, if that one was a mere copy of the parent. A process that has just come in, or was there before the guard,
 * is not known: then the parent that it has now is above, and is remembered as well, by its name alone, and so on. A
 * global function, which the verifier checks once.
 */
FUNCTION(int, remember_image, __u64 current)
{
	struct task_struct *task = (void *)current;
	const void *zeros = blank();
	int i;

	for (i = 0; i < EBG_PARENTS && zeros && task; i++) {
		struct ebg_run run = run_of(task), before = run;
		const struct ebg_image *earlier;
		struct ebg_image *image;

		if (bpf_map_lookup_elem(MAP(ebg_images), &run))
			return 0;
		bpf_map_update_elem(MAP(ebg_images), &run, zeros, BPF_NOEXIST);
		image = bpf_map_lookup_elem(MAP(ebg_images), &run);
		if (!image)
			return 0;
		BPF_CORE_READ_INTO(&image->comm, task, group_leader, comm);
		if (i == 0)
			image->args_length = read_args(image->args, task);
		before.exec--;
		earlier = bpf_map_lookup_elem(MAP(ebg_images), &before);
		if (earlier) {
			image->above = earlier->forked ? earlier->above : before;
			return 0;
		}
		task = parent_of(task);
		if (task)
			image->above = run_of(task);
	}
	return 0;
}

/*
 * Keeps the images above one, however many images come after. A global function, too, so the run comes in two words:
 * `image_of` has the pid, and above it the exec count.
 */
FUNCTION(int, keep_ancestors, __u64 started, __u64 image_of)
{
	struct ebg_run run = { .started = started, .pid = (__u32)image_of, .exec = image_of >> 32 };
	const struct ebg_image *image = bpf_map_lookup_elem(MAP(ebg_images), &run);
	int i;

	for (i = 0; i < EBG_ANCESTORS && image; i++) {
		run = image->above;
		image = bpf_map_lookup_elem(MAP(ebg_images), &run);
		if (image)
			bpf_map_update_elem(MAP(ebg_ancestors), &run, image, BPF_NOEXIST);
	}
	return 0;
}

#endif
