/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The decisions, once: an endpoint or a name in, a rule and allow or deny out. Every hook asks here and obeys. */
#ifndef EBG_VERDICT_H
#define EBG_VERDICT_H

#include "maps.h"
#include "record.h"

/* The verdict over an address. */
struct address_judgement {
	struct judgement it;
	struct judgement other; /* for a name on it that no rule speaks of */
	__u32 undecided;        /* 1: some of its names are denied and some are not; `it` holds where none is presented */
};

/*
 * What the slice says of a protocol and port (protocol << 16 | port): 0 for nothing, else rule << 2 | deny << 1 | 1.
 * What can't be right (a damaged table) must not open the door. Port 0 with protocol 0 asks for what holds for all.
 */
FUNCTION(__u64, match, __u32 first, __u32 count, __u32 protocol_port)
{
	__u64 refused = EBG_RULE_DEFAULT << 2 | 3;
	__u32 i;

	for (i = 0; i < EBG_SLICE; i++) {
		__u32 index = first + i, protocol = protocol_port >> 16, port = protocol_port & 0xffff;
		const struct ebg_port *matcher;

		if (i >= count)
			return 0;
		matcher = bpf_map_lookup_elem(MAP(ebg_ports), &index);
		if (!matcher)
			return refused;
		if ((matcher->protocol == EBG_PROTOCOL_ANY || matcher->protocol == protocol) && port >= matcher->low &&
		    port <= matcher->high)
			return (__u64)matcher->rule << 2 | (matcher->deny ? 3 : 1);
	}
	return count > EBG_SLICE ? refused : 0;
}

static __always_inline struct judgement unpacked(__u64 matched, struct judgement otherwise)
{
	return matched ? (struct judgement){ matched >> 2, matched >> 1 & 1 } : otherwise;
}

static __always_inline __u32 protocol_port(const struct ebg_endpoint *to)
{
	return (__u32)to->protocol << 16 | to->port;
}

static __always_inline __u32 seconds(void)
{
	return bpf_ktime_get_ns() / 1000000000;
}

/* `until`: CLOCK_MONOTONIC, ns. */
static __always_inline lead_t lead_of(const struct ebg_slice *slice, __u64 until)
{
	until /= 1000000000;
	if (until > EBG_FOR_EVER)
		until = EBG_FOR_EVER;
	return until << 32 | (slice->count ? slice->first << 8 | (slice->count & 0xff) : 0);
}

/* What the rules behind a lead say. */
static __always_inline __u64 follow(lead_t lead, __u32 protocol_port)
{
	return match((__u32)lead >> 8, lead & 0xff, protocol_port);
}

static __always_inline struct judgement judge_network(const struct ebg_config *config, const struct ebg_endpoint *to)
{
	struct judgement otherwise = { EBG_RULE_DEFAULT, config->default_deny };
	struct ebg_net_key key = { .prefix_length = 128 };
	const struct ebg_slice *slice;

	__builtin_memcpy(key.address, to->address, sizeof(key.address));
	/* The compiler of the rules has put the matchers of wider networks behind those of this one. */
	slice = bpf_map_lookup_elem(MAP(ebg_nets), &key);
	return slice ? unpacked(match(slice->first, slice->count, protocol_port(to)), otherwise) : otherwise;
}

/* What the names that lead to an address say of it. */
enum weighed {
	WEIGHED_KNOWN = 1, /* there are such names */
	WEIGHED_DENY = 2,
	WEIGHED_UNDECIDED = 4, /* some are denied, and some are not */
	WEIGHED_RULE_SHIFT = 3,
};

/*
 * A global function, which the verifier checks once; it takes numbers alone: the address as two words as they stand in
 * memory, and what holds for a name that no rule speaks of, as match() returns it.
 */
FUNCTION(__u64, weigh, __u64 high, __u64 low, __u32 protocol_port, __u64 other)
{
	__u64 words[2] = { high, low }, allowed = 0, denied = 0;
	const struct leads *leads = bpf_map_lookup_elem(MAP(ebg_addresses), words);
	__u32 i, now;

	if (!leads)
		return 0;
	now = seconds();
	for (i = 0; i < EBG_LEADS; i++) {
		lead_t lead = FORGET(leads->lead[i]);
		__u64 said;

		if (!lead)
			break;
		if (lead >> 32 < now)
			continue;
		said = follow(lead, protocol_port) ?: other;
		if (said & 2)
			denied = said;
		else if (!allowed || said >> 2 != EBG_RULE_DEFAULT)
			allowed = said;
	}
	if (!denied)
		return allowed ? allowed >> 2 << WEIGHED_RULE_SHIFT | WEIGHED_KNOWN : 0;
	return denied >> 2 << WEIGHED_RULE_SHIFT | WEIGHED_KNOWN | WEIGHED_DENY |
	       (allowed || leads->crowded ? WEIGHED_UNDECIDED : 0);
}

/* The host's own resolver. Its questions are judged by name, whatever else has its address. */
static __always_inline int is_resolver(const struct ebg_config *config, const __u64 *words, __u32 port)
{
	int i;

	if (port != EBG_DNS_PORT)
		return 0;
	for (i = 0; i < EBG_RESOLVERS; i++)
		if (words[0] == config->resolvers[i][0] && words[1] == config->resolvers[i][1])
			return 1;
	return 0;
}

/*
 * An address is judged by the names that are known to lead to it. A name without a rule counts as what the networks and
 * the default say.
 */
static __always_inline struct address_judgement judge(const struct ebg_config *config, const struct ebg_endpoint *to)
{
	struct address_judgement judged = { .other = judge_network(config, to) };
	__u64 words[2], weighed;

	judged.it = judged.other;
	__builtin_memcpy(words, to->address, sizeof(words));
	if (is_resolver(config, words, to->port))
		return judged;
	weighed = weigh(words[0], words[1], protocol_port(to),
			(__u64)judged.other.rule << 2 | (judged.other.deny ? 3 : 1));
	if (weighed & WEIGHED_KNOWN)
		judged.it = (struct judgement){ weighed >> WEIGHED_RULE_SHIFT, !!(weighed & WEIGHED_DENY) };
	judged.undecided = !!(weighed & WEIGHED_UNDECIDED);
	return judged;
}

#endif
