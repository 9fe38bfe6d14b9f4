/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The latest verdicts over addresses, because a deployment asks for the same few again and again. The rules of a
 * program never change, and these maps live as long as the program. So a verdict holds until the leads of its address
 * change, or until the first of them runs out or has to be renewed.
 */
#ifndef EBG_RECENT_H
#define EBG_RECENT_H

#include "cell.h"
#include "hash.h"
#include "maps.h"
#include "verdict.h"

#define EBG_RECENT_BITS 8

struct recent {
	struct cell cell;
	__u64 address[2];
	__u64 changes; /* of the address's leads, before the verdict */
	__u32 protocol_port;
	__u32 until; /* ticks */
	struct address_judgement judged;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << EBG_RECENT_BITS);
	__type(key, __u32);
	__type(value, struct recent);
} ebg_recent SEC(".maps");

/* How often leads changed, of all addresses whose hashes begin alike. */
struct changes {
	struct bpf_spin_lock lock;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << EBG_RECENT_BITS);
	__type(key, __u32);
	__type(value, struct changes);
} ebg_changes SEC(".maps");

static __always_inline __u64 hash_of(const __u64 *address)
{
	return mixed(address[0], address[1]) * EBG_HASH_PRIME;
}

static __always_inline struct changes *changes_of(__u64 hash)
{
	__u32 index = hash >> (64 - EBG_RECENT_BITS);

	return bpf_map_lookup_elem(MAP(ebg_changes), &index);
}

static __always_inline struct recent *recent_of(__u64 hash, __u32 protocol_port)
{
	__u32 index = (hash ^ protocol_port * EBG_HASH_PRIME) >> (64 - EBG_RECENT_BITS);

	return bpf_map_lookup_elem(MAP(ebg_recent), &index);
}

/*
 * Makes all earlier verdicts over the address void, once its leads have changed. With a lock and not with an atomic: no
 * CPU may see the new count before it sees the new leads.
 */
static __always_inline void count_change(const __u64 *address)
{
	struct changes *changes = changes_of(hash_of(address));

	if (!changes)
		return;
	bpf_spin_lock(&changes->lock);
	changes->count++;
	bpf_spin_unlock(&changes->lock);
}

/*
 * Returns `value`, and makes it depend on `earlier`. A CPU that reads ahead can't read what follows from `value` before
 * it has read `earlier`.
 */
static __always_inline __u64 after(__u64 earlier, __u64 value)
{
	value ^= earlier;
	barrier_var(value);
	return value ^ earlier;
}

/* Returns 1 where a verdict is kept that still holds. */
static __always_inline int recall(struct recent *recent, const __u64 *address, __u32 protocol_port, __u64 changes,
				  struct address_judgement *judged)
{
	__u32 version = begin_read(&recent->cell), until;

	if (!version || recent->address[0] != address[0] || recent->address[1] != address[1] ||
	    recent->protocol_port != protocol_port || recent->changes != changes)
		return 0;
	until = recent->until;
	*judged = recent->judged;
	return was_whole(&recent->cell, version) && (until == EBG_FOR_EVER || ticks() <= until);
}

static __always_inline void keep(struct recent *recent, const __u64 *address, __u32 protocol_port, __u64 changes,
				 const struct address_judgement *judged, __u32 until)
{
	if (begin_write(&recent->cell)) {
		recent->address[0] = address[0];
		recent->address[1] = address[1];
		recent->protocol_port = protocol_port;
		recent->changes = changes;
		recent->until = until;
		recent->judged = *judged;
	}
	end_write(&recent->cell);
}

#endif
