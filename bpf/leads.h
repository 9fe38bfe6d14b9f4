/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* The leads to an address, which answers bring: one more, or a better one. Where a set is full, one gives way. */
#ifndef EBG_LEADS_H
#define EBG_LEADS_H

#include "address.h"
#include "counters.h"

/* The set for an address; it is made where it is not there. */
static __always_inline struct leads *make_leads(const __u64 *address)
{
	__u32 index = hash_of(address) >> (64 - EBG_LEADS_BITS);
	struct leads *leads = leads_of(address);
	const void *zeros = leads ? NULL : blank();

	if (leads || !zeros)
		return leads;
	bpf_map_update_elem(MAP(ebg_addresses), &index, zeros, BPF_NOEXIST);
	return leads_of(address);
}

#define EBG_RANK_SHIFT 32

enum rank {
	RANK_OVER,
	RANK_PLAIN,  /* of a name without rules */
	RANK_ALLOWS, /* nothing is denied because of it */
	RANK_DENIES,
};

/* 1 where the number is the smaller one, else 0; both below 2^63. Without a branch, see below. */
static __always_inline __u64 is_less(__u64 number, __u64 other)
{
	__u64 less = (number - other) >> 63;

	barrier_var(less);
	return less;
}

/*
 * Where a set is full, the lead of the least worth gives way: first one that holds no more; then one of a name without
 * rules; then one that does not deny, the sooner it ends. To forget one of these makes nothing allowed. It is reckoned
 * without a branch: the verifier would follow each way for all that came before it.
 */
static __always_inline __u64 worth_of(lead_t lead, __u32 now)
{
	__u64 until = lead >> 32, holds = is_less(until, now) ^ 1;
	__u64 has_rules = is_less(0, lead & EBG_LEAD_COUNT), denies = is_less(0, lead & EBG_LEAD_DENIES);
	__u64 doubted = is_less(0, lead & EBG_LEAD_DOUBTED);
	__u64 rank = RANK_PLAIN + has_rules + (denies & ~doubted);

	return (rank << EBG_RANK_SHIFT & -holds) | (until & -(holds | (has_rules & ~denies)));
}

#define EBG_CHOSEN_SHIFT 8 /* of what choose_way() returns: the worth and 1, or 0 for the lead itself, above the index */

/* Returns the way for a lead: the one that it has, or the one that has to give way, see above. */
static __always_inline __u64 choose_way(struct leads *leads, const __u64 *address, lead_t lead, __u32 now)
{
	__u32 i;

	FORGET(leads->chosen) = ~0ULL;
	for (i = 0; i < EBG_WAYS; i++) {
		const struct known_lead *way = &leads->way[i];
		__u64 differs = (way->address[0] ^ address[0]) | (way->address[1] ^ address[1]) |
				((__u32)(way->lead ^ lead) & ~EBG_LEAD_DOUBTED);
		__u64 other = (differs | -differs) >> 63, worth;

		barrier_var(other);
		worth = ((worth_of(way->lead, now) + 1) << EBG_CHOSEN_SHIFT & -other) | i;
		if (worth < FORGET(leads->chosen))
			FORGET(leads->chosen) = worth;
	}
	return FORGET(leads->chosen);
}

/*
 * The lead that a way has from now on, of the same slice as before. The host's resolvers know better than others, and
 * what holds longer counts.
 */
static __always_inline lead_t joined(lead_t known, lead_t lead, __u32 now)
{
	if (lead & EBG_LEAD_DOUBTED & ~known && known >> 32 >= now)
		return known;
	return (__u32)known == (__u32)lead && known > lead ? known : lead;
}

/* What follows from a lead that gave way, or found no room. */
static __always_inline int forget_lead(lead_t lead)
{
	if (lead & EBG_LEAD_COUNT)
		count(EBG_COUNTER_FORGOTTEN);
	return lead & EBG_LEAD_DENIES ? -1 : 0;
}

/*
 * Adds a lead to an address; -1 where it denies and there is no room. A lead that only holds longer is no change: a
 * verdict that is kept ends with the first of its leads anyway. One that is about to end, or has ended, is a change.
 */
FUNCTION(int, add_lead, __u64 high, __u64 low, __u64 lead, __u32 now)
{
	__u64 words[2] = { high, low }, gone[2], chosen, worth, known;
	struct leads *leads = make_leads(words);
	__u32 rank, same;
	struct known_lead *way;

	if (!leads)
		return forget_lead(lead);
	bpf_spin_lock(&leads->lock);
	chosen = choose_way(leads, words, lead, now);
	way = &leads->way[BELOW(EBG_WAYS, chosen)];
	known = way->lead;
	worth = chosen >> EBG_CHOSEN_SHIFT;
	same = !worth;
	rank = (worth - 1) >> EBG_RANK_SHIFT;
	if (!same && (rank == RANK_DENIES || worth_of(lead, now) >> EBG_RANK_SHIFT < rank)) {
		bpf_spin_unlock(&leads->lock);
		return forget_lead(lead);
	}
	if (same)
		lead = joined(known, lead, now);
	gone[0] = way->address[0];
	gone[1] = way->address[1];
	way->address[0] = high;
	way->address[1] = low;
	way->lead = lead;
	bpf_spin_unlock(&leads->lock);
	if (!same || (__u32)(known ^ lead) || known >> 32 < now + 2)
		count_change(words);
	if (!same && rank) { /* it held */
		count_change(gone);
		forget_lead(known);
	}
	return 0;
}

#endif
