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
#include "outage.h"
#include "packet.h"
#include "record.h"

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

/* As settle(); and keeps what was refused, and how it is down. */
static __always_inline int settle_of(struct scratch *s, const struct ebg_config *config, const struct access *access)
{
	int result = settle(config, access);

	if (result == EBG_REFUSE) {
		s->outage = outage_of(config, &access->it);
		s->refused = access->it.rule;
	}
	return result;
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
	return settle_of(s, config, &access);
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
	return s->presented == PRESENTED_NAME || access.it.deny ? settle_of(s, config, &access) : STREAM_PASSES;
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

/* The data of a TCP packet: where it begins in the packet, and in the stream. */
struct segment {
	__u32 start; /* the packet's end where it has no data, or its header can't be read */
	__u32 sequence, acknowledged;
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
	segment.acknowledged = bpf_ntohl(header.acknowledged);
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

#endif
