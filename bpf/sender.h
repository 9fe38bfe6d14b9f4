/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Who sends a packet, where it was to go for them, and what they hear where it is refused. */
#ifndef EBG_SENDER_H
#define EBG_SENDER_H

#include "answer.h"
#include "stream.h"

/* What is remembered of the UDP socket that sends this packet. */
static __always_inline struct opened *told_to(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->type != EBG_SOCK_DGRAM || sk->protocol != EBG_UDP)
		return NULL;
	return bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, 0);
}

/* Where a connected socket is connected to. */
static __always_inline void set_peer(struct ebg_endpoint *to, const struct bpf_sock *sk)
{
	to->port = bpf_ntohs(sk->dst_port);
	if (sk->family == EBG_AF_INET)
		set_ipv4(to->address, sk->dst_ip4);
	else
		set_ipv6(to->address, sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2], sk->dst_ip6[3]);
}

/*
 * Where a datagram was to go, as its process has it: the host's NAT may lead it elsewhere. A connected socket knows that,
 * unless it was told to send elsewhere. Of another its last destination is remembered.
 */
static __always_inline struct ebg_endpoint asked_for(struct __sk_buff *skb, const struct packet *packet)
{
	struct ebg_endpoint to = packet->to;
	struct bpf_sock *sk = skb->sk;
	const struct opened *last;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->type != EBG_SOCK_DGRAM || sk->protocol != EBG_UDP)
		return to;
	if (sk->state == EBG_CONNECTED) {
		set_peer(&to, sk);
		if (same_endpoint(&to, &packet->to))
			return to;
	}
	last = told_to(skb);
	if (last && (sk->state != EBG_CONNECTED || last->flags & OPENED_SENDS)) {
		__builtin_memcpy(to.address, last->to.address, sizeof(to.address));
		to.port = last->to.port;
	}
	return to;
}

/* The TCP connection that sends this packet, if it was opened inside the guard. */
static __always_inline struct opened *connection_of(struct __sk_buff *skb)
{
	struct bpf_sock *sk = tcp_socket(skb);

	return sk ? bpf_sk_storage_get(MAP(ebg_opened), sk, NULL, 0) : NULL;
}

/* As unpack(), but with the endpoints as the process knows them that sends the packet, without the host's NAT. */
static __always_inline int unpack_asked(struct __sk_buff *skb, struct packet *packet)
{
	const struct opened *opened = connection_of(skb);

	if (unpack(skb, packet) < 0)
		return -1;
	if (opened)
		packet->to = opened->to;
	else
		packet->to = asked_for(skb, packet);
	set_sender(skb, packet);
	return 0;
}

/*
 * Has the agent end the socket whose packet was refused. TCP would try again and again, and some DNS clients ignore
 * EPERM. The agent needs to know the socket as its process does.
 */
PACKET_FUNCTION(int, end_sender, struct __sk_buff *skb)
{
	struct ebg_refusal *refusal;
	struct packet packet = {};

	if (unpack_asked(skb, &packet) < 0)
		return -1;
	refusal = bpf_ringbuf_reserve(MAP(ebg_refused), sizeof(*refusal), 0);
	if (!refusal)
		return -1;
	note_sender(refusal, &packet, bpf_get_socket_cookie(skb));
	bpf_ringbuf_submit(refusal, 0);
	return 0;
}

/* Has the agent reset the connection whose packet was refused, as a server does that wants nothing of it. */
PACKET_FUNCTION(int, reset_sender, struct __sk_buff *skb)
{
	struct packet packet = {}, asked = {};
	struct segment segment;

	if (unpack(skb, &packet) < 0 || unpack_asked(skb, &asked) < 0)
		return -1;
	segment = segment_of(skb, &packet);
	return put_reply(skb, &asked, EBG_REPLY_RESET, segment.sequence, segment.flags & EBG_ACK ? segment.acknowledged : 0);
}

/*
 * Has the agent answer the questions that a refused packet brings over TCP: it gives each a name that is not there. It
 * needs all of them as they are, with what has left of them before. Returns -1 where that can't be.
 */
PACKET_FUNCTION(int, answer_sender, struct __sk_buff *skb, __u32 slot)
{
	const struct opened *opened = connection_of(skb);
	struct packet packet = {}, asked = {};
	struct scratch *s = scratch(slot);
	struct ebg_question *question;
	struct segment segment;
	__u32 size;

	if (!s || !opened || unpack(skb, &packet) < 0 || unpack_asked(skb, &asked) < 0)
		return -1;
	segment = segment_of(skb, &packet);
	size = skb->len - segment.start + opened->kept;
	if (size > EBG_NAME || segment.flags & EBG_SYN || !hears_agent(skb, &asked))
		return -1;
	question = bpf_ringbuf_reserve(MAP(ebg_questions), sizeof(*question), 0);
	if (!question)
		return -1;
	note_sender(&question->asker, &asked, bpf_get_socket_cookie(skb));
	question->rule = s->refused;
	question->sequence = segment.sequence;
	question->acknowledged = segment.acknowledged;
	question->reply = EBG_REPLY_ANSWER;
	question->outage = s->outage;
	question->size = size;
	bpf_probe_read_kernel(question->name, sizeof(question->name), s->message);
	bpf_ringbuf_submit(question, 0);
	return 0;
}

/* Has the agent say that nobody listens on the port of a datagram. Else its send ends with an error. */
PACKET_FUNCTION(int, refuse_datagram, struct __sk_buff *skb)
{
	struct packet packet = {};

	if (unpack_asked(skb, &packet) < 0 || packet.to.protocol != EBG_UDP ||
	    put_reply(skb, &packet, EBG_REPLY_UNREACHABLE, 0, 0) < 0)
		return EBG_REFUSE;
	return EBG_SWALLOW;
}

#endif
