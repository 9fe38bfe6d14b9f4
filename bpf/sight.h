/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* What TLS and HTTP have in common where a name is looked for: results, and the search for the end of a line. */
#ifndef EBG_SIGHT_H
#define EBG_SIGHT_H

#include "bytes.h"
#include "scratch.h"

/* The functions that look for a name return its position, or one of these. */
enum sight {
	SIGHT_NOTHING = 0,
	SIGHT_UNREADABLE = -1,
	SIGHT_PARTIAL = -2, /* the message needs more bytes: s->wait has their number */
	SIGHT_FURTHER = -3, /* the name may stand in the next part */
};

/* Asks for more bytes: `size` in all. A message that fills the memory gets no more, and is read as it is. */
static __always_inline int want(struct scratch *s, __u32 size)
{
	if (FORGET(s->size) >= EBG_MESSAGE)
		return SIGHT_UNREADABLE;
	s->wait = size < EBG_MESSAGE ? size : EBG_MESSAGE;
	return SIGHT_PARTIAL;
}

/*
 * Looks for the end of a line in the eight bytes at `position`, of which `left` are in the message. Returns how many
 * bytes the line has here, with its end, or 0. It notes a CR that no LF follows, and a byte that no text has.
 */
static __always_inline __u32 line_end(struct scratch *s, const __u8 *position, __u32 left)
{
	__u64 word = *(__u64 *)position, found, before;

	if (left < 8)
		word |= ~0ULL << (left * 8 & 63);
	found = bytes_like(word, '\n');
	before = bits_before(found);
	s->bare |= !!(bytes_like(word, '\r') & before & ~bytes_like(*(__u64 *)(position + 1), '\n'));
	s->binary |= !!(bytes_below(word, '\t') & before);
	return found ? first_place(found) + 1 : 0;
}

#define EBG_LINE_STEP 64

/* Looks at the next bytes of a line. Returns where the next line begins, or 0, or -1 at the end of the message. */
FUNCTION(int, line_step, __u32 slot, __u32 position)
{
	struct scratch *s = scratch(slot);
	__u32 i, length, left;

	if (!s || position >= FORGET(s->size))
		return -1;
	left = FORGET(s->size) - position;
#pragma unroll
	for (i = 0; i < EBG_LINE_STEP; i += 8) {
		if (i >= left)
			return -1;
		length = line_end(s, s->message + BELOW(EBG_MESSAGE, position) + i, left - i);
		if (length)
			return position + i + length;
	}
	return 0;
}

/* Returns where the next line starts, or 0. */
FUNCTION(int, next_line, __u32 slot, __u32 start)
{
	struct scratch *s = scratch(slot);
	int next = 0;
	__u32 i;

	if (!s)
		return 0;
	s->bare = s->binary = 0;
	for (i = 0; i < EBG_MESSAGE / EBG_LINE_STEP && !next; i++)
		next = line_step(slot, start + i * EBG_LINE_STEP);
	return next > 0 ? next : 0;
}

#endif
