/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * Names: read from a message, and the rules for them.
 *
 * A name comes as labels behind lengths, or as text with dots. In both forms it becomes a hash of each label. These
 * hashes, joined from the last label to the first, are the hashes of the name's ends. The longest end that has rules
 * decides. So `.example.org` meets whole labels only.
 *
 * A hash only finds a name. Then the bytes are compared, because another name with the same hash is found in less than a
 * second. What differs counts as unknown, and the next shorter end is tried.
 *
 * The functions here are global, so that the verifier checks each once and not at each call. They take numbers alone.
 */
#ifndef EBG_NAME_H
#define EBG_NAME_H

#include "bytes.h"
#include "cell.h"
#include "hash.h"
#include "maps.h"
#include "scratch.h"

#define EBG_READ_STEPS 160 /* labels of a name, eight bytes at a time, and jumps to a part that stands elsewhere */
#define EBG_JUMPS 16
#define EBG_RECENT_NAMES_BITS 8

static __always_inline void begin_name(struct scratch *s)
{
	FORGET(s->left) = 0;
	FORGET(s->count) = 0;
	FORGET(s->written) = 0;
	FORGET(s->copied) = 0;
	FORGET(s->jumps) = 0;
	s->name[0] = 0;
}

/* Takes up to eight bytes of a label; -1 where the message ends before. */
FUNCTION(int, take_word, __u32 slot, __u32 position, __u32 left)
{
	struct scratch *s = scratch(slot);
	__u32 taken = left < 8 ? left : 8, count;
	__u64 word;

	if (!s || position + taken > FORGET(s->size))
		return -1;
	word = bpf_be64_to_cpu(*(__u64 *)(s->message + BELOW(EBG_MESSAGE, position)));
	FORGET(s->label) = mixed(FORGET(s->label), lower(word >> (-8 * taken & 63)));
	FORGET(s->position) = position + taken;
	FORGET(s->left) = left - taken;
	if (left > taken)
		return 0;
	count = FORGET(s->count);
	s->labels[BELOW(EBG_LABELS, count)] = mixed(FORGET(s->label), FORGET(s->length));
	FORGET(s->count) = count + 1;
	return 0;
}

/* Copies the piece of the name that ends at `position` behind the earlier pieces. */
static __always_inline void copy_piece(struct scratch *s, __u32 position)
{
	__u32 copied = BELOW(EBG_NAME, FORGET(s->copied)), piece = FORGET(s->piece);

	position = BELOW(EBG_NAME, position - piece);
	bpf_probe_read_kernel(s->name + copied, position, s->message + BELOW(EBG_MESSAGE, piece));
	FORGET(s->copied) = copied + position;
}

/* Jumps to another part of the message, where the name goes on. Returns 0, or -1 where the message is wrong. */
static __always_inline int jump(struct scratch *s, __u32 position)
{
	__u32 jumps = FORGET(s->jumps) + 1;

	if (jumps > EBG_JUMPS || position + 1 >= FORGET(s->size))
		return -1;
	if (jumps == 1)
		FORGET(s->after) = position + 2;
	FORGET(s->jumps) = jumps;
	copy_piece(s, position);
	position = word_at(s, position) & 0x3fff;
	FORGET(s->position) = position;
	FORGET(s->piece) = position;
	return 0;
}

/*
 * A step of read_wire_name(). Returns 0 where more steps follow, and at the end the position behind the name, or -1. It
 * is a function of its own, as the other steps here: the verifier checks it once, and not in each turn of the loop.
 */
FUNCTION(int, read_step, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 position, left, written;

	if (!s)
		return -1;
	position = FORGET(s->position);
	left = FORGET(s->left);
	if (position >= FORGET(s->size))
		return -1;
	if (!left) {
		left = byte_at(s, position);
		if (left >= 0xc0 && FORGET(s->follow))
			return jump(s, position);
		written = FORGET(s->written);
		if (left > 63 || written + 1 + left >= EBG_NAME)
			return -1;
		position++;
		if (!left) {
			copy_piece(s, position);
			/* so that a name's last word has zeros behind the name */
			*(__u64 *)(s->name + BELOW(EBG_NAME, FORGET(s->copied))) = 0;
			return FORGET(s->jumps) ? FORGET(s->after) : position;
		}
		s->starts[BELOW(EBG_LABELS, FORGET(s->count))] = written;
		FORGET(s->written) = written + 1 + left;
		FORGET(s->length) = left;
		FORGET(s->label) = EBG_HASH_SEED;
	}
	return take_word(slot, position, left);
}

/*
 * Reads the name at `start` of the message, in the form of DNS. Returns the position behind the name, or -1 where it
 * can't be read. `follow`: 0 where the name must not point to another part of the message.
 */
FUNCTION(int, read_wire_name, __u32 slot, __u32 start, __u32 follow)
{
	struct scratch *s = scratch(slot);
	int end = 0;
	__u32 i;

	if (!s)
		return -1;
	begin_name(s);
	FORGET(s->position) = start;
	FORGET(s->piece) = start;
	FORGET(s->follow) = follow;
	for (i = 0; i < EBG_READ_STEPS && !end; i++)
		end = read_step(slot);
	return end ?: -1;
}

/*
 * The bytes at which a name in text does not simply go on: a dot; what ends a host in HTTP, up to a blank or one of :/?#,
 * and what no name has, `[` and `@`.
 */
static __always_inline __u64 stops_of_text(__u64 word)
{
	return bytes_below(word, ' ' + 1) | bytes_like(word | EBG_EIGHT(1), '.' | 1 /* or a slash */) | bytes_like(word, ':') |
	       bytes_like(word, '?') | bytes_like(word, '#') | bytes_like(word, ',') | bytes_like(word, '[') |
	       bytes_like(word, '@');
}

/* The bytes that are no digits. */
static __always_inline __u64 no_digits(__u64 word)
{
	return ~(bytes_from(word, '0') & ~bytes_from(word, '9' + 1)) & EBG_HIGHEST;
}

/* The eight bytes at `position`. Behind the first `left` of them stand zeros. */
static __always_inline __u64 text_word(struct scratch *s, __u32 position, __u32 left)
{
	__u64 word = *(__u64 *)(s->message + BELOW(EBG_MESSAGE, position));

	return left < 8 ? word & ((1ULL << (left * 8 & 63)) - 1) : word;
}

#define EBG_MORE 2
#define EBG_ENDS 3

/* Ends the name in text at s->cut. Returns what read_text_name() does. */
static __always_inline int end_text_name(struct scratch *s, __u32 slot, __u32 start)
{
	__u32 position = FORGET(s->cut), length = position - FORGET(s->position) - 1;

	if (length && FORGET(s->digits))
		return 0; /* a last label of digits: an IPv4 address */
	s->message[BELOW(EBG_MESSAGE, FORGET(s->position))] = length;
	s->message[BELOW(EBG_MESSAGE, position)] = 0;
	if (position >= FORGET(s->size))
		FORGET(s->size) = position + 1;
	if (byte_at(s, start) == '[')
		return 0; /* an IPv6 address */
	if (read_wire_name(slot, start - 1, 0) < 0)
		return -1;
	return FORGET(s->count) ? 1 : 0;
}

/* A label of a name in text ends at `position`, with `c`. Returns EBG_MORE, EBG_ENDS, or -1. */
static __always_inline int end_label(struct scratch *s, __u32 position, __u8 c)
{
	__u32 taken = position - FORGET(s->position) - 1;

	if (taken > 63 || (c == '.' && !taken))
		return -1;
	if (c == '.') {
		s->message[BELOW(EBG_MESSAGE, FORGET(s->position))] = taken;
		FORGET(s->position) = position;
		FORGET(s->digits) = 1;
		return EBG_MORE;
	}
	FORGET(s->end) = c == ':' ? position + 1 : 0;
	FORGET(s->cut) = position;
	return EBG_ENDS;
}

/* The next bytes of a name in text that begins at `start`: up to eight, or to a stop. Returns what end_label() does. */
FUNCTION(int, text_step, __u32 slot, __u32 start, __u32 length)
{
	struct scratch *s = scratch(slot);
	__u32 position, left, place;
	__u64 word, stops;
	__u8 c;

	if (!s)
		return -1;
	position = FORGET(s->cursor);
	left = start + length - position;
	if (position >= FORGET(s->size))
		left = 0;
	else if (left > FORGET(s->size) - position)
		left = FORGET(s->size) - position;
	word = text_word(s, position, left);
	stops = stops_of_text(word);
	if (no_digits(word) & bits_before(stops))
		FORGET(s->digits) = 0;
	FORGET(s->cursor) = position + 8;
	if (!stops)
		return EBG_MORE;
	place = first_place(stops);
	position += place;
	c = word >> (place * 8);
	FORGET(s->cursor) = position + 1;
	if (position - start >= EBG_NAME || position >= EBG_MESSAGE || (place < left && FORGET(s->strict) && c != '.'))
		return -1;
	if (c != '[' && c != '@')
		return end_label(s, position, c);
	FORGET(s->digits) = 0;
	return EBG_MORE;
}

/*
 * Reads the name at `start` as text, up to `length` bytes or to the end of a host in HTTP. Returns 1; or 0 where an
 * address stands there, or nothing; or -1 where the name can't be read. s->end is the position of a port behind the
 * name, or 0. The name takes the form of DNS in the message: the byte in front of a label becomes the label's length. A
 * name that DNS has room for takes fewer steps than there can be labels.
 */
FUNCTION(int, read_text_name, __u32 slot, __u32 start, __u32 length)
{
	struct scratch *s = scratch(slot);
	int read = EBG_MORE;
	__u32 i;

	if (!s || !start)
		return -1;
	FORGET(s->position) = start - 1;
	FORGET(s->cursor) = start;
	FORGET(s->digits) = 1;
	for (i = 0; i < EBG_LABELS && read == EBG_MORE; i++)
		read = text_step(slot, start, length);
	return read == EBG_ENDS ? end_text_name(s, slot, start) : -1;
}

/* The word at `position` of a name that was copied. Behind the name's end it has zeros. */
static __always_inline __u64 name_word(const __u8 *name, __u32 position)
{
	return lower(*(const __u64 *)(name + BELOW(EBG_NAME, position)));
}

/* Are the two names in s->compared the same? */
FUNCTION(int, compare, __u32 slot, __u32 size)
{
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return 0;
	for (i = 0; i < EBG_NAME / 8 && 8 * i < size; i++)
		if (name_word(s->compared[0], 8 * i) != name_word(s->compared[1], 8 * i))
			return 0;
	return 1;
}

/* Are these the same names? `size`: in bytes, with the 0 at the end. */
static __always_inline int same_name(struct scratch *s, const __u8 *one, const __u8 *other, __u32 size)
{
	return bpf_probe_read_kernel(s->compared[0], EBG_NAME, one) == 0 &&
	       bpf_probe_read_kernel(s->compared[1], EBG_NAME, other) == 0 && compare(FORGET(s->slot), size);
}

/* Is the end of the name from the label at `index` on what stands in ebg_text, from the word `text` on? */
FUNCTION(int, same_text, __u32 slot, __u32 index, __u32 text, __u32 length)
{
	struct scratch *s = scratch(slot);
	__u32 start, i;

	if (!s)
		return 0;
	start = s->starts[BELOW(EBG_LABELS, index)];
	if (start + length != FORGET(s->written) + 1)
		return 0;
	for (i = 0; i < EBG_NAME / 8 && 8 * i < length; i++) {
		__u32 place = text + i;
		const __u64 *word = bpf_map_lookup_elem(MAP(ebg_text), &place);

		if (!word || *word != name_word(s->name, start + 8 * i))
			return 0;
	}
	return 1;
}

/* The lead of the name that was read last, if it is an alias; else 0. */
FUNCTION(__u64, lead_of_alias, __u32 slot)
{
	struct scratch *s = scratch(slot);
	const struct ebg_alias *alias;

	if (!s)
		return 0;
	alias = bpf_map_lookup_elem(MAP(ebg_aliases), &s->hash);
	return alias && same_name(s, alias->name, s->name, FORGET(s->written) + 1) ? alias->lead : 0;
}

/* Does the label at `index` begin with an underscore, as those of a service do? */
static __always_inline int is_of_service(struct scratch *s, __u32 index)
{
	return s->name[BELOW(EBG_NAME, s->starts[BELOW(EBG_LABELS, index)] + 1)] == '_';
}

/* Adds the label at `index` to the end of the name whose hash is s->hash, and finds the rules for the longer end. */
FUNCTION(int, find_step, __u32 slot, __u32 index)
{
	struct scratch *s = scratch(slot);
	const struct ebg_name *name;
	__u64 hash;

	if (!s)
		return -1;
	FORGET(s->hash) = mixed(FORGET(s->hash), s->labels[BELOW(EBG_LABELS, index)]);
	hash = FORGET(s->hash);
	name = bpf_map_lookup_elem(MAP(ebg_names), &hash);
	if (name && same_text(slot, index, name->text, name->length))
		s->found = !index || (index == FORGET(s->first) && name->itself.slice.count) ? name->itself : name->below;
	return 0;
}

/*
 * Finds the rules for the name that was read last; where there are none, its slice is empty. `_service._proto.NAME` asks
 * where a service of NAME is (RFC 2782). So what the rules say of NAME holds, if they say something of it.
 */
FUNCTION(int, find_rules, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 i;

	if (!s)
		return -1;
	__builtin_memset(&s->found, 0, sizeof(s->found));
	FORGET(s->hash) = EBG_HASH_SEED;
	FORGET(s->first) = FORGET(s->count) > 2 && is_of_service(s, 0) && is_of_service(s, 1) ? 2 : 0;
	for (i = 0; i < EBG_LABELS && i < FORGET(s->count); i++)
		find_step(slot, FORGET(s->count) - 1 - i);
	return 0;
}

/*
 * The names that were read a moment ago, with their rules. A name comes often: in a question for A and in one for AAAA,
 * and in both answers. The rules of a program never change. Only short names are kept, and most names are short.
 */
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
