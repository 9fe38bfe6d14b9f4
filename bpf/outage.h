/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Drills: how what is denied is down. It is looked up where something is about to be refused, and only in a drill that
 * asks for it. So what is allowed, and the other modes, take no notice.
 */
#ifndef EBG_OUTAGE_H
#define EBG_OUTAGE_H

#include "config.h"
#include "verdict.h"

#define EBG_ECONNREFUSED 111

/* By the rule's number: enum ebg_outage. One of the rules' maps, sized and filled by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ebg_outages SEC(".maps");

static __always_inline int uses_outage(const struct ebg_config *config, enum ebg_outage outage)
{
	return config->outages >> outage & 1;
}

/* How is down what this denies? */
static __always_inline __u32 outage_of(const struct ebg_config *config, const struct judgement *it)
{
	__u32 rule = it->rule;
	const __u32 *outage;

	if (!config->outages)
		return EBG_OUTAGE_DENIED;
	outage = bpf_map_lookup_elem(MAP(ebg_outages), &rule);
	return outage ? *outage : EBG_OUTAGE_DENIED;
}

static __always_inline int is_silent(const struct ebg_config *config, const struct judgement *it)
{
	return outage_of(config, it) == EBG_OUTAGE_TIMEOUT;
}

/* The errno of a socket's call, where it has one. */
static __always_inline int error_of(__u32 outage)
{
	return outage == EBG_OUTAGE_DENIED ? EBG_EACCES : EBG_ECONNREFUSED;
}

#endif
