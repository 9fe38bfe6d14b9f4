/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Addresses: the networks and the names that the rules know one by, and the verdict over it. */
#ifndef EBG_ADDRESS_H
#define EBG_ADDRESS_H

#include "recent.h"
#include "rules.h"

#define EBG_LEADS_BITS 14
_Static_assert(1 << EBG_LEADS_BITS == EBG_MAX_LEADS, "each set has a number");

/* The ruling of the networks that an address is in. */
static __always_inline __u64 network_ruling(const __u64 *address, __u32 protocol_port)
{
	struct ebg_net_key key = { .prefix_length = 128 };
	const struct ebg_slice *slice;

	__builtin_memcpy(key.address, address, sizeof(key.address));
	/* The compiler of the rules has put the matchers of wider networks behind those of this one. */
	slice = bpf_map_lookup_elem(MAP(ebg_nets), &key);
	return slice ? match(slice->first, slice->count, protocol_port) : 0;
}

static __always_inline struct leads *leads_of(const __u64 *address)
{
	__u32 index = hash_of(address) >> (64 - EBG_LEADS_BITS);

	return bpf_map_lookup_elem(MAP(ebg_addresses), &index);
}

/* Returns a bit for each way of the set that has a lead to the address. The stack has no room for the leads. */
FUNCTION(__u32, find_leads, __u64 high, __u64 low)
{
	__u64 words[2] = { high, low };
	struct leads *leads = leads_of(words);
	__u32 found = 0;
	int i;

	if (!leads)
		return 0;
	bpf_spin_lock(&leads->lock);
#pragma nounroll
	for (i = 0; i < EBG_WAYS; i++) {
		const struct known_lead *way = &leads->way[i];
		__u64 differs = (way->address[0] ^ high) | (way->address[1] ^ low);

		/* without a branch: the verifier would follow each way for all that came before it */
		differs |= -differs;
		barrier_var(differs);
		found |= (__u32)(differs >> 63 ^ 1) << i;
	}
	bpf_spin_unlock(&leads->lock);
	return found;
}

/* How long an allowed name's address stays open once it was told or used, and when a use counts; in ticks. */
#define EBG_HOLD 560  /* some ten minutes */
#define EBG_RENEW 280 /* left */

/* Does this lead only allow, and not for ever? Then each use of the address has it hold longer. */
static __always_inline int is_renewed(lead_t lead)
{
	return lead & EBG_LEAD_COUNT && !(lead & (EBG_LEAD_DENIES | EBG_LEAD_DOUBTED)) && lead >> 32 < EBG_FOR_EVER;
}

/* The lead of a way, renewed if it is time for that; or 0 where it has become another address's. */
FUNCTION(__u64, use_lead, __u64 high, __u64 low, __u32 index, __u32 now)
{
	__u64 words[2] = { high, low }, lead = 0;
	struct leads *leads = leads_of(words);
	struct known_lead *way;

	if (!leads)
		return 0;
	way = &leads->way[BELOW(EBG_WAYS, index)];
	bpf_spin_lock(&leads->lock);
	if (way->address[0] == high && way->address[1] == low) {
		lead = way->lead;
		if (is_renewed(lead) && lead >> 32 >= now && lead >> 32 < now + EBG_RENEW) {
			lead = (__u64)(now + EBG_HOLD) << 32 | (__u32)lead;
			way->lead = lead;
		}
	}
	bpf_spin_unlock(&leads->lock);
	return lead;
}

/* Until when the ruling of a lead may be kept, in ticks: until it ends, or has to be renewed. What is over stays over. */
static __always_inline __u64 until_of_lead(lead_t lead, __u32 now)
{
	__u64 until = lead >> 32;

	if (until < now)
		return EBG_FOR_EVER;
	return is_renewed(lead) ? until - EBG_RENEW : until;
}

/* The ruling of a lead to an address. `networks`: what holds for a name that no rule speaks of. */
static __always_inline __u64 rule_lead(lead_t lead, __u32 protocol_port, __u64 networks, __u32 now)
{
	__u64 ruling = follow(lead, protocol_port);

	if (lead >> 32 < now)
		return judge_past_lead(ruling);
	return ruling ?: lead & EBG_LEAD_DOUBTED ? 0 : networks;
}

#define EBG_UNTIL_SHIFT 32 /* of what weigh() and its step return: until when, in ticks, above the ruling */

/* The lead of one way. A step of weigh() as a function of its own, as those in name.h. */
FUNCTION(__u64, weigh_lead, __u64 high, __u64 low, __u32 index, __u32 protocol_port, __u64 networks)
{
	__u32 now = ticks();
	lead_t lead = use_lead(high, low, index, now);

	if (!lead)
		return EBG_FOR_EVER << EBG_UNTIL_SHIFT;
	return until_of_lead(lead, now) << EBG_UNTIL_SHIFT | rule_lead(lead, protocol_port, networks, now);
}

/* The earlier of two moments. As weigh_ruling(). */
FUNCTION(__u64, sooner, __u64 one, __u64 other)
{
	return one < other ? one : other;
}

/*
 * The ruling of the names that lead to an address: 0 where none does. In the upper half, in ticks, until when it holds.
 * `networks`: what holds for a name that no rule speaks of. A global function, which the verifier checks once. It takes
 * numbers alone: the address comes as two words, as they stand in memory.
 */
FUNCTION(__u64, weigh, __u64 high, __u64 low, __u32 protocol_port, __u64 networks)
{
	__u32 i, found = find_leads(high, low);
	struct names_weighed names = {};
	__u64 until = EBG_FOR_EVER;

	for (i = 0; i < EBG_WAYS; i++) {
		__u64 weighed;

		if (!(found >> i & 1))
			continue;
		weighed = weigh_lead(high, low, i, protocol_port, networks);
		weigh_name(&names, (__u32)weighed);
		until = sooner(until, weighed >> EBG_UNTIL_SHIFT);
	}
	return until << EBG_UNTIL_SHIFT | judge_names(&names, networks);
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

/* The verdict over an address, whose bytes are these words: the one that was kept, or a new one. */
static __always_inline struct address_judgement find_verdict(const struct ebg_config *config, const __u64 *words,
							     __u32 protocol_port)
{
	__u64 hash = hash_of(words), known, weighed = (__u64)EBG_FOR_EVER << EBG_UNTIL_SHIFT;
	struct recent *recent = recent_of(hash, protocol_port);
	const struct changes *changes = changes_of(hash);
	struct address_judgement judged = {};
	struct judgement networks;

	if (!recent || !changes) /* never: both are arrays */
		return judge_address(judgement_of(RULING_DAMAGED), 0);
	known = FORGET(changes->count);
	if (recall(recent, words, protocol_port, known, &judged))
		return judged;
	networks = judge_by(config, network_ruling(words, protocol_port));
	if (!is_resolver(config, words, (__u16)protocol_port))
		weighed = weigh(words[0], after(known, words[1]), protocol_port, ruled(networks.rule, networks.deny));
	judged = judge_address(networks, (__u32)weighed);
	keep(recent, words, protocol_port, known, &judged, weighed >> EBG_UNTIL_SHIFT);
	return judged;
}

/* A function of its own, which the verifier checks once. */
FUNCTION(__u64, packed_verdict, __u64 high, __u64 low, __u32 protocol_port)
{
	const struct ebg_config *config = configuration();
	__u64 words[2] = { high, low };
	struct address_judgement judged;

	if (!config)
		return packed(&(struct address_judgement){ .it = { EBG_RULE_DEFAULT, 1 }, .other = { EBG_RULE_DEFAULT, 1 } });
	judged = find_verdict(config, words, protocol_port);
	return packed(&judged);
}

static __always_inline struct address_judgement verdict_over(const struct ebg_endpoint *to)
{
	__u64 words[2];

	__builtin_memcpy(words, to->address, sizeof(words));
	return unpacked(packed_verdict(words[0], words[1], protocol_port(to)));
}

#endif
