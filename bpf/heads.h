/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * The first bytes of a connection that is not DNS, and what can present another name later on it: requests to a proxy,
 * what comes in a tunnel, and TLS behind STARTTLS.
 */
#ifndef EBG_HEADS_H
#define EBG_HEADS_H

#include "stream.h"

#define EBG_HEADS 16 /* requests to a proxy, of a packet */

/* Looks at the first `sent` bytes of a message; as many of them as there is room for are in the slot. */
static __always_inline int read_head(struct scratch *s, __u32 slot, __u32 sent)
{
	if (look(slot, sent, (__u32)EBG_TCP << 16 | (s->connection.port & 0xffff)) < 0)
		return STREAM_REFUSED;
	if (FORGET(s->wait))
		return STREAM_WAITS;
	if (s->connection.flags & OPENED_AGAIN && s->presented == PRESENTED_NOTHING)
		return STREAM_PASSES; /* what the connection is for has been said before */
	return settle_presented(slot);
}

/* Does a protocol become TLS on this port, once both sides have said so in plain text? */
static __always_inline int has_starttls(__u32 port)
{
	return port == 25 || port == 587 || port == 143 || port == 110 || port == 5432 || port == 3306 || port == 389;
}

/* Does a request begin with these bytes? A proxy gets other data, too, so only common methods count. */
static __always_inline int is_method(__u32 word, __u32 mask)
{
	return !((word ^ 0x47455420 /* GET */) & mask) || !((word ^ 0x504f5354 /* POST */) & mask) ||
	       !((word ^ 0x48454144 /* HEAD */) & mask) || !((word ^ 0x50555420 /* PUT */) & mask) ||
	       !((word ^ 0x434f4e4e /* CONNECT */) & mask) || !((word ^ 0x4f505449 /* OPTIONS */) & mask) ||
	       !((word ^ 0x50415443 /* PATCH */) & mask) || !((word ^ 0x44454c45 /* DELETE */) & mask) ||
	       !((word ^ 0x54524143 /* TRACE */) & mask);
}

/* Does a ClientHello begin here? Much of it is compared: in what is uploaded through a proxy, two bytes stand by chance. */
static __always_inline int begins_hello(struct scratch *s, __u32 size)
{
	return byte_at(s, 0) == EBG_TLS_HANDSHAKE && (size < 2 || byte_at(s, 1) == 3) &&
	       (size < 4 || byte_at(s, 3) <= 0x40) && (size < 6 || byte_at(s, 5) == 1);
}

/* Can a ClientHello or a request begin here? Only its first bytes may be there so far. */
static __always_inline int may_present(struct scratch *s)
{
	__u32 size = FORGET(s->size), mask = size < 4 ? ~0U << (32 - size * 8) : ~0U;

	return begins_hello(s, size) || is_method(word_at(s, 0) << 16 | word_at(s, 2), mask);
}

/* What comes next on a connection whose message has passed. */
PACKET_FUNCTION(int, go_on, struct __sk_buff *skb, __u32 slot)
{
	struct bpf_sock *sk = tcp_socket(skb);
	struct scratch *s = scratch(slot);
	struct opened *opened;

	if (!s || !sk)
		return -1;
	opened = &s->connection;
	if (FORGET(opened->kept))
		bpf_sk_storage_delete(MAP(ebg_head), sk);
	opened->kept = opened->sent = opened->held = 0;
	opened->flags &= ~OPENED_TUNNEL;
	if (s->proxied || (s->presented == PRESENTED_NOTHING && has_starttls(opened->to.port)))
		opened->flags |= OPENED_AGAIN;
	if (!(opened->flags & OPENED_AGAIN) || s->kind == EBG_KIND_TLS)
		opened->flags |= OPENED_JUDGED;
	if (s->proxied)
		opened->port = FORGET(s->port);
	if (s->tunnel)
		opened->flags |= OPENED_TUNNEL;
	return 0;
}

/* Is this data of a connection that has presented a name before, and no message that could present another one? */
static __always_inline int is_later_data(struct scratch *s)
{
	return (FORGET(s->connection.flags) & (OPENED_AGAIN | OPENED_TUNNEL)) == OPENED_AGAIN &&
	       !FORGET(s->connection.kept) && !may_present(s);
}

/* May nothing leave until a name is presented? */
static __always_inline int waits_for_name(struct scratch *s)
{
	const struct ebg_config *config = configuration();

	return s->connection.address.undecided && !(FORGET(s->connection.flags) & OPENED_AGAIN) && config && enforces(config);
}

/* Judges the first bytes of a connection, or of a request to a proxy, from s->from in the packet on. */
PACKET_FUNCTION(int, on_head, struct __sk_buff *skb, __u32 slot)
{
	struct scratch *s = scratch(slot);
	__u32 start, sent;
	int result = -1;

	if (!s)
		return STREAM_REFUSED;
	start = FORGET(s->from);
	sent = FORGET(s->connection.sent) + skb->len - start;
	if (load_message(skb, slot, start) == 0) {
		if (is_later_data(s))
			return STREAM_LATER;
		result = read_head(s, slot, sent);
		if (result == STREAM_WAITS && waits_for_name(s))
			return hold_back(s, slot, PRESENTED_NOTHING, sent);
	}
	if (result == STREAM_WAITS && keep_message(skb, slot) < 0)
		return hold_back(s, slot, PRESENTED_UNREADABLE, sent); /* there may be memory the next time */
	s->connection.sent = sent;
	if (result < 0)
		result = settle_as(s, slot, PRESENTED_UNREADABLE);
	if (result == STREAM_PASSES)
		go_on(skb, slot);
	return result;
}

/* Judges what begins at `start` in the packet, and each request to a proxy that begins behind the head of another. */
static __always_inline int on_heads(struct __sk_buff *skb, struct scratch *s, __u32 slot, __u32 start)
{
	int result = STREAM_PASSES;
	__u32 i, kept;

	FORGET(s->from) = start;
	for (i = 0; i < EBG_HEADS; i++) {
		kept = FORGET(s->connection.kept);
		FORGET(s->head) = 0;
		result = on_head(skb, slot);
		FORGET(s->from) += FORGET(s->head) - kept;
		if (result != STREAM_PASSES || !FORGET(s->head) || FORGET(s->from) >= skb->len ||
		    FORGET(s->connection.flags) & OPENED_JUDGED)
			return result;
	}
	return settle_as(s, slot, PRESENTED_UNREADABLE);
}

#endif
