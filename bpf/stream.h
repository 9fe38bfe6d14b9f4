/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/*
 * What a TCP connection presents, read from the packets that carry it. A segment that is not the end of a message
 * passes: no server can act before the rest is there. The segment that completes a denied name is dropped, and nothing
 * of the connection leaves after that. So sockets stay as they are, and no data waits.
 *
 * One exception: where an allowed and a denied name share the address, who presents none is denied. There the first
 * bytes wait for the name. To drop them is enough: TCP tries them again with those that are written next.
 */
#ifndef EBG_STREAM_H
#define EBG_STREAM_H

#include "message.h"
#include "packet.h"

#define EBG_QUESTIONS 16 /* of a window */
#define EBG_WINDOWS 5    /* slots full of DNS questions, of a packet */
#define EBG_HEADS 16     /* requests to a proxy, of a packet */

enum stream_result {
	STREAM_REFUSED = EBG_REFUSE,
	STREAM_PASSES = EBG_PASS,
	STREAM_WAITS = 2, /* the message goes on in the next segment */
	STREAM_LATER = 3, /* nothing to judge here, but there will be */
	STREAM_HELD = 4,  /* it does not leave yet */
};

/* An access by the connection in the slot. */
static __always_inline struct access access_of(const struct scratch *s, __u32 kind)
{
	struct access access = { .hook = EBG_HOOK_PRESENTED, .to = s->connection.to, .opener = &s->connection };

	access.to.kind = kind;
	return access;
}

/* Denies the connection because of its address, which is in s->to. */
FUNCTION(int, settle_address, __u32 slot, __u32 rule)
{
	const struct ebg_config *config = configuration();
	struct scratch *s = scratch(slot);
	struct access access;

	if (!config || !s)
		return STREAM_REFUSED;
	access = access_of(s, EBG_KIND_SEND);
	access.hook = EBG_HOOK_EGRESS;
	access.to = s->to;
	access.to.kind = EBG_KIND_SEND;
	access.it = (struct judgement){ rule, 1 };
	return settle(config, &access);
}

/* Judges what the connection presents, as look() has left it, and records it. */
FUNCTION(int, settle_presented, __u32 slot)
{
	const struct ebg_config *config = configuration();
	struct scratch *s = scratch(slot);
	struct access access;

	if (!config || !s)
		return STREAM_REFUSED;
	access = access_of(s, s->kind);
	access.it = judge_presented(config, s->presented, s->ruling, &s->connection.address);
	if (s->presented == PRESENTED_NAME) {
		access.name = s->name;
		access.name_hash = s->hash;
	}
	return s->presented == PRESENTED_NAME || access.it.deny ? settle(config, &access) : STREAM_PASSES;
}

static __always_inline int settle_as(struct scratch *s, __u32 slot, enum presented presented)
{
	s->kind = EBG_KIND_SEND;
	s->presented = presented;
	return settle_presented(slot);
}

#define EBG_HOLDS 512 /* for so long first bytes are held back at most; then no name comes. In steps of 2^20 ns */

static __always_inline int held_long_enough(__u32 since)
{
	return since && (__u32)(bpf_ktime_get_ns() >> 20 | 1) - since >= EBG_HOLDS;
}

/*
 * Nothing can be said of `size` bytes so far. Returns STREAM_HELD, or the verdict over `presented` once it has been so for
 * too long.
 */
static __always_inline int hold_back(struct scratch *s, __u32 slot, enum presented presented, __u32 size)
{
	const struct ebg_config *config = configuration();
	__u32 since = FORGET(s->connection.held);

	if (!config || !enforces(config) || held_long_enough(since))
		return settle_as(s, slot, presented);
	if (!since)
		s->connection.held = bpf_ktime_get_ns() >> 20 | 1;
	s->connection.waiting = size;
	return STREAM_HELD;
}

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
	return settle(config, &access);
}

/* Judges all DNS questions that are whole in the slot; s->start is where the first begins that is not. */
static __always_inline int read_questions(struct scratch *s, __u32 slot)
{
	int result = STREAM_PASSES;
	__u32 i;

	for (i = 0; i < EBG_QUESTIONS && result == STREAM_PASSES; i++) {
		int start = next_question(slot);

		if (!start)
			return FORGET(s->start) == FORGET(s->size) ? STREAM_PASSES : STREAM_WAITS;
		result = settle_question(slot, start, read_question(slot, start));
		if (FORGET(s->left))
			return result;
	}
	return result == STREAM_PASSES ? STREAM_LATER : result;
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

/* The data of a TCP packet: where it begins in the packet, and in the stream. */
struct segment {
	__u32 start; /* the packet's end where it has no data, or its header can't be read */
	__u32 sequence;
	__u32 flags; /* of TCP */
};

static __always_inline struct segment segment_of(struct __sk_buff *skb, const struct packet *packet)
{
	struct {
		__be32 sequence, acknowledged;
		__u8 length, flags;
	} header;
	struct segment segment = { .start = skb->len };

	if (bpf_skb_load_bytes(skb, packet->transport + 4, &header, 10) < 0)
		return segment;
	segment.start = packet->transport + (header.length >> 4) * 4;
	segment.flags = header.flags;
	segment.sequence = bpf_ntohl(header.sequence) + !!(header.flags & EBG_SYN); /* it has a number of its own */
	return segment;
}

/* Adds a part of the data at `start` to what has left of the message, of which there are s->size bytes so far. */
static __always_inline int add_part(struct __sk_buff *skb, struct scratch *s, struct head *head, __u32 start)
{
	__u32 kept = FORGET(s->size), size = skb->len - start;

	if (size > EBG_MESSAGE - kept)
		size = EBG_MESSAGE - kept;
	if (size > EBG_PART)
		size = EBG_PART;
	FORGET(s->piece) = size - 1;
	size = BELOW(EBG_PART, FORGET(s->piece)) + 1;
	FORGET(s->size) = kept + size;
	return bpf_skb_load_bytes(skb, start, head->bytes + BELOW(EBG_MESSAGE, kept), size);
}

/* Adds the new data at `start` to what has left of the message, as much as there is room for. */
static __always_inline int add_data(struct __sk_buff *skb, struct scratch *s, struct head *head, __u32 start)
{
	__u32 kept = FORGET(s->connection.kept), i;

	FORGET(s->size) = kept;
	for (i = 0; i < EBG_MESSAGE / EBG_PART; i++) {
		__u32 at = start + FORGET(s->size) - kept;

		if (at >= skb->len || FORGET(s->size) >= EBG_MESSAGE)
			break;
		if (add_part(skb, s, head, at) < 0)
			return -1;
	}
	return 0;
}

/* Puts what has left of the message, and the new data at `start`, into the slot. Returns -1 where that fails. */
PACKET_FUNCTION(int, load_message, struct __sk_buff *skb, __u32 slot, __u32 start)
{
	struct bpf_sock *sk = tcp_socket(skb);
	struct scratch *s = scratch(slot);
	struct head *head;

	if (!s || !sk)
		return -1;
	FORGET(s->start) = 0;
	if (!FORGET(s->connection.kept))
		return load_payload(skb, s, start);
	head = bpf_sk_storage_get(MAP(ebg_head), sk, NULL, 0);
	if (!head || add_data(skb, s, head, start) < 0)
		return -1;
	return bpf_probe_read_kernel(s->message, EBG_MESSAGE, head->bytes);
}

/* Keeps the message in the slot until more of it leaves. Returns -1 without memory for it. */
PACKET_FUNCTION(int, keep_message, struct __sk_buff *skb, __u32 slot)
{
	struct bpf_sock *sk = tcp_socket(skb);
	struct scratch *s = scratch(slot);
	struct head *head;
	__u32 start;

	if (!s || !sk)
		return -1;
	head = bpf_sk_storage_get(MAP(ebg_head), sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!head)
		return -1;
	start = FORGET(s->start);
	s->connection.kept = FORGET(s->size) - start;
	return bpf_probe_read_kernel(head->bytes, EBG_MESSAGE, s->message + BELOW(EBG_MESSAGE, start));
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

/* Judges the data of a packet that was not looked at yet. `there`: where it really goes. */
static __always_inline int on_data(struct __sk_buff *skb, struct scratch *s, const struct segment *segment,
				   const struct ebg_endpoint *there)
{
	__u32 length = skb->len - segment->start, seen, slot = FORGET(s->slot);
	struct opened *opened = &s->connection;
	int result;

	if (!(opened->flags & OPENED_STARTED)) {
		opened->next = segment->sequence;
		opened->flags |= OPENED_STARTED;
	}
	seen = opened->next + opened->skip - segment->sequence;
	if (seen >= length && (int)seen >= 0)
		return EBG_PASS; /* it is sent again, or belongs to a question that was read */
	if ((int)seen < 0)
		result = settle_as(s, slot, PRESENTED_UNREADABLE);
	else if (is_dns(&opened->to, there))
		result = on_questions(skb, s, slot, segment->start + seen);
	else
		result = on_heads(skb, s, slot, segment->start + seen);
	if (result != STREAM_REFUSED && result != STREAM_HELD)
		opened->next = segment->sequence + length;
	return result;
}

#endif
