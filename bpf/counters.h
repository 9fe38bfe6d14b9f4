/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The totals, which never lose. */
#ifndef EBG_COUNTERS_H
#define EBG_COUNTERS_H

#include "abi.h"
#include "kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EBG_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} ebg_counters SEC(".maps");

static __always_inline void count(__u32 counter)
{
	__u64 *total = bpf_map_lookup_elem(MAP(ebg_counters), &counter);

	/* Atomic although per CPU: a program can be preempted between load and store. */
	if (total)
		__sync_fetch_and_add(total, 1);
}

#endif
