/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Memory for what does not fit the stack. Programs can be preempted by programs on the same CPU, so memory that is only
 * per CPU would be shared: each run claims a slot of its own, and where none is free, it can't read anything.
 */
#ifndef EBG_SCRATCH_H
#define EBG_SCRATCH_H

#include "abi.h"
#include "kernel.h"

#define EBG_SLOTS 16
#define EBG_MESSAGE 4096 /* bytes of a message that are looked at */
#define EBG_LABELS 128   /* a name has at most 127 */

struct scratch {
	__u8 message[EBG_MESSAGE] __attribute__((aligned(8)));
	__u8 name[EBG_NAME]; /* the last name that was read, in the form of DNS messages */
	__u8 overhang[EBG_NAME]; /* where a copy of a part of it may end, for all that the verifier knows */
	struct ebg_heard heard;       /* an answer: its question, and where that led */
	__u32 introduced;             /* 1: its names are there already */
	struct ebg_name_rules decided; /* the rules for it */
	__u64 question;               /* and its hash */
	struct ebg_name_rules found; /* its rules */
	__u64 hash;                  /* and its hash */
	__u64 labels[EBG_LABELS];    /* and those of its labels */
	__u64 label;                 /* of the one that is being read */
	__u64 ruling;                /* over a name that is presented */
	__u32 kind, presented, wait; /* what the first bytes of a connection are, see look() */
	__u32 strict;                /* a name in text ends with its length, and by nothing in it */
	__u32 proxied;               /* it stands where a request names the server behind a proxy */
	__u32 slot;                  /* its own number */
	__u32 size;                  /* bytes in message */
	__u32 position, left, length, count, written, piece, copied, after, jumps, follow, digits;
	__u32 cursor, end;           /* of a walk that reads names on its way */
	__u64 entry, mount;          /* where a walk up a tree has come: addresses of the kernel's */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EBG_SLOTS);
	__type(key, __u32);
	__type(value, struct scratch);
} ebg_scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EBG_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} ebg_claims SEC(".maps");

static __always_inline struct scratch *scratch(__u32 slot)
{
	return bpf_map_lookup_elem(MAP(ebg_scratch), &slot);
}

/*
 * A free slot's memory, or NULL. Works without atomics that return something, which kernels before 5.12 lack. Its
 * number is in it, so that the verifier need not follow each number by itself.
 */
static __always_inline struct scratch *claim(void)
{
	__u32 slot;

	for (slot = 0; slot < EBG_SLOTS; slot++) {
		__u32 key = slot;
		__u64 *claims = bpf_map_lookup_elem(MAP(ebg_claims), &key);
		struct scratch *s = scratch(key);

		if (!claims || !s)
			break;
		__sync_fetch_and_add(claims, 1);
		if (FORGET(*claims) == 1) {
			FORGET(s->slot) = slot;
			return s;
		}
		__sync_fetch_and_add(claims, -1);
	}
	return NULL;
}

static __always_inline void release(struct scratch *s)
{
	__u32 slot = FORGET(s->slot);
	__u64 *claims = bpf_map_lookup_elem(MAP(ebg_claims), &slot);

	if (claims)
		__sync_fetch_and_add(claims, -1);
}

static __always_inline __u32 byte_at(struct scratch *s, __u32 position)
{
	return s->message[BELOW(EBG_MESSAGE, position)];
}

static __always_inline __u32 word_at(struct scratch *s, __u32 position)
{
	return byte_at(s, position) << 8 | byte_at(s, position + 1);
}

#endif
