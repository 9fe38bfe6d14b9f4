/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The maps of the network's programs. The first three hold rules, as ebg_config does: they are filled before a
 * program attaches, and never change after. A new policy comes with programs and maps of rules of its own. It also
 * comes with new maps of addresses and aliases, because their leads point to rules: they are filled again from what
 * the ledger has heard. The ledger stays when the rules change, so that counts go on.
 */
#ifndef EBG_MAPS_H
#define EBG_MAPS_H

#include "config.h"
#include "verdict.h"

/* max_entries of these three: set by the loader to what the policy needs */
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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebg_port);
} ebg_ports SEC(".maps");

/*
 * A lead: a name with rules leads to this address, or to this name. It has the slice of the name's rules, and until
 * when it holds, in one word so that it is read whole: ticks since boot, 24 bits of the slice's start, 8 of its length.
 * 0: no lead.
 */
typedef __u64 lead_t;

#define EBG_LEADS 8
#define EBG_FOR_EVER 0xffffffffULL

/* About a second; a shift, because programs divide slowly. */
#define EBG_TICK_BITS 30 /* of ns */

static __always_inline __u32 ticks(void)
{
	return bpf_ktime_get_ns() >> EBG_TICK_BITS;
}

struct address {
	__u8 bytes[16];
};

/* One lead for each slice, not for each name: names under the same rules share a lead. */
struct leads {
	struct bpf_spin_lock lock; /* for writers */
	__u32 crowded;             /* 1: there was no room for all */
	lead_t lead[EBG_LEADS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_ADDRESSES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, struct leads);
} ebg_addresses SEC(".maps");

/* Aliases: names without rules that an answer led on to a name with rules. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBG_MAX_HEARD);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, lead_t);
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

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EBG_REFUSALS);
} ebg_refused SEC(".maps");

enum opened_flag {
	OPENED_WATCHED = 1,   /* ebg_message has seen its first bytes */
	OPENED_JUDGED = 2,    /* and has passed them: nothing more to look for */
	OPENED_UNDECIDED = 4, /* some names of the address are denied, and some are not */
};

/* A TCP socket that opened a connection, and the verdict over its address. */
struct opened {
	__u32 generation; /* of the rules that judged the address */
	__u32 flags;
	__u32 rule; /* with OPENED_UNDECIDED: it denies a connection that presents no name */
	struct judgement other; /* over a name that no rule speaks of */
	__u64 socket; /* its address in the kernel */
	__u64 cookie;
};

/* The TCP sockets that opened a connection from inside the guard. A socket that is not here has accepted its own. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct opened);
} ebg_opened SEC(".maps");

/* The sockets whose first bytes ebg_message has to see, by cookie. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
} ebg_sockets SEC(".maps");

#endif
