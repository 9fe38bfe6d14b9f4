/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The sockets of name service daemons, which would ask outside the guard. */
#ifndef EBG_SERVICE_H
#define EBG_SERVICE_H

#include "counters.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct ebg_path);
	__type(value, __u32); /* the counter */
} ebg_services SEC(".maps");

/* Is this the path of such a socket? Then it is counted, and to be refused. */
static __always_inline int is_service(const struct ebg_path *path)
{
	const __u32 *counter = bpf_map_lookup_elem(&ebg_services, path);

	if (!counter)
		return 0;
	count(*counter);
	return 1;
}

#endif
