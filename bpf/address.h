/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Addresses: the networks and the names that the rules know one by, and the verdict over it. */
#ifndef EBG_ADDRESS_H
#define EBG_ADDRESS_H

#include "recent.h"
#include "rules.h"

/* The ruling of the networks that an address is in. */
static __always_inline __u64 network_ruling(const struct ebg_endpoint *to)
{
	struct ebg_net_key key = { .prefix_length = 128 };
	const struct ebg_slice *slice;

	__builtin_memcpy(key.address, to->address, sizeof(key.address));
	/* The compiler of the rules has put the matchers of wider networks behind those of this one. */
	slice = bpf_map_lookup_elem(MAP(ebg_nets), &key);
	return slice ? match(slice->first, slice->count, protocol_port(to)) : 0;
}

#define EBG_UNTIL_SHIFT 32 /* of what weigh() returns: until when, in ticks, above the ruling */

/*
 * The ruling of the names that lead to an address: 0 where none does. In the upper half, in ticks, until when it holds:
 * 0 for now alone. `networks`: what holds for a name that no rule speaks of. A global function, which the verifier
 * checks once. It takes numbers alone: the address comes as two words, as they stand in memory.
 */
FUNCTION(__u64, weigh, __u64 high, __u64 low, __u32 protocol_port, __u64 networks)
{
	__u64 words[2] = { high, low }, until = EBG_FOR_EVER;
	const struct leads *leads = bpf_map_lookup_elem(MAP(ebg_addresses), words);
	struct names_weighed names = {};
	__u32 i, now;

	if (!leads)
		return until << EBG_UNTIL_SHIFT;
	now = ticks();
	for (i = 0; i < EBG_LEADS; i++) {
		lead_t lead = FORGET(leads->lead[i]);

		if (!lead)
			break;
		if (lead >> 32 < now) {
			until = some(0);
			continue;
		}
		if (lead >> 32 < until)
			until = lead >> 32;
		weigh_name(&names, follow(lead, protocol_port) ?: networks);
		until = some(until);
		names.allowed = some(names.allowed);
		names.denied = some(names.denied);
	}
	return until << EBG_UNTIL_SHIFT | judge_names(&names, leads->crowded);
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

/* The verdict over an address: the one that was kept, or a new one. */
static __always_inline struct address_judgement verdict_over(const struct ebg_config *config,
							     const struct ebg_endpoint *to)
{
	__u64 words[2], hash, known, weighed = (__u64)EBG_FOR_EVER << EBG_UNTIL_SHIFT;
	struct address_judgement judged = {};
	struct judgement networks;
	__u32 asked = protocol_port(to);
	const struct changes *changes;
	struct recent *recent;

	__builtin_memcpy(words, to->address, sizeof(words));
	hash = hash_of(words);
	recent = recent_of(hash, asked);
	changes = changes_of(hash);
	if (!recent || !changes) /* never: both are arrays */
		return judge_address(judgement_of(RULING_DAMAGED), 0);
	known = FORGET(changes->count);
	if (recall(recent, words, asked, known, &judged))
		return judged;
	networks = judge_by(config, network_ruling(to));
	if (!is_resolver(config, words, to->port))
		weighed = weigh(words[0], after(known, words[1]), asked,
				ruled(networks.rule, networks.deny));
	judged = judge_address(networks, (__u32)weighed);
	/* 0: a lead has run out. It may hold again, and that counts as no change. */
	if (weighed >> EBG_UNTIL_SHIFT)
		keep(recent, words, asked, known, &judged, weighed >> EBG_UNTIL_SHIFT);
	return judged;
}

#endif
