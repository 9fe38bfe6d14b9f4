/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Verdicts over addresses that were passed a moment ago, because a deployment goes to the same places again and again.
 * The rules never change behind a program, and its memory comes and goes with it. So a verdict is good until something
 * is learned of the address, or what was learned runs out.
 */
#ifndef EBG_RECENT_H
#define EBG_RECENT_H

#include "hash.h"
#include "maps.h"
#include "record.h"

#define EBG_RECENT_BITS 8

/*
 * Two who are in one place at once on a CPU: a program that is preempted in the middle must not take half of what the
 * one has left there and half of what the other has. So who reads asks for the version before and after, and of those
 * who want to write the first one does.
 */
struct place {
	__u32 writers;
	__u32 version; /* 0: nothing is there */
};

/* The version that can be read now; 0: none. */
static __always_inline __u32 whole(struct place *place)
{
	__u32 version = FORGET(place->version);

	return FORGET(place->writers) ? 0 : version;
}

static __always_inline int still_whole(struct place *place, __u32 version)
{
	barrier();
	return FORGET(place->version) == version;
}

/* 1: it may be written to. In any case leave() follows. */
static __always_inline int occupy(struct place *place)
{
	__sync_fetch_and_add(&place->writers, 1);
	if (FORGET(place->writers) != 1)
		return 0;
	FORGET(place->version) = place->version + 1;
	barrier();
	return 1;
}

static __always_inline void leave(struct place *place)
{
	__sync_fetch_and_add(&place->writers, -1);
}

/* The verdict over an address. */
struct address_judgement {
	struct judgement it;
	struct judgement other; /* for a name on it that no rule speaks of */
	__u32 undecided;        /* 1: some of its names are denied and some are not; `it` holds where none is presented */
};

struct recent {
	struct place place;
	__u64 address[2];
	__u64 learned; /* what ebg_learned said before the verdict */
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

/* How often something was learned of the addresses whose hashes begin so. */
struct learned {
	struct bpf_spin_lock lock;
	__u64 times;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << EBG_RECENT_BITS);
	__type(key, __u32);
	__type(value, struct learned);
} ebg_learned SEC(".maps");

static __always_inline __u64 hash_of(const __u64 *address)
{
	return mixed(address[0], address[1]) * EBG_HASH_PRIME;
}

static __always_inline struct learned *learned_of(__u64 hash)
{
	__u32 index = hash >> (64 - EBG_RECENT_BITS);

	return bpf_map_lookup_elem(MAP(ebg_learned), &index);
}

static __always_inline struct recent *recent_of(__u64 hash, __u32 protocol_port)
{
	__u32 index = (hash ^ protocol_port * EBG_HASH_PRIME) >> (64 - EBG_RECENT_BITS);

	return bpf_map_lookup_elem(MAP(ebg_recent), &index);
}

/*
 * Says that all earlier verdicts over the address are void. With a lock, and not an atomic, so that no CPU sees it
 * before it sees what was learned.
 */
static __always_inline void forget_verdicts(const __u64 *address)
{
	struct learned *learned = learned_of(hash_of(address));

	if (!learned)
		return;
	bpf_spin_lock(&learned->lock);
	learned->times++;
	bpf_spin_unlock(&learned->lock);
}

/* What was read after `earlier`, on CPUs that read ahead, too: they can't where the one depends on the other. */
static __always_inline __u64 after(__u64 earlier, __u64 value)
{
	value ^= earlier;
	barrier_var(value);
	return value ^ earlier;
}

/* 1 where there is a verdict. */
static __always_inline int recall(struct recent *recent, const __u64 *address, __u32 protocol_port, __u64 learned,
				  struct address_judgement *judged)
{
	__u32 version = whole(&recent->place), until;

	if (!version || recent->address[0] != address[0] || recent->address[1] != address[1] ||
	    recent->protocol_port != protocol_port || recent->learned != learned)
		return 0;
	until = recent->until;
	*judged = recent->judged;
	return still_whole(&recent->place, version) && (until == EBG_FOR_EVER || ticks() <= until);
}

static __always_inline void keep(struct recent *recent, const __u64 *address, __u32 protocol_port, __u64 learned,
				 const struct address_judgement *judged, __u32 until)
{
	if (occupy(&recent->place)) {
		recent->address[0] = address[0];
		recent->address[1] = address[1];
		recent->protocol_port = protocol_port;
		recent->learned = learned;
		recent->until = until;
		recent->judged = *judged;
	}
	leave(&recent->place);
}

#endif
