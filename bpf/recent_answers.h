/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The answers that were read a moment ago: tools ask for the same names again and again, and to read an answer takes as long
 * as all the rest. For so short a time nothing would hold longer: see lead_of().
 */
#ifndef EBG_RECENT_ANSWERS_H
#define EBG_RECENT_ANSWERS_H

#include "cell.h"
#include "scratch.h"

#define EBG_RECENT_ANSWERS_BITS 10
#define EBG_ANSWER_WORDS 10 /* of 64 bits: what comes behind the question */

struct recent_answer {
	struct cell cell;
	__u64 name; /* hash of the question's */
	__u64 time;
	__u32 form; /* how many bytes, and how many records */
	__u32 doubted;
	__u64 words[EBG_ANSWER_WORDS]; /* 0 behind it */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << EBG_RECENT_ANSWERS_BITS);
	__type(key, __u32);
	__type(value, struct recent_answer);
} ebg_last_answer SEC(".maps");

/* The word at `index` of what comes behind the question, which ends after `size` bytes. */
static __always_inline __u64 answer_word(struct scratch *s, __u32 start, __u32 size, __u32 index)
{
	__u64 word = *(__u64 *)(s->message + BELOW(EBG_MESSAGE, start) + 8 * index);

	if (size <= 8 * index)
		return 0;
	return size < 8 * index + 8 ? word & ((1ULL << (8 * size & 63)) - 1) : word;
}

/* Where an answer is kept that goes on with `size` bytes at `start`; NULL where it is too long for that. */
static __always_inline struct recent_answer *place_of_answer(struct scratch *s, __u32 start, __u32 size)
{
	__u32 index = mixed(FORGET(s->question), answer_word(s, start, size, 0)) * EBG_HASH_PRIME >> (64 - EBG_RECENT_ANSWERS_BITS);

	if (FORGET(s->source) != EBG_SOURCE_PACKET || size > 8 * EBG_ANSWER_WORDS)
		return NULL;
	return bpf_map_lookup_elem(MAP(ebg_last_answer), &index);
}

/* Was this answer read a moment ago? */
static __always_inline int is_repeated(struct scratch *s, struct recent_answer *recent, __u32 start, __u32 size, __u32 form,
				       __u64 now)
{
	__u32 version = begin_read(&recent->cell), i;
	__u64 different = (recent->name ^ s->question) | (recent->form ^ form) | (recent->doubted ^ s->heard.doubted);

	if (!version || different || now - recent->time >= 1ULL << EBG_TICK_BITS)
		return 0;
#pragma unroll
	for (i = 0; i < EBG_ANSWER_WORDS; i++) {
		different |= recent->words[i] ^ answer_word(s, start, size, i);
		barrier_var(different);
	}
	return !different && was_whole(&recent->cell, version);
}

static __always_inline void keep_answer(struct scratch *s, struct recent_answer *recent, __u32 start, __u32 size, __u32 form,
					__u64 now)
{
	__u32 i;

	if (begin_write(&recent->cell)) {
		recent->name = s->question;
		recent->time = now;
		recent->form = form;
		recent->doubted = s->heard.doubted;
#pragma unroll
		for (i = 0; i < EBG_ANSWER_WORDS; i++)
			recent->words[i] = answer_word(s, start, size, i);
	}
	end_write(&recent->cell);
}

#endif
