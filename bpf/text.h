/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Names as text with dots, as they stand in HTTP and TLS: they take the form of DNS messages, and are read as such. */
#ifndef EBG_TEXT_H
#define EBG_TEXT_H

#include "name.h"

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

#endif
