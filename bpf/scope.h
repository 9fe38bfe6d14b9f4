/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* For programs that are not attached to the cgroup: they are run for every process of the host. */
#ifndef EBG_SCOPE_H
#define EBG_SCOPE_H

#include "config.h"

/* The deploy cgroup: the rules are for the processes in it and below it. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ebg_scope SEC(".maps");

static __always_inline int is_inside(void)
{
	return bpf_current_task_under_cgroup(MAP(ebg_scope), 0) == 1;
}

/* Is the process in the guard, and are these the rules that are in force? */
static __always_inline int is_concerned(void)
{
	__u32 zero = 0;
	const struct ebg_config *config = configuration();
	const __u32 *current = bpf_map_lookup_elem(MAP(ebg_current), &zero);

	return is_inside() && config && current && (*current & EBG_BOTH || *current == config->generation);
}

#endif
