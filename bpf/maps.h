/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The maps of the network's programs. The first four hold rules, as ebg_config does: they are filled before a
 * program attaches, and never change after. A new policy comes with programs and maps of rules of its own. It also
 * comes with new maps of addresses and aliases, because their leads point to rules: they are filled again from what
 * the ledger has heard. The ledger stays when the rules change, so that counts go on.
 */
#ifndef EBG_MAPS_H
#define EBG_MAPS_H

#include "config.h"
#include "scratch.h"
#include "verdict.h"

/* max_entries of these four: set by the loader to what the policy needs */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_net_key);
	__type(value, struct ebg_slice);
} ebg_nets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct ebg_name);
} ebg_names SEC(".maps");

/*
 * The names of the rules, in the form of DNS messages. Each begins with a word of its own; its last one ends with 0. The
 * loader writes them as memory: word by word it would take a while.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} ebg_text SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_port);
} ebg_ports SEC(".maps");

/*
 * A lead: a name with rules leads to this address, or to this name. It has the slice of the name's rules, and until
 * when it holds, in one word so that it is read whole: ticks since boot, 23 bits of the slice's start, the two flags, 7
 * bits of its length. 0: no lead.
 */
typedef __u64 lead_t;

#define EBG_LEAD_FIRST_SHIFT 9
#define EBG_LEAD_DOUBTED 0x100 /* it may deny, and never allow */
#define EBG_LEAD_DENIES 0x80   /* some matcher of the slice denies */
#define EBG_LEAD_COUNT 0x7f

#define EBG_FOR_EVER 0xffffffffULL

/* CLOCK_MONOTONIC, some milliseconds late where the kernel can tell that faster (5.11 and later): as the last timer found it. */
static __always_inline __u64 about_now(void)
{
	return HAS_COARSE_CLOCK ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
}

static __always_inline __u32 ticks(void)
{
	return about_now() >> EBG_TICK_BITS;
}

/* One lead for each slice, not for each name: names under the same rules share a lead. */
struct known_lead {
	__u64 address[2];
	lead_t lead;
};

#define EBG_WAYS 16 /* leads in a set */

struct leads {
	struct bpf_spin_lock lock; /* for readers, too: a lead gives way to one of another address */
	__u32 padding;
	__u64 chosen; /* of the writer that has the lock; here, because the verifier forgets what is in memory */
	struct known_lead way[EBG_WAYS];
};

/*
 * The leads of all addresses, in sets, by the first bits of the addresses' hashes. A set is made when it is first needed
 * and stays, so nobody can read a piece of memory that has just become another address's.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_LEADS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct leads);
} ebg_addresses SEC(".maps");

/* By the hash of the alias's name. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_HEARD);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct ebg_alias);
} ebg_aliases SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_HEARD);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ebg_heard_key);
	__type(value, struct ebg_heard);
} ebg_heard SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, EBG_MAX_ASKED);
	__type(key, struct ebg_asked);
	__type(value, __u8);
} ebg_asked SEC(".maps");

/* By a hash. An answer is believed if it answers one of these. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EBG_MAX_PENDING);
	__type(key, __u32);
	__type(value, struct ebg_pending);
} ebg_pending SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EBG_REFUSALS);
} ebg_refused SEC(".maps");

/* The TCP sockets that opened a connection from inside the guard. A socket that is not here has accepted its own. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct opened);
} ebg_opened SEC(".maps");

#define EBG_PART 1024 /* bytes that are added to a message at once */

/* What has left of a message that is not whole yet. To the verifier, a part may begin at the last byte of a message. */
struct head {
	__u8 bytes[EBG_MESSAGE + EBG_PART]; /* Linux 7.2 has no memory for more than 8 KiB here */
};

/* Only connections that send the message in pieces have one, and only until it is whole. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct head);
} ebg_head SEC(".maps");

#endif
