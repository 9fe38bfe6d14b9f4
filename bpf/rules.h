/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The rules for a network or a name, asked about a protocol and port. */
#ifndef EBG_RULES_H
#define EBG_RULES_H

#include "maps.h"
#include "verdict.h"

/* One matcher. A function of its own, like the steps in name.h: the verifier checks it once, and not in each turn. */
FUNCTION(__u64, match_step, __u32 index, __u32 protocol_port)
{
	return judge_port(bpf_map_lookup_elem(MAP(ebg_ports), &index), protocol_port);
}

/*
 * The ruling of a slice over a protocol and port (protocol << 16 | port). Port 0 with protocol 0 asks for what holds
 * for all of them.
 */
FUNCTION(__u64, match, __u32 first, __u32 count, __u32 protocol_port)
{
	__u64 ruling = 0;
	__u32 i;

	for (i = 0; i < EBG_SLICE && i < count && !ruling; i++)
		ruling = match_step(first + i, protocol_port);
	return ruling ?: count > EBG_SLICE ? RULING_DAMAGED : 0;
}

static __always_inline __u32 protocol_port(const struct ebg_endpoint *to)
{
	return (__u32)to->protocol << 16 | to->port;
}

/* `until`: CLOCK_MONOTONIC, ns. Rounded up, so that it holds for a tick more: the same answer may come again meanwhile. */
static __always_inline lead_t lead_of(const struct ebg_name_rules *rules, __u64 until, __u32 doubted)
{
	__u32 flags = (rules->denies ? EBG_LEAD_DENIES : 0) | (doubted ? EBG_LEAD_DOUBTED : 0);

	until = (until + (1ULL << EBG_TICK_BITS) - 1) >> EBG_TICK_BITS;
	if (until > EBG_FOR_EVER / 4) /* some thirty years */
		until = EBG_FOR_EVER;
	if (rules->slice.count)
		flags |= rules->slice.first << EBG_LEAD_FIRST_SHIFT | (rules->slice.count & EBG_LEAD_COUNT);
	return until << 32 | flags;
}

/* The ruling of the slice that a lead leads to. */
static __always_inline __u64 follow(lead_t lead, __u32 protocol_port)
{
	__u64 ruling = match((__u32)lead >> EBG_LEAD_FIRST_SHIFT, lead & EBG_LEAD_COUNT, protocol_port);

	return judge_lead(ruling, lead & EBG_LEAD_DOUBTED);
}

#endif
