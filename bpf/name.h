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
#include "hash.h"
#include "maps.h"
#include "scratch.h"

#define EBG_READ_STEPS 160 /* labels of a name, eight bytes at a time, and jumps to a part that stands elsewhere */
#define EBG_JUMPS 16

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

#endif
