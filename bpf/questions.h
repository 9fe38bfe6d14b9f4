/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* DNS over TCP: several questions can stand in a packet, and one in several. Each is judged. */
#ifndef EBG_QUESTIONS_H
#define EBG_QUESTIONS_H

#include "dns.h"
#include "stream.h"

#define EBG_IN_WINDOW 16 /* DNS questions in a slot */
#define EBG_WINDOWS 5    /* slots full of DNS questions, of a packet */

/*
 * Finds the DNS message that begins at s->start, behind its length. It ends at s->size from now on; s->end keeps where
 * the data ends, and s->left what follows of a message that is longer than the slot. Returns the message's start, or 0
 * where it is not whole.
 */
FUNCTION(int, next_question, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 start, size, end;

	if (!s)
		return 0;
	start = FORGET(s->start);
	size = FORGET(s->size);
	FORGET(s->end) = size;
	FORGET(s->left) = 0;
	if (start + 2 > size)
		return 0;
	end = start + 2 + word_at(s, start);
	if (end <= size)
		FORGET(s->size) = end;
	else if (start || size < EBG_MESSAGE)
		return 0;
	else
		FORGET(s->left) = end - size; /* its question is in the slot, and nothing else is asked */
	return start + 2;
}

/* Judges the question that was read at `start`, and moves on to the next one. `end`: as read_question() returned it. */
FUNCTION(int, settle_question, __u32 slot, __u32 start, int end)
{
	const struct ebg_config *config = configuration();
	struct scratch *s = scratch(slot);
	struct access access;

	if (!config || !s)
		return STREAM_REFUSED;
	access = access_of(s, EBG_KIND_DNS);
	take_question(config, s, start, end, &access);
	FORGET(s->start) = FORGET(s->size);
	FORGET(s->size) = FORGET(s->end);
	return settle_of(s, config, &access);
}

/* Judges all DNS questions that are whole in the slot; s->start is where the first begins that is not. */
static __always_inline int read_questions(struct scratch *s, __u32 slot)
{
	int result = STREAM_PASSES;
	__u32 i;

	for (i = 0; i < EBG_IN_WINDOW && result == STREAM_PASSES; i++) {
		int start = next_question(slot);

		if (!start)
			return FORGET(s->start) == FORGET(s->size) ? STREAM_PASSES : STREAM_WAITS;
		result = settle_question(slot, start, read_question(slot, start));
		if (FORGET(s->left))
			return result;
	}
	return result == STREAM_PASSES ? STREAM_LATER : result;
}

/* Judges as many DNS questions as a slot holds, from s->from in the packet on. s->from is behind them then. */
PACKET_FUNCTION(int, read_window, struct __sk_buff *skb, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 from, kept;
	int result = -1;

	if (!s)
		return STREAM_REFUSED;
	from = FORGET(s->from);
	kept = FORGET(s->connection.kept);
	if (load_message(skb, slot, from) == 0)
		result = read_questions(s, slot);
	FORGET(s->from) = from + FORGET(s->size) - kept + FORGET(s->left);
	if (result == STREAM_WAITS || result == STREAM_LATER)
		return keep_message(skb, slot) < 0 ? hold_back(s, slot, PRESENTED_UNREADABLE, 0) : result;
	s->connection.kept = 0;
	return result < 0 ? settle_as(s, slot, PRESENTED_UNREADABLE) : result;
}

/* Judges the DNS questions from `start` in the packet on. */
static __always_inline int on_questions(struct __sk_buff *skb, struct scratch *s, __u32 slot, __u32 start)
{
	int result = STREAM_LATER;
	__u32 i;

	FORGET(s->from) = start;
	FORGET(s->left) = 0;
	for (i = 0; i < EBG_WINDOWS; i++) {
		if (result != STREAM_LATER && FORGET(s->from) >= skb->len)
			break;
		result = read_window(skb, slot);
		if (result == STREAM_REFUSED || result == STREAM_HELD)
			return result;
	}
	if (result == STREAM_LATER || FORGET(s->from) < skb->len)
		result = settle_as(s, slot, PRESENTED_UNREADABLE);
	s->connection.skip = FORGET(s->from) - skb->len; /* of a message whose question was read */
	return result;
}

#endif
