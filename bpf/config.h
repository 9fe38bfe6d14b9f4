/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The configuration, which holds for all programs of a guard. */
#ifndef EBG_CONFIG_H
#define EBG_CONFIG_H

#include "abi.h"
#include "kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_config);
} ebg_config SEC(".maps");

/*
 * The generation of the rules that are in force. Some programs can't be exchanged at one stroke: for a while, those of
 * the earlier rules and those of the new rules are both attached. With EBG_BOTH both judge, for a moment.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ebg_current SEC(".maps");

static __always_inline const struct ebg_config *configuration(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(MAP(ebg_config), &zero);
}

#endif
