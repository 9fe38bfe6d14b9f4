/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The decisions, once: an endpoint or a name in, a rule and allow or deny out. Every hook asks here and obeys. */
#ifndef EBG_VERDICT_H
#define EBG_VERDICT_H

#include "recent.h"

#define EBG_REFUSED ((__u64)EBG_RULE_DEFAULT << 2 | 3)

/*
 * What one matcher says of it. A function of its own, like the steps in name.h: the verifier checks it once, and not at
 * each turn of the loop.
 */
FUNCTION(__u64, match_step, __u32 index, __u32 protocol_port)
{
	const struct ebg_port *matcher = bpf_map_lookup_elem(MAP(ebg_ports), &index);
	__u32 protocol = protocol_port >> 16, port = protocol_port & 0xffff;

	if (!matcher)
		return EBG_REFUSED;
	if ((matcher->protocol != EBG_PROTOCOL_ANY && matcher->protocol != protocol) || port < matcher->low ||
	    port > matcher->high)
		return 0;
	return (__u64)matcher->rule << 2 | (matcher->deny ? 3 : 1);
}

/*
 * What the slice says of a protocol and port (protocol << 16 | port): 0 for nothing, else rule << 2 | deny << 1 | 1.
 * What can't be right (a damaged table) must not open the door. Port 0 with protocol 0 asks for what holds for all.
 */
FUNCTION(__u64, match, __u32 first, __u32 count, __u32 protocol_port)
{
	__u64 ruling = 0;
	__u32 i;

	for (i = 0; i < EBG_SLICE && i < count && !ruling; i++)
		ruling = match_step(first + i, protocol_port);
	return ruling ?: count > EBG_SLICE ? EBG_REFUSED : 0;
}

static __always_inline struct judgement unpacked(__u64 matched, struct judgement otherwise)
{
	return matched ? (struct judgement){ matched >> 2, matched >> 1 & 1 } : otherwise;
}

static __always_inline __u32 protocol_port(const struct ebg_endpoint *to)
{
	return (__u32)to->protocol << 16 | to->port;
}

/* `until`: CLOCK_MONOTONIC, ns. */
static __always_inline lead_t lead_of(const struct ebg_slice *slice, __u64 until)
{
	until >>= EBG_TICK_BITS;
	if (until > EBG_FOR_EVER / 4) /* some thirty years */
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

/* What the names that lead to an address say of it; and in the upper half, in ticks, until when: 0 for now alone. */
enum weighed {
	WEIGHED_KNOWN = 1, /* there are such names */
	WEIGHED_DENY = 2,
	WEIGHED_UNDECIDED = 4, /* some are denied, and some are not */
	WEIGHED_RULE_SHIFT = 3,
	WEIGHED_UNTIL_SHIFT = 32,
};

/*
 * A global function, which the verifier checks once; it takes numbers alone: the address as two words as they stand in
 * memory, and what holds for a name that no rule speaks of, as match() returns it.
 */
FUNCTION(__u64, weigh, __u64 high, __u64 low, __u32 protocol_port, __u64 other)
{
	__u64 words[2] = { high, low }, allowed = 0, denied = 0, until = EBG_FOR_EVER;
	const struct leads *leads = bpf_map_lookup_elem(MAP(ebg_addresses), words);
	__u32 i, now;

	if (!leads)
		return until << WEIGHED_UNTIL_SHIFT;
	now = ticks();
	for (i = 0; i < EBG_LEADS; i++) {
		lead_t lead = FORGET(leads->lead[i]);
		__u64 ruling;

		if (!lead)
			break;
		if (lead >> 32 < now) {
			until = some(0);
			continue;
		}
		if (lead >> 32 < until)
			until = lead >> 32;
		ruling = follow(lead, protocol_port) ?: other;
		if (ruling & 2)
			denied = ruling;
		else if (!allowed || ruling >> 2 != EBG_RULE_DEFAULT)
			allowed = ruling;
		until = some(until);
		allowed = some(allowed);
		denied = some(denied);
	}
	until <<= WEIGHED_UNTIL_SHIFT;
	if (!denied)
		return until | (allowed ? allowed >> 2 << WEIGHED_RULE_SHIFT | WEIGHED_KNOWN : 0);
	return until | denied >> 2 << WEIGHED_RULE_SHIFT | WEIGHED_KNOWN | WEIGHED_DENY |
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
	struct address_judgement judged = {};
	__u32 until = EBG_FOR_EVER, asked = protocol_port(to);
	__u64 words[2], hash, weighed, known;
	const struct changes *changes;
	struct recent *recent;

	__builtin_memcpy(words, to->address, sizeof(words));
	hash = hash_of(words);
	recent = recent_of(hash, asked);
	changes = changes_of(hash);
	if (!recent || !changes) /* never: both are arrays */
		return (struct address_judgement){ .it = { EBG_RULE_DEFAULT, 1 }, .other = { EBG_RULE_DEFAULT, 1 } };
	known = FORGET(changes->count);
	if (recall(recent, words, asked, known, &judged))
		return judged;
	judged.it = judged.other = judge_network(config, to);
	judged.undecided = 0;
	if (!is_resolver(config, words, to->port)) {
		weighed = weigh(words[0], after(known, words[1]), asked,
				(__u64)judged.other.rule << 2 | (judged.other.deny ? 3 : 1));
		until = weighed >> WEIGHED_UNTIL_SHIFT;
		if (weighed & WEIGHED_KNOWN)
			judged.it = (struct judgement){ (__u32)weighed >> WEIGHED_RULE_SHIFT,
							!!(weighed & WEIGHED_DENY) };
		judged.undecided = !!(weighed & WEIGHED_UNDECIDED);
	}
	if (until) /* 0: a lead has run out. It may hold again, and that counts as no change. */
		keep(recent, words, asked, known, &judged, until);
	return judged;
}

#endif
