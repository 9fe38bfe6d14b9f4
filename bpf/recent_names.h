/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The names that were read a moment ago, with their rules. A name comes often: in a question for A and in one for AAAA,
 * and in both answers. The rules of a program never change. Only short names are kept, and most names are short.
 */
#ifndef EBG_RECENT_NAMES_H
#define EBG_RECENT_NAMES_H

#include "bytes.h"
#include "cell.h"
#include "name.h"

#define EBG_RECENT_NAMES_BITS 8
#define EBG_SHORT 8 /* words of 64 bits */
#define EBG_ALIKE 4 /* names whose hashes begin alike: of two that are asked for in turn, none drives the other out */

struct recent_name {
	__u64 words[EBG_SHORT]; /* in the form of DNS messages; 0 behind it */
	__u64 hash;
	__u64 asked; /* in the upper half when, in ticks, and in the lower which process has asked for it: noted in ebg_asked */
	struct ebg_name_rules found;
};

struct recent_names {
	struct cell cell;
	__u32 next; /* the one to be overwritten */
	__u32 padding;
	__u64 marks[EBG_ALIKE]; /* hashes of the words */
	struct recent_name name[EBG_ALIKE];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << EBG_RECENT_NAMES_BITS);
	__type(key, __u32);
	__type(value, struct recent_names);
} ebg_recent_name SEC(".maps");

/*
 * Copies the bytes at `start` up to the first 0, and the 0. Returns their number, or 0 where they do not fit. The name
 * ends there, or at a later 0 if a label has one in it.
 */
static __always_inline __u32 short_name(struct scratch *s, __u32 start, __u64 *words, __u64 *mark)
{
	__u64 hash = EBG_HASH_SEED;
	__u32 i;

#pragma unroll
	for (i = 0; i < EBG_SHORT; i++) {
		__u64 word = *(__u64 *)(s->message + BELOW(EBG_MESSAGE, start) + 8 * i);
		__u64 zero = zero_bytes(word);

		words[i] = word & bits_before(zero); /* the 0 has none */
		hash = mixed(hash, words[i]);
		if (zero) {
			*mark = hash;
			return 8 * i + first_place(zero) + 1;
		}
	}
	return 0;
}

/* The place among names that are alike of the one with this mark, or any. Without a branch, as in find_leads(). */
static __always_inline __u32 place_of(const struct recent_names *names, __u64 mark)
{
	__u64 differs, found = 0;
	__u32 i;

#pragma unroll
	for (i = 1; i < EBG_ALIKE; i++) {
		differs = names->marks[i] ^ mark;
		differs |= -differs;
		barrier_var(differs);
		found |= ((differs >> 63) - 1) & i;
	}
	return BELOW(EBG_ALIKE, found);
}

/* Keeps the name that was read, and its rules, in the place of the one that was kept longest. */
static __always_inline void keep_name(struct recent_names *names, struct scratch *s, const __u64 *words, __u64 mark)
{
	if (begin_write(&names->cell)) {
		__u32 place = BELOW(EBG_ALIKE, names->next);
		struct recent_name *name = &names->name[place];

		names->next = place + 1;
		names->marks[place] = mark;
		__builtin_memcpy(name->words, words, 8 * EBG_SHORT);
		name->hash = s->hash;
		name->asked = 0;
		name->found = s->found;
		s->kept_at = place;
	}
	end_write(&names->cell);
}

/*
 * Reads the name at `start` and finds its rules. The name has no reason to point elsewhere, so it must not. Returns the
 * position behind it, or -1 where it can't be read.
 */
static __always_inline int read_and_find(__u32 slot, struct scratch *s, __u32 start)
{
	__u64 *words = (__u64 *)s->compared[0], different = 0, mark = 0; /* the stack has no room for them */
	struct recent_names *names = NULL;
	__u32 index, size, version, i;
	int end;

	__builtin_memset(words, 0, 8 * EBG_SHORT);
	size = short_name(s, start, words, &mark);
	index = mark >> (64 - EBG_RECENT_NAMES_BITS);
	s->kept_in = index;
	if (size && start + size <= FORGET(s->size))
		names = bpf_map_lookup_elem(MAP(ebg_recent_name), &index);
	if (names) {
		const struct recent_name *name = &names->name[s->kept_at = place_of(names, mark)];

		version = begin_read(&names->cell);
#pragma unroll
		for (i = 0; i < EBG_SHORT; i++) {
			different |= words[i] ^ name->words[i];
			barrier_var(different); /* else the compiler keeps each word on the stack */
			((__u64 *)s->name)[i] = words[i];
		}
		s->hash = name->hash;
		s->found = name->found;
		if (version && !different && was_whole(&names->cell, version))
			return start + size;
	}
	end = read_wire_name(slot, start, 0);
	if (end < 0)
		return -1;
	find_rules(slot);
	if (names && end == (int)(start + size))
		keep_name(names, s, words, mark);
	return end;
}

#endif
